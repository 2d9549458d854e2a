/** Areas of an IOAS, as far as calls and the iopt probes show them (facts/iommufd-semantics.md §2.4–2.6). */
import type { U64 } from "../vocabulary/fields.ts";
import type { Ioas } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import type { Place } from "./output.ts";
import { lastOf } from "./pending.ts";
import type { State } from "./state.ts";

/** An area takes its range, at `place` when one was kept for it. */
export function claimArea(
	state: State,
	lane: Lane,
	ioas: Ioas,
	iova: U64,
	len: U64,
	prot: number,
	place?: Place,
): void {
	const last = lastOf(iova, len);
	if (last === undefined) {
		if (place !== undefined) state.out.drop(place);
		return;
	}
	ioas.areas.set(iova, last);
	const data = { ioas: ioas.id, iova, last, prot };
	if (place === undefined) state.emit(lane, "area.claimed", ioas.id, data);
	else state.out.settle(place, "area.claimed", ioas.id, data);
}

/** An area is complete. */
export function areaLive(
	state: State,
	lane: Lane,
	ioas: Ioas,
	iova: U64,
): void {
	if (ioas.areas.has(iova))
		state.emit(lane, "area.live", ioas.id, { ioas: ioas.id, iova });
}

/** The known areas wholly inside [iova, last], ascending, up to the first that is cut (the kernel's loop, facts §2.6). */
export function areasInside(ioas: Ioas, iova: U64, last: U64): U64[] {
	const exact = ioas.areas.get(iova);
	if (exact === last) return [iova];
	const found: U64[] = [];
	for (const [start, end] of ioas.areas)
		if (end >= iova && start <= last) found.push(start);
	found.sort((a, b) => (a < b ? -1 : 1));
	const cut = found.findIndex(
		(start) => start < iova || (ioas.areas.get(start) as U64) > last,
	);
	return cut < 0 ? found : found.slice(0, cut);
}

/** Areas begin to go: their pages are taken out before the domains are unmapped. */
export function drainAreas(
	state: State,
	lane: Lane,
	ioas: Ioas,
	starts: readonly U64[],
): void {
	for (const iova of starts)
		state.emit(lane, "area.draining", ioas.id, { ioas: ioas.id, iova });
}

/** Areas are gone. */
export function areasGone(
	state: State,
	lane: Lane,
	ioas: Ioas,
	starts: readonly U64[],
): void {
	for (const iova of starts) {
		if (!ioas.areas.delete(iova)) continue;
		state.emit(lane, "area.gone", ioas.id, { ioas: ioas.id, iova });
	}
}

/** An IOAS is destroyed: its areas first (iommufd_ioas_destroy unmaps all). */
export function loseIoas(state: State, lane: Lane, ioas: Ioas): void {
	const starts = [...ioas.areas.keys()];
	drainAreas(state, lane, ioas, starts);
	areasGone(state, lane, ioas, starts);
	if (state.ids.ioases.get(ioas.pointer) === ioas)
		state.ids.ioases.delete(ioas.pointer);
	if (ioas.ctx.ioases.get(ioas.number) === ioas)
		ioas.ctx.ioases.delete(ioas.number);
	state.emit(lane, "obj.gone", ioas.id, { obj: ioas.id });
}
