/**
 * The core layer: page-size choice and the loops of map and unmap (iommu.c:iommu_pgsize, __iommu_map, __iommu_unmap; facts §3).
 */
import { ERRNO } from "../vocabulary/errno.ts";
import { isMultiple, offsetIn } from "./arithmetic.ts";
import type { Edit } from "./edit.ts";
import { addRange, newGather, syncGather, type Gather } from "./gather.ts";

/** One driver call the core made: map `m` with ret and frames done, unmap `u` with frames done. */
export type CoreCall =
	| readonly ["m", size: number, count: number, ret: number, mapped: number]
	| readonly ["u", size: number, count: number, unmapped: number];

/**
 * iommu_pgsize: the largest size that alignment and length allow, and how many of it until a larger size can start. Packed as
 * index of the size in `sizes`; the count comes from `pageCount`. Returns -1 where the kernel has a BUG: no size fits.
 */
export function pageSizeIndex(
	sizes: readonly number[],
	iova: number,
	pa: number,
	size: number,
): number {
	let index = -1;
	for (let i = 0; i < sizes.length; i++) {
		const candidate = sizes[i] as number;
		if (candidate > size) break;
		if (
			candidate > 1 &&
			!(isMultiple(iova, candidate) && isMultiple(pa, candidate))
		)
			break;
		index = i;
	}
	return index;
}

/** The count that belongs to the size chosen by `pageSizeIndex`. */
export function pageCount(
	sizes: readonly number[],
	index: number,
	iova: number,
	pa: number,
	size: number,
): number {
	const chosen = sizes[index] as number;
	const next = sizes[index + 1];
	let length = size;
	if (next !== undefined && size > next && isMultiple(iova - pa, next)) {
		const offset = next - offsetIn(iova, next);
		// Stop where the larger size can start.
		if (offset + next <= size) length = offset;
	}
	return Math.floor(length / chosen);
}

/** __iommu_map: 0 or a negative errno; on error what was mapped is unmapped again. `edit.mapped` is not meaningful after it. */
export function coreMap(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	prot: number,
	calls: CoreCall[] | null = null,
): number {
	const { pageSizes: sizes, driver } = edit.config;
	const smallest = sizes[0] as number;
	if (
		smallest > 1 &&
		!(
			isMultiple(iova, smallest) &&
			isMultiple(pa, smallest) &&
			isMultiple(size, smallest)
		)
	)
		return -ERRNO.EINVAL;
	let done = 0;
	let ret = 0;
	while (done < size) {
		const at = iova + done;
		const target = pa + done;
		const index = pageSizeIndex(sizes, at, target, size - done);
		if (index < 0) return -ERRNO.EINVAL;
		const pgsize = sizes[index] as number;
		const count = pageCount(sizes, index, at, target, size - done);
		ret = driver.map(edit, at, target, pgsize, count, prot);
		if (calls !== null) calls.push(["m", pgsize, count, ret, edit.mapped]);
		// "mapped" is honoured even on error.
		done += edit.mapped;
		if (ret !== 0) break;
	}
	if (ret !== 0) coreUnmap(edit, iova, done, newGather(), calls);
	return ret;
}

/** iommu_unmap: __iommu_unmap with a fresh gather and the final sync. Returns the frames unmapped, possibly more than asked. */
export function coreUnmap(
	edit: Edit,
	iova: number,
	size: number,
	gather: Gather = newGather(),
	calls: CoreCall[] | null = null,
): number {
	const done = coreUnmapFast(edit, iova, size, gather, calls);
	syncGather(edit, gather);
	return done;
}

/** __iommu_unmap: loops until enough is unmapped or a call returns 0. The caller syncs the gather (iommu_unmap_fast). */
export function coreUnmapFast(
	edit: Edit,
	iova: number,
	size: number,
	gather: Gather,
	calls: CoreCall[] | null = null,
): number {
	const { pageSizes: sizes, driver } = edit.config;
	const smallest = sizes[0] as number;
	if (
		smallest > 1 &&
		!(isMultiple(iova, smallest) && isMultiple(size, smallest))
	)
		return 0;
	let done = 0;
	let at = iova;
	while (done < size) {
		const index = pageSizeIndex(sizes, at, at, size - done);
		if (index < 0) break;
		const pgsize = sizes[index] as number;
		const count = pageCount(sizes, index, at, at, size - done);
		const part = driver.unmap(edit, at, pgsize, count, gather);
		if (calls !== null) calls.push(["u", pgsize, count, part]);
		// amd/iommu.c:amd_iommu_unmap_pages hands the range on for its io_pgtable.
		if (part > 0 && driver.gluesGather) addRange(gather, at, part);
		if (part === 0) break;
		at += part;
		done += part;
	}
	return done;
}
