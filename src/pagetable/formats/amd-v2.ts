/**
 * AMD guest page-table entries, version 2 (facts §1.2; amd/io_pgtable_v2.c). The kept word is the 64-bit entry: bit 63 (no-execute) is
 * never set. Levels count 0 (4 KiB entries) upward.
 */
import {
	INVALID,
	LEAF,
	TABLE,
	type Codec,
	type EntryKind,
	geometryOf,
	type Geometry,
} from "../config.ts";

export const FRAME_STEP = 4096;
const PRESENT = 1;
const WRITE = 2;
const USER = 4;
const ACCESSED = 1 << 5;
const DIRTY = 1 << 6;
const LARGE = 1 << 7;
export const ENTRIES = 512;

export const isPresent = (word: number): boolean => (word & PRESENT) !== 0;
/** The page-size bit, without asking for presence (is_large_pte). */
export const isLarge = (word: number): boolean => (word & LARGE) !== 0;
export const frameIn = (word: number): number => Math.floor(word / FRAME_STEP);

/** A pointer to a table (set_pgtable_attr). */
export const tableWord = (table: number): number =>
	table * FRAME_STEP + (PRESENT | WRITE | USER | ACCESSED);

/** A leaf of 1, 512 or 262144 frames; accessed and dirty are set from the start (set_pte_attr). */
export const leafWord = (pa: number, size: number, prot: number): number =>
	(pa % 2 ** 40) * FRAME_STEP +
	(PRESENT |
		USER |
		ACCESSED |
		DIRTY |
		((prot & 2) !== 0 ? WRITE : 0) |
		(size > 1 ? LARGE : 0));

function kind(word: number, level: number): EntryKind {
	if (!isPresent(word)) return INVALID;
	return level === 0 || isLarge(word) ? LEAF : TABLE;
}

/** The codec. */
export const AMD_V2_CODEC: Codec = {
	kind,
	child: frameIn,
	leafPa: frameIn,
	leafSize: (_word, level) => 2 ** (9 * level),
	rights: (word) => ((word & WRITE) !== 0 ? 3 : 1),
	raw: (word) => BigInt(word),
	fromRaw: (raw) => Number(raw),
	addressMask: 0x000ffffffffff000n,
};

/** Four or five levels. */
export const amdV2Geometry = (levels: number): Geometry =>
	geometryOf({
		rootLevel: levels - 1,
		leafLevel: 0,
		down: -1,
		shift: Array.from({ length: levels }, (_, level) => 9 * level),
		bits: Array.from({ length: levels }, () => 9),
		rootBits: 9,
		rootPages: 1,
		mode: levels,
	});
