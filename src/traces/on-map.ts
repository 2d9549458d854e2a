/** map, unmap and their flush (drivers/iommu/iommu.c:__iommu_map, __iommu_unmap; facts/trace-formats.md §3, §6). */
import { errnoName } from "../vocabulary/errno.ts";
import type { U64 } from "../vocabulary/fields.ts";
import { u64 } from "../vocabulary/fields.ts";
import type { Domain } from "./identity.ts";
import type { Frame, Lane } from "./lanes.ts";
import { enter, inside, leave } from "./lanes.ts";
import { noteFailure } from "./ops.ts";
import {
	endSync,
	lastOf,
	settleMap,
	settleUnmap,
	undecidedMap,
	undecidedUnmap,
} from "./pending.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";

const PAGE_SHIFT = 12;
const PAGE = 4096;

/** `end` of a flush as the last byte: the superpage path names the start of the last page (facts §6 quirk). */
function lastByte(end: U64): U64 {
	if (typeof end === "number") return end % PAGE === 0 ? end + PAGE - 1 : end;
	return u64(end | 0xfffn);
}

/** A page frame number as an address. */
export function frameAddress(frames: U64): U64 {
	if (typeof frames === "number" && frames < 2 ** 41) return frames * PAGE;
	return u64(BigInt.asUintN(64, BigInt(frames) << BigInt(PAGE_SHIFT)));
}

/** iommu_map / iommu_map_sg entry. */
export function onMapIn(kind: "map" | "map_sg") {
	return (state: State, lane: Lane): void => {
		const { line } = state;
		state.shown.mapDomains = true;
		enter(lane, {
			kind,
			domain: state.domainAt(K.dom),
			iova: line.u64(K.iova),
			prot: line.num(K.prot),
		});
	};
}

/** The innermost map or unmap call, whichever is deeper. */
function mapping(lane: Lane): Frame | undefined {
	for (let at = lane.frames.length - 1; at >= 0; at--) {
		const frame = lane.frames[at] as Frame;
		if (
			frame.kind === "map" ||
			frame.kind === "map_sg" ||
			frame.kind === "unmap" ||
			frame.kind === "unmap_fast"
		)
			return frame;
	}
	return undefined;
}

/** iommu:map. The domain is that of the call around it, else of the return that follows. */
export function onMap(state: State, lane: Lane): void {
	const { line } = state;
	const iova = line.u64(K.iova);
	const pa = line.u64(K.paddr);
	const len = line.u64(K.size);
	if (iova === undefined || pa === undefined || len === undefined)
		return state.unexplained("iova, paddr or size is unreadable");
	lane.superseding = undefined;
	if (lane.op !== undefined) lane.op.firstMap ??= iova;
	const call = mapping(lane);
	if (call?.domain !== undefined && call.kind.startsWith("map")) {
		const { domain, prot } = call;
		state.emit(lane, "dom.map", domain.id, {
			dom: domain.id,
			iova,
			pa,
			len,
			...(prot === undefined || Number.isNaN(prot) ? {} : { prot }),
		});
		return;
	}
	const waiting = {
		place: state.reserve(lane, () => {
			lane.map = undefined;
			undecidedMap(state, waiting);
		}),
		iova,
		len,
		value: pa,
		undo: false,
	};
	lane.map = waiting;
	lane.open = true;
}

/** iommu_map returned. */
export function onMapRet(state: State, lane: Lane): void {
	const { line } = state;
	state.shown.mapDomains = true;
	const ret = line.num(K.ret);
	const domain = state.domainAt(K.dom);
	const prot = line.num(K.prot);
	if (lane.map !== undefined)
		settleMap(state, lane, domain, Number.isNaN(prot) ? undefined : prot);
	leave(lane, "map");
	if (ret === 0 || domain === undefined) return;
	noteFailure(lane, "iommu_map", ret);
	const errno = errnoName(ret);
	const iova = line.u64(K.iova);
	const pa = line.u64(K.pa);
	const len = line.u64(K.size);
	if (
		errno === undefined ||
		iova === undefined ||
		pa === undefined ||
		len === undefined
	)
		return state.unexplained("a failed map with unreadable fields");
	state.emit(lane, "dom.map.failed", domain.id, {
		dom: domain.id,
		iova,
		pa,
		len,
		errno,
	});
}

/** iommu_map_sg returned: bytes, or an errno. */
export function onMapSgRet(state: State, lane: Lane): void {
	const frame = leave(lane, "map_sg");
	if (lane.map !== undefined)
		settleMap(state, lane, state.domainAt(K.dom), frame?.prot);
	const ret = state.line.signed(K.ret);
	if (ret < 0) noteFailure(lane, "iommu_map_sg", ret);
}

/** iommu_unmap / iommu_unmap_fast entry. */
export function onUnmapIn(kind: "unmap" | "unmap_fast") {
	return (state: State, lane: Lane): void => {
		state.shown.unmapDomains = true;
		enter(lane, { kind, domain: state.domainAt(K.dom) });
	};
}

