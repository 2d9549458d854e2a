/**
 * The ioctl envelope of iommufd (drivers/iommu/iommufd/main.c:iommufd_fops_ioctl): structure layouts of include/uapi/linux/iommufd.h,
 * minimum sizes, and what a `size` smaller or larger than the structure means. Facts: iommufd-semantics.md §2.0; corpus page rule 23.
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";

/** Name and width in bytes of each field, in order; naturally aligned. */
type Layout = readonly (readonly [name: string, bytes: number])[];
const u32 = (...names: string[]): Layout => names.map((n) => [n, 4] as const);
const u64 = (...names: string[]): Layout => names.map((n) => [n, 8] as const);
const u16 = (...names: string[]): Layout => names.map((n) => [n, 2] as const);

const LAYOUTS: { readonly [cmd: string]: Layout } = {
	IOMMU_DESTROY: u32("size", "id"),
	IOMMU_IOAS_ALLOC: u32("size", "flags", "out_ioas_id"),
	IOMMU_IOAS_IOVA_RANGES: [
		...u32("size", "ioas_id", "num_iovas", "__reserved"),
		...u64("allowed_iovas", "out_iova_alignment"),
	],
	IOMMU_IOAS_ALLOW_IOVAS: [
		...u32("size", "ioas_id", "num_iovas", "__reserved"),
		...u64("allowed_iovas"),
	],
	IOMMU_IOAS_MAP: [
		...u32("size", "flags", "ioas_id", "__reserved"),
		...u64("user_va", "length", "iova"),
	],
	IOMMU_IOAS_COPY: [
		...u32("size", "flags", "dst_ioas_id", "src_ioas_id"),
		...u64("length", "dst_iova", "src_iova"),
	],
	IOMMU_IOAS_UNMAP: [...u32("size", "ioas_id"), ...u64("iova", "length")],
	IOMMU_OPTION: [
		...u32("size", "option_id"),
		...u16("op", "__reserved"),
		...u32("object_id"),
		...u64("val64"),
	],
	IOMMU_VFIO_IOAS: [...u32("size", "ioas_id"), ...u16("op", "__reserved")],
	IOMMU_HWPT_ALLOC: [
		...u32("size", "flags", "dev_id", "pt_id", "out_hwpt_id", "__reserved"),
		...u32("data_type", "data_len"),
		...u64("data_uptr"),
		...u32("fault_id", "__reserved2"),
	],
	IOMMU_GET_HW_INFO: [
		...u32("size", "flags", "dev_id", "data_len"),
		...u64("data_uptr"),
		...u32("out_data_type"),
		["out_max_pasid_log2", 1],
		["__reserved", 3],
		...u64("out_capabilities"),
	],
	IOMMU_HWPT_SET_DIRTY_TRACKING: u32("size", "flags", "hwpt_id", "__reserved"),
	IOMMU_HWPT_GET_DIRTY_BITMAP: [
		...u32("size", "hwpt_id", "flags", "__reserved"),
		...u64("iova", "length", "page_size", "data"),
	],
	IOMMU_HWPT_INVALIDATE: [
		...u32("size", "hwpt_id"),
		...u64("data_uptr"),
		...u32("data_type", "entry_len", "entry_num", "__reserved"),
	],
	IOMMU_FAULT_QUEUE_ALLOC: u32("size", "flags", "out_fault_id", "out_fault_fd"),
};
/** struct iommu_test_cmd is a union; its operations write inside these bytes. */
const TEST_BYTES = 72;
const MIN_BYTES: { readonly [cmd: string]: number } = {
	IOMMU_HWPT_ALLOC: 24,
	IOMMU_GET_HW_INFO: 32,
	IOMMU_TEST_CMD: 68,
};

interface Struct {
	readonly bytes: number;
	readonly min: number;
	/** Where each field starts and ends, in bytes. */
	readonly places: ReadonlyMap<string, readonly [start: number, end: number]>;
}
function structOf(cmd: string, layout: Layout): Struct {
	const places = new Map<string, readonly [number, number]>();
	let at = 0;
	for (const [name, bytes] of layout) {
		places.set(name, [at, at + bytes]);
		at += bytes;
	}
	return { bytes: at, min: MIN_BYTES[cmd] ?? at, places };
}
const STRUCTS: ReadonlyMap<string, Struct> = new Map([
	...Object.entries(LAYOUTS).map(
		([cmd, layout]) => [cmd, structOf(cmd, layout)] as const,
	),
	["IOMMU_TEST_CMD", { bytes: TEST_BYTES, min: 68, places: new Map() }],
]);

/** Tells whether the iommufd ioctl table of 6.12 has the command. */
export const isIommufdCommand = (cmd: string): boolean => STRUCTS.has(cmd);

/** What stands behind a structure that the caller says is larger than the kernel's. */
export interface Tail {
	readonly firstNonzero: number | null;
	readonly unreadableAt: number | null;
}

/** Why the envelope refuses a structure of `size` bytes, or undefined. */
export function envelopeErrno(
	cmd: string,
	size: number,
	tail: Tail,
): ErrnoName | undefined {
	const struct = STRUCTS.get(cmd);
	if (struct === undefined) return "ENOTTY";
	if (size < struct.min) return "EINVAL";
	if (size <= struct.bytes) return undefined;
	const { firstNonzero, unreadableAt } = tail;
	if (
		unreadableAt !== null &&
		(firstNonzero === null || unreadableAt < firstNonzero)
	)
		return "EFAULT";
	return firstNonzero === null ? undefined : "E2BIG";
}

/**
 * How many bytes of a field `size` covers: the rest reads as 0 and is not written back (copy_struct_from_user, iommufd_ucmd_respond). All of
 * them for a field that is in no layout: those of the selftest's union, which the smallest size covers.
 */
export function coveredBytes(cmd: string, size: number, field: string): number {
	const place = STRUCTS.get(cmd)?.places.get(field);
	if (place === undefined) return 8;
	const [start, end] = place;
	return Math.max(0, Math.min(size, end) - start);
}

/** What a little-endian field holds after the first `bytes` bytes of `written` went over `old`. */
export function overlay(old: bigint, written: bigint, bytes: number): bigint {
	const mask = (1n << BigInt(8 * bytes)) - 1n;
	return (old & ~mask) | (written & mask);
}

/** Object numbers of the range the iommufd table answers for; the rest goes to the VFIO table. */
const NR_FIRST = 0x80;
const NR_LAST = 0xa0;

/**
 * An ioctl number that nobody knows: numbers in iommufd's range have their size read first.
 */
export function unknownErrno(request: number, readable: boolean): ErrnoName {
	const nr = request & 0xff;
	return nr >= NR_FIRST && nr <= NR_LAST && !readable ? "EFAULT" : "ENOTTY";
}
