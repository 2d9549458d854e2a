/** Effects of calls on IOASes, areas and hwpts, when no probe has told them. */
import { errnoName } from "../vocabulary/errno.ts";
import type { U64 } from "../vocabulary/fields.ts";
import { countOf, rangesOf, wideOf } from "./call.ts";
import type { CallScope } from "./call-ops.ts";
import type { Ioas } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import {
	areaLive,
	areasGone,
	areasInside,
	claimArea,
	drainAreas,
	loseIoas,
} from "./on-areas.ts";
import { destroyRefused, hwptLive } from "./on-objects.ts";
import type { Place } from "./output.ts";
import type { Op } from "./ops.ts";
import { SAW } from "./ops.ts";
import { lastOf } from "./pending.ts";
import type { State } from "./state.ts";

/** Areas of one unmap whose place is kept; more are told at its end. */
const DRAINING_MAX = 64;
/** IOMMU_IOAS_MAP_* flags (include/uapi/linux/iommufd.h). */
const MAP = { fixed: 1, writeable: 2, readable: 4 } as const;

/** Map flags as the vocabulary's protection: 1 read, 2 write. */
const protOf = (flags: number): number =>
	((flags & MAP.readable) === 0 ? 0 : 1) |
	((flags & MAP.writeable) === 0 ? 0 : 2);

/** IOMMU_IOAS_ALLOC. */
export function ioasAllocated({ state, lane, call, ctx }: CallScope): void {
	const id = countOf(call.out, "ioas_id");
	if (call.errno !== 0) return;
	if (Number.isNaN(id)) {
		state.ids.untoldIoases++;
		return;
	}
	const owner =
		ctx ?? state.ids.newCtx(Number.NaN, countOf(call.args, "iommufd"));
	const ioas = state.ids.newIoas(owner, id, Number.NaN);
	ioas.users = 1;
	state.emit(lane, "ioas.created", ioas.id, { ioas: ioas.id });
}

/**
 * The range of a map: from its result (the kernel may choose the IOVA), its arguments, or the first map that it led to (an area is
 * filled from its start).
 */
function mapRange(op: Op): { iova: U64; len: U64; prot: number } | undefined {
	const { call } = op;
	if (call === undefined) return undefined;
	const flags = countOf(call.args, "flags");
	const fixed = Number.isNaN(flags) || (flags & MAP.fixed) !== 0;
	const iova =
		wideOf(call.out, "iova") ??
		(fixed ? wideOf(call.args, "iova") : op.firstMap);
	const len = wideOf(call.args, "length");
	if (iova === undefined || len === undefined) return undefined;
	return { iova, len, prot: Number.isNaN(flags) ? 3 : protOf(flags) };
}

/** A map that will succeed takes its range at its begin (facts/iommufd-semantics.md §2.4 step 9). */
export function mapBegun({ state, lane, op }: CallScope): void {
	const range = op === undefined ? undefined : mapRange(op);
	if (op?.ioas === undefined || range === undefined) return;
	claimArea(state, lane, op.ioas, range.iova, range.len, range.prot);
}

/** The trace ends, or goes on for too long, before a call has answered: whether its areas came or went is not known. */
function endUntold(state: State, place: Place): void {
	const why = "the end of a call is not in the trace";
	state.out.settle(place, "trace.lost", "host", { n: 1, why });
}

/** A map of unknown outcome: its area comes before the maps it leads to, if it comes at all. */
export function mapOpened({ state, lane, op }: CallScope): void {
	if (op === undefined) return;
	const place = state.reserve(lane, () => {
		op.area = undefined;
		endUntold(state, place);
	});
	op.area = place;
}

/** iopt_map_user_pages has returned success inside a map: the area is complete. */
export function mapAreaNow(state: State, lane: Lane, op: Op, ioas: Ioas): void {
	const range = mapRange(op);
	if (range === undefined || (op.saw & SAW.areaLive) !== 0) {
		if (range === undefined && (op.saw & SAW.areaLive) === 0) {
			op.saw |= SAW.areaLive;
			state.undecided("area without a call that tells its IOVA");
			state.emit(lane, "trace.lost", "host", {
				n: 1,
				why: "an area whose IOVA is not in the trace",
			});
		}
		return;
	}
	op.saw |= SAW.areaLive;
	if (op.call?.known !== true)
		claimArea(state, lane, ioas, range.iova, range.len, range.prot, op.area);
	op.area = undefined;
	areaLive(state, lane, ioas, range.iova);
}

