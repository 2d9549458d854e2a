/** PT-12, PT-13, PT-14, PT-38, PT-42, PT-51: what a map promises (facts pagetable-semantics.md §2, §5, §8). */
import { type Tables } from "../iotlb/tables.ts";
import { leafAt, visitMemory } from "../iotlb/table-walk.ts";
import { visitPossible, type Possible } from "../iotlb/walks.ts";
import { hexOfFrame } from "../vocabulary/address.ts";
import { walkersOf } from "../world/apply-tables.ts";
import { isAsBefore, type Call, type CallRange } from "../world/calls.ts";
import { type World } from "../world/types.ts";
import { SKIP } from "./invariant.ts";
import { atReturn, fault, outside, targetOf } from "./returning.ts";

/** The first frame of a range that does not lead where the map was to go; -1 when all do. */
function missed(tables: Tables, { start, n, pa }: CallRange): number {
	let at = start;
	let bad = -1;
	visitMemory(tables, start, n, false, (met) => {
		if (met.what !== "leaf") return true;
		const from = Math.max(met.start, start);
		if (from > at) bad = at;
		else if (met.pa + (from - met.start) !== pa + (from - start)) bad = from;
		at = met.start + met.n;
		return bad < 0;
	});
	return bad >= 0 ? bad : at < start + n ? at : -1;
}

/** PT-12. */
export const mapKept = atReturn("iommu_map", (returning) => {
	const { tables, ranges } = returning;
	const told = ranges.filter(({ pa }) => pa >= 0);
	if (told.length === 0) return SKIP;
	for (const range of told) {
		const frame = missed(tables, range);
		if (frame >= 0)
			return fault(
				returning,
				frame,
				`returned success, but memory does not lead ${hexOfFrame(frame)} to ${hexOfFrame(range.pa + (frame - range.start))}`,
			);
	}
	return undefined;
});

/** Stale translations of a range that memory does not give: other targets, or other rights to the same. */
function staleIn(
	world: World,
	tables: Tables,
	call: Call,
	{ start, n }: { readonly start: number; readonly n: number },
	isBad: (
		stale: Possible,
		frame: number,
		now: { readonly pa: number; readonly rights: number } | undefined,
	) => boolean,
): { readonly frame: number; readonly stale: Possible } | undefined {
	let found: { readonly frame: number; readonly stale: Possible } | undefined;
	for (const walker of walkersOf(world, call.dom))
		visitPossible(walker, start, n, { memory: false, holes: false }, (one) => {
			if (one.what !== "leaf" || found !== undefined) return;
			const end = Math.min(one.start + one.n, start + n);
			for (let frame = Math.max(one.start, start); frame < end; ) {
				const leaf = leafAt(tables, frame);
				const now =
					leaf === undefined
						? undefined
						: { pa: leaf.pa + (frame - leaf.start), rights: leaf.rights };
				if (isBad(one, frame, now)) {
					found = { frame, stale: one };
					return;
				}
				frame = leaf === undefined ? frame + 1 : leaf.start + leaf.n;
			}
		});
	return found;
}

/** PT-14. */
export const replacedFlushed = atReturn("iommu_map", (returning) => {
	const { world, tables, call, ranges, record } = returning;
	if (record.type === "op.fail" || walkersOf(world, call.dom).length === 0)
		return SKIP;
	for (const range of ranges) {
		const found = staleIn(world, tables, call, range, (one, frame, now) => {
			// Where the map itself is missing that is another finding (PT-12).
			if (range.pa >= 0 && now?.pa !== range.pa + (frame - range.start))
				return false;
			return now === undefined || now.pa !== targetOf(one, frame);
		});
		if (found === undefined) continue;
		return fault(
			returning,
			found.frame,
			`returned while hardware may still lead ${hexOfFrame(found.frame)} to ${hexOfFrame(targetOf(found.stale, found.frame))}`,
			found.stale.since,
		);
	}
	return undefined;
});

/** PT-38. */
export const rightsGone = atReturn("iommu_map", (returning) => {
	const { world, tables, call, ranges, record } = returning;
	if (record.type === "op.fail" || walkersOf(world, call.dom).length === 0)
		return SKIP;
	for (const range of ranges) {
		const found = staleIn(
			world,
			tables,
			call,
			range,
			(one, frame, now) =>
				now !== undefined &&
				now.pa === targetOf(one, frame) &&
				(one.rights & ~now.rights) !== 0,
		);
		if (found === undefined) continue;
		const right = (found.stale.rights & 2) !== 0 ? "writing" : "reading";
		return fault(
			returning,
			found.frame,
			`returned while a cached entry of ${hexOfFrame(found.frame)} still allows ${right}, which memory no longer does`,
			found.stale.since,
		);
	}
	return undefined;
});

/** PT-51: the rest of what a map replaced. */
export const restFlushed = atReturn("iommu_map", (returning) => {
	const { world, tables, call, record } = returning;
	if (
		record.type === "op.fail" ||
		call.lost.length === 0 ||
		walkersOf(world, call.dom).length === 0
	)
		return SKIP;
	for (const leaf of call.lost)
		for (const part of outside(leaf, call.ranges)) {
			const found = staleIn(
				world,
				tables,
				call,
				part,
				(one, frame, now) =>
					one.since >= call.seq && now?.pa !== targetOf(one, frame),
			);
			if (found === undefined) continue;
			return fault(
				returning,
				found.frame,
				`changed the translation of ${hexOfFrame(found.frame)}, outside of its range, and returned without a flush that reaches it`,
				found.stale.since,
			);
		}
	return undefined;
});

/** PT-42: "not present" may still be cached. */
export const negativesGone = atReturn("iommu_map", (returning) => {
	const { world, call, ranges, record } = returning;
	if (record.type === "op.fail" || !world.iotlb.hardware.negative) return SKIP;
	for (const { start, n } of ranges)
		for (const walker of walkersOf(world, call.dom)) {
			let frame = -1;
			visitPossible(walker, start, n, { memory: true, holes: true }, (one) => {
				if (one.what === "fault" && frame < 0)
					frame = Math.max(one.start, start);
			});
			if (frame >= 0)
				return fault(
					returning,
					frame,
					`returned while hardware may still have ${hexOfFrame(frame)} as not present`,
				);
		}
	return undefined;
});

/** PT-13. */
export const failureUndone = atReturn("iommu_map", (returning) => {
	const { tables, call, record } = returning;
	if (record.type !== "op.fail") return SKIP;
	for (const leaf of call.lost)
		if (!isAsBefore(tables, leaf, leaf.start))
			return fault(
				returning,
				leaf.start,
				`failed with ${record.data.errno}, and ${hexOfFrame(leaf.start)} no longer leads to ${hexOfFrame(leaf.pa)}`,
			);
	for (const { start, pa } of call.added) {
		const now = leafAt(tables, start);
		if (
			now !== undefined &&
			now.pa + (start - now.start) === pa &&
			!wasThere(call, start, pa)
		)
			return fault(
				returning,
				start,
				`failed with ${record.data.errno}, and left ${hexOfFrame(start)} mapped to ${hexOfFrame(pa)}`,
			);
	}
	return undefined;
});

const wasThere = (call: Call, frame: number, pa: number): boolean =>
	call.before?.some(
		(leaf) =>
			frame >= leaf.start &&
			frame < leaf.start + leaf.n &&
			leaf.pa + (frame - leaf.start) === pa,
	) === true;
