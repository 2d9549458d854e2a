/**
 * The fast path: reads canonical record lines from bytes, without making a string of the line. A line that is not canonical in
 * any way (blanks, other key order, escapes it does not expect, 16-digit numbers, a broken schema) is not judged here: `decode`
 * gives undefined and the caller takes the general path (record-line.ts), which accepts or explains it.
 *
 * Not checked here: that free-form `json` values have sorted keys. They decode to the same value either way; `log check`
 * reports them.
 */
import {
	type FieldKind,
	isOfKind,
	type Json,
	type U64,
	u64FromHex,
} from "../vocabulary/fields.ts";
import { type LogRecord, RECORD_FIELDS } from "../vocabulary/records.ts";
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
import { jsonEnd, NO_END, stringEnd } from "./json-bytes.ts";
import {
	type Field,
	type Mutable,
	type TypePlan,
	typePlan,
	variant,
} from "./type-plan.ts";

const DIGIT_0 = 0x30;
const NEWLINE = 0x0a;
const MINUS = 0x2d;
const TEN_TO = [1, 10, 100, 1e3, 1e4, 1e5, 1e6];
const SIXTEEN_TO = [1, 16, 256, 4096, 65536, 1048576, 16777216];
const HEX = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) HEX[i.toString(16).charCodeAt(0)] = i;
const FAIL = -1;
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

const SEQ = literal('{"seq":');
const T = literal(',"t":');
const TYPE = literal(',"type":"');
const OP = literal(',"op":');
const DATA = literal(',"data":{');
const TRUE = literal("true");
const FALSE = literal("false");

/**
 * Decodes canonical lines out of a window of bytes. The records it gives are reused: one object per record type and set of
 * present fields, overwritten by the next record of that kind. Use `copyRecord` to keep one.
 */
export class LineDecoder implements Window {
	bytes: Uint8Array = new Uint8Array(0);
	view: DataView = new DataView(new ArrayBuffer(0));
	end = 0;
	/** After a decode: the position behind the line's newline. */
	position = 0;
	readonly #names = new NameCache();
	readonly #types = new Map<string, TypePlan>();
	#previous: TypePlan | undefined;
	readonly #values: unknown[] = [];

	/** Reads from these bytes from now on, up to `end`. */
	use(bytes: Uint8Array, end: number): void {
		this.bytes = bytes;
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		this.end = end;
	}

