/**
 * Arm short-descriptor (v7s) entries (facts §1.2; io-pgtable-arm-v7s.c: ARM_V7S_*, arm_v7s_prot_to_pte, arm_v7s_pte_to_cont).
 *
 * The kept word is the 32-bit entry. Table pointers count second-level tables in their own unit of 1 KiB, bits 31:10; table numbers beyond
 * 22 bits run over bit 31, which no hardware would see and a long log can reach. Supersections and large pages are 16 equal copies.
 */
import { INVALID, LEAF, TABLE, type Codec, type EntryKind } from "../config.ts";

/** Copies of a contiguous entry. */
export const CONT_ENTRIES = 16;
const TYPE_TABLE = 1;
const TYPE_PAGE = 2;
const TYPE_CONT_PAGE = 1;
const TABLE_UNIT = 1024;
const ATTR_B = 1 << 2;
const ATTR_C = 1 << 3;
const ATTR_NS_TABLE = 1 << 3;
const ATTR_NS_SECTION = 1 << 19;
const CONT_SECTION = 1 << 18;
const AP_ACCESS = 1 << 0;
const AP_UNPRIV = 1 << 1;
const TEX_WRITE_BACK = 1 << 2;
const TEX_MASK = 7 << 2;
const AP_RDONLY = 1 << 5;
const SHARED = 1 << 6;
const NOT_GLOBAL = 1 << 7;
const CONT_PAGE_TEX = 7 << 6;
const CONT_PAGE_TEX_SHIFT = 6;
const CONT_PAGE_XN_SHIFT = 15;
/** MediaTek: output bits 32, 33, 34. */
const MTK_BITS = [1 << 9, 1 << 4, 1 << 5] as const;

/** Frames one entry covers: sections at level 1, pages at level 2. */
export const SPAN: readonly number[] = [0, 256, 1];
const shiftOfAttributes = (level: number): number => (level === 1 ? 10 : 4);
const neverExecute = (level: number): number => (level === 1 ? 1 << 4 : 1);

/** Type not zero (ARM_V7S_PTE_IS_VALID). */
export const isValid = (word: number): boolean => (word & 3) !== 0;
/** A pointer to a second-level table. */
export const isTable = (word: number, level: number): boolean =>
	level === 1 && (word & 3) === TYPE_TABLE;
/** One of 16 copies. */
export const isCont = (word: number, level: number): boolean =>
	level === 1
		? !isTable(word, level) && (word & CONT_SECTION) !== 0
		: (word & TYPE_PAGE) === 0;
/** Number of the table behind a table entry. */
export const tableIn = (word: number): number => Math.floor(word / TABLE_UNIT);
/** A pointer to a table. */
export const tableWord = (table: number, nsQuirk: boolean): number =>
	table * TABLE_UNIT + TYPE_TABLE + (nsQuirk ? ATTR_NS_TABLE : 0);

/** What the attributes depend on. */
export interface V7sQuirks {
	readonly ns: boolean;
	readonly noPerms: boolean;
	readonly mtk: boolean;
}

/** A leaf without address, for IOMMU_* protection bits (arm_v7s_prot_to_pte). */
export function attributes(
	prot: number,
	level: number,
	quirks: V7sQuirks,
): number {
	let bits = NOT_GLOBAL | SHARED;
	if ((prot & 16) === 0) bits |= TEX_WRITE_BACK;
	if (!quirks.noPerms) {
		bits |= AP_ACCESS;
		if ((prot & 32) === 0) bits |= AP_UNPRIV;
		if ((prot & 2) === 0) bits |= AP_RDONLY;
	}
	let word = bits << shiftOfAttributes(level);
	if ((prot & 8) !== 0 && !quirks.noPerms) word |= neverExecute(level);
	if ((prot & 16) !== 0) word |= ATTR_B;
	else if ((prot & 4) !== 0) word |= ATTR_B | ATTR_C;
	word |= TYPE_PAGE;
	if (level === 1 && quirks.ns) word |= ATTR_NS_SECTION;
	return word;
}

/** Protection bits of a leaf (arm_v7s_pte_to_prot): every entry is readable. */
export function protOf(word: number, level: number): number {
	const bits = word >>> shiftOfAttributes(level);
	let prot = 1;
	if ((bits & AP_RDONLY) === 0) prot |= 2;
	if ((bits & AP_UNPRIV) === 0) prot |= 32;
	if ((bits & TEX_MASK) === 0) prot |= 16;
	else if ((word & ATTR_C) !== 0) prot |= 4;
	if ((word & neverExecute(level)) !== 0) prot |= 8;
	return prot;
}

/** An ordinary entry as one of 16 copies (arm_v7s_pte_to_cont). */
export function toCont(word: number, level: number): number {
	if (level === 1) return (word | CONT_SECTION) >>> 0;
	const xn = word & neverExecute(2);
	const tex = word & CONT_PAGE_TEX;
	const rest = word & ~(xn | tex | TYPE_PAGE);
	return (
		(rest |
			(xn << CONT_PAGE_XN_SHIFT) |
			(tex << CONT_PAGE_TEX_SHIFT) |
			TYPE_CONT_PAGE) >>>
		0
	);
}

/** The inverse (arm_v7s_cont_to_pte). */
export function fromCont(word: number, level: number): number {
	if (level === 1) return (word & ~CONT_SECTION) >>> 0;
	const xn = word & (1 << CONT_PAGE_XN_SHIFT);
	const tex = word & (CONT_PAGE_TEX << CONT_PAGE_TEX_SHIFT);
	const rest = word & ~(xn | tex | TYPE_CONT_PAGE);
	return (
		(rest |
			(xn >>> CONT_PAGE_XN_SHIFT) |
			(tex >>> CONT_PAGE_TEX_SHIFT) |
			TYPE_PAGE) >>>
		0
	);
}

/** The address bits of an entry for frame `pa` (paddr_to_iopte). */
export function addressBits(pa: number, level: number, mtk: boolean): number {
	const span = SPAN[level] as number;
	let bits = ((Math.floor(pa / span) * span) % 2 ** 20) * 4096;
	if (mtk)
		MTK_BITS.forEach((bit, i) => {
			if (Math.floor(pa / 2 ** (20 + i)) % 2 === 1) bits += bit;
		});
	return bits;
}

/** First frame of a leaf, of its whole group when it is one of 16 copies (iopte_to_paddr). */
export function leafBase(word: number, level: number, mtk: boolean): number {
	const span = leafSpan(word, level);
	let pa = Math.floor((word >>> 12) / span) * span;
	if (mtk)
		MTK_BITS.forEach((bit, i) => {
			if ((word & bit) !== 0) pa += 2 ** (20 + i);
		});
	return pa;
}

/** Frames the leaf covers. */
export const leafSpan = (word: number, level: number): number =>
	(SPAN[level] as number) * (isCont(word, level) ? CONT_ENTRIES : 1);

function kind(word: number, level: number): EntryKind {
	if (!isValid(word)) return INVALID;
	return isTable(word, level) ? TABLE : LEAF;
}

/** The codec; `mtk`: addresses with the MediaTek extension bits. */
export const v7sCodec = (mtk: boolean): Codec => ({
	kind,
	child: tableIn,
	leafPa: (word, level, slot) =>
		leafBase(word, level, mtk) +
		(isCont(word, level) ? (slot % CONT_ENTRIES) * (SPAN[level] as number) : 0),
	leafSize: leafSpan,
	rights: (word, level) => protOf(word, level) & 3,
	raw: (word) => BigInt(word),
	fromRaw: (raw) => Number(raw),
	addressMask: 0xfffff000n,
});
