/**
 * VFIO type1 ioctls on an iommufd (drivers/iommu/iommufd/vfio_compat.c). Facts: iommufd-semantics.md §5.6; corpus page rule 22.
 * They act on the IOAS in the compatibility slot.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type { Range } from "../iopt.ts";
import { IOVA_LAST } from "../iopt.ts";
import { usableRanges } from "../iopt-iova.ts";
import { PAGE_SIZE } from "../iopt-pages.ts";
import { cutAreas } from "../iopt-unmap.ts";
import type { Exec } from "./exec.ts";
import { ctxOf, EOK, lookUp, objOf, refused, settleIopt } from "./exec.ts";
import type { Respond } from "./ioas.ts";
import { setHugePages } from "./ioas.ts";
import { mapUser, unmapIoas, unmapIova } from "./map.ts";
import type { Answer, Ioas } from "./types.ts";

/** Extensions and container types of VFIO (include/uapi/linux/vfio.h). */
export const VFIO = {
	TYPE1_IOMMU: 1,
	DMA_CC_IOMMU: 4,
	TYPE1v2_IOMMU: 3,
	TYPE1_NESTING_IOMMU: 6,
	NOIOMMU_IOMMU: 8,
	UNMAP_ALL: 9,
	UPDATE_VADDR: 10,
} as const;
/** Flags of MAP_DMA and UNMAP_DMA. */
export const DMA_FLAG = { READ: 1, WRITE: 2, UNMAP_ALL: 2 } as const;

function slot(x: Exec): Ioas | undefined {
	const id = ctxOf(x).vfioIoas;
	return id === undefined ? undefined : lookUp(x, id, "ioas");
}

/** VFIO_CHECK_EXTENSION: 1, 0 or an errno. */
export function checkExtension(
	x: Exec,
	type: number,
): Answer & { readonly ret?: number } {
	switch (type) {
		case VFIO.TYPE1_IOMMU:
		case VFIO.TYPE1v2_IOMMU:
		case VFIO.UNMAP_ALL:
			return { ret: 1 };
		case VFIO.NOIOMMU_IOMMU:
			return { ret: x.env.noIommu === true ? 1 : 0 };
		case VFIO.DMA_CC_IOMMU: {
			const ioas = slot(x);
			if (ioas === undefined) return refused("ENODEV", "slot");
			return { ret: ioas.hwpts.every((id) => objOf(x, id, "hwpt").cc) ? 1 : 0 };
		}
		default:
			return { ret: 0 };
	}
}

/** VFIO_SET_IOMMU: type1 v1 turns large leaves off for good, since its unmaps may cut areas. */
export function setIommu(x: Exec, type: number): Answer {
	if (type === VFIO.NOIOMMU_IOMMU && ctxOf(x).noIommu)
		return x.env.caller.rawIo ? EOK : refused("EPERM", "capability");
	if (type !== VFIO.TYPE1_IOMMU && type !== VFIO.TYPE1v2_IOMMU)
		return refused("EINVAL", "type");
	const ioas = slot(x);
	if (ioas === undefined) return refused("ENODEV", "slot");
	if (type === VFIO.TYPE1v2_IOMMU) return EOK;
	const errno = setHugePages(x, ioas, false);
	return errno === undefined ? EOK : refused(errno, "hugepages");
}

/** VFIO_IOMMU_MAP_DMA: always at a fixed IOVA; without READ and WRITE only a domain can refuse (iopt-areas.ts). */
export function mapDma(
	x: Exec,
	args: {
		readonly argsz: number;
		readonly flags: number;
		readonly vaddr: bigint;
		readonly iova: bigint;
		readonly size: bigint;
	},
): Answer {
	if (args.argsz < MAP_MIN || (args.flags & ~3) !== 0)
		return refused("EINVAL", "arguments");
	const ioas = slot(x);
	if (ioas === undefined) return refused("ENODEV", "slot");
	const done = mapUser(x, ioas, {
		uva: args.vaddr,
		length: args.size,
		iova: args.iova,
		prot: args.flags & 3,
	});
	return "errno" in done ? done : EOK;
}
const MAP_MIN = 32;
const UNMAP_MIN = 24;
const INFO_MIN = 16;

/** VFIO_IOMMU_UNMAP_DMA; `size` is written back also when the unmap failed. */
export function unmapDma(
	x: Exec,
	args: {
		readonly argsz: number;
		readonly flags: number;
		readonly iova: bigint;
		readonly size: bigint;
		readonly respond: Respond;
	},
): Answer {
	if (args.argsz < UNMAP_MIN || (args.flags & ~DMA_FLAG.UNMAP_ALL) !== 0)
		return refused("EINVAL", "arguments");
	const ioas = slot(x);
	if (ioas === undefined) return refused("ENODEV", "slot");
	const all = (args.flags & DMA_FLAG.UNMAP_ALL) !== 0;
	if (all && (args.iova !== 0n || args.size !== 0n))
		return refused("EINVAL", "arguments");
	if (!all && ioas.iopt.noLarge) {
		const errno = cut(x, ioas, args.iova, args.size);
		if (errno !== undefined) return refused(errno, "cut");
	}
	const done = all
		? unmapIoas(x, ioas, 0n, IOVA_LAST)
		: unmapIova(x, ioas, args.iova, args.size);
	const unwritable = x.env.fail?.("resp") ?? args.respond();
	if (unwritable !== undefined) return refused(unwritable, "resp");
	const out = { size: done.bytes };
	return done.errno === undefined
		? { out }
		: { errno: done.errno, step: done.step ?? "unmap", out };
}

