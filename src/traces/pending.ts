/**
 * What a lane left open, settled by its next line. qi_submit_sync() waits, so the next line of the same lane that is not itself
 * a submission proves that the commands before it have completed (facts/trace-formats.md §2); a strict flush is over when the
 * lane goes on with something that is not part of a flush; an entry probe's effect (context entry cleared) is surely there
 * by the lane's next line.
 */
import { u64 } from "../vocabulary/fields.ts";
import type { U64 } from "../vocabulary/fields.ts";
import type { Domain } from "./identity.ts";
import type { EntryChange, Lane, Waiting } from "./lanes.ts";
import { inside } from "./lanes.ts";
import type { State } from "./state.ts";

/** Properties of events that say what they leave open. */
export const TRAIT = {
	/** A submission: completes nothing before it. */
	submit: 1,
	/** Part of a flush: does not end one. */
	flush: 2,
	/** Inside the setting of a context entry. */
	entry: 4,
	/** May come between an unmap line and what names its domain. */
	afterUnmap: 8,
	/** May come between a map line and what names its domain. */
	afterMap: 16,
	/** Inside the tear-down of a device's translation: its domain id is still in use. */
	teardown: 32,
} as const;

/** Settles what the lane left open before the handler of a line with these traits runs. */
export function settle(state: State, lane: Lane, traits: number): void {
	if (lane.clearing !== undefined) entryCleared(state, lane);
	if (lane.inv !== undefined && (traits & TRAIT.submit) === 0)
		completed(state, lane);
	if (lane.unmap !== undefined && (traits & TRAIT.afterUnmap) === 0)
		settleUnmap(state, lane, fallback(state, lane), "enclosing DMA API call");
	if (lane.sync !== undefined && (traits & TRAIT.flush) === 0)
		synced(state, lane);
	if (lane.setting !== undefined && (traits & TRAIT.entry) === 0)
		entrySet(state, lane);
	if (lane.map !== undefined && (traits & TRAIT.afterMap) === 0)
		settleMap(
			state,
			lane,
			fallback(state, lane),
			undefined,
			"enclosing DMA API call",
		);
	if (lane.released !== undefined && (traits & TRAIT.teardown) === 0)
		released(state, lane);
	lane.open =
		lane.clearing !== undefined ||
		lane.inv !== undefined ||
		lane.unmap !== undefined ||
		lane.sync !== undefined ||
		lane.setting !== undefined ||
		lane.map !== undefined ||
		lane.released !== undefined;
}

/**
 * Lines are missing here, or the trace ends: what lanes left open is settled as far as it is certain, and whatever they were inside of is
 * forgotten. A flush whose end was not seen proves nothing.
 */
export function breakLanes(state: State): void {
	for (const lane of state.lanes.all()) {
		lane.sync = undefined;
		lane.unmapped = undefined;
		if (lane.open) settle(state, lane, 0);
		lane.frames.length = 0;
		lane.tag = undefined;
		lane.untag = undefined;
		lane.tagged = undefined;
		lane.untagged = undefined;
	}
}

/** The last address of a range; undefined for an empty one or one past the end of 64 bits. */
export function lastOf(start: U64, len: U64): U64 | undefined {
	if (typeof start === "number" && typeof len === "number") {
		const last = start + len - 1;
		if (len > 0 && Number.isSafeInteger(last)) return last;
	}
	const wide = BigInt(start) + BigInt(len) - 1n;
	return len === 0 || wide >= 2n ** 64n ? undefined : u64(wide);
}

function completed(state: State, lane: Lane): void {
	const { inv } = lane;
	lane.inv = undefined;
	if (inv !== undefined)
		state.emit(lane, "inv.completed", inv.id, {
			iommu: inv.id,
			inv: lane.invNumber,
		});
}

function synced(state: State, lane: Lane): void {
	const { sync } = lane;
	lane.sync = undefined;
	lane.unmapped = undefined;
	if (sync === undefined || sync.start > sync.last) return;
	state.emit(lane, "iotlb.synced", sync.domain.id, {
		dom: sync.domain.id,
		iova: sync.start,
		last: sync.last,
		...(sync.queued ? { queued: true } : {}),
	});
}

