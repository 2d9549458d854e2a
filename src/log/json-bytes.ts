/**
 * Free-form JSON values in bytes. Plain ones (no escapes, nothing but ASCII, no exponents) are checked byte by byte and parsed only when
 * somebody asks for them: folding a log hardly ever needs the arguments of an operation. Others are cut out and parsed at once.
 */
import type { Json } from "../vocabulary/fields.ts";
import { PLAIN, textOf } from "./byte-text.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const DOT = 0x2e;
const DIGIT_0 = 0x30;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** As the vocabulary's MAX_JSON_DEPTH, one less so that the open brackets fit the bits of a small integer. */
const DEPTH_MAX = 30;

/** What the functions here give when there is no end, or none they can vouch for. */
export const NO_END = -1;

/** Position behind the closing quote of the JSON string that starts at `at`. */
export function stringEnd(bytes: Uint8Array, at: number, end: number): number {
	for (let p = at + 1; p < end; p++) {
		const byte = bytes[p] as number;
		if (byte === QUOTE) return p + 1;
		if (byte === BACKSLASH) p++;
		else if (byte === NEWLINE) return NO_END;
	}
	return NO_END;
}

/**
 * Position behind the JSON value that starts at `at`. Brackets are counted, not matched: JSON.parse of the piece decides whether it
 * is JSON at all. Gives NO_END for deep values, and for numbers with an exponent (they may be too large for a double): the general
 * path judges those.
 */
export function jsonEnd(bytes: Uint8Array, at: number, end: number): number {
	let depth = 0;
	for (let p = at; p < end; p++) {
		const byte = bytes[p] as number;
		if (byte === QUOTE) {
			p = stringEnd(bytes, p, end) - 1;
			if (p < 0) return NO_END;
			if (depth === 0) return p + 1;
		} else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
			if (++depth > DEPTH_MAX) return NO_END;
		} else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
			// A number, true, false or null ends before the bracket of what holds it.
			if (depth === 0) return p;
			if (--depth === 0) return p + 1;
		} else if (byte === COMMA) {
			if (depth === 0) return p;
		} else if (byte === NEWLINE || isExponent(bytes, p)) return NO_END;
	}
	return NO_END;
}

const isExponent = (bytes: Uint8Array, at: number): boolean =>
	(bytes[at] === 0x65 || bytes[at] === 0x45) && isDigit(bytes[at - 1]);
const isDigit = (byte: number | undefined): boolean =>
	byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_0 + 9;

/**
 * Position behind the value that starts at `at`, when it is plain JSON for certain; else NO_END. The open brackets are the bits of
 * `stack`: 1 for an object.
 */
export function plainJsonEnd(bytes: Uint8Array, at: number): number {
	let p = at;
	let depth = 0;
	let stack = 0;
	for (;;) {
		const byte = bytes[p];
		if (
			(byte === OPEN_OBJECT || byte === OPEN_ARRAY) &&
			bytes[p + 1] !== byte + 2
		) {
			if (++depth > DEPTH_MAX) return NO_END;
			const isObject = byte === OPEN_OBJECT ? 1 : 0;
			stack = (stack << 1) | isObject;
			p = isObject === 1 ? plainKeyEnd(bytes, p + 1) : p + 1;
			if (p < 0) return NO_END;
			continue;
		}
		p = scalarEnd(bytes, p);
		for (;;) {
			if (p < 0 || depth === 0) return p;
			const next = bytes[p++];
			const inObject = (stack & 1) === 1;
			if (next === COMMA) {
				p = inObject ? plainKeyEnd(bytes, p) : p;
				if (p < 0) return NO_END;
				break;
			}
			if (next !== (inObject ? CLOSE_OBJECT : CLOSE_ARRAY)) return NO_END;
			stack >>= 1;
			depth--;
		}
	}
}

/** Behind a string, number, true, false, null, {} or []. */
function scalarEnd(bytes: Uint8Array, at: number): number {
	const byte = bytes[at];
	switch (byte) {
		case QUOTE:
			return plainStringEnd(bytes, at);
		case OPEN_OBJECT:
		case OPEN_ARRAY:
			return at + 2;
		case 0x74:
			return spells(bytes, at, "true");
		case 0x66:
			return spells(bytes, at, "false");
		case 0x6e:
			return spells(bytes, at, "null");
		default:
			return plainNumberEnd(bytes, at);
	}
}

function spells(bytes: Uint8Array, at: number, word: string): number {
	for (let i = 0; i < word.length; i++)
		if (bytes[at + i] !== word.charCodeAt(i)) return NO_END;
	return at + word.length;
}

function plainStringEnd(bytes: Uint8Array, at: number): number {
	if (bytes[at] !== QUOTE) return NO_END;
	let p = at + 1;
	while (PLAIN[bytes[p] as number] === 1) p++;
	return bytes[p] === QUOTE ? p + 1 : NO_END;
}

function plainKeyEnd(bytes: Uint8Array, at: number): number {
	const end = plainStringEnd(bytes, at);
	return end > 0 && bytes[end] === COLON ? end + 1 : NO_END;
}

/** Digits of a number that cannot overflow a double. */
const DIGITS_MAX = 300;

function plainNumberEnd(bytes: Uint8Array, at: number): number {
	const start = bytes[at] === MINUS ? at + 1 : at;
	let p = digitsEnd(bytes, start);
	if (
		p === start ||
		p - start > DIGITS_MAX ||
		(bytes[start] === DIGIT_0 && p > start + 1)
	)
		return NO_END;
	if (bytes[p] === DOT) {
		const fraction = p + 1;
		p = digitsEnd(bytes, fraction);
		if (p === fraction) return NO_END;
	}
	return (bytes[p] as number) === 0x65 || bytes[p] === 0x45 ? NO_END : p;
}

function digitsEnd(bytes: Uint8Array, at: number): number {
	let p = at;
	while (isDigit(bytes[p])) p++;
	return p;
}

/** Where a reused record keeps a free-form value: parsed, or as bytes until it is asked for. */
export class JsonSlot {
	#bytes: Uint8Array = new Uint8Array(0);
	#start = 0;
	#end = 0;
	#value: Json | undefined;
	#ready = true;
	#parse: (text: string) => Json = JSON.parse;

	/** Keeps a value as bytes, checked or left to `parse`. They must stay as they are while the record is in use. */
	defer(
		bytes: Uint8Array,
		start: number,
		end: number,
		parse: (text: string) => Json = JSON.parse,
	): void {
		this.#parse = parse;
		this.#bytes = bytes;
		this.#start = start;
		this.#end = end;
		this.#ready = false;
	}

	/** Keeps a value. */
	set(value: Json): void {
		this.#value = value;
		this.#ready = true;
	}

	/** The text of a value that was checked and nobody has asked for; undefined when it is parsed already, or is `parse`'s to judge. */
	text(): string | undefined {
		return this.#ready || this.#parse !== JSON.parse
			? undefined
			: textOf(this.#bytes, this.#start, this.#end);
	}

	/** The value. */
	get(): Json | undefined {
		if (!this.#ready)
			this.set(this.#parse(textOf(this.#bytes, this.#start, this.#end)));
		return this.#value;
	}
}