/** End of IOMMU_IOAS_MAP. */
export function mapDone({ state, lane, call, op }: CallScope): void {
	if (op === undefined) return;
	if (call.errno === 0 && op.ioas !== undefined)
		mapAreaNow(state, lane, op, op.ioas);
	if (op.area !== undefined) state.out.drop(op.area);
	op.area = undefined;
}

function unmapRange(op: Op): readonly [U64, U64] | undefined {
	const iova = op.call && wideOf(op.call.args, "iova");
	const len = op.call && wideOf(op.call.args, "length");
	if (iova === undefined || len === undefined || len === 0) return undefined;
	const last = lastOf(iova, len);
	return last === undefined ? undefined : [iova, last];
}

/** An unmap that will succeed takes all areas of its range out first (facts §2.6). */
export function unmapBegun({ state, lane, op }: CallScope): void {
	const range = op === undefined ? undefined : unmapRange(op);
	if (op?.ioas === undefined || range === undefined) return;
	drainAreas(state, lane, op.ioas, areasInside(op.ioas, range[0], range[1]));
}

/** An unmap of unknown outcome: its areas go before the domains are unmapped, if they go at all. */
export function unmapOpened({ state, lane, op }: CallScope): void {
	const range = op === undefined ? undefined : unmapRange(op);
	if (op?.ioas === undefined || range === undefined) return;
	const { ioas } = op;
	for (const iova of areasInside(ioas, range[0], range[1])) {
		if (op.draining.length >= DRAINING_MAX) break;
		const place = state.reserve(lane, () => endUntold(state, place));
		op.draining.push({ iova, place });
	}
}

/** The outcome is known: the areas that went were draining all the while. */
export function settleDraining(
	state: State,
	op: Op,
	gone: readonly U64[],
): void {
	const { ioas, draining } = op;
	for (const { iova, place } of draining.splice(0))
		if (ioas !== undefined && place.open && gone.includes(iova))
			state.out.settle(place, "area.draining", ioas.id, {
				ioas: ioas.id,
				iova,
			});
		else if (place.open) state.out.drop(place);
}

/** End of IOMMU_IOAS_UNMAP. A failed one has removed the areas before the one it stopped at (facts §2.6: not atomic). */
export function unmapDone(scope: CallScope): void {
	const { state, op } = scope;
	const gone = areasLost(scope);
	// Opened by a marker: their places wait where the unmap began.
	if (op !== undefined) settleDraining(state, op, gone);
	if (op?.ioas !== undefined && gone.length > 0)
		areasGone(state, scope.lane, op.ioas, gone);
}

/** The areas that an unmap took away and that no probe has told of. */
function areasLost({ state, lane, call, op }: CallScope): readonly U64[] {
	if (op?.ioas === undefined || (op.saw & SAW.areaGone) !== 0) return [];
	const range = unmapRange(op);
	if (range === undefined) return [];
	if (call.errno !== 0 && errnoName(call.errno) !== "ENOENT") return [];
	const starts = areasInside(op.ioas, range[0], range[1]);
	// A failed one has removed the areas before the one it stopped at: they were not drained at its begin.
	if (call.known && call.errno !== 0) drainAreas(state, lane, op.ioas, starts);
	return starts;
}

/** The slices of the source under a copy: [destination start, length] each; undefined when the source is not fully known. */
function slices(
	source: Ioas,
	from: U64,
	to: U64,
	len: U64,
): readonly (readonly [U64, U64])[] | undefined {
	if (
		typeof from !== "number" ||
		typeof to !== "number" ||
		typeof len !== "number"
	)
		return undefined;
	const found: (readonly [number, number])[] = [];
	let covered = 0;
	for (const [start, last] of source.areas) {
		if (typeof start !== "number" || typeof last !== "number") continue;
		const low = Math.max(start, from);
		const high = Math.min(last, from + len - 1);
		if (low > high) continue;
		found.push([to + low - from, high - low + 1]);
		covered += high - low + 1;
	}
	found.sort((a, b) => a[0] - b[0]);
	return covered === len ? found : undefined;
}

interface Copy {
	readonly source: Ioas;
	readonly target: Ioas;
	readonly from: U64;
	readonly to: U64;
	readonly len: U64;
	readonly prot: number;
}

function copyOf({ call, ctx }: CallScope): Copy | undefined {
	const source = ctx?.ioases.get(countOf(call.args, "src_ioas_id"));
	const target = ctx?.ioases.get(countOf(call.args, "dst_ioas_id"));
	const from = wideOf(call.args, "src_iova");
	const to = wideOf(call.out, "dst_iova") ?? wideOf(call.args, "dst_iova");
	const len = wideOf(call.args, "length");
	const flags = countOf(call.args, "flags");
	if (
		source === undefined ||
		target === undefined ||
		from === undefined ||
		to === undefined ||
		len === undefined
	)
		return undefined;
	const prot = Number.isNaN(flags) ? 3 : protOf(flags);
	return { source, target, from, to, len, prot };
}

