/**
 * Byte-level helpers of the fast path: literals compared four bytes at a time, and a bounded cache that turns the bytes of a name
 * seen before into the string made for it, without allocating.
 */
import { type FieldKind, isOfKind } from "../vocabulary/fields.ts";

/** Bytes to read from. `view` and `bytes` show the same memory; `end` is where the valid bytes stop. */
export interface Window {
	bytes: Uint8Array;
	view: DataView;
	end: number;
}

/** Text of at least 4 bytes, prepared for comparing and writing: words at 0, 4, 8 …, and one more that ends at the last byte. */
export interface Literal {
	readonly length: number;
	/** A plain array: making one takes a tenth of the time of a typed one. */
	readonly words: readonly number[];
	readonly last: number;
}

const LITTLE = true;

/** Prepares text of at least 4 bytes. */
export function literal(text: string): Literal {
	const { buffer, length } = new TextEncoder().encode(text);
	const view = new DataView(buffer);
	return {
		length,
		words: wordsAt(view, 0, length),
		last: lastAt(view, length),
	};
}

function wordsAt(view: DataView, at: number, length: number): number[] {
	const words: number[] = [];
	for (let i = 0; i + 4 <= length; i += 4)
		words.push(view.getInt32(at + i, LITTLE));
	return words;
}

const lastAt = (view: DataView, end: number): number =>
	view.getInt32(end - 4, LITTLE);

/** Tells whether the bytes at `at` are those of the literal. */
export function matches(window: Window, at: number, what: Literal): boolean {
	const { words, length } = what;
	if (at + length > window.end) return false;
	const { view } = window;
	for (let i = 0, p = at; i < words.length; i++, p += 4)
		if (view.getInt32(p, LITTLE) !== words[i]) return false;
	return view.getInt32(at + length - 4, LITTLE) === what.last;
}

/** A string and the literal of its JSON text, quotes included. */
export interface Name extends Literal {
	readonly text: string;
	/** Bits of the kinds it was found to be. */
	kinds: number;
}

const KIND_BITS: { readonly [K in FieldKind]?: number } = {
	text: 1,
	actor: 2,
	group: 4,
	device: 8,
	domain: 16,
	ctx: 32,
	hwpt: 64,
	ioas: 128,
	idev: 256,
	access: 512,
	faultQueue: 1024,
	pages: 2048,
	object: 4096,
	iommu: 8192,
	errno: 16384,
	actors: 2,
};

/** The bit of a kind whose values are strings; 0 for other kinds. */
export const kindBit = (kind: FieldKind): number => KIND_BITS[kind] ?? 0;

/** Tells whether a name is of a kind; each (name, kind) is decided once. */
export function nameIs(name: Name, kind: FieldKind, bit: number): boolean {
	if ((name.kinds & bit) !== 0) return true;
	if (!isOfKind(kind, name.text)) return false;
	name.kinds |= bit;
	return true;
}

const utf8 = new TextDecoder();

/** Text of UTF-8 bytes. Buffers have a faster way; browsers have no buffers. */
export function textOf(bytes: Uint8Array, from: number, to: number): string {
	return typeof Buffer !== "undefined" && bytes instanceof Buffer
		? bytes.toString("utf8", from, to)
		: utf8.decode(bytes.subarray(from, to));
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** 1 where a byte may stand in a plain string: printable ASCII but quote and backslash. */
export const PLAIN: Uint8Array = new Uint8Array(256).map((_, byte) =>
	byte >= 0x20 && byte < 0x7f && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);
/** Slots to begin with and at most, powers of four: 32 Ki names cover tens of thousands of devices and domains in some megabytes. */
const SLOTS_MIN = 1 << 9;
const SLOTS_MAX = 1 << 15;

const slots = (length: number): (Name | undefined)[] =>
	Array.from<Name | undefined>({ length });

/**
 * Names by their bytes. Direct-mapped: a name that falls on another's slot replaces it, so memory is bounded whatever the log
 * holds. Only plain printable ASCII of 2 or more characters is cached; the caller reads other strings the slow way.
 */
export class NameCache {
	/** Made when the first name is: a reader of one message may never meet one. */
	#slots: (Name | undefined)[] = [];
	/** Names that were replaced since the table last grew. */
	#replaced = 0;
	#sum = 0;

	/** The name whose JSON text (with quotes) starts at `at`, or undefined when it is not a plain one. */
	at(window: Window, at: number): Name | undefined {
		if (window.bytes[at] !== QUOTE) return undefined;
		const length = this.#lengthAndSum(window, at);
		if (length < 4) return undefined;
		const sum = this.#sum;
		const known = this.#slots[sum & (this.#slots.length - 1)];
		if (
			known !== undefined &&
			known.length === length &&
			matches(window, at, known)
		)
			return known;
		return isPlain(window.bytes, at + 1, at + length - 1)
			? this.#make(window, at, length, sum)
			: undefined;
	}

	/** Of the bytes up to and with the next quote, looked at by fours: their number (0: there is none) and, in #sum, a hash of them. */
	#lengthAndSum({ bytes, view, end }: Window, at: number): number {
		let sum = 0;
		let p = at + 1;
		for (; p + 4 <= end; p += 4) {
			const word = view.getInt32(p, LITTLE);
			// The lowest bit that is set here is that of the first byte that is a quote.
			const other = word ^ QUOTES;
			const found = (other - ONES) & ~other & HIGH_BITS;
			if (found !== 0) {
				const bits = 31 - Math.clz32(found & -found) - 7;
				this.#sum = mixed(sum, word & ((1 << bits) - 1));
				return p + (bits >> 3) + 1 - at;
			}
			sum = mixed(sum, word);
		}
		const close = bytes.subarray(p, end).indexOf(QUOTE);
		this.#sum = sum;
		return close < 0 ? 0 : p + close + 1 - at;
	}

	#make(window: Window, at: number, length: number, sum: number): Name {
		if (this.#slots.length === 0) this.#slots = slots(SLOTS_MIN);
		const slot = sum & (this.#slots.length - 1);
		const name: Name = {
			length,
			words: wordsAt(window.view, at, length),
			last: lastAt(window.view, at + length),
			text: textOf(window.bytes, at + 1, at + length - 1),
			kinds: 0,
		};
		if (this.#slots[slot] !== undefined) this.#replaced++;
		this.#slots[slot] = name;
		if (this.#replaced > this.#slots.length && this.#slots.length < SLOTS_MAX) {
			this.#slots = slots(this.#slots.length * 4);
			this.#replaced = 0;
		}
		return name;
	}
}

const QUOTES = 0x22222222;
const ONES = 0x01010101;
const HIGH_BITS = 0x80808080 | 0;

function mixed(sum: number, word: number): number {
	const product = Math.imul(sum ^ word, 0x9e3779b1);
	return product ^ (product >>> 15);
}

function isPlain(bytes: Uint8Array, from: number, to: number): boolean {
	for (let p = from; p < to; p++)
		if (PLAIN[bytes[p] as number] !== 1) return false;
	return true;
}
