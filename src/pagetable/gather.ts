/**
 * struct iommu_iotlb_gather (include/linux/iommu.h, facts §4.2): the range that one unmap collects for one flush, and the tables that may
 * be freed after it.
 */
import { FRAME_LIMIT } from "../vocabulary/address.ts";
import type { Edit } from "./edit.ts";

/** A gather. Frames; `last` inclusive; empty = start Infinity, last -1. */
export interface Gather {
	start: number;
	last: number;
	/** Granule of the first page added, 0 while unknown. */
	granule: number;
	/** Unlinked tables, in order. */
	freelist: number[];
	/** Deferred: the flush queue will flush the whole domain later. */
	queued: boolean;
	/** The caller takes no ranges: add_page ends at the driver's own hook (golden vectors, direct unmap calls on Arm). */
	readonly inert?: boolean;
}

/** An empty gather. */
export const newGather = (queued = false): Gather => ({
	start: Number.POSITIVE_INFINITY,
	last: -1,
	granule: 0,
	freelist: [],
	queued,
});

/** True when nothing was added. */
export const gatherIsEmpty = (gather: Gather): boolean => gather.last === -1;

/** iommu_iotlb_sync: the driver's flush, then the gather starts anew — `queued` included. */
export function syncGather(edit: Edit, gather: Gather): void {
	edit.config.driver.sync(edit, gather);
	resetGather(gather);
}

/** iommu_iotlb_gather_init: empty again, list and `queued` included. */
export function resetGather(gather: Gather): void {
	gather.start = Number.POSITIVE_INFINITY;
	gather.last = -1;
	gather.granule = 0;
	if (gather.freelist.length > 0) gather.freelist = [];
	gather.queued = false;
}

/** The last frame of a range. A leaf that reaches beyond the top of the address space wraps, as `iova + size - 1` does there. */
function lastFrame(iova: number, size: number): number {
	const last = iova + size - 1;
	return last < FRAME_LIMIT ? last : last - FRAME_LIMIT;
}

/** Frames from start to last as the AMD driver computes them (amd_iommu_iotlb_sync): wraps like the range. */
export const gatheredSize = (gather: Gather): number => {
	const size = gather.last - gather.start + 1;
	return size > 0 ? size : size + FRAME_LIMIT;
};

/** iommu_iotlb_gather_add_range: widens only. */
export function addRange(gather: Gather, iova: number, size: number): void {
	const last = lastFrame(iova, size);
	if (gather.start > iova) gather.start = iova;
	if (gather.last < last) gather.last = last;
}

/** The frame after `last`. Past the top of the address space it wraps to 0, as `end + 1` does in iommu_iotlb_gather_is_disjoint. */
const frameAfter = (last: number): number =>
	last + 1 === FRAME_LIMIT ? 0 : last + 1;

/** iommu_iotlb_gather_add_page: syncs first when the granule changes or the range is not adjacent. */
export function addPage(
	edit: Edit,
	gather: Gather,
	iova: number,
	size: number,
): void {
	if (gather.inert === true) return;
	const last = lastFrame(iova, size);
	const granuleDiffers = gather.granule !== 0 && gather.granule !== size;
	const apart =
		gather.last !== -1 &&
		(frameAfter(last) < gather.start || iova > frameAfter(gather.last));
	if (granuleDiffers || apart) syncGather(edit, gather);
	gather.granule = size;
	if (gather.start > iova) gather.start = iova;
	if (gather.last < last) gather.last = last;
}

/** iommu_put_pages_list (iommu-pages.h): frees a list of tables, the last one first. */
export function putPagesList(edit: Edit, list: readonly number[]): void {
	for (let i = list.length - 1; i >= 0; i--) edit.free(list[i] as number);
}

/**
 * After the flush of a sync: the listed tables are free — or, with tableFree=rcu (proposed in seed 2, not in 6.12), have to wait for the
 * readers that may still walk them, until `endGracePeriod`.
 */
export function releaseAfterFlush(edit: Edit, list: readonly number[]): void {
	if (edit.config.policy.tableFree !== "rcu") putPagesList(edit, list);
	else if (list.length > 0)
		edit.awaitingGrace = [...edit.awaitingGrace, ...list];
}

/** All reader sections that were open have ended: what waited for them is freed. */
export function endGracePeriod(edit: Edit): void {
	putPagesList(edit, edit.awaitingGrace);
	edit.awaitingGrace = [];
}
