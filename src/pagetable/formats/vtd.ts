/**
 * VT-d page-table entries, second stage and first stage (facts §1.2; intel/iommu.h: DMA_PTE_*, DMA_FL_PTE_*).
 *
 * The word is the 64-bit entry itself: bits 63:52 are never set by this code, so it fits a double. Levels count 1 (4 KiB leaves) upward.
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

export const VTD_READ = 1;
export const VTD_WRITE = 2;
/** First stage: present, user, accessed, dirty. Bit 0 is also set in second-stage leaves, by the shared attribute code. */
export const FL_PRESENT = 1;
export const FL_USER = 4;
export const FL_ACCESSED = 1 << 5;
export const FL_DIRTY = 1 << 6;
export const VTD_LARGE = 1 << 7;
/** Second stage, when enabled per PASID. */
export const SL_DIRTY = 1 << 9;
export const VTD_SNOOP = 1 << 11;
/** The address begins at bit 12. */
export const FRAME_STEP = 4096;

/** present: read or write (dma_pte_present). */
export const isPresent = (word: number): boolean => (word & 3) !== 0;
/** The page-size bit, without asking for presence (dma_pte_superpage). */
export const isLarge = (word: number): boolean => (word & VTD_LARGE) !== 0;
/** Everything above bit 11, as the code masks it (dma_pte_addr). */
export const frameIn = (word: number): number => Math.floor(word / FRAME_STEP);

/** A pointer to a table. */
export const tableWord = (table: number, firstStage: boolean): number =>
	table * FRAME_STEP +
	(VTD_READ | VTD_WRITE | (firstStage ? FL_USER | FL_ACCESSED : 0));

/** A leaf. `prot` has 1 read, 2 write. */
export function leafWord(
	pa: number,
	prot: number,
	large: boolean,
	stage: { readonly firstStage: boolean; readonly forceSnoop: boolean },
): number {
	let attr = (prot & 3) | FL_PRESENT;
	if (stage.forceSnoop) attr |= VTD_SNOOP;
	if (stage.firstStage) {
		attr |= FL_USER | FL_ACCESSED;
		if ((prot & 2) !== 0) attr |= FL_DIRTY;
	}
	if (large) attr |= VTD_LARGE;
	return pa * FRAME_STEP + attr;
}

function kind(word: number, level: number): EntryKind {
	if (!isPresent(word)) return INVALID;
	return level === 1 || isLarge(word) ? LEAF : TABLE;
}

/** Entries of either stage. */
export const VTD_CODEC: Codec = {
	kind,
	child: frameIn,
	leafPa: frameIn,
	leafSize: (_word, level) => 2 ** (9 * (level - 1)),
	rights: (word) => word & 3,
	raw: (word) => BigInt(word),
	fromRaw: (raw) => Number(raw),
	addressMask: 0xfffffffffffff000n,
};

/** Levels 1 … `levels`, 9 bits each. */
export const vtdGeometry = (levels: number): Geometry =>
	geometryOf({
		rootLevel: levels,
		leafLevel: 1,
		down: -1,
		shift: Array.from({ length: levels + 1 }, (_, l) =>
			Math.max(0, 9 * (l - 1)),
		),
		bits: Array.from({ length: levels + 1 }, () => 9),
		rootBits: 9,
		rootPages: 1,
		mode: levels,
	});
