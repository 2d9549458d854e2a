/**
 * How each driver writes a range into an invalidation command (facts §5.3). Pure, in frames of 4 KiB.
 *
 * An empty gather reaches these encoders as start = the last frame there is, length 2 bytes (start all ones, end 0, wrapping): the
 * callers pass `EMPTY_RANGE` for it.
 */

/** An inclusive range of frames. */
export interface FrameRange {
	readonly start: number;
	readonly last: number;
}
/** What an empty struct iommu_iotlb_gather looks like to a driver: start all ones, end 0. */
export const EMPTY_RANGE: FrameRange = { start: 2 ** 52 - 1, last: 0 };
const isEmptyRange = (range: FrameRange): boolean => range.last < range.start;

/** Bit `bit` of a number up to 2^53. */
const bitOf = (value: number, bit: number): number =>
	Math.floor(value / 2 ** bit) % 2;
/** Index of the highest bit in which two numbers below 2^53 differ; -1 when equal. */
function highestDifference(a: number, b: number): number {
	let bit = 52;
	while (bit >= 0 && bitOf(a, bit) === bitOf(b, bit)) bit--;
	return bit;
}
/** Index of the lowest set bit. */
function lowestBit(value: number): number {
	let bit = 0;
	while (bitOf(value, bit) === 0) bit++;
	return bit;
}

/** A VT-d page-selective invalidation: address and address-mask value. */
export interface VtdInvalidation {
	readonly addr: number;
	readonly pages: number;
	readonly mask: number;
}
/** MAX_AGAW_PFN_WIDTH of intel/iommu.h. */
const WIDEST_MASK = 52;

/** intel/cache.c:calculate_psi_aligned_address: the smallest naturally aligned power of two that covers the range. */
export function encodeVtdRange(range: FrameRange): VtdInvalidation {
	const pages = isEmptyRange(range) ? 2 : range.last - range.start + 1;
	let mask = Math.ceil(Math.log2(pages));
	while (2 ** mask < pages) mask++;
	while (mask > 0 && 2 ** (mask - 1) >= pages) mask--;
	if (range.start % 2 ** mask !== 0) {
		// Not aligned to its own size: the lowest bit above, in which first and last page agree.
		const last = range.start + pages - 1;
		let bit = mask;
		while (bit < 64 && bitOf(range.start, bit) !== bitOf(last, bit)) bit++;
		mask = bit < 64 ? bit : WIDEST_MASK;
	}
	const span = 2 ** mask;
	return { addr: Math.floor(range.start / span) * span, pages: span, mask };
}

/** The AMD address word, split: frame part and the size bit (bit 0). `all` invalidates every page. */
export interface AmdInvalidation {
	readonly frame: number;
	readonly sizeBit: 0 | 1;
}
/** CMD_INV_IOMMU_ALL_PAGES_ADDRESS without its low 12 bits. */
const ALL_PAGES_FRAME = 2 ** 51 - 1;

/** amd/iommu.c:build_inv_address. */
export function encodeAmdRange(range: FrameRange): AmdInvalidation {
	if (range.start === range.last) return { frame: range.start, sizeBit: 0 };
	const highest = highestDifference(range.start, range.last);
	// Bits 63:52 are sign-extended: a difference above bit 51 (frame bit 39) invalidates everything.
	if (isEmptyRange(range) || highest > 39)
		return { frame: ALL_PAGES_FRAME, sizeBit: 1 };
	const span = 2 ** highest;
	const frame = Math.floor(range.start / span) * span + (span - 1);
	return { frame, sizeBit: 1 };
}

/** arm-smmu-v3.c:arm_smmu_atc_inv_to_cmd: the smallest aligned power-of-two span over the range. */
export function encodeAtcRange(range: FrameRange): {
	readonly addr: number;
	readonly log2: number;
} {
	const log2 = highestDifference(range.start, range.last) + 1;
	const span = 2 ** log2;
	return { addr: Math.floor(range.start / span) * span, log2 };
}

/** One SMMUv3 range command: from `va`, (num+1)·2^scale pages of the granule. */
export interface SmmuRangeCommand {
	readonly va: number;
	readonly scale: number;
	readonly num: number;
}

/**
 * arm-smmu-v3.c:__arm_smmu_tlb_inv_range with range support: `length` frames from `start`. `granuleShift`: log2 of the granule's bytes
 * (12, 14, 16). The range is taken in whole granules: start rounded down, length rounded down. Non-leaf requests whose low five bits are
 * 1 grow by a page.
 */
export function encodeSmmuRange(
	start: number,
	length: number,
	granuleShift: number,
	leaf: boolean,
): { readonly size: number; readonly commands: SmmuRangeCommand[] } {
	const unit = 2 ** (granuleShift - 12);
	let left = Math.floor(length / unit);
	const size = left * unit;
	const commands: SmmuRangeCommand[] = [];
	let va = Math.floor(start / unit) * unit;
	if (!leaf && left % 32 === 1) left++;
	while (left > 0) {
		const scale = lowestBit(left);
		const num = Math.floor(left / 2 ** scale) % 32;
		commands.push({ va, scale, num: num - 1 });
		const pages = num * 2 ** scale;
		va += pages * unit;
		left -= pages;
	}
	return { size, commands };
}
