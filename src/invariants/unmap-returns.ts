/** PT-15 … PT-19, PT-32, PT-50: what an unmap promises (facts pagetable-semantics.md §2, §5, §8). */
import { type Tables } from "../iotlb/tables.ts";
import { leafAt, visitMemory } from "../iotlb/table-walk.ts";
import { visitPossible, type Possible } from "../iotlb/walks.ts";
import { hexOfFrame, showFrames } from "../vocabulary/address.ts";
import { type LogRecord } from "../vocabulary/records.ts";
import { walkersOf } from "../world/apply-tables.ts";
import {
	covers,
	isAsBefore,
	resultFlag,
	resultFrames,
	askedFrames,
	type Call,
	type CallRange,
	type OldLeaf,
} from "../world/calls.ts";
import { type World } from "../world/types.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";
import {
	atReturn,
	fault,
	outside,
	targetOf,
	type Part,
	type Returning,
} from "./returning.ts";

/** The part of the ranges that an unmap reported as done. */
function reportedIn({ ranges, call, record }: Returning): readonly CallRange[] {
	const reported = resultFrames(record.data.result, "unmapped");
	if (reported < 0 || call.ranges.length !== 1) return ranges;
	const start = call.ranges[0]?.start ?? 0;
	return ranges.flatMap((range) => {
		const n = Math.min(range.start + range.n, start + reported) - range.start;
		return n > 0 ? [{ ...range, n }] : [];
	});
}

/** PT-15. */
export const unmapDone = atReturn("iommu_unmap", (returning) => {
	const ranges = reportedIn(returning);
	if (ranges.length === 0) return SKIP;
	for (const { start, n } of ranges) {
		let left = -1;
		visitMemory(returning.tables, start, n, false, (met) => {
			if (met.what === "leaf") left = Math.max(met.start, start);
			return left < 0;
		});
		if (left >= 0)
			return fault(
				returning,
				left,
				`returned, but memory still translates ${hexOfFrame(left)}`,
			);
	}
	return undefined;
});

/** PT-32, entry by entry. */
export const unmapFlushed = atReturn("iommu_unmap", (returning) => {
	const { world, call, record } = returning;
	if (
		record.type === "op.fail" ||
		resultFlag(record.data.result, "queued") ||
		walkersOf(world, call.dom).length === 0
	)
		return SKIP;
	const ranges = reportedIn(returning);
	if (ranges.length === 0) return SKIP;
	for (const { start, n } of ranges)
		for (const walker of walkersOf(world, call.dom)) {
			let found: Possible | undefined;
			visitPossible(walker, start, n, { memory: true, holes: false }, (one) => {
				if (one.what === "leaf") found ??= one;
			});
			if (found === undefined) continue;
			const frame = Math.max(found.start, start);
			return fault(
				returning,
				frame,
				`returned while a DMA to ${hexOfFrame(frame)} can still reach ${hexOfFrame(targetOf(found, frame))}${found.device ? " through the device's own TLB" : ""}`,
				found.since,
			);
		}
	return undefined;
});

/** Is the frame untranslated now? */
const isGone = (tables: Tables, frame: number): boolean =>
	leafAt(tables, frame) === undefined;

/** PT-16, entry by entry. */
export const neighboursKept = atReturn("iommu_unmap", (returning) => {
	const { call, tables } = returning;
	for (const leaf of call.lost) {
		const asked = call.ranges.some(
			({ start, n }) =>
				leaf.leafStart < start + n && start < leaf.leafStart + leaf.leafSize,
		);
		if (!asked && isGone(tables, leaf.start))
			return fault(
				returning,
				leaf.start,
				`cleared ${showFrames(leaf.start, leaf.n)}, a leaf that does not meet the range`,
			);
	}
	return undefined;
});

