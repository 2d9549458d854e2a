/**
 * Reads the five fixed fields of a record line without parsing its data. The page opens a million lines with this; only the
 * lines that are looked at are parsed in full. Lines in another key order, or with blanks, take the slow way (`JSON.parse`).
 */

/** Where the scanner puts what it found. One object is reused for all lines. */
export interface LineFields {
	seq: number;
	t: number;
	op: number;
	/** The inside of the JSON string that names the type: byte positions. */
	typeStart: number;
	typeEnd: number;
	actorStart: number;
	actorEnd: number;
	/** Where the value of `data` starts. */
	dataStart: number;
}

/** An empty result object for `scanLine`. */
export const lineFields = (): LineFields => ({
	seq: 0,
	t: 0,
	op: 0,
	typeStart: 0,
	typeEnd: 0,
	actorStart: 0,
	actorEnd: 0,
	dataStart: 0,
});

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const SEQ = ascii('{"seq":');
const T = ascii(',"t":');
const TYPE = ascii(',"type":"');
const ACTOR = ascii('","actor":"');
const OP = ascii('","op":');
const DATA = ascii(',"data":');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function startsWith(
	bytes: Uint8Array,
	at: number,
	word: Uint8Array,
	end: number,
): boolean {
	if (at + word.length > end) return false;
	for (let i = 0; i < word.length; i++)
		if (bytes[at + i] !== word[i]) return false;
	return true;
}

/** Position just after the decimal number that starts at `at`. */
function numberEnd(bytes: Uint8Array, at: number): number {
	let here = at;
	for (;;) {
		const byte = bytes[here] as number;
		if (byte < 0x30 || byte > 0x39) return here;
		here++;
	}
}

function numberAt(bytes: Uint8Array, start: number, end: number): number {
	let value = 0;
	for (let at = start; at < end; at++)
		value = value * 10 + ((bytes[at] as number) - 0x30);
	return value;
}

/** Position of the quote that ends the string whose inside starts at `at`. */
function stringEnd(bytes: Uint8Array, at: number, end: number): number {
	let here = at;
	while (here < end && bytes[here] !== QUOTE)
		here += bytes[here] === BACKSLASH ? 2 : 1;
	return here;
}

/**
 * Scans the record line in `bytes[start, end)` (no newline). Returns false when the line is not a record in canonical key order
 * (seq, t, type, actor, op, data); `out` is then undefined in part.
 */
export function scanLine(
	bytes: Uint8Array,
	start: number,
	end: number,
	out: LineFields,
): boolean {
	if (!startsWith(bytes, start, SEQ, end)) return false;
	let from = start + SEQ.length;
	let to = numberEnd(bytes, from);
	if (to === from || !startsWith(bytes, to, T, end)) return false;
	out.seq = numberAt(bytes, from, to);
	from = to + T.length;
	to = numberEnd(bytes, from);
	if (to === from || !startsWith(bytes, to, TYPE, end)) return false;
	out.t = numberAt(bytes, from, to);
	out.typeStart = to + TYPE.length;
	out.typeEnd = stringEnd(bytes, out.typeStart, end);
	if (!startsWith(bytes, out.typeEnd, ACTOR, end)) return false;
	out.actorStart = out.typeEnd + ACTOR.length;
	out.actorEnd = stringEnd(bytes, out.actorStart, end);
	if (!startsWith(bytes, out.actorEnd, OP, end)) return false;
	from = out.actorEnd + OP.length;
	to = numberEnd(bytes, from);
	if (to === from || !startsWith(bytes, to, DATA, end)) return false;
	out.op = numberAt(bytes, from, to);
	out.dataStart = to + DATA.length;
	return out.dataStart < end;
}
