/** Finds where a free-form JSON value ends in bytes, so that only its text goes to JSON.parse. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** As the vocabulary's MAX_JSON_DEPTH; deeper values are left to the general path, which refuses them. */
const DEPTH_MAX = 32;

/** What `stringEnd` and `jsonEnd` give when there is no end before the line's. */
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
 * is JSON at all. Gives NO_END for values deeper than the schema allows, and for numbers with an exponent (they may be too large for
 * a double): the general path judges those.
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
	(bytes[at] === 0x65 || bytes[at] === 0x45) &&
	isDigit(bytes[at - 1] as number);
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
