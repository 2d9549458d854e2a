/** HWP-1 … HWP-11: page-table objects and their domains (facts iommufd §1.5, §2.9, §6.2). */
import {
	automaticOfIoas,
	drainedBeforeSwitch,
	filledBeforeSwitch,
} from "./hwpt-moves.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { Domain, Hwpt, World } from "../world/types.ts";
import { broken, SKIP, type Invariant, type Outcome } from "./invariant.ts";
import { liveHwpt } from "./subjects.ts";

const isPaging = (hwpt: Hwpt): boolean => hwpt.kind !== "NESTED";
/** A domain that iommufd made for a user: one with a hwpt, or of the unmanaged kind. */
const isUserDomain = (domain: Domain): boolean =>
	domain.hwpt !== undefined || domain.kind === "unmanaged";

/** How many of the devices that still use a domain a finding names. */
const NAMED = 8;
/** Places of a domain in the list of its hwpt's IOAS. */
function places(world: World, hwpt: Hwpt): number {
	if (hwpt.ioas === undefined) return 0;
	return (
		world.ioases.map.get(hwpt.ioas)?.doms.filter((dom) => dom === hwpt.dom)
			.length ?? 0
	);
}

function iopt(world: World, id: string): Outcome {
	const hwpt = liveHwpt(world, id);
	if (hwpt?.dom === undefined || !world.seen.iopt) return SKIP;
	if (!isPaging(hwpt)) {
		const domain = world.domains.map.get(hwpt.dom);
		if (domain?.ioas === undefined) return undefined;
		return broken(
			id,
			`the domain ${hwpt.dom} of the nested ${id} is filled by ${domain.ioas}`,
			[hwpt.id, hwpt.dom],
			[hwpt.liveSeq],
		);
	}
	// In the 2023 flows a domain is in the list from the first device to the last (facts §3.5).
	const expected = world.perDevice && hwpt.devices === 0 ? 0 : 1;
	if (!hwpt.linked && hwpt.devices === 0) return SKIP;
	const count = places(world, hwpt);
	if (count === expected || (world.perDevice && hwpt.devices === 0))
		return undefined;
	return broken(
		id,
		`${hwpt.dom} of ${id} stands ${count} times in the domain list of ${hwpt.ioas ?? "no IOAS"}`,
		[hwpt.id, hwpt.dom],
		[hwpt.liveSeq],
	);
}

function sameSets(world: World, id: string): Outcome {
	const ioas = world.ioases.map.get(id as never);
	if (
		ioas === undefined ||
		ioas.gone ||
		world.perDevice ||
		!world.seen.iopt ||
		ioas.createdSeq === 0
	)
		return SKIP;
	for (const hwptId of ioas.hwpts) {
		const hwpt = world.hwpts.map.get(hwptId);
		if (hwpt?.dom !== undefined && !ioas.doms.includes(hwpt.dom))
			return broken(
				id,
				`${hwptId} is on ${id} but its ${hwpt.dom} is not filled by it`,
				[ioas.id, hwptId, hwpt.dom],
				[hwpt.liveSeq],
			);
	}
	for (const dom of ioas.doms) {
		const owner = world.domains.map.get(dom)?.hwpt;
		if (owner === undefined || !ioas.hwpts.includes(owner))
			return broken(
				id,
				`${id} fills ${dom}, which belongs to ${owner === undefined ? "no hwpt" : `${owner}, not on it`}`,
				[ioas.id, dom],
				[ioas.createdSeq],
			);
	}
	return undefined;
}

/** Groups whose current domain it is. */
function currentOf(world: World, dom: DomainId): string[] {
	const list: string[] = [];
	for (const group of world.groups.map.values())
		if (group.dom === dom) list.push(group.id);
	return list;
}

/**
 * A legacy container has other domains with the same entries: it frees one as it is, and its pages stay pinned for the others
 * (vfio_iommu_type1.c:vfio_iommu_type1_detach_group).
 */
function hasTwin(world: World, dom: DomainId): boolean {
	for (const { type1 } of world.ctxs.map.values())
		if (type1 !== undefined && type1.doms.includes(dom))
			return type1.doms.length > 1;
	return false;
}

