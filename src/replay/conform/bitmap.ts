/**
 * Dirty bitmaps as recordings describe them: number of bits, number of ones, a hash over the bytes, the first 64 bytes
 * (corpus page §3). A long bitmap is known again only when a simple pattern gives the same hash.
 */

/** A described bitmap. */
export interface BitmapNote {
	readonly nbits: number;
	readonly set: number;
	readonly fnv1a64: string;
	readonly head: string;
}
const HEAD_BYTES = 64;
/** More bits than this the selftest does not take (selftest.c:iommufd_test_dirty: 16 MiB of bitmap); longer descriptions are not built. */
export const BITS_MAX = 16 * 1024 * 1024 * 8;
const FNV_OFFSET = 0xcbf2_9ce4_8422_2325n;
const FNV_PRIME = 0x100_0000_01b3n;

/** FNV-1a over bytes, 64 bit. In two halves, since BigInt is slow here. */
export function fnv1a64(bytes: Uint8Array): string {
	let hi = Number(FNV_OFFSET >> 32n);
	let lo = Number(FNV_OFFSET & 0xffff_ffffn);
	const p0 = Number(FNV_PRIME & 0xffffn);
	for (const byte of bytes) {
		lo = (lo ^ byte) >>> 0;
		const a = lo & 0xffff;
		const b = lo >>> 16;
		const low = a * p0;
		const mid = b * p0 + Math.floor(low / 0x1_0000);
		const nextLo = ((mid & 0xffff) * 0x1_0000 + (low & 0xffff)) >>> 0;
		// 2^40 part of the prime: shifts the low word by 8 bits into the high one.
		const carry = Math.floor(mid / 0x1_0000);
		hi = (Math.imul(hi, p0) + carry + ((lo << 8) >>> 0)) >>> 0;
		lo = nextLo;
	}
	const hex = (n: number): string => n.toString(16).padStart(8, "0");
	return `0x${hex(hi)}${hex(lo)}`;
}

const bytesFor = (nbits: number): number => Math.ceil(nbits / 8);
function ones(bytes: Uint8Array): number {
	let count = 0;
	for (const byte of bytes) for (let b = byte; b !== 0; b &= b - 1) count++;
	return count;
}
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Describes the first `nbits` bits of a bitmap. */
export function noteOf(bytes: Uint8Array, nbits: number): BitmapNote {
	const used = bytes.subarray(0, bytesFor(nbits));
	return {
		nbits,
		set: ones(used),
		fnv1a64: fnv1a64(used),
		head: hexOf(used.subarray(0, HEAD_BYTES)),
	};
}

/** The bytes behind a description, or undefined when the head alone does not tell and no pattern fits. */
export function bytesOf(note: BitmapNote): Uint8Array | undefined {
	if (!isNote(note) || note.nbits > BITS_MAX) return undefined;
	const bytes = new Uint8Array(bytesFor(note.nbits));
	const head = Buffer.from(note.head, "hex");
	const candidates: readonly ((i: number) => number)[] = [
		(i) => head[i] ?? 0,
		(i) => head[i % head.length] ?? 0,
		(i) => head[i] ?? head[head.length - 1] ?? 0,
		everyNth(note),
	];
	for (const byteAt of candidates) {
		for (let i = 0; i < bytes.length; i++) bytes[i] = byteAt(i);
		if (trimmed(bytes, note)) return bytes;
	}
	return undefined;
}

const isNote = ({ nbits, set, head }: BitmapNote): boolean =>
	Number.isSafeInteger(nbits) &&
	nbits >= 0 &&
	typeof set === "number" &&
	typeof head === "string";

/** Ones at even distances over the whole bitmap. */
function everyNth(note: BitmapNote): (i: number) => number {
	const stride = Math.max(1, Math.floor(note.nbits / Math.max(1, note.set)));
	return (i) => {
		let byte = 0;
		for (let b = 0; b < 8; b++) if ((i * 8 + b) % stride === 0) byte |= 1 << b;
		return byte;
	};
}

/** Clears bits from the end until the count fits, then compares the hash. */
function trimmed(bytes: Uint8Array, note: BitmapNote): boolean {
	let count = ones(bytes);
	for (let bit = bytes.length * 8 - 1; bit >= 0 && count > note.set; bit--) {
		const mask = 1 << (bit & 7);
		const byte = bytes[bit >> 3] ?? 0;
		if ((byte & mask) === 0) continue;
		bytes[bit >> 3] = byte & ~mask;
		count--;
	}
	return count === note.set && fnv1a64(bytes) === note.fnv1a64;
}

/** The numbers of the set bits. */
export function* setBits(bytes: Uint8Array, nbits: number): Generator<number> {
	for (let bit = 0; bit < nbits; bit++)
		if (((bytes[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0) yield bit;
}

/** Sets bits [first, last], those beyond the end ignored. */
export function setRange(bytes: Uint8Array, first: number, last: number): void {
	const end = Math.min(last, bytes.length * 8 - 1);
	for (let bit = first; bit <= end; bit++)
		bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
}
