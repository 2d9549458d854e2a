/** LOG-1 … LOG-6, VFT-7: operations are well formed, and one that fails changes nothing (facts iommufd §2, §6.6; kernel-findings F4). */
import { errnoMeansUnchanged, failedLeavesNothing } from "./failures.ts";
import type { DeviceId, DomainId, GroupId } from "../vocabulary/ids.ts";
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import { igKey } from "../world/create.ts";
import type { Group, World } from "../world/types.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

/** Was the whole life of this device's binding recorded? */
function bindTold(world: World, dev: DeviceId): boolean {
	const ctx = world.devices.map.get(dev)?.ctx;
	return (
		world.header.origin !== "import" ||
		(ctx !== undefined && (world.ctxs.map.get(ctx)?.openedSeq ?? 0) > 0)
	);
}

/** LOG-1: what was recorded of this device before. The judge's memory holds +seq of an attach, -seq of a detach. */
function alternates(
	{ memory }: Context,
	dev: DeviceId,
	seq: number,
	what: "attached" | "replaced" | "detached",
): Outcome {
	const key = `LOG-1 ${dev}`;
	const before = memory.get(key);
	if (what !== "replaced") memory.set(key, what === "attached" ? seq : -seq);
	if (before === undefined) return what === "attached" ? undefined : SKIP;
	const wasAttached = before > 0;
	if (wasAttached === (what !== "attached")) return undefined;
	return broken(
		`${dev} ${seq}`,
		`${dev} was ${what} while it was ${wasAttached ? "attached" : "not attached"}`,
		[dev],
		[Math.abs(before)],
		{ since: Math.abs(before) },
	);
}

/** Pairs of a step and the step that takes it back; the fields that must agree. */
const MIRRORS: {
	readonly [T in RecordType]?: {
		readonly of: readonly RecordType[];
		readonly by: readonly string[];
	};
} = {
	"hw.attach": { of: ["hw.attach", "hw.attach.failed"], by: [] },
	"hw.attach.failed": { of: ["hw.attach", "hw.attach.failed"], by: ["dev"] },
	"ig.list.remove": { of: ["ig.list.add"], by: ["dev"] },
	"ig.list.add": { of: ["ig.list.remove"], by: ["dev"] },
	"idev.hwpt.set": { of: ["idev.hwpt.set"], by: ["dev"] },
	"dom.freed": { of: ["dom.created"], by: ["dom"] },
	"iopt.dom.removed": { of: ["iopt.dom.added"], by: ["dom", "ioas"] },
	"obj.ref": { of: ["obj.ref"], by: ["obj"] },
	"type1.entry.removed": { of: ["type1.entry.added"], by: ["ctx", "iova"] },
	"grp.domain.set": { of: ["hw.attach", "grp.domain.set"], by: [] },
};

/**
 * A switch that fails attaches the member that refused to the old domain as well. Where the core refused for it, no driver was asked and nothing
 * is on record: a device with a mandated direct region is never blocked (iommu.c:__iommu_device_set_domain).
 */
const refusedByCore = (world: World, dev: unknown): boolean =>
	world.devices.map
		.get(dev as DeviceId)
		?.regions?.some(({ kind }) => kind === "direct") === true;

function mirrored({ world, bracket }: Context, record: LogRecord): Outcome {
	const data = record.data as { readonly [field: string]: unknown };
	const mirror = MIRRORS[record.type];
	const { op } = bracket;
	if (
		data["undo"] !== true ||
		mirror === undefined ||
		op === undefined ||
		op.truncated
	)
		return SKIP;
	for (let i = op.steps.length - 1; i >= 0; i--) {
		const step = op.steps[i] as LogRecord;
		const other = step.data as { readonly [field: string]: unknown };
		if (
			step.seq === record.seq ||
			other["undo"] === true ||
			!mirror.of.includes(step.type)
		)
			continue;
		if (mirror.by.every((field) => other[field] === data[field]))
			return undefined;
	}
	if (refusedByCore(world, data["dev"])) return SKIP;
	return broken(
		`${record.seq}`,
		`${record.type} is marked as undoing a step of ${op.name}, but no ${mirror.of.join(" or ")} for the same ${mirror.by.join(" and ") || "group"} precedes it there`,
		[record.actor],
		[bracket.seq],
		{ since: bracket.seq },
	);
}

/** The same for maps and pins, of which there may be very many: some earlier one of the operation is enough. */
function counted(
	{ bracket }: Context,
	record: LogRecord<"dom.unmap" | "pages.unpinned" | "area.gone">,
): Outcome {
	if (record.data.undo !== true || bracket.op === undefined) return SKIP;
	const had =
		record.type === "dom.unmap"
			? bracket.mapSeq > 0
			: record.type === "area.gone"
				? bracket.areasNet >= 0
				: bracket.pinSeq > 0;
	if (had) return undefined;
	return broken(
		`${record.seq}`,
		`${record.type} is marked as undoing a step of ${bracket.op.name}, which had done nothing of the kind`,
		[record.actor],
		[bracket.seq],
		{ since: bracket.seq },
	);
}

/** The domain that bookkeeping says a group must use. */
function bookkept(world: World, group: Group): DomainId | undefined {
	for (const ctx of group.ctxs) {
		const ig = world.igs.map.get(igKey(ctx, group.id));
		if (ig === undefined || ig.list.length === 0 || ig.hwpt === null) continue;
		return world.hwpts.map.get(ig.hwpt)?.dom;
	}
	if (group.owner === null) return group.def;
	const owner =
		group.owner === undefined
			? undefined
			: world.ctxs.map.get(group.owner as never);
	if (
		group.owner === undefined ||
		owner?.type1 !== undefined ||
		owner?.kind === "type1" ||
		group.ctxs.length === 0
	)
		return undefined;
	return group.blk;
}