/** A copy that will succeed: k source areas make k areas in the destination (facts §2.5). */
export function copyBegun(scope: CallScope): void {
	const { state, lane } = scope;
	const copy = copyOf(scope);
	if (copy === undefined) return;
	const parts = slices(copy.source, copy.from, copy.to, copy.len);
	if (parts === undefined) return state.undecided("areas of a copy");
	state.emit(lane, "ioas.copied.from", copy.source.id, {
		ioas: copy.source.id,
		iova: copy.from,
		len: copy.len,
		slices: parts.length,
	});
	for (const [iova, len] of parts)
		claimArea(state, lane, copy.target, iova, len, copy.prot);
}

/** End of IOMMU_IOAS_COPY. */
export function copyDone(scope: CallScope): void {
	const { state, lane, call } = scope;
	const copy = call.errno === 0 ? copyOf(scope) : undefined;
	if (copy === undefined || !call.known) return;
	const parts = slices(copy.source, copy.from, copy.to, copy.len) ?? [];
	for (const [iova] of parts) areaLive(state, lane, copy.target, iova);
}

/** IOMMU_IOAS_IOVA_RANGES. */
export function rangesDone({ state, lane, call, op }: CallScope): void {
	const ranges = rangesOf(call.out, "ranges");
	if (call.errno !== 0 || op?.ioas === undefined || ranges === undefined)
		return;
	const align = countOf(call.out, "align");
	state.emit(lane, "ioas.ranges.read", op.ioas.id, {
		ioas: op.ioas.id,
		ranges,
		...(Number.isNaN(align) ? {} : { align }),
	});
}

/** IOMMU_IOAS_ALLOW_IOVAS. */
export function allowDone({ state, lane, call, op }: CallScope): void {
	const ranges = rangesOf(call.args, "ranges");
	if (call.errno !== 0 || op?.ioas === undefined || ranges === undefined)
		return;
	state.emit(lane, "ioas.allowed.set", op.ioas.id, {
		ioas: op.ioas.id,
		ranges,
	});
}

/** IOMMU_HWPT_ALLOC, when its return probe is missing. */
export function hwptDone({ state, lane, call, op, ctx }: CallScope): void {
	if (call.errno !== 0 || op === undefined || ctx === undefined) return;
	const id = countOf(call.out, "hwpt_id");
	if ((op.saw & SAW.hwpt) !== 0 || Number.isNaN(id)) return;
	state.attributed("hwpt: from the call's result");
	const domain = state.ids.newDomain(Number.NaN);
	state.emit(lane, "dom.created", domain.id, {
		dom: domain.id,
		kind: "unmanaged",
	});
	const hwpt = state.ids.newHwpt(ctx, id, Number.NaN, domain);
	hwpt.ioas = op.ioas;
	hwpt.live = true;
	hwpt.users = 1;
	state.emit(lane, "hwpt.reserved", hwpt.id, { hwpt: hwpt.id });
	hwptLive(state, lane, hwpt, op.ioas);
	if (state.report.lines > 0) state.older(lane, "the filling of an hwpt");
}

/** IOMMU_DESTROY, when its probes are missing. */
export function destroyDone({ state, lane, call, op, ctx }: CallScope): void {
	const id = countOf(call.args, "id");
	if (op === undefined || Number.isNaN(id)) return;
	if ((op.saw & SAW.gone) !== 0) return;
	if (call.errno !== 0) {
		const errno = errnoName(call.errno);
		if (errno === "ENOENT" || errno === "EBUSY")
			destroyRefused(state, lane, op, id, errno);
		return;
	}
	const ioas = ctx?.ioases.get(id);
	if (ioas !== undefined) return loseIoas(state, lane, ioas);
	const hwpt = ctx?.hwpts.get(id);
	if (hwpt === undefined || ctx === undefined) return;
	ctx.hwpts.delete(id);
	state.ids.hwpts.delete(hwpt.pointer);
	const above = hwpt.ioas;
	if (above !== undefined && above.users > 0) {
		above.users--;
		state.emit(lane, "obj.ref", above.id, {
			obj: above.id,
			delta: -1,
			u: above.users,
		});
	}
	state.emit(lane, "obj.gone", hwpt.id, { obj: hwpt.id });
}