	/** The record in the line that starts at `start`, or undefined when the line is not a canonical record. */
	decode(start: number): LogRecord | undefined {
		if (!matches(this, start, SEQ)) return undefined;
		this.position = start + SEQ.length;
		const seq = this.#count();
		if (seq === FAIL || !this.#take(T)) return undefined;
		const t = this.#count();
		if (t === FAIL || !this.#take(TYPE)) return undefined;
		const plan = this.#type();
		if (plan === undefined) return undefined;
		const actor = this.#name(plan.lastActor);
		if (
			actor === undefined ||
			!nameIs(actor, "actor", ACTOR_BIT) ||
			!this.#take(OP)
		)
			return undefined;
		plan.lastActor = actor;
		const op = this.#count();
		if (op === FAIL || !this.#take(DATA)) return undefined;
		const record = this.#data(plan, actor);
		if (record === undefined) return undefined;
		record.seq = seq;
		record.t = t;
		record.actor = actor.text;
		record.op = op;
		return record as unknown as LogRecord;
	}

	#take(what: Literal): boolean {
		if (!matches(this, this.position, what)) return false;
		this.position += what.length;
		return true;
	}

	/** The type's name up to and with `","actor":`. The successor seen last is tried first. */
	#type(): TypePlan | undefined {
		const guess = this.#previous?.successor;
		if (guess !== undefined && this.#take(guess.head)) {
			this.#previous = guess;
			return guess;
		}
		const name = this.#names.at(this, this.position - 1);
		if (name === undefined) return undefined;
		let plan = this.#types.get(name.text);
		if (plan === undefined) {
			if (!Object.hasOwn(RECORD_FIELDS, name.text)) return undefined;
			plan = typePlan(name.text);
			this.#types.set(name.text, plan);
		}
		if (!this.#take(plan.head)) return undefined;
		if (this.#previous !== undefined) this.#previous.successor = plan;
		this.#previous = plan;
		return plan;
	}

	#name(guess: Name | undefined): Name | undefined {
		if (guess !== undefined && matches(this, this.position, guess)) {
			this.position += guess.length;
			return guess;
		}
		const name = this.#names.at(this, this.position);
		if (name !== undefined) this.position += name.length;
		return name;
	}

	#data(plan: TypePlan, actor: Name): Mutable | undefined {
		const { fields } = plan;
		const values = this.#values;
		let mask = 0;
		for (let i = 0; i < fields.length; i++) {
			const field = fields[i] as Field;
			if (!this.#take(mask === 0 ? field.first : field.next)) {
				if (!field.optional) return undefined;
				continue;
			}
			const value = this.#value(field, actor);
			if (value === undefined) return undefined;
			values[i] = value;
			mask |= 1 << i;
		}
		const { bytes, position } = this;
		// Closing braces of data and record, and the newline; `end` is behind a newline, so the reads stay inside.
		if (
			bytes[position] !== 0x7d ||
			bytes[position + 1] !== 0x7d ||
			bytes[position + 2] !== NEWLINE
		)
			return undefined;
		this.position = position + 3;
		let record = plan.variants.get(mask);
		if (record === undefined) {
			record = variant(plan.whole.type, fields, mask);
			plan.variants.set(mask, record);
		}
		const { data } = record;
		for (let i = 0; i < fields.length; i++)
			if ((mask & (1 << i)) !== 0) data[(fields[i] as Field).name] = values[i];
		return record;
	}

	#value(field: Field, actor: Name): unknown {
		switch (field.kind) {
			case "hex":
				return this.#hex();
			case "count": {
				const value = this.#count();
				return value === FAIL ? undefined : value;
			}
			case "int":
				return this.#int();
			case "flag":
				return this.#take(TRUE) ? true : this.#take(FALSE) ? false : undefined;
			case "json":
				return this.#json();
			case "ranges":
				return this.#list(() => this.#range());
			case "actors":
				return this.#list(() => this.#actor());
			default:
				return this.#named(field, actor);
		}
	}

	#named(field: Field, actor: Name): string | undefined {
		// A record's data often names its own actor; else the same thing as last time is likely.
		const guess = matches(this, this.position, actor) ? actor : field.last;
		const name = this.#name(guess);
		if (name === undefined) return this.#slowText(field.kind);
		field.last = name;
		return nameIs(name, field.kind, field.bit) ? name.text : undefined;
	}

	#actor(): string | undefined {
		const name = this.#name(undefined);
		if (name === undefined) return this.#slowText("actor");
		return nameIs(name, "actor", ACTOR_BIT) ? name.text : undefined;
	}

	/** A decimal without leading zeros, of at most 15 digits; FAIL for anything else. Two lanes keep the loops in small integers. */
	#count(): number {
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

	#int(): number | undefined {
		const negative = this.bytes[this.position] === MINUS;
		if (negative) this.position++;
		const value = this.#count();
		if (value === FAIL || (negative && value === 0)) return undefined;
		return negative ? -value : value;
	}

	/** `"0x…"` in canonical form. */
	#hex(): U64 | undefined {
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

	#json(): Json | undefined {
		const start = this.position;
		const end = jsonEnd(this.bytes, start, this.end);
		if (end === NO_END || end - start > JSON_PLAIN_MAX) return undefined;
		const source = textOf(this.bytes, start, end);
		if (source.includes("\ufffd")) return undefined;
		this.position = end;
		return parsed(source);
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

	#range(): readonly [U64, U64] | undefined {
		const { bytes } = this;
		if (bytes[this.position++] !== OPEN_ARRAY) return undefined;
		const start = this.#hex();
		if (start === undefined || bytes[this.position++] !== COMMA)
			return undefined;
		const last = this.#hex();
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

/** A record of its own with the content of a reused one. Nested values are never reused, so they are shared. */
export function copyRecord<T extends LogRecord>(record: T): T {
	return { ...record, data: { ...record.data } };
}
