/**
 * PT-45 … PT-48: dirty tracking on page tables that are logged entry by entry (facts pagetable-semantics.md §7): a page that a device wrote is in a
 * report, or some entry still says that it is dirty.
 */
import { kindOf, spanOf, type Tables } from "../iotlb/tables.ts";
import { dirtyBits, isDirty } from "../iotlb/table-walk.ts";
import { hexOfFrame } from "../vocabulary/address.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { tablesUnder, walkersOf } from "../world/apply-tables.ts";
import type { World } from "../world/types.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";
import { effectOf } from "./table-acts.ts";

/** Does some entry of a table that is not freed say that the frame is dirty? */
function saysDirty(tables: Tables, frame: number): boolean {
	for (const page of tables.pages.values()) {
		if (page.life === "private" || page.life === "freed") continue;
		const span = spanOf(tables, page.level);
		for (const base of page.bases) {
			const slot = Math.floor((frame - base) / span);
			const word = page.words.get(slot) ?? 0;
			if (kindOf(tables, word, page.level) === "leaf" && isDirty(tables, word))
				return true;
		}
	}
	return false;
}

/** A frame that was written and is neither in a sweep nor dirty in memory. */
function lostFrame(tables: Tables): number {
	for (const frame of tables.wrote)
		if (!tables.collected.has(frame) && !saysDirty(tables, frame)) return frame;
	return -1;
}

function lost(world: World, dom: DomainId, seq: number): Outcome {
	const tables = world.iotlb.tables.get(dom);
	if (tables === undefined || tables.wrote.size === 0) return SKIP;
	const frame = lostFrame(tables);
	if (frame < 0) return undefined;
	return broken(
		`${dom} ${frame} ${seq}`,
		`${hexOfFrame(frame)} of ${dom} was written, is in no report, and no entry says dirty: lost`,
		[dom],
		[],
	);
}

/** PT-45. */
function writeSeen(
	{ world }: Context,
	{ data, seq }: LogRecord<"dma.done">,
): Outcome {
	const under = data.write ? tablesUnder(world, data.dev) : undefined;
	return under === undefined ? SKIP : lost(world, under.dom, seq);
}

/** A sweep clears a bit before it records the page: it is judged when it ends. */
const inSweep = (world: World, op: number): boolean =>
	world.calls.size > 0 &&
	world.calls.get(op)?.name === "iommu_read_and_clear_dirty";

/** PT-47, of a sweep that ends. */
const sweepEnds = (
	{ world }: Context,
	{ op, seq }: LogRecord<"op.commit">,
): Outcome => {
	const call = inSweep(world, op) ? world.calls.get(op) : undefined;
	return call === undefined ? SKIP : lost(world, call.dom, seq);
};

/** PT-47. */
const bitsKept = (
	{ world }: Context,
	{
		data,
		op,
		seq,
	}: LogRecord<
		"slot.written" | "slot.cleared" | "table.freed" | "dirty.reported"
	>,
): Outcome => (inSweep(world, op) ? SKIP : lost(world, data.dom, seq));

/** PT-46: what was cleared is still cached as dirty when the report goes out. */
function reportedTooEarly(
	{ world }: Context,
	{ data, seq }: LogRecord<"dirty.reported">,
): Outcome {
	const effect = effectOf(world);
	if (effect === undefined) return SKIP;
	for (const frame of effect.reported ?? []) {
		if (saysDirty(effect.tables, frame)) continue;
		for (const { walks } of walkersOf(world, data.dom))
			for (const entry of walks.entries.values())
				if (
					entry.kind === "leaf" &&
					entry.dirty &&
					frame >= entry.start &&
					frame < entry.start + entry.n
				)
					return broken(
						`${data.dom} ${frame} ${seq}`,
						`the dirty bits of ${data.dom} were reported while a cached entry of ${hexOfFrame(frame)} remembers the bit that was cleared at #${entry.since}: the device writes on without setting it`,
						[data.dom],
						[entry.since],
					);
	}
	return undefined;
}

/** PT-48: inside of a sweep only dirty bits change. */
function sweepsOnly(
	{ world }: Context,
	record: LogRecord<"slot.written" | "slot.cleared">,
): Outcome {
	if (world.calls.size === 0) return SKIP;
	const call = world.calls.get(record.op);
	const effect = effectOf(world);
	if (call?.name !== "iommu_read_and_clear_dirty" || effect === undefined)
		return SKIP;
	const bits = dirtyBits(effect.tables);
	for (const { slot, old, now } of effect.changes) {
		const difference = Math.abs(now - old);
		if (difference === 0 || difference === bits) continue;
		return broken(
			`${record.data.dom} ${record.data.table} ${slot} ${record.seq}`,
			`the dirty sweep (#${call.seq}) changed more than the dirty bit in slot ${slot} of table ${record.data.table} of ${record.data.dom}`,
			[record.data.dom],
			[call.seq],
		);
	}
	return undefined;
}

/** The rows. */
export const TABLE_DIRTY: readonly Invariant[] = [
	{
		id: "PT-45",
		when: "S",
		severity: "error",
		entries: true,
		on: { "dma.done": writeSeen },
		sentence:
			"A sweep finds every page that devices wrote since it was last cleared and flushed.",
		harm: "migration copies old data",
		source: ["facts pagetable §7"],
		brokenBy: "counterexamples of docs/experiments.md: smmu-dirty-sync-skip",
	},
	{
		id: "PT-46",
		when: "S",
		severity: "error",
		entries: true,
		on: { "dirty.reported": reportedTooEarly },
		sentence:
			"After dirty bits were cleared, cached leaf entries are invalidated before the bitmap is reported.",
		harm: "the device writes through an entry that knows the page as dirty, and nobody is told",
		source: [
			"drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c:arm_smmu_iotlb_sync",
			"facts pagetable §7",
		],
		brokenBy: "counterexamples of docs/experiments.md: smmu-dirty-sync-skip",
	},
	{
		id: "PT-47",
		when: "S",
		severity: "error",
		entries: true,
		on: {
			"slot.written": bitsKept,
			"slot.cleared": bitsKept,
			"table.freed": bitsKept,
			"dirty.reported": bitsKept,
			"op.commit": sweepEnds,
		},
		sentence:
			"A change of entries keeps the dirty state of what it covers, or it was read before.",
		harm: "migration copies old data",
		source: [
			"seed mail 2 (dirty tracking wants small pages)",
			"facts pagetable §7",
		],
		brokenBy: "counterexamples of docs/experiments.md: promote-dirty",
	},
	{
		id: "PT-48",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": sweepsOnly, "slot.cleared": sweepsOnly },
		sentence: "A dirty sweep changes nothing but dirty bits.",
		harm: "an entry that was changed meanwhile loses its rights or its target",
		source: ["drivers/iommu/io-pgtable-arm.c:iopte_set_writeable_clean"],
		brokenBy: "table run sweep-takes-rights (fault switch)",
	},
];
