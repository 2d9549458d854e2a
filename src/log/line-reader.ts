/**
 * Reads the parts of a canonical record line from bytes: numbers, hex text, names. Each method reads at `position` and moves it; what is not
 * canonical gives undefined (or FAIL), and the caller leaves the whole line to the general path.
 */
import {
	type FieldKind,
	isOfKind,
	type Json,
	type U64,
	u64FromHex,
} from "../vocabulary/fields.ts";
import {
	kindBit,
	literal,
	type Literal,
	matches,
	type Name,
	NameCache,
	nameIs,
	textOf,
	type Window,
} from "./byte-text.ts";
import {
	jsonEnd,
	type JsonSlot,
	NO_END,
	plainJsonEnd,
	stringEnd,
} from "./json-bytes.ts";
import type { Field } from "./type-plan.ts";

const DIGIT_0 = 0x30;
const MINUS = 0x2d;
const TEN_TO = [1, 10, 100, 1e3, 1e4, 1e5, 1e6];
const SIXTEEN_TO = [1, 16, 256, 4096, 65536, 1048576, 16777216];
const HEX = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) HEX[i.toString(16).charCodeAt(0)] = i;
/** What `count` gives for something else. */
export const FAIL = -1;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const ACTOR_BIT = kindBit("actor");
/** Decimal digits of two lanes that a double holds exactly whatever they are. */
const COUNT_DIGITS_MAX = 15;
/** 13 hex digits are 52 bits: exact in a double. */
const HEX_DIGITS_MAX = 13;
/** A longer free-form value may hold a number that overflows to Infinity; the general path checks that. */
const JSON_PLAIN_MAX = 300;
const TRUE = literal("true");
const FALSE = literal("false");

/** Reads a window of bytes. */
export class LineReader implements Window {
	bytes: Uint8Array = new Uint8Array(0);
	view: DataView = new DataView(new ArrayBuffer(0));
	end = 0;
	/** The next byte to read. */
	position = 0;
	/** Names seen before. */
	readonly names: NameCache = new NameCache();

	/** Reads from these bytes from now on, up to `end`. */
	use(bytes: Uint8Array, end: number): void {
		this.bytes = bytes;
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		this.end = end;
	}

	/** Steps over a literal, if it stands here. */
	take(what: Literal): boolean {
		if (!matches(this, this.position, what)) return false;
		this.position += what.length;
		return true;
	}

	/** A quoted plain name; `guess` is tried first. */
	name(guess: Name | undefined): Name | undefined {
		if (guess !== undefined && matches(this, this.position, guess)) {
			this.position += guess.length;
			return guess;
		}
		const name = this.names.at(this, this.position);
		if (name !== undefined) this.position += name.length;
		return name;
	}

	/** true, false, or undefined for something else. */
	flag(): boolean | undefined {
		return this.take(TRUE) ? true : this.take(FALSE) ? false : undefined;
	}

	/** A name or text of a field. The record's own actor is the first guess, what stood there last the second. */
	named(field: Field, actor: Name): string | undefined {
		// A record's data often names its own actor; else the same thing as last time is likely.
		const guess = matches(this, this.position, actor) ? actor : field.last;
		const name = this.name(guess);
		if (name === undefined) return this.#slowText(field.kind);
		field.last = name;
		return nameIs(name, field.kind, field.bit) ? name.text : undefined;
	}