function freed(world: World, dom: DomainId, seq: number): Outcome {
	const domain = world.domains.map.get(dom);
	if (domain === undefined) return SKIP;
	const actors = [dom];
	const trail = [domain.createdSeq, domain.mapSeq, domain.unmapSeq];
	if (domain.groupCount > 0)
		return broken(
			`${dom} ${seq}`,
			`${dom} was freed while it is the current domain of ${currentOf(world, dom).join(", ")}`,
			actors,
			trail,
		);
	if (domain.hwCount > 0) {
		const users = [...world.devices.map.values()].filter((d) => d.hw === dom);
		return broken(
			`${dom} ${seq}`,
			`${dom} was freed while the hardware of ${domain.hwCount} device(s) uses it`,
			[dom, ...users.slice(0, NAMED).map(({ id }) => id)],
			trail,
		);
	}
	if (domain.ioas !== undefined)
		return broken(
			`${dom} ${seq}`,
			`${dom} was freed while ${domain.ioas} fills it`,
			actors,
			trail,
		);
	if (
		domain.mapped > 0 &&
		isUserDomain(domain) &&
		domain.kind !== "nested" &&
		!hasTwin(world, dom)
	)
		return broken(
			`${dom} ${seq}`,
			`${dom} was freed with ${domain.mapped} page(s) still mapped`,
			actors,
			trail,
		);
	return undefined;
}

