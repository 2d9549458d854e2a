/**
 * Calls of the core on one page table that is logged entry by entry: iommu_map, iommu_unmap, iommu_iova_to_phys and the dirty sweep, from
 * their op.begin to their end. What each found, and what its own records changed, so that its promise can be judged when it returns
 * (facts pagetable-semantics.md §8, rows 11–22, 48–51).
 */
import {
	kindOf,
	spanOf,
	type TablePage,
	type Tables,
} from "../iotlb/tables.ts";
import {
	leafAt,
	leafOf,
	visitFrom,
	visitMemory,
	type Met,
} from "../iotlb/table-walk.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { ActorId, DomainId } from "../vocabulary/ids.ts";

/** Names of operations that are calls on a page table. */
export const CALL_NAMES = [
	"iommu_map",
	"iommu_unmap",
	"iommu_iova_to_phys",
	"iommu_read_and_clear_dirty",
] as const;
/** The name of such a call. */
export type CallName = (typeof CALL_NAMES)[number];

/** A range that a call is about, in frames. `pa`: where a map is to lead; -1 = not told. */
export interface CallRange {
	readonly start: number;
	readonly n: number;
	readonly pa: number;
}
/** A leaf as it was: one slot of it, and the whole leaf that the slot is of (replicated entries). */
export interface OldLeaf {
	readonly start: number;
	readonly n: number;
	readonly pa: number;
	readonly rights: number;
	readonly leafStart: number;
	readonly leafSize: number;
}
/** A call that has begun. */
export interface Call {
	readonly seq: number;
	readonly name: CallName;
	readonly actor: ActorId;
	readonly dom: DomainId;
	/** What it is about; a part that has been promised already is taken out. */
	ranges: readonly CallRange[];
	/** IOMMU_* bits; undefined = not told. */
	readonly prot: number | undefined;
	/** The caller said that it replaces what is there. */
	readonly replaces: boolean;
	/** Leaves that met the ranges when it began; null when there were too many to keep. */
	readonly before: readonly OldLeaf[] | null;
	/** Leaves that its records took out of memory / put in. */
	readonly lost: OldLeaf[];
	readonly added: CallRange[];
	/** Frames it changed since its last gather was synced, and what that number was at the last sync. */
	unsynced: number;
	syncedOver: number;
	/** Driver calls it made: how many, frames done, and whether the last did nothing. */
	driverCalls: number;
	driverDone: number;
	driverEnded: boolean;
	/** A driver call was made although the one before had ended the loop. */
	driverLate: boolean;
	/** Asked of the driver to be flushed, and the commands queued since. */
	asked: CallRange | undefined;
	readonly commands: CallRange[];
	/** Tables that its records unlinked. */
	readonly unlinked: TablePage[];
}

/** Leaves of one call that are kept at most. */
const LEAVES_MAX = 65_536;

const field = (args: Json, name: string): Json | undefined =>
	typeof args === "object" && args !== null && !Array.isArray(args)
		? (args as { readonly [key: string]: Json })[name]
		: undefined;
const frameOf = (value: Json | undefined): number => {
	const bytes = typeof value === "string" ? Number(value) : value;
	return typeof bytes === "number" && bytes >= 0
		? Math.floor(bytes / 4096)
		: -1;
};

/** A field of a call's result as frames; -1 when it is not there. */
export const resultFrames = (result: Json | undefined, name: string): number =>
	result === undefined ? -1 : frameOf(field(result, name));
/** A field of a call's result that is a flag. */
export const resultFlag = (result: Json | undefined, name: string): boolean =>
	result !== undefined && field(result, name) === true;

/** The ranges in a call's arguments (or result): `iova`, `len`, `pa`, or a list `ranges` of such. */
export function rangesIn(args: Json): CallRange[] {
	const list = field(args, "ranges");
	const parts = Array.isArray(list) ? (list as readonly Json[]) : [args];
	return parts.flatMap((part) => {
		const start = frameOf(field(part, "iova"));
		const n = frameOf(field(part, "len"));
		return start < 0 || n <= 0
			? []
			: [{ start, n, pa: frameOf(field(part, "pa")) }];
	});
}