/** Cuts areas after the last byte of the request and before its first (64-bit arithmetic wraps as the kernel's does). */
function cut(
	x: Exec,
	ioas: Ioas,
	iova: bigint,
	size: bigint,
): ErrnoName | undefined {
	const ends = [BigInt.asUintN(64, iova + size - 1n)];
	if (iova !== 0n) ends.push(iova - 1n);
	const done = cutAreas(ioas.iopt, ioas.name, x.host.mem, ends, x.env);
	return settleIopt(x, ioas, done);
}

/** Bytes that the kernel writes behind the structure; `at` counts from its end. */
export interface CapPiece {
	readonly at: number;
	readonly bytes: Uint8Array;
}
/** What VFIO_IOMMU_GET_INFO answers; what `caps` leaves out of the caller's buffer is not touched. */
export interface CompatInfo {
	readonly argsz: number;
	readonly flags: number;
	readonly pgsizes: bigint;
	readonly capOffset: number;
	readonly caps: readonly CapPiece[];
}
/** Where the capability chain starts: right behind the structure, in bytes. */
const CAPS_AT = 24;

/** VFIO_IOMMU_GET_INFO: each capability is written when it fits; the offset only when all do, the total size always. */
export function getInfo(
	x: Exec,
	argsz: number,
): Answer & { readonly info?: CompatInfo } {
	if (argsz < INFO_MIN) return refused("EINVAL", "arguments");
	const ioas = slot(x);
	if (ioas === undefined) return refused("ENODEV", "slot");
	const ranges = usableRanges(ioas.iopt);
	const room = Math.max(0, argsz - CAPS_AT);
	const avail = dmaAvailCap(room);
	const usable = rangesCap(room - avail.size, ranges);
	const total = CAPS_AT + avail.size + usable.size;
	const pieces = usable.pieces.map(({ at, bytes }) => ({
		at: at + avail.size,
		bytes,
	}));
	return {
		info: {
			argsz: total,
			flags: 3,
			pgsizes: pageSizes(ioas),
			capOffset: argsz >= total ? CAPS_AT : 0,
			caps: [...avail.pieces, ...pieces],
		},
	};
}

/** The page sizes that all domains share; user space aligns to pages, so never below PAGE_SIZE (iommufd_get_pagesizes). */
function pageSizes(ioas: Ioas): bigint {
	let sizes = U64_ONES;
	for (const d of ioas.iopt.doms) sizes &= d.pgsizes;
	const below = PAGE_SIZE - 1n;
	if ((sizes & below) !== 0n) sizes = (sizes & ~below) | PAGE_SIZE;
	return sizes > ioas.iopt.align ? sizes : ioas.iopt.align;
}
const U64_ONES = IOVA_LAST;

const CAP_IOVA_RANGE = 1;
const CAP_DMA_AVAIL = 3;

/** A capability: the bytes it takes in the chain, and those of it that are written. */
interface Cap {
	readonly size: number;
	readonly pieces: readonly CapPiece[];
}
const piece = (at: number, ...words: readonly number[]): CapPiece => ({
	at,
	bytes: new Uint8Array(Uint32Array.from(words).buffer),
});
const head = (id: number): number => id | (1 << 16);
const halves = (value: bigint): readonly number[] => [
	Number(value & 0xffff_ffffn),
	Number(value >> 32n),
];

/** "Entries available" is 12 bytes of 16; the offset of the next one is put into it when there is room for that one's place. */
function dmaAvailCap(room: number): Cap {
	const size = 16;
	const next = room >= size ? CAPS_AT + size : 0;
	const cap = piece(0, head(CAP_DMA_AVAIL), next, 0xffff_ffff);
	return { size, pieces: room >= cap.bytes.length ? [cap] : [] };
}
/** The usable ranges, one by one as they fit, and their head when all fit. */
function rangesCap(room: number, ranges: readonly Range[]): Cap {
	const size = 16 + 16 * ranges.length;
	const pieces = ranges
		.map((r, i) => piece(16 + 16 * i, ...halves(r.start), ...halves(r.last)))
		.filter(({ at }) => at + 16 <= room);
	if (room >= size)
		pieces.unshift(piece(0, head(CAP_IOVA_RANGE), 0, ranges.length, 0));
	return { size, pieces };
}