/** Ends a strict flush now, when its own return line tells so. */
export function endSync(state: State, lane: Lane): void {
	if (lane.sync !== undefined) synced(state, lane);
}

const entryData = (change: EntryChange) => ({
	...(change.iommu === undefined ? {} : { iommu: change.iommu.id }),
	sid: change.sid,
	...(change.device === undefined ? {} : { dev: change.device.id }),
});

/** The context entry under way is live. */
export function entrySet(state: State, lane: Lane): void {
	const { setting } = lane;
	lane.setting = undefined;
	if (setting?.domain === undefined) return;
	state.emit(lane, "ctx.entry.set", setting.domain.id, {
		...entryData(setting),
		dom: setting.domain.id,
	});
}

function entryCleared(state: State, lane: Lane): void {
	const { clearing } = lane;
	lane.clearing = undefined;
	if (clearing === undefined) return;
	const { domain } = clearing;
	state.emit(lane, "ctx.entry.cleared", clearing.device?.id ?? "host", {
		...entryData(clearing),
		...(domain === undefined ? {} : { dom: domain.id }),
	});
}

function released(state: State, lane: Lane): void {
	const { released: gone } = lane;
	lane.released = undefined;
	if (gone === undefined || gone.iommu.domains.get(gone.did) !== gone.domain)
		return;
	gone.iommu.domains.delete(gone.did);
	state.emit(lane, "did.released", gone.domain.id, {
		iommu: gone.iommu.id,
		did: gone.did,
		dom: gone.domain.id,
	});
}

/** The domain of a map or unmap whose own probes are missing: that of the enclosing DMA API or set-up call. */
function fallback(state: State, lane: Lane): Domain | undefined {
	const setup = inside(lane, "setup_default_domain");
	if (setup?.domain !== undefined) return setup.domain;
	const call = inside(lane, "dma_unmap") ?? inside(lane, "dma_map");
	const { device } = call ?? {};
	return (
		device?.domain ?? device?.group?.domain ?? device?.group?.defaultDomain
	);
}

/** Gives the waiting unmap its domain, or names it as lost. */
export function settleUnmap(
	state: State,
	lane: Lane,
	domain: Domain | undefined,
	how?: string,
): void {
	const { unmap } = lane;
	if (unmap === undefined) return;
	lane.unmap = undefined;
	if (domain === undefined) {
		undecidedUnmap(state, unmap);
		return;
	}
	if (how !== undefined) state.attributed(`unmap: ${how}`);
	state.out.settle(unmap.place, "dom.unmap", domain.id, {
		dom: domain.id,
		iova: unmap.iova,
		len: unmap.len,
		unmapped: unmap.value,
		...(unmap.undo ? { undo: true } : {}),
	});
	lane.unmapped = { domain, iova: unmap.iova, len: unmap.value };
}

/** Gives the waiting map its domain, or names it as lost. */
export function settleMap(
	state: State,
	lane: Lane,
	domain: Domain | undefined,
	prot: number | undefined,
	how?: string,
): void {
	const { map } = lane;
	if (map === undefined) return;
	lane.map = undefined;
	if (domain === undefined) {
		undecidedMap(state, map);
		return;
	}
	if (how !== undefined) state.attributed(`map: ${how}`);
	state.out.settle(map.place, "dom.map", domain.id, {
		dom: domain.id,
		iova: map.iova,
		pa: map.value,
		len: map.len,
		...(prot === undefined ? {} : { prot }),
	});
}

/** A lost map or unmap leaves the content of some domain open: said once for traces without probes, each time otherwise. */
function undecided(state: State, waiting: Waiting, kind: string): void {
	const probes =
		kind === "map" ? state.shown.mapDomains : state.shown.unmapDomains;
	const what = probes
		? `${kind} without its probes (missed)`
		: `${kind} without a domain`;
	const first = !state.report.undecided.has(what);
	state.undecided(what);
	if (probes || first)
		state.out.settle(waiting.place, "trace.lost", "host", { n: 1, why: what });
	else state.out.drop(waiting.place);
}

/** See undecided(). */
export const undecidedMap = (state: State, waiting: Waiting): void =>
	undecided(state, waiting, "map");
/** See undecided(). */
export const undecidedUnmap = (state: State, waiting: Waiting): void =>
	undecided(state, waiting, "unmap");