/** The call that an op.begin starts; undefined when it is none, or about another kind of page table. */
export function callOf(
	op: string,
	args: Json,
	actor: ActorId,
	seq: number,
	tablesOf: (dom: DomainId) => Tables | undefined,
): Call | undefined {
	const name = CALL_NAMES.find((one) => one === op);
	const dom = field(args, "dom");
	if (name === undefined || typeof dom !== "string") return undefined;
	const tables = tablesOf(dom as DomainId);
	if (tables === undefined) return undefined;
	const ranges = rangesIn(args);
	const prot = field(args, "prot");
	return {
		seq,
		name,
		actor,
		dom: dom as DomainId,
		ranges,
		prot: typeof prot === "number" ? prot : undefined,
		replaces: field(args, "replaces") === true,
		before: leavesIn(tables, ranges),
		lost: [],
		added: [],
		unsynced: 0,
		syncedOver: 0,
		driverCalls: 0,
		driverDone: 0,
		driverEnded: false,
		driverLate: false,
		asked: undefined,
		commands: [],
		unlinked: [],
	};
}

/** Leaves of memory that meet the ranges, whole; null when they are too many. */
function leavesIn(
	tables: Tables,
	ranges: readonly CallRange[],
): readonly OldLeaf[] | null {
	const leaves: OldLeaf[] = [];
	for (const { start, n } of ranges)
		visitMemory(tables, start, n, false, (met) => {
			if (met.what === "leaf") leaves.push(oldLeaf(tables, met));
			return leaves.length <= LEAVES_MAX;
		});
	return leaves.length > LEAVES_MAX ? null : leaves;
}

function oldLeaf(
	tables: Tables,
	{ start, n, pa, rights, word, level }: Met,
): OldLeaf {
	const leafSize = tables.config.codec.leafSize(word, level);
	const leafStart = Math.floor(start / leafSize) * leafSize;
	return { start, n, pa, rights, leafStart, leafSize };
}

/** The entry in a slot of a linked table is about to change: notes which leaves memory loses by that. */
export function noteLost(
	call: Call,
	tables: Tables,
	page: TablePage,
	slot: number,
): void {
	const [base] = page.bases;
	if (page.life !== "linked" || base === undefined) return;
	if (call.lost.length > LEAVES_MAX) return;
	const span = spanOf(tables, page.level);
	visitFrom(tables, page, base, base + slot * span, span, false, (met) => {
		if (met.what === "leaf") call.lost.push(oldLeaf(tables, met));
		return call.lost.length <= LEAVES_MAX;
	});
	if (call.name === "iommu_unmap") call.unsynced += span;
}

/** An entry of a linked table was written: notes the leaf that it is. */
export function noteAdded(
	call: Call,
	tables: Tables,
	page: TablePage,
	slot: number,
	word: number,
): void {
	const [base] = page.bases;
	if (page.life !== "linked" || base === undefined) return;
	if (kindOf(tables, word, page.level) !== "leaf") return;
	if (call.added.length > LEAVES_MAX) return;
	const n = spanOf(tables, page.level);
	const { pa } = leafOf(tables, page.level, slot, word);
	call.added.push({ start: base + slot * n, n, pa });
}

/** Frames that the call is about. */
export const askedFrames = (call: Call): number =>
	call.ranges.reduce((sum, { n }) => sum + n, 0);

/** The core called the driver: `done` frames came back. */
export function noteDriverCall(call: Call, done: number): void {
	call.driverLate ||= call.driverEnded;
	call.driverCalls++;
	call.driverDone += done;
	call.driverEnded = done === 0 || call.driverDone >= askedFrames(call);
}

/** Does memory translate this frame as it did when it was part of that leaf? */
export function isAsBefore(
	tables: Tables,
	leaf: OldLeaf,
	frame: number,
): boolean {
	const now = leafAt(tables, frame);
	return (
		now !== undefined &&
		now.pa + (frame - now.start) === leaf.pa + (frame - leaf.start)
	);
}

/** Does the frame belong to a range? */
export const covers = (
	ranges: readonly { readonly start: number; readonly n: number }[],
	frame: number,
): boolean =>
	ranges.some(({ start, n }) => frame >= start && frame < start + n);