export const HWPTS: readonly Invariant[] = [
	{
		id: "HWP-1",
		when: "Q",
		severity: "error",
		aspect: "hwpt",
		kernels: "6.6+",
		sentence: "An automatic hwpt has at least one attached device.",
		harm: "an orphan that nobody frees (R3)",
		source: [
			"drivers/iommu/iommufd/iommufd_private.h:iommufd_hw_pagetable_put",
		],
		test: (world, id) => {
			const hwpt = liveHwpt(world, id);
			if (hwpt?.auto !== true) return SKIP;
			return hwpt.devices > 0
				? undefined
				: broken(
						id,
						`${id} is automatic and nothing is attached to it`,
						[hwpt.id],
						[hwpt.liveSeq],
					);
		},
	},
	{
		id: "HWP-2",
		when: "S",
		severity: "error",
		sentence:
			"A domain is freed only when it is no group's current domain, no device uses it, no IOAS fills it and it maps nothing.",
		harm: "hardware walks freed tables",
		source: [
			"drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_paging_destroy",
		],
		brokenBy: "a trace with one member's attach removed",
		on: {
			"dom.freed": ({ world }, { data, seq }) => freed(world, data.dom, seq),
		},
	},
	{
		id: "HWP-3",
		when: "O",
		severity: "error",
		aspect: "hwpt",
		sentence: "A hwpt and its domain belong to each other for life.",
		harm: "one page table under two names",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_paging_alloc"],
		test: (world, id) => {
			const hwpt = liveHwpt(world, id);
			if (hwpt?.dom === undefined) return SKIP;
			const domain = world.domains.map.get(hwpt.dom);
			if (domain === undefined) return SKIP;
			if (domain.hwpt !== hwpt.id)
				return broken(
					id,
					`${hwpt.dom} belongs to ${domain.hwpt ?? "no hwpt"}, and ${id} uses it`,
					[hwpt.id, hwpt.dom],
					[hwpt.liveSeq],
				);
			if (domain.freedSeq > 0)
				return broken(
					id,
					`${id} is live, but its ${hwpt.dom} was freed`,
					[hwpt.id, hwpt.dom],
					[hwpt.liveSeq, domain.freedSeq],
				);
			return undefined;
		},
	},
	{
		id: "HWP-4",
		when: "O",
		severity: "error",
		aspect: "hwpt",
		test: iopt,
		sentence:
			"The domain of a live paging hwpt stands exactly once in the domain list of its IOAS; that of a nested one in none.",
		harm: "maps do not reach every page table",
		source: ["drivers/iommu/iommufd/io_pagetable.c:iopt_table_add_domain"],
		brokenBy: "scenario failing-refill under device-lagging",
	},
	{
		id: "HWP-5",
		when: "O",
		severity: "error",
		aspect: "ioas",
		test: sameSets,
		kernels: "6.6+",
		sentence: "The hwpts on an IOAS and the domains it fills are the same set.",
		harm: "the two lists drift apart and maps miss a page table, or fill a freed one",
		source: [
			"drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_paging_destroy",
		],
	},
	{
		id: "HWP-6",
		when: "S",
		severity: "error",
		aspect: "hwpt",
		sentence:
			"An automatic hwpt is a plain paging one: no nesting, no fault queue, no dirty tracking, no children.",
		harm: "automatic means allocated without flags",
		source: ["drivers/iommu/iommufd/device.c:iommufd_device_auto_get_domain"],
		test: (world, id) => {
			const hwpt = liveHwpt(world, id);
			if (hwpt?.auto !== true) return SKIP;
			const dirty =
				hwpt.dom !== undefined &&
				world.domains.map.get(hwpt.dom)?.dirtyOps === true;
			const plain =
				isPaging(hwpt) &&
				!hwpt.nestParent &&
				hwpt.fault === undefined &&
				hwpt.children === 0 &&
				!dirty;
			return plain
				? undefined
				: broken(
						id,
						`${id} is automatic and not plain`,
						[hwpt.id],
						[hwpt.liveSeq],
					);
		},
	},
	{
		id: "HWP-7",
		when: "O",
		severity: "error",
		kernels: "6.6+",
		sentence:
			"A device that is attached by naming an IOAS comes to an automatic hwpt of that IOAS.",
		harm: "a hwpt that user space made for one purpose is used for another",
		source: ["drivers/iommu/iommufd/device.c:iommufd_device_auto_get_domain"],
		on: {
			"dev.attached": automaticOfIoas,
			"dev.replaced": automaticOfIoas,
			"dev.replace.noop": automaticOfIoas,
		},
	},
	{
		id: "HWP-8",
		when: "S",
		severity: "error",
		sentence:
			"Enforced cache coherency is set on a domain before anything is mapped in it.",
		harm: "the bit lives in each leaf and cannot be added later",
		source: [
			"drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_paging_enforce_cc",
		],
		on: {
			"dom.cc.set": ({ world }, { data, seq }) => {
				const domain = world.domains.map.get(data.dom);
				if (domain === undefined || domain.mapped < 0) return SKIP;
				if (domain.mapped === 0) return undefined;
				return broken(
					`${data.dom} ${seq}`,
					`${data.dom} was made coherent with ${domain.mapped} page(s) mapped`,
					[data.dom],
					[domain.mapSeq],
				);
			},
		},
	},
	{
		id: "HWP-9",
		when: "O",
		severity: "error",
		aspect: "device",
		sentence:
			"A device attached to a coherent hwpt can enforce cache coherency.",
		harm: "KVM stops trapping cache flushes while a device's DMA does not snoop",
		source: ["drivers/iommu/intel/iommu.c:prepare_domain_attach_device"],
		test: (world, id) => {
			const device = world.devices.map.get(id as never);
			if (device?.hwpt === undefined || device.idev === undefined) return SKIP;
			const hwpt = world.hwpts.map.get(device.hwpt);
			const coherent =
				hwpt?.parent === undefined
					? hwpt?.cc
					: world.hwpts.map.get(hwpt.parent)?.cc;
			if (coherent !== true) return SKIP;
			if (world.idevs.map.get(device.idev)?.cc === true) return undefined;
			return broken(
				id,
				`${id} cannot enforce cache coherency and is attached to the coherent ${device.hwpt}`,
				[device.id, device.hwpt],
				[device.since],
			);
		},
	},
	{
		id: "HWP-10",
		when: "S",
		severity: "error",
		sentence:
			"A replace switches hardware only to a domain that its IOAS has filled.",
		harm: "DMA of a running device faults on an empty table (W4)",
		source: [
			"facts iommufd §2.12",
			"drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_paging_alloc",
		],
		brokenBy:
			"scenario replace-1 under posted-v2, device-lagging and device-forced",
		on: {
			"hw.attach": filledBeforeSwitch,
		},
	},
	{
		id: "HWP-11",
		when: "S",
		severity: "error",
		sentence:
			"A replace drains the old domain only after no device's hardware uses it any more.",
		harm: "a device still runs on a table that is being emptied (W5)",
		source: ["facts iommufd §2.12, §3.6 W5"],
		brokenBy: "scenario replace-3 under device-lagging",
		on: { "hw.attach": drainedBeforeSwitch },
	},
];
