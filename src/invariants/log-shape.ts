/** LOG-1 … LOG-6, VFT-7: operations are well formed, and one that fails changes nothing (facts iommufd §2, §6.6; kernel-findings F4). */
import type {
	ActorId,
	DeviceId,
	DomainId,
	GroupId,
} from "../vocabulary/ids.ts";
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import { igKey } from "../world/create.ts";
import type { Group, World } from "../world/types.ts";
import type { Bracket } from "./bracket.ts";
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

/** What an operation created (+) and destroyed (-), by thing; zero when it left no trace. */
function netChanges(
	steps: readonly LogRecord[],
): Map<string, { net: number; seq: number }> {
	const changes = new Map<string, { net: number; seq: number }>();
	const add = (key: string, by: number, seq: number): void => {
		const entry = changes.get(key);
		if (entry === undefined) changes.set(key, { net: by, seq });
		else {
			entry.net += by;
			entry.seq = seq;
		}
	};
	for (const step of steps) countChange(step, add);
	return changes;
}

function countChange(
	step: LogRecord,
	add: (key: string, by: number, seq: number) => void,
): void {
	const { seq } = step;
	switch (step.type) {
		case "area.claimed":
			return add(
				`area ${step.data.ioas} 0x${step.data.iova.toString(16)}`,
				1,
				seq,
			);
		case "area.gone":
			return add(
				`area ${step.data.ioas} 0x${step.data.iova.toString(16)}`,
				-1,
				seq,
			);
		case "hwpt.reserved":
			return add(step.data.hwpt, 1, seq);
		case "obj.gone":
			return step.data.obj.includes("/hwpt:")
				? add(step.data.obj, -1, seq)
				: undefined;
		case "iopt.dom.added":
			return add(`${step.data.dom} in ${step.data.ioas}`, 1, seq);
		case "iopt.dom.removed":
			return add(`${step.data.dom} in ${step.data.ioas}`, -1, seq);
		case "dom.created":
			return add(step.data.dom, 1, seq);
		case "dom.freed":
			return add(step.data.dom, -1, seq);
		case "obj.ref":
			return add(`count of ${step.data.obj}`, step.data.delta, seq);
		case "grp.owner.claimed":
			return add(`claim of ${step.data.group}`, 1, seq);
		case "grp.owner.released":
			return add(`claim of ${step.data.group}`, -1, seq);
		case "dev.bound":
			return add(`binding of ${step.data.dev}`, 1, seq);
		case "dev.unbound":
			return add(`binding of ${step.data.dev}`, -1, seq);
		default:
			return undefined;
	}
}

const ATTACHING: ReadonlySet<RecordType> = new Set<RecordType>([
	"dev.attached",
	"dev.replaced",
	"ig.list.add",
	"ig.list.remove",
	"ig.hwpt.set",
	"idev.hwpt.set",
]);
/** Failures that leave something behind by contract (facts §6.6 LOG-3). */
const PARTIAL = /unmap|rw$|invalidate|set_dirty|dirty/i;
const AT_RESPONSE = /resp|copy/i;

/** A blocking domain is made at the first claim and kept, whatever becomes of the claim (facts iommufd §4.1). */
function isBlocking(world: World, thing: string): boolean {
	if (!thing.startsWith("domain:")) return false;
	for (const group of world.groups.map.values())
		if (group.blk === thing) return true;
	return false;
}

function failedLeavesNothing(
	{ world, bracket }: Context,
	record: LogRecord<"op.fail">,
): Outcome {
	const { op } = bracket;
	if (op === undefined || op.truncated) return SKIP;
	if (
		PARTIAL.test(op.name) ||
		AT_RESPONSE.test(record.data.step) ||
		op.steps.length === 0
	)
		return SKIP;
	// Attachments are VFT-7's business, which names them better.
	if (op.steps.some((step) => ATTACHING.has(step.type))) return SKIP;
	for (const [thing, { net, seq }] of netChanges(op.steps)) {
		if (net === 0 || isBlocking(world, thing)) continue;
		return broken(
			`${bracket.seq}`,
			`${op.name} failed with ${record.data.errno} at ${record.data.step}, but ${net > 0 ? "left behind" : "took away"}: ${thing} (net ${net > 0 ? "+" : ""}${net})`,
			[op.actor],
			[bracket.seq, seq, record.seq],
			{ since: bracket.seq },
		);
	}
	return undefined;
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
	"area.gone": { of: ["area.claimed"], by: ["ioas", "iova"] },
	"obj.ref": { of: ["obj.ref"], by: ["obj"] },
	"type1.entry.removed": { of: ["type1.entry.added"], by: ["ctx", "iova"] },
	"grp.domain.set": { of: ["hw.attach", "grp.domain.set"], by: [] },
};

