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
	readonly words: Int32Array;
	readonly last: number;
}

const LITTLE = true;

/** Prepares text of at least 4 bytes. */
export function literal(text: string): Literal {
	const bytes = new TextEncoder().encode(text);
	return literalAt(bytes, 0, bytes.length);
}

function literalAt(bytes: Uint8Array, at: number, length: number): Literal {
	const view = new DataView(bytes.buffer, bytes.byteOffset + at, length);
	const words = new Int32Array(length >> 2);
	for (let i = 0; i < words.length; i++)
		words[i] = view.getInt32(i * 4, LITTLE);
	return { length, words, last: view.getInt32(length - 4, LITTLE) };
}

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

	/** The name whose JSON text (with quotes) starts at `at`, or undefined when it is not a plain one. */
	at(window: Window, at: number): Name | undefined {
		const { bytes, end } = window;
		if (bytes[at] !== QUOTE) return undefined;
		let sum = 0;
		let p = at + 1;
		while (p < end && PLAIN[bytes[p] as number] === 1) {
			sum = (Math.imul(sum, 31) + (bytes[p] as number)) | 0;
			p++;
		}
		if (p >= end || bytes[p] !== QUOTE || p - at < 3) return undefined;
		const mixed = sum ^ (sum >>> 15);
		const known = this.#slots[mixed & (this.#slots.length - 1)];
		if (
			known !== undefined &&
			known.length === p + 1 - at &&
			matches(window, at, known)
		)
			return known;
		return this.#make(bytes, at, p + 1 - at, mixed);
	}

	#make(bytes: Uint8Array, at: number, length: number, mixed: number): Name {
		if (this.#slots.length === 0) this.#slots = slots(SLOTS_MIN);
		const slot = mixed & (this.#slots.length - 1);
		const { words, last } = literalAt(bytes, at, length);
		const text = textOf(bytes, at + 1, at + length - 1);
		const name: Name = { length, words, last, text, kinds: 0 };
		if (this.#slots[slot] !== undefined) this.#replaced++;
		this.#slots[slot] = name;
		if (this.#replaced > this.#slots.length && this.#slots.length < SLOTS_MAX) {
			this.#slots = slots(this.#slots.length * 4);
			this.#replaced = 0;
		}
		return name;
	}
}
