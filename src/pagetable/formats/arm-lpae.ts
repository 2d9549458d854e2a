/**
 * Arm LPAE page-table entries: 64-bit and 32-bit stage 1 and 2, Mali (facts §1.2; io-pgtable-arm.c: ARM_LPAE_PTE_*, arm_lpae_prot_to_pte,
 * paddr_to_iopte, iopte_to_paddr).
 *
 * The kept word is frame·2^17 + flags, where frame is bits 47:12 of the hardware word and the 17 flags are bits 11:0, then 51, 53, 54, 55, 63.
 * These are all the bits this code writes. With a 64 KiB granule bits 51:48 of an address sit in bits 15:12 of the word.
 */
import { INVALID, LEAF, TABLE, type Codec, type EntryKind } from "../config.ts";

/** One frame in the kept word. */
export const FRAME_STEP = 2 ** 17;
const TYPE_MASK = 3;
export const TYPE_BLOCK = 1;
export const TYPE_TABLE = 3;
export const TYPE_PAGE = 3;
const NS = 1 << 5;
const AP_UNPRIV = 1 << 6;
/** Stage 1: read-only; the clear side of dirty state. */
export const AP_RDONLY = 1 << 7;
const HAP_READ = 1 << 6;
const HAP_WRITE = 2 << 6;
const SH_OUTER = 2 << 8;
const SH_INNER = 3 << 8;
const AF = 1 << 10;
const NOT_GLOBAL = 1 << 11;
/** Hardware bits 51, 54:53, 55, 63 as flags of the kept word. */
export const DBM = 1 << 12;
const XN = 3 << 13;
export const SW_SYNC = 1 << 15;
const NS_TABLE = 1 << 16;
/** What a split carries over to the new leaves: bits 11:2, 54:53 and 51 (iopte_prot). */
const SPLIT_MASK = 0xffc | XN | DBM;

/** The three dialects of LPAE leaves. */
export type LpaeDialect = "s1" | "s2" | "mali";

/** Which dialect a format uses. */
export const dialectOf = (format: string): LpaeDialect =>
	format === "arm_mali" ? "mali" : format.endsWith("s1") ? "s1" : "s2";

/** Attribute flags of a leaf for IOMMU_* protection bits, without the type (arm_lpae_prot_to_pte). */
export function protFlags(
	dialect: LpaeDialect,
	prot: number,
	quirks: { readonly ns: boolean; readonly hd: boolean },
): number {
	const read = (prot & 1) !== 0;
	const write = (prot & 2) !== 0;
	const cache = (prot & 4) !== 0;
	const mmio = (prot & 16) !== 0;
	let flags = 0;
	if (dialect === "s1") {
		flags = NOT_GLOBAL;
		if (read && !write) flags |= AP_RDONLY;
		else if (quirks.hd) flags |= DBM;
		if ((prot & 32) === 0) flags |= AP_UNPRIV;
	} else flags = (read ? HAP_READ : 0) | (write ? HAP_WRITE : 0);
	if (dialect === "s2") flags |= (mmio ? 1 : cache ? 0xf : 5) << 2;
	else flags |= (mmio ? 2 : cache ? 1 : 0) << 2;
	flags |= cache && dialect !== "mali" ? SH_INNER : SH_OUTER;
	if ((prot & 8) !== 0) flags |= XN;
	if (quirks.ns) flags |= NS;
	if (dialect !== "mali") flags |= AF;
	return flags;
}

/** The type bits of a leaf at `level`: pages at level 3, blocks above; Mali uses blocks everywhere. */
export const leafType = (dialect: LpaeDialect, level: number): number =>
	dialect !== "mali" && level === 3 ? TYPE_PAGE : TYPE_BLOCK;

/** An address as the entry holds it: bits 51:48 rotated into 15:12 (paddr_to_iopte). In frames. */
export function addressField(pa: number): number {
	if (pa < 2 ** 36) return pa;
	const high = Math.floor(pa / 2 ** 36);
	const low = pa % 2 ** 36;
	const nibbles = low & 0xffff;
	return low - nibbles + (nibbles | (high & 0xffff));
}

/** The address an entry's field stands for (iopte_to_paddr). */
function addressIn(field: number, granule: number): number {
	if (granule < 16) return field;
	const high = field & 0xf;
	return field - high + high * 2 ** 36;
}

/** A pointer to a table whose number is `table`. */
export const tableWord = (
	table: number,
	granule: number,
	nsQuirk: boolean,
): number =>
	table * granule * FRAME_STEP + (TYPE_TABLE | (nsQuirk ? NS_TABLE : 0));

/** The flags a block passes to the pages of the table that replaces it. */
export const splitFlags = (word: number): number => word & SPLIT_MASK;

/** Entry kind for a dialect (iopte_leaf, iopte_table). The code tests the whole word for zero, not bit 0. */
export function lpaeKind(
	dialect: LpaeDialect,
	word: number,
	level: number,
): EntryKind {
	if (word === 0) return INVALID;
	const type = word & TYPE_MASK;
	if (level === 3 && dialect !== "mali")
		return type === TYPE_PAGE ? LEAF : TABLE;
	return type === TYPE_BLOCK ? LEAF : TABLE;
}

const RAW_FLAG_BITS = [51n, 53n, 54n, 55n, 63n] as const;

/** The hardware word. */
function raw(word: number): bigint {
	const flags = word & (FRAME_STEP - 1);
	let value = BigInt(Math.floor(word / FRAME_STEP)) << 12n;
	value |= BigInt(flags & 0xfff);
	RAW_FLAG_BITS.forEach((bit, i) => {
		if ((flags & (1 << (12 + i))) !== 0) value |= 1n << bit;
	});
	return value;
}

function fromRaw(value: bigint): number {
	let word =
		Number((value >> 12n) & 0xfffffffffn) * FRAME_STEP + Number(value & 0xfffn);
	RAW_FLAG_BITS.forEach((bit, i) => {
		if ((value >> bit) & 1n) word += 1 << (12 + i);
	});
	return word;
}

/** The codec of one dialect. `granule` in frames (1, 4, 16); `shift`: log2 of the frames a slot of each level covers. */
export function lpaeCodec(
	dialect: LpaeDialect,
	granule: number,
	shift: readonly number[],
): Codec {
	return {
		kind: (word, level) => lpaeKind(dialect, word, level),
		child: (word) => Math.floor(word / FRAME_STEP) / granule,
		leafPa: (word) => addressIn(Math.floor(word / FRAME_STEP), granule),
		leafSize: (_word, level) => 2 ** (shift[level] as number),
		rights: (word) =>
			dialect === "s1"
				? (word & AP_RDONLY) !== 0
					? 1
					: 3
				: ((word & HAP_READ) !== 0 ? 1 : 0) |
					((word & HAP_WRITE) !== 0 ? 2 : 0),
		raw,
		fromRaw,
		addressMask: 0x0000fffffffff000n,
	};
}
