/**
 * AMD host page-table entries, version 1 (facts §1.2; amd/amd_iommu_types.h: IOMMU_PTE_*, PM_*, PAGE_SIZE_*).
 *
 * The kept word is frame·2^12 + 12 flags: bits 0, 5, 6 and 11:9 as in hardware; bits 60 (FC), 61 (IR), 62 (IW) and 59 (U) in the places
 * of the unused bits 1, 2, 3 and 4. Levels count 0 (4 KiB entries) upward.
 */
import { alignDown, log2Exact } from "../arithmetic.ts";
import {
	INVALID,
	LEAF,
	TABLE,
	type Codec,
	type EntryKind,
	geometryOf,
	type Geometry,
} from "../config.ts";

/** One frame in the kept word. */
export const FRAME_STEP = 4096;
const PRESENT = 1;
const FORCE_COHERENT = 1 << 1;
const READ = 1 << 2;
const WRITE = 1 << 3;
const DIRTY = 1 << 6;
const NEXT_LEVEL_SHIFT = 9;
/** Next level 7: the size is encoded in the address. */
export const SIZE_CODED = 7;
/** Next level 0: a leaf of the natural size of its level. */
export const NATURAL = 0;
/** The largest number of levels. */
export const MAX_MODE = 6;
export const ENTRIES = 512;
/** Frames of the 52-bit physical address space (PM_ADDR_MASK). */
const FRAMES = 2 ** 40;

/** Bit 0. */
export const isPresent = (word: number): boolean => (word & PRESENT) !== 0;
/** The next-level field. */
export const nextLevel = (word: number): number =>
	(word >> NEXT_LEVEL_SHIFT) & 7;
/** Does the device's write show here? */
export const isDirty = (word: number): boolean => (word & DIRTY) !== 0;
export const isWritable = (word: number): boolean => (word & WRITE) !== 0;
export const DIRTY_BIT = DIRTY;
/** Frame of the address field. */
export const frameIn = (word: number): number => Math.floor(word / FRAME_STEP);
/** A present entry that points to a table. */
export const isTable = (word: number): boolean =>
	isPresent(word) &&
	nextLevel(word) !== NATURAL &&
	nextLevel(word) !== SIZE_CODED;

/** A pointer to a table, in an entry of a table of `level` (PM_LEVEL_PDE). */
export const tableWord = (table: number, level: number): number =>
	table * FRAME_STEP + ((level << NEXT_LEVEL_SHIFT) | PRESENT | READ | WRITE);

/** Level at which a page of `size` frames is entered (PAGE_SIZE_LEVEL). */
export const levelOfSize = (size: number): number =>
	Math.floor(log2Exact(size) / 9);
/** Entries a page of `size` frames takes there (PAGE_SIZE_PTE_COUNT). */
export const entriesOfSize = (size: number): number =>
	1 << (log2Exact(size) % 9);

/** A leaf of `size` frames: size-coded when it takes several entries (PAGE_SIZE_PTE). `prot`: 1 read, 2 write. */
export function leafWord(pa: number, size: number, prot: number): number {
	let flags = PRESENT | FORCE_COHERENT;
	if ((prot & 1) !== 0) flags |= READ;
	if ((prot & 2) !== 0) flags |= WRITE;
	if (entriesOfSize(size) === 1) return (pa % FRAMES) * FRAME_STEP + flags;
	// Address bits below half the size are ones, the bit at half the size is zero.
	const coded = (alignDown(pa, size) % FRAMES) + (size / 2 - 1);
	return coded * FRAME_STEP + (flags | (SIZE_CODED << NEXT_LEVEL_SHIFT));
}

/** Frames a size-coded entry stands for: the lowest zero of the frame, at bit k, means 2^(k+1) (PTE_PAGE_SIZE). */
export function codedSize(word: number): number {
	let frame = frameIn(word);
	let size = 2;
	while (frame % 2 === 1) {
		frame = (frame - 1) / 2;
		size *= 2;
	}
	return size;
}

function kind(word: number): EntryKind {
	if (!isPresent(word)) return INVALID;
	return isTable(word) ? TABLE : LEAF;
}

const RAW_BITS: readonly (readonly [number, bigint])[] = [
	[FORCE_COHERENT, 1n << 60n],
	[READ, 1n << 61n],
	[WRITE, 1n << 62n],
	[1 << 4, 1n << 59n],
];
/** Flags that keep their hardware place. */
const KEPT_FLAGS = 0xe61;

function raw(word: number): bigint {
	let value = BigInt(frameIn(word)) << 12n;
	value |= BigInt(word & KEPT_FLAGS);
	for (const [flag, bit] of RAW_BITS) if ((word & flag) !== 0) value |= bit;
	return value;
}

function fromRaw(value: bigint): number {
	let word = Number((value >> 12n) & 0xffffffffffn) * FRAME_STEP;
	word += Number(value & BigInt(KEPT_FLAGS));
	for (const [flag, bit] of RAW_BITS) if ((value & bit) !== 0n) word += flag;
	return word;
}

/** The codec. A replica translates its own slot, at its offset in the series. */
export const AMD_V1_CODEC: Codec = {
	kind,
	child: frameIn,
	leafPa: (word, level, slot) => {
		if (nextLevel(word) !== SIZE_CODED) return frameIn(word);
		const size = codedSize(word);
		const entries = entriesOfSize(size);
		const base = Math.floor(frameIn(word) / size) * size;
		return base + (slot % entries) * 2 ** (9 * level);
	},
	leafSize: (word, level) =>
		nextLevel(word) === SIZE_CODED ? codedSize(word) : 2 ** (9 * level),
	rights: (word) =>
		((word & READ) !== 0 ? 1 : 0) | ((word & WRITE) !== 0 ? 2 : 0),
	raw,
	fromRaw,
	addressMask: 0x000ffffffffff000n,
};

/** Levels 0 … 5, three in use at start. */
export const AMD_V1_GEOMETRY: Geometry = geometryOf({
	rootLevel: 2,
	leafLevel: 0,
	down: -1,
	shift: [0, 9, 18, 27, 36, 45, 54],
	bits: [9, 9, 9, 9, 9, 9, 9],
	rootBits: 9,
	rootPages: 1,
	mode: 3,
});