	#actor(): string | undefined {
		const name = this.name(undefined);
		if (name === undefined) return this.#slowText("actor");
		return nameIs(name, "actor", ACTOR_BIT) ? name.text : undefined;
	}

	/** A decimal without leading zeros, of at most 15 digits; FAIL for anything else. Two lanes keep the loops in small integers. */
	count(): number {
		const { bytes } = this;
		const start = this.position;
		let p = start;
		let high = 0;
		let digit = (bytes[p] as number) - DIGIT_0;
		const firstEnd = p + 9;
		while (digit >= 0 && digit <= 9 && p < firstEnd) {
			high = high * 10 + digit;
			digit = (bytes[++p] as number) - DIGIT_0;
		}
		if (p === start || (bytes[start] === DIGIT_0 && p > start + 1)) return FAIL;
		let value = high;
		if (p === firstEnd && digit >= 0 && digit <= 9) {
			let low = 0;
			while (digit >= 0 && digit <= 9) {
				if (p - start >= COUNT_DIGITS_MAX) return FAIL;
				low = low * 10 + digit;
				digit = (bytes[++p] as number) - DIGIT_0;
			}
			value = high * (TEN_TO[p - firstEnd] as number) + low;
		}
		this.position = p;
		return value;
	}

	/** A count with a sign. */
	int(): number | undefined {
		const negative = this.bytes[this.position] === MINUS;
		if (negative) this.position++;
		const value = this.count();
		if (value === FAIL || (negative && value === 0)) return undefined;
		return negative ? -value : value;
	}

	/** `"0x…"` in canonical form. */
	hex(): U64 | undefined {
		const { bytes } = this;
		const quote = this.position;
		if (
			bytes[quote] !== QUOTE ||
			bytes[quote + 1] !== DIGIT_0 ||
			bytes[quote + 2] !== 0x78
		)
			return undefined;
		const start = quote + 3;
		let p = start;
		let high = 0;
		let digit = HEX[bytes[p] as number] as number;
		const firstEnd = p + 7;
		while (digit >= 0 && p < firstEnd) {
			high = (high << 4) | digit;
			digit = HEX[bytes[++p] as number] as number;
		}
		if (p === start || (bytes[start] === DIGIT_0 && p > start + 1))
			return undefined;
		let value: number = high;
		if (p === firstEnd && digit >= 0) {
			let low = 0;
			while (digit >= 0 && p - start < HEX_DIGITS_MAX) {
				low = (low << 4) | digit;
				digit = HEX[bytes[++p] as number] as number;
			}
			if (digit >= 0) return this.#longHex(quote);
			value = high * (SIXTEEN_TO[p - firstEnd] as number) + low;
		}
		if (bytes[p] !== QUOTE) return undefined;
		this.position = p + 1;
		return value;
	}

	#longHex(quote: number): U64 | undefined {
		const close = this.bytes.indexOf(QUOTE, quote + 1);
		if (close < 0 || close - quote > 20) return undefined;
		this.position = close + 1;
		return u64FromHex(textOf(this.bytes, quote + 1, close));
	}

	/** Strings that hold escapes or anything but ASCII, or are too short for the cache. */
	#slowText(kind: FieldKind): string | undefined {
		const start = this.position;
		if (this.bytes[start] !== QUOTE) return undefined;
		const end = stringEnd(this.bytes, start, this.end);
		if (end === NO_END) return undefined;
		const source = textOf(this.bytes, start, end);
		const value = parsed(source);
		// U+FFFD may stand for bytes that are no UTF-8, which the general path refuses.
		if (
			typeof value !== "string" ||
			value.includes("\ufffd") ||
			JSON.stringify(value) !== source
		)
			return undefined;
		this.position = end;
		return isOfKind(kind, value) ? value : undefined;
	}

	/** A free-form value into its slot; false when it is none that this path reads. */
	json(slot: JsonSlot): boolean {
		const start = this.position;
		const plain = plainJsonEnd(this.bytes, start);
		if (plain !== NO_END) {
			slot.defer(this.bytes, start, plain);
			this.position = plain;
			return true;
		}
		const end = jsonEnd(this.bytes, start, this.end);
		if (end === NO_END || end - start > JSON_PLAIN_MAX) return false;
		const source = textOf(this.bytes, start, end);
		const value = source.includes("\ufffd") ? undefined : parsed(source);
		if (value === undefined) return false;
		slot.set(value);
		this.position = end;
		return true;
	}

	/** A list of ranges. */
	ranges(): (readonly [U64, U64])[] | undefined {
		return this.#list(() => this.#range());
	}

	/** A list of actors. */
	actors(): string[] | undefined {
		return this.#list(() => this.#actor());
	}

	#list<T>(item: () => T | undefined): T[] | undefined {
		const { bytes } = this;
		if (bytes[this.position] !== OPEN_ARRAY) return undefined;
		this.position++;
		const items: T[] = [];
		if (bytes[this.position] === CLOSE_ARRAY) {
			this.position++;
			return items;
		}
		for (;;) {
			const value = item();
			if (value === undefined) return undefined;
			items.push(value);
			const byte = bytes[this.position++];
			if (byte === CLOSE_ARRAY) return items;
			if (byte !== COMMA) return undefined;
		}
	}

	/** `["0x…","0x…"]` */
	#range(): readonly [U64, U64] | undefined {
		const { bytes } = this;
		if (bytes[this.position++] !== OPEN_ARRAY) return undefined;
		const start = this.hex();
		if (start === undefined || bytes[this.position++] !== COMMA)
			return undefined;
		const last = this.hex();
		if (last === undefined || bytes[this.position++] !== CLOSE_ARRAY)
			return undefined;
		return [start, last];
	}
}

function parsed(source: string): Json | undefined {
	try {
		return JSON.parse(source) as Json;
	} catch {
		return undefined;
	}
}
