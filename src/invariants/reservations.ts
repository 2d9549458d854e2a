/** RSV-1 … RSV-6, MSI-1: ranges an IOAS must keep free (facts iommufd §3.3, §3.8 A1, §6.3; kernel-findings F1, F3). */
import {
	attachedIoas,
	heldBy,
	heldIn,
	hex,
	mustReserve,
	risksOf,
	risksOfGroup,
} from "./regions.ts";
import type { U64Range } from "../vocabulary/fields.ts";
import type { ActorId, DeviceId, DomainId, IoasId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { areaAt, areaMeeting } from "../world/areas.ts";
import type { Ioas, Region, Risk, World } from "../world/types.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";
import { pagingDomain } from "./subjects.ts";

const covers = (ranges: readonly U64Range[], region: Region): boolean =>
	ranges.some(([start, last]) => start <= region.start && last >= region.last);

/** RSV-2: what of a device's regions its IOAS does not hold. */
function unreserved(world: World, id: string): Outcome {
	const device = world.devices.map.get(id as DeviceId);
	const ioas = device === undefined ? undefined : attachedIoas(world, device);
	if (device === undefined || ioas === undefined) return SKIP;
	if (!world.seen.resv && world.header.origin === "import")
		return {
			missing: "reservations: no record of any in this recording",
			minor: true,
		};
	const own = heldIn(world, device.id, ioas.id);
	const trail = [device.since, world.seq];
	if (device.regions === undefined) {
		if (own.length > 0) return undefined;
		return {
			missing: `${id}: its reserved regions are not in the header, and no reservation of it was recorded`,
		};
	}
	const needed = device.regions.filter(mustReserve);
	const ranges = own.flatMap((entry) => entry.ranges);
	const bare = needed.find((region) => !covers(ranges, region));
	if (bare === undefined) return undefined;
	return broken(
		id,
		`${id} is attached to ${device.hwpt} but its ${bare.kind} region ${hex(bare.start)}-${hex(bare.last)} is not reserved in ${ioas.id}: a map there would be accepted`,
		[device.id, ioas.id],
		trail,
	);
}

/** RSV-2 seen from user space: IOVA_RANGES offers a region of an attached device, so it cannot be reserved (F3). */
function offered(
	{ world }: Context,
	{ data, seq }: LogRecord<"ioas.ranges.read">,
): Outcome {
	let checked = false;
	let untold: DeviceId | undefined;
	for (const device of world.devices.map.values()) {
		if (
			device.hwpt === undefined ||
			attachedIoas(world, device)?.id !== data.ioas
		)
			continue;
		if (device.regions === undefined) {
			untold = device.id;
			continue;
		}
		for (const region of device.regions) {
			if (!mustReserve(region)) continue;
			checked = true;
			const hole = data.ranges.find(
				([start, last]) => start <= region.last && last >= region.start,
			);
			if (hole !== undefined)
				return broken(
					`${device.id} ${seq}`,
					`IOVA_RANGES of ${data.ioas} offers ${hex(hole[0])}-${hex(hole[1])}, which holds the ${region.kind} region ${hex(region.start)}-${hex(region.last)} of ${device.id}, attached to ${device.hwpt}`,
					[device.id, data.ioas],
					[device.since],
					{ evidence: "proven", since: device.since },
				);
		}
	}
	if (!checked && untold !== undefined)
		return {
			missing: `${untold}: its reserved regions are not in the header, so what IOVA_RANGES may offer is not known`,
			minor: true,
		};
	return checked ? undefined : SKIP;
}

/** RSV-2 as a map shows it: an area over a region of a device that is attached to this IOAS. */
function mappedOver(
	{ world }: Context,
	{ data, seq }: LogRecord<"area.live">,
): Outcome {
	const { ioas } = world.effect;
	if (ioas === undefined || ioas.doms.length === 0) return SKIP;
	const area = areaAt(ioas.areas, data.iova);
	if (area === undefined) return SKIP;
	for (const { region, device } of risksOf(world, ioas).attached)
		if (area.start <= region.last && area.last >= region.start)
			return broken(
				`${device} ${seq}`,
				`a map of ${hex(area.start)}-${hex(area.last)} in ${data.ioas} was accepted over the ${region.kind} region ${hex(region.start)}-${hex(region.last)} of ${device}, which is attached`,
				[device, data.ioas],
				[world.devices.map.get(device)?.since ?? 0, area.seq],
				{
					evidence: "proven",
					since: world.devices.map.get(device)?.since ?? 0,
				},
			);
	return undefined;
}

/** RSV-6 for one IOAS: an area over a region that a member of a group on it has, but has not reserved here. */
function siblingRisk(
	ioas: Ioas | undefined,
	risksIn: (ioas: Ioas) => readonly Risk[],
	world: World,
): Outcome {
	if (ioas === undefined || ioas.gone || ioas.doms.length === 0) return SKIP;
	const risks = risksIn(ioas);
	for (const { region, device } of risks) {
		const area = areaMeeting(ioas.areas, region.start, region.last);
		if (area !== undefined)
			return broken(
				`${ioas.id} ${device}`,
				`${hex(area.start)}-${hex(area.last)} in ${ioas.id} lies over the ${region.kind} region ${hex(region.start)}-${hex(region.last)} of ${device}, whose group uses this IOAS although the device has reserved nothing in it`,
				[ioas.id, device],
				[area.seq, world.devices.map.get(device)?.hwSeq ?? 0],
			);
	}
	return risks.length > 0 ? undefined : SKIP;
}

/** RSV-6 for the IOAS that a device's group uses now. */
function groupRisk(world: World, dev: DeviceId): Outcome {
	const id = world.devices.map.get(dev)?.group;
	const group = id === undefined ? undefined : world.groups.map.get(id);
	const dom = group?.dom ?? undefined;
	const ioas = dom === undefined ? undefined : world.domains.map.get(dom)?.ioas;
	if (group === undefined || ioas === undefined) return SKIP;
	return siblingRisk(
		world.ioases.map.get(ioas),
		(on) => risksOfGroup(world, on, group),
		world,
	);
}

/** RSV-1 for one owner: its reservations are where it is attached, or where it is kept filled. Others (tests, the host) may reserve anywhere. */
function misplaced(world: World, owner: string): Outcome {
	const held = heldBy(world, owner);
	if (held.length === 0) return SKIP;
	const isDomain = owner.startsWith("domain:");
	const device = world.devices.map.get(owner as DeviceId);
	const at = device && attachedIoas(world, device);
	for (const { ioas, entry } of held) {
		if (isDomain) {
			const { doms } = world.ioases.map.get(ioas) as Ioas;
			if (doms.includes(owner as DomainId)) continue;
		} else if (at?.id === ioas || (device?.hwpt !== undefined && !at)) continue;
		return broken(
			`${ioas} ${owner}`,
			isDomain
				? `${owner} has ranges reserved in ${ioas}, which does not fill it`
				: `${owner} has ranges reserved in ${ioas} but is not attached through it`,
			[ioas, owner as ActorId],
			[entry.seq],
		);
	}
	return undefined;
}

/** RSV-5: what an operation makes and drops. A drop of what was not there changes nothing. */
function countReservation(
	{ world, bracket }: Context,
	record: LogRecord<"resv.added" | "resv.dropped">,
): Outcome {
	if (bracket.op === undefined) return SKIP;
	const dropped = record.type === "resv.added" ? [] : world.effect.unreserved;
	const by = record.type === "resv.added" ? 1 : -dropped.length;
	const since = Math.min(bracket.seq, ...dropped.map(({ seq }) => seq));
	const key = `${record.data.ioas} ${record.data.owner}`;
	bracket.reserved ??= new Map();
	const entry = bracket.reserved.get(key);
	if (entry === undefined)
		bracket.reserved.set(key, { net: by, seq: record.seq, since });
	else {
		entry.net += by;
		entry.since = Math.min(entry.since, since);
		entry.seq = record.seq;
	}
	return SKIP;
}

/** RSV-5: at the end of a failed operation. The violation stands at the drop that undid nothing. */
function failedBalance(
	{ bracket }: Context,
	record: LogRecord<"op.fail">,
): Outcome {
	const { op } = bracket;
	if (op === undefined || bracket.reserved === null) return SKIP;
	// A completed replace that was then answered with an error is VFT-7's business.
	if (op.steps.some((step) => step.type === "dev.replaced")) return SKIP;
	for (const [key, { net, seq, since }] of bracket.reserved) {
		if (net === 0) continue;
		const [ioas, owner] = key.split(" ") as [IoasId, ActorId];
		const what =
			net < 0
				? "lost the reservation that was there before"
				: "kept a reservation that was not there before";
		return broken(
			`${bracket.seq}`,
			`${op.name} failed with ${record.data.errno}, but ${owner} ${what} in ${ioas}`,
			[owner, ioas],
			[bracket.seq, seq, record.seq],
			{ seq, since },
		);
	}
	return undefined;
}

export const RESERVATIONS: readonly Invariant[] = [
	{
		id: "RSV-5",
		when: "O",
		severity: "error",
		needs: "L1",
		sentence:
			"A failed attach or replace leaves the reservations of every IOAS as they were.",
		harm: "live reservations vanish and maps over interrupt windows are accepted (A1)",
		source: [
			"drivers/iommu/iommufd/device.c:iommufd_device_do_replace (err_unresv)",
			"kernel-findings F1",
		],
		brokenBy:
			"recordings f1_same_* and f1_ctl_mask.A1; scenario refused-member-one-ioas; failing-rollback under device-lagging",
		on: {
			"op.fail": failedBalance,
			"resv.added": countReservation,
			"resv.dropped": countReservation,
		},
	},
	{
		id: "RSV-2",
		when: "O",
		severity: "error",
		aspect: "device",
		test: unreserved,
		sentence:
			"Every reserved region of an attached device, relaxable ones apart, is reserved for it in its IOAS.",
		harm: "user space can map over an interrupt window (A1, F3)",
		source: [
			"drivers/iommu/iommufd/io_pagetable.c:iopt_table_enforce_dev_resv_regions",
			"kernel-findings F1, F3",
		],
		brokenBy:
			"recordings f1_same_* and f1_extra_resv_v1.A1; scenario refused-member-one-ioas",
		on: { "ioas.ranges.read": offered, "area.live": mappedOver },
	},
	{
		id: "RSV-3",
		when: "O",
		severity: "error",
		aspect: "device",
		sentence: "A device that is not attached owns no reservation anywhere.",
		harm: "the range stays unusable",
		source: ["drivers/iommu/iommufd/device.c:iommufd_hw_pagetable_detach"],
		test: (world, id) => {
			const device = world.devices.map.get(id as DeviceId);
			if (device === undefined || device.hwpt !== undefined) return SKIP;
			const [first] = heldBy(world, id);
			if (first === undefined) return undefined;
			return broken(
				id,
				`${id} is not attached but has ranges reserved in ${first.ioas}`,
				[device.id, first.ioas],
				[first.entry.seq, device.since],
			);
		},
	},
	{
		id: "RSV-4",
		when: "O",
		severity: "error",
		aspect: "device",
		sentence: "A device owns reservations in at most one IOAS.",
		harm: "a move left the old address space restricted",
		source: [
			"drivers/iommu/iommufd/device.c:iommufd_group_do_replace_reserved_iova",
		],
		test: (world, id) => {
			const ioases = [...new Set(heldBy(world, id).map(({ ioas }) => ioas))];
			if (ioases.length === 0) return SKIP;
			return ioases.length === 1
				? undefined
				: broken(
						id,
						`${id} has ranges reserved in ${ioases.join(" and ")}`,
						[id as DeviceId, ...ioases],
						[world.devices.map.get(id as DeviceId)?.since ?? 0],
					);
		},
	},
	{
		id: "RSV-1",
		when: "O",
		severity: "error",
		aspect: ["device", "domain"],
		sentence:
			"Every reservation belongs to a device attached through this IOAS or to a domain that it fills.",
		harm: "a leaked reservation blocks maps for ever",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_remove_reserved_iova"],
		test: misplaced,
	},
	{
		id: "RSV-6",
		when: "O",
		severity: "warning",
		sentence:
			"No area lies over a reserved region of a member whose group uses the IOAS but which has reserved nothing in it.",
		harm: "that member's DMA or interrupts hit the mapping (W7); legal in 6.12",
		source: [
			"facts iommufd §3.2 point 3, §3.6 W7",
			"drivers/iommu/iommufd/device.c:iommufd_hw_pagetable_attach (comment)",
		],
		brokenBy:
			"scenario sibling-region; laggard-region under posted-v2 and device-lagging",
		on: {
			"area.live": ({ world }) =>
				siblingRisk(
					world.effect.ioas,
					(on) => risksOf(world, on).unreserved,
					world,
				),
			"dev.attached": ({ world }, { data }) => groupRisk(world, data.dev),
			"dev.replaced": ({ world }, { data }) => groupRisk(world, data.dev),
			"dev.detached": ({ world }, { data }) => groupRisk(world, data.dev),
		},
	},
	{
		id: "MSI-1",
		when: "O",
		severity: "error",
		aspect: "device",
		sentence:
			"While a device with a software MSI window is attached, its domain has an MSI cookie.",
		harm: "interrupts cannot be set up",
		source: ["drivers/iommu/iommufd/device.c:iommufd_group_setup_msi"],
		brokenBy: "scenario software-msi (A12)",
		test: (world, id) => {
			const device = world.devices.map.get(id as DeviceId);
			if (
				device?.hwpt === undefined ||
				device.regions?.some((region) => region.kind === "sw-msi") !== true
			)
				return SKIP;
			const domain = pagingDomain(world, device);
			if (domain === undefined) return SKIP;
			return domain.cookie
				? undefined
				: broken(
						id,
						`${id} has a software MSI window and is attached to ${device.hwpt}, whose ${domain.id} has no MSI cookie`,
						[device.id, domain.id],
						[device.since],
					);
		},
	},
];