/** iommu:unmap: entries are cleared, nothing is flushed yet. Directly inside a map call it takes a partial map back. */
export function onUnmap(state: State, lane: Lane): void {
	const { line } = state;
	const iova = line.u64(K.iova);
	const len = line.u64(K.size);
	const unmapped = line.u64(K.unmappedSize);
	if (iova === undefined || len === undefined || unmapped === undefined)
		return state.unexplained("iova, size or unmapped_size is unreadable");
	const call = mapping(lane);
	const undo = call?.kind.startsWith("map") === true;
	if (call?.domain !== undefined) {
		const { domain } = call;
		state.emit(lane, "dom.unmap", domain.id, {
			dom: domain.id,
			iova,
			len,
			unmapped,
			...(undo ? { undo } : {}),
		});
		cleared(lane, domain, iova, unmapped);
		return;
	}
	const waiting = {
		place: state.reserve(lane, () => {
			lane.unmap = undefined;
			undecidedUnmap(state, waiting);
		}),
		iova,
		len,
		value: unmapped,
		undo: false,
	};
	lane.unmap = waiting;
	lane.open = true;
}

function cleared(lane: Lane, domain: Domain, iova: U64, len: U64): void {
	lane.unmapped = len === 0 ? undefined : { domain, iova, len };
	const dma = inside(lane, "dma_unmap");
	if (dma !== undefined) dma.domain = domain;
}

/** iommu_unmap returned: whatever was cleared is flushed by now (strict; facts §6). */
export function onUnmapRet(state: State, lane: Lane): void {
	state.shown.unmapDomains = true;
	leave(lane, "unmap");
	const domain = state.domainAt(K.dom);
	if (lane.unmap !== undefined) settleUnmap(state, lane, domain);
	const { unmapped } = lane;
	if (unmapped === undefined) return;
	const last = lastOf(unmapped.iova, unmapped.len);
	lane.sync = undefined;
	lane.unmapped = undefined;
	if (last === undefined) return;
	state.emit(lane, "iotlb.synced", unmapped.domain.id, {
		dom: unmapped.domain.id,
		iova: unmapped.iova,
		last,
	});
}

/** iommu_unmap_fast returned: the flush is the caller's duty. */
export function onUnmapFastRet(state: State, lane: Lane): void {
	state.shown.unmapDomains = true;
	leave(lane, "unmap_fast");
	const domain = state.domainAt(K.dom);
	if (lane.unmap !== undefined) settleUnmap(state, lane, domain);
	const dma = inside(lane, "dma_unmap");
	if (dma !== undefined && domain !== undefined) dma.domain = domain;
}

/** The driver's iotlb_sync: the gathered range is flushed before it returns, unless queued. */
export function onTlbSync(state: State, lane: Lane): void {
	const { line } = state;
	const domain = state.domainAt(K.dom);
	if (lane.unmap !== undefined) settleUnmap(state, lane, domain);
	const start = line.u64(K.start);
	const end = line.u64(K.end);
	if (domain === undefined || start === undefined || end === undefined)
		return state.unexplained("dom, start or end is unreadable");
	lane.sync = { domain, start, last: end, queued: line.num(K.queued) === 1 };
	lane.open = true;
}

/** … returned. */
export function onTlbSyncRet(state: State, lane: Lane): void {
	endSync(state, lane);
}

/** cache_tag_flush_range entry: names the domain by its dmar pointer; ih is told by the command itself. */
export function onFlushRangeIn(state: State, lane: Lane): void {
	const { line } = state;
	const domain = state.dmarDomain(K.dmar);
	if (lane.unmap !== undefined) settleUnmap(state, lane, domain);
	const start = line.u64(K.start);
	const end = line.u64(K.end);
	if (domain === undefined || start === undefined || end === undefined)
		return state.unexplained("dmar, start or end is unreadable");
	lane.flushing = domain;
	lane.sync ??= { domain, start, last: lastByte(end), queued: false };
	lane.open = true;
}

/** cache_tag_flush_all, cache_tag_flush_range_np entry. */
export function onFlushIn(state: State, lane: Lane): void {
	lane.flushing = state.dmarDomain(K.dmar);
}

/** … returned: over old tables of a superpage the flush ends here; inside an unmap the return of the unmap ends it. */
export function onFlushRangeRet(state: State, lane: Lane): void {
	if (lane.superseding !== undefined) endSync(state, lane);
}

/** dma_pte_free_level: a superpage is about to replace tables. Recursion repeats the line; one record per range. */
export function onFreeLevel(state: State, lane: Lane): void {
	const { line } = state;
	const domain = state.dmarDomain(K.dmar);
	const first = line.u64(K.startPfn);
	const final = line.u64(K.lastPfn);
	if (domain === undefined || first === undefined || final === undefined)
		return state.unexplained("dmar, start_pfn or last_pfn is unreadable");
	const start = frameAddress(first);
	const last = lastByte(frameAddress(final));
	const old = lane.superseding;
	if (old?.domain === domain && old.start === start && old.last === last)
		return;
	lane.superseding = { domain, start, last };
	const level = line.num(K.retainLevel) - 1;
	state.emit(lane, "table.superseded", domain.id, {
		dom: domain.id,
		iova: start,
		last,
		...(level >= 1 ? { level } : {}),
	});
}