/** PT-17: a range that leaves inside it map in full. */
export const bytesAddUp = atReturn("iommu_unmap", (returning) => {
	const { call, tables, record } = returning;
	const reported = resultFrames(record.data.result, "unmapped");
	if (reported < 0 || call.before === null || call.before.length === 0)
		return SKIP;
	const inside = call.before.every(
		(leaf) =>
			covers(call.ranges, leaf.leafStart) &&
			covers(call.ranges, leaf.leafStart + leaf.leafSize - 1),
	);
	const mapped = call.before.reduce((sum, { n }) => sum + n, 0);
	if (!inside || mapped !== askedFrames(call)) return SKIP;
	let cleared = 0;
	for (const leaf of call.before)
		if (isGone(tables, leaf.start)) cleared += leaf.n;
	for (const leaf of call.lost)
		if (!covers(call.ranges, leaf.start) && isGone(tables, leaf.start))
			cleared += leaf.n;
	return cleared === reported
		? undefined
		: fault(
				returning,
				call.ranges[0]?.start ?? 0,
				`cleared ${cleared} page(s) and reported ${reported}`,
			);
});

/** Leaves that an unmap asks a part of. */
const partialLeaves = (call: Call): readonly OldLeaf[] =>
	(call.before ?? []).filter(
		(leaf) =>
			outside({ start: leaf.leafStart, n: leaf.leafSize }, call.ranges).length >
			0,
	);

/** PT-18: where the driver refuses. */
export const refused = atReturn("iommu_unmap", (returning) => {
	const { world, call, tables, record } = returning;
	if (policyOf(world, tables) !== "refuse") return SKIP;
	const partial = partialLeaves(call);
	if (partial.length === 0) return SKIP;
	const reported = resultFrames(record.data.result, "unmapped");
	for (const leaf of partial) {
		const changed =
			!isAsBefore(tables, leaf, leaf.start) ||
			!isAsBefore(tables, leaf, leaf.start + leaf.n - 1);
		const counted = call.ranges.some(
			({ start }) =>
				reported > 0 &&
				leaf.start < start + reported &&
				start < leaf.start + leaf.n,
		);
		if (changed || counted)
			return fault(
				returning,
				leaf.start,
				`asked for a part of the leaf at ${hexOfFrame(leaf.leafStart)}, which the driver refuses, but the leaf was ${changed ? "changed" : "counted as unmapped"}`,
			);
	}
	return undefined;
});

/** What the driver does with a part of a leaf: the log's own word, else what the format does in 6.12. */
const policyOf = (world: World, tables: Tables): string => {
	const said = world.header.switches["partialUnmap"];
	return typeof said === "string" ? said : tables.config.policy.partialUnmap;
};

/** PT-19 and PT-50 inside of calls: the pages that a split keeps. */
export const keptPages =
	(id: "PT-19" | "PT-50") =>
	(
		{ world }: Context,
		record: LogRecord<"slot.written" | "slot.cleared">,
	): Outcome => {
		if (world.calls.size === 0) return SKIP;
		const call = world.calls.get(record.op);
		const tables =
			call === undefined ? undefined : world.iotlb.tables.get(call.dom);
		if (call?.name !== "iommu_unmap" || tables === undefined) return SKIP;
		if (policyOf(world, tables) !== "split") return SKIP;
		const partial = partialLeaves(call);
		if (partial.length === 0) return SKIP;
		for (const leaf of partial)
			for (const part of outside(leaf, call.ranges)) {
				const bad =
					id === "PT-19" ? hole(tables, part) : elsewhere(tables, leaf, part);
				if (bad < 0) continue;
				return broken(
					`${call.dom} ${bad} ${call.seq}`,
					id === "PT-19"
						? `the unmap of a part of a leaf (#${call.seq}) leaves ${hexOfFrame(bad)}, which it must keep, untranslated at #${record.seq}`
						: `the unmap of a part of a leaf (#${call.seq}) leads ${hexOfFrame(bad)}, which it must keep, elsewhere than before`,
					[call.dom],
					[call.seq, record.seq],
				);
			}
		return undefined;
	};

function hole(tables: Tables, { start, n }: Part): number {
	let at = start;
	visitMemory(tables, start, n, false, (met) => {
		if (met.what === "leaf" && met.start <= at) at = met.start + met.n;
	});
	return at < start + n ? at : -1;
}
function elsewhere(tables: Tables, leaf: OldLeaf, { start, n }: Part): number {
	let bad = -1;
	visitMemory(tables, start, n, false, (met) => {
		if (met.what !== "leaf") return true;
		const from = Math.max(met.start, start);
		if (met.pa + (from - met.start) !== leaf.pa + (from - leaf.start))
			bad = from;
		return bad < 0;
	});
	return bad;
}