function mirrored({ bracket }: Context, record: LogRecord): Outcome {
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
	record: LogRecord<"dom.unmap" | "pages.unpinned">,
): Outcome {
	if (record.data.undo !== true || bracket.op === undefined) return SKIP;
	if ((record.type === "dom.unmap" ? bracket.mapSeq : bracket.pinSeq) > 0)
		return undefined;
	return broken(
		`${record.seq}`,
		`${record.type} is marked as undoing a step of ${bracket.op.name}, which had ${record.type === "dom.unmap" ? "mapped" : "pinned"} nothing`,
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

interface Difference {
	readonly what: string;
	readonly group: GroupId;
}

/** VFT-7: how attachments after a failed operation differ from before. */
function attachmentChange(
	world: World,
	bracket: Bracket,
	steps: readonly LogRecord[],
): Difference | undefined {
	const listed = new Map<DeviceId, { net: number; group: GroupId }>();
	for (const step of steps) {
		if (step.type !== "ig.list.add" && step.type !== "ig.list.remove") continue;
		const entry = listed.get(step.data.dev) ?? {
			net: 0,
			group: step.data.group,
		};
		entry.net += step.type === "ig.list.add" ? 1 : -1;
		listed.set(step.data.dev, entry);
	}
	const parts: string[] = [];
	let where: GroupId | undefined;
	for (const [group, before] of bracket.domBefore ?? []) {
		const now = world.groups.map.get(group)?.dom;
		if (now === before || before === undefined) continue;
		where = group;
		parts.push(
			`${group} was moved from ${before ?? "no domain"} to ${now ?? "no domain"}`,
		);
	}
	for (const [dev, { net, group }] of listed) {
		if (net === 0) continue;
		where ??= group;
		parts.push(
			`${dev} is ${net > 0 ? "attached now" : "not attached any more"}`,
		);
	}
	return where === undefined
		? undefined
		: { what: parts.join(", "), group: where };
}

/** The kernel was told to fail a step of this call (fail-nth): the hole at the answer's copy is the documented A8, provoked from outside. */
function injected(args: unknown): { readonly severity?: "warning" } {
	const nth =
		typeof args === "object" && args !== null
			? (args as { readonly fail_nth?: unknown }).fail_nth
			: undefined;
	return Number(nth ?? 0) > 0 ? { severity: "warning" } : {};
}

function errnoMeansUnchanged(
	{ world, bracket }: Context,
	record: LogRecord<"op.fail">,
): Outcome {
	const { op } = bracket;
	if (
		op === undefined ||
		op.truncated ||
		!op.steps.some(
			(step) => ATTACHING.has(step.type) || step.type === "hw.attach",
		)
	)
		return SKIP;
	const change = attachmentChange(world, bracket, op.steps);
	if (change === undefined) return undefined;
	const outcomes = op.steps.filter(
		(step) =>
			step.type === "dev.replaced" ||
			step.type === "dev.attached" ||
			step.type === "dev.detached",
	);
	const devs = outcomes.map(
		(step) => (step.data as { readonly dev: ActorId }).dev,
	);
	const note = outcomes.some((step) => step.type === "dev.replaced")
		? " (anomaly A8: the error path undoes an attach, not a replace)"
		: "";
	return broken(
		`${bracket.seq}`,
		`${op.name} returned ${record.data.errno}, but ${change.what}${note}`,
		[...new Set([change.group, ...devs])],
		[bracket.seq, ...outcomes.slice(0, 2).map((step) => step.seq), record.seq],
		{ since: bracket.seq, ...injected(op.args) },
	);
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
		brokenBy: "record sequence in test/invariants",
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
		brokenBy: "record sequence in test/invariants",
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
		brokenBy: "record sequence in test/invariants",
	},
	{
		id: "LOG-4",
		when: "S",
		severity: "error",
		on: {
			...onEveryMirror,
			"dom.unmap": counted,
			"pages.unpinned": counted,
		} as Invariant["on"] & object,
		sentence:
			"Every step marked as undo takes back an earlier step of the same operation.",
		harm: "the rollback does more than was done",
		source: ["facts iommufd §2"],
		brokenBy: "record sequence in test/invariants",
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
		brokenBy: "record sequence in test/invariants",
		on: {
			"dom.map": ({ world }, { data, seq }) => {
				const domain = world.domains.map.get(data.dom);
				if (domain === undefined || domain.micro) return SKIP;
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