/** A check for every record that can be an undo. */
const onEveryMirror = Object.fromEntries(
	Object.keys(MIRRORS).map((type) => [type, mirrored]),
);

export const LOG_SHAPE: readonly Invariant[] = [
	{
		id: "VFT-7",
		when: "O",
		severity: "error",
		sentence:
			"An attach that returns an error leaves every attachment of the group as it was.",
		harm: "user space believes the old attachment stands: the device is on nothing, or its whole group on another address space (A8)",
		source: [
			"drivers/vfio/device_cdev.c:vfio_df_ioctl_attach_pt (out_detach)",
			"kernel-findings F4",
		],
		brokenBy:
			"recordings f4_ro_single_v1.B5 and f4_ro_mfunc_v1.B5; scenario unwritable-result",
		on: { "op.fail": errnoMeansUnchanged },
	},
	{
		id: "LOG-1",
		when: "O",
		severity: "error",
		sentence:
			"Attach and detach of a device alternate; a replace stands between them.",
		harm: "the flag in VFIO and the list in iommufd disagree",
		source: ["drivers/vfio/iommufd.c"],
		on: {
			"dev.attached": (context, { data, seq }) =>
				alternates(context, data.dev, seq, "attached"),
			"dev.replaced": (context, { data, seq }) =>
				alternates(context, data.dev, seq, "replaced"),
			"dev.detached": (context, { data, seq }) =>
				alternates(context, data.dev, seq, "detached"),
		},
	},
	{
		id: "LOG-2",
		when: "S",
		severity: "error",
		sentence: "A device is attached only while it is bound.",
		harm: "an attachment outlives its owner",
		source: ["drivers/vfio/iommufd.c:vfio_iommufd_physical_unbind"],
		on: {
			"dev.attached": ({ world }, { data, seq }) => {
				if (!bindTold(world, data.dev)) return SKIP;
				return world.devices.map.get(data.dev)?.idev !== undefined
					? undefined
					: broken(
							`${data.dev} ${seq}`,
							`${data.dev} was attached to ${data.hwpt} without being bound`,
							[data.dev, data.hwpt],
							[],
						);
			},
			"dev.unbound": ({ world }, { data, seq }) => {
				const device = world.devices.map.get(data.dev);
				if (device === undefined) return SKIP;
				return device.hwpt === undefined
					? undefined
					: broken(
							`${data.dev} ${seq}`,
							`${data.dev} was unbound while attached to ${device.hwpt}`,
							[data.dev, device.hwpt],
							[device.since],
						);
			},
		},
	},
	{
		id: "LOG-3",
		when: "O",
		severity: "error",
		on: { "op.fail": failedLeavesNothing },
		sentence:
			"A failed operation leaves objects, areas, claims and counts as they were, with the exceptions listed in facts §6.6.",
		harm: "leaks, or state that no caller knows of",
		source: ["facts iommufd §2, §6.6"],
	},
	{
		id: "LOG-4",
		when: "S",
		severity: "error",
		on: {
			...onEveryMirror,
			"dom.unmap": counted,
			"pages.unpinned": counted,
			"area.gone": counted,
		} as Invariant["on"] & object,
		sentence:
			"Every step marked as undo takes back an earlier step of the same operation.",
		harm: "the rollback does more than was done",
		source: ["facts iommufd §2"],
	},
	{
		id: "LOG-5",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence:
			"What the hardware of a group's members uses follows from the attachments recorded.",
		harm: "evidence and bookkeeping disagree",
		source: ["facts iommufd §7"],
		brokenBy: "scenario torn-group",
		test: (world, id) => {
			const group = world.groups.map.get(id as GroupId);
			if (group === undefined || world.perDevice) return SKIP;
			const expected = bookkept(world, group);
			if (expected === undefined) return SKIP;
			let checked = false;
			for (const dev of group.members) {
				const device = world.devices.map.get(dev);
				if (device?.hw === undefined) continue;
				checked = true;
				if (device.hw !== expected)
					return broken(
						`${id} ${dev}`,
						`the attachments of ${id} say ${expected}, the hardware of ${dev} uses ${device.hw}`,
						[group.id, dev, expected],
						[device.hwSeq, group.domSeq],
					);
			}
			return checked ? undefined : SKIP;
		},
	},
	{
		id: "LOG-6",
		when: "S",
		severity: "error",
		sentence: "No map covers an address that its domain maps already.",
		harm: "the driver warns and keeps the old page",
		source: ["drivers/iommu/intel/iommu.c:__domain_mapping"],
		on: {
			"dom.map": ({ world }, { data, seq }) => {
				const { domain } = world.effect;
				if (domain === undefined) return SKIP;
				if (world.effect.problem !== undefined)
					return { missing: `dom.map of ${data.dom}: ${world.effect.problem}` };
				if (world.effect.overlap === 0) return undefined;
				return broken(
					`${data.dom} ${seq}`,
					`mapping 0x${data.len.toString(16)} bytes at 0x${data.iova.toString(16)} in ${data.dom} covers ${world.effect.overlap} page(s) that are mapped`,
					[data.dom],
					[domain.unmapSeq],
				);
			},
		},
	},
];
