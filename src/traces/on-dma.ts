/** The DMA API and its flush queue (drivers/iommu/dma-iommu.c; facts/trace-formats.md §6). */
import type { Domain } from "./identity.ts";
import { COOKIE_TO_IOVAD } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import { enter, inside, leave } from "./lanes.ts";
import { frameAddress } from "./on-map.ts";
import { lastOf } from "./pending.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";

/** __iommu_dma_map / __iommu_dma_unmap entry. */
export function onDmaIn(kind: "dma_map" | "dma_unmap") {
	return (state: State, lane: Lane): void => {
		enter(lane, { kind, device: state.deviceAt(K.dev) });
	};
}

/** __iommu_dma_map returned. */
export function onDmaMapRet(_state: State, lane: Lane): void {
	leave(lane, "dma_map");
}

/** __iommu_dma_unmap returned: what a lazy domain cleared and nobody flushed or freed was queued (its own probe was missed). */
export function onDmaUnmapRet(state: State, lane: Lane): void {
	leave(lane, "dma_unmap");
	const { unmapped } = lane;
	if (unmapped?.domain.lazy !== true) return;
	state.attributed("fq.queued: unmap of a lazy domain returned unflushed");
	queued(state, lane);
}

/** iommu_dma_alloc_iova returned. */
export function onAllocIova(state: State, lane: Lane): void {
	const domain = state.domainAt(K.dom);
	const iova = state.line.u64(K.ret);
	lane.allocated =
		domain === undefined || iova === undefined || iova === 0
			? undefined
			: { domain, iova };
}

/** free_iova_fast: the range may be handed out again from here on. */
export function onFreeIova(state: State, lane: Lane): void {
	const { line } = state;
	const cookie = line.pointer(K.iovad) - COOKIE_TO_IOVAD;
	const dma = inside(lane, "dma_unmap");
	let domain = state.ids.cookies.get(cookie);
	if (domain === undefined && dma?.domain !== undefined) {
		domain = dma.domain;
		state.ids.cookies.set(cookie, dma.domain);
	}
	const pfn = line.u64(K.pfn);
	const pages = line.u64(K.pages);
	if (pfn === undefined || pages === undefined)
		return state.unexplained("pfn or pages is unreadable");
	if (domain === undefined)
		return state.undecided("IOVA freed in an unknown domain");
	lane.unmapped = undefined;
	state.emit(lane, "iova.freed", domain.id, {
		dom: domain.id,
		iova: frameAddress(pfn),
		len: frameAddress(pages),
	});
}

/** fq_ring_free_locked. Inside an unmap it opens the queueing of what was just cleared (queue_iova is inlined). */
export function onRingFree(state: State, lane: Lane): void {
	const cookie = state.line.pointer(K.cookie);
	const { unmapped } = lane;
	if (unmapped === undefined || inside(lane, "dma_unmap") === undefined) return;
	state.ids.cookies.set(cookie, unmapped.domain);
	unmapped.domain.lazy = true;
	queued(state, lane);
}

function queued(state: State, lane: Lane): void {
	const { unmapped } = lane;
	lane.unmapped = undefined;
	if (unmapped === undefined) return;
	const { domain, iova, len } = unmapped;
	const last = lastOf(iova, len);
	if (last === undefined) return;
	const dom = domain.id;
	state.emit(lane, "fq.queued", dom, { dom, iova, len });
	state.emit(lane, "iotlb.synced", dom, { dom, iova, last, queued: true });
}

/** iommu_dma_init_fq returned: unmaps of this domain are queued from now on. */
export function onFqInit(state: State): void {
	const domain = state.domainAt(K.dom);
	if (domain !== undefined && state.line.num(K.ret) === 0) domain.lazy = true;
}

/** fq_flush_iotlb entry. */
export function onFqFlushIn(state: State, lane: Lane): void {
	const domain = state.domainAt(K.dom);
	if (domain === undefined) return state.unexplained("dom is missing");
	domain.lazy = true;
	state.ids.cookies.set(state.line.pointer(K.cookie), domain);
	enter(lane, { kind: "fq_flush", domain });
	state.emit(lane, "fq.flush.started", domain.id, { dom: domain.id });
}

/** … and return. */
export function onFqFlushRet(state: State, lane: Lane): void {
	const frame = leave(lane, "fq_flush");
	const domain: Domain | undefined =
		frame?.domain ?? state.ids.cookies.get(state.line.pointer(K.cookie));
	if (domain === undefined)
		return state.undecided("flush of an unknown domain");
	state.emit(lane, "fq.flush.finished", domain.id, { dom: domain.id });
}
