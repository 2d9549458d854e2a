/** Words of a line's text for events that are not `key=value` (qi_submit, cache_tag_*). */
import type { TraceLine } from "./trace-line.ts";

const WORDS_MAX = 16;
const SPACE = 32;

/** Bounds of the words of one text; reused. */
export interface Words {
	count: number;
	readonly starts: Int32Array;
	readonly ends: Int32Array;
}

/** An empty, reusable word list. */
export const newWords = (): Words => ({
	count: 0,
	starts: new Int32Array(WORDS_MAX),
	ends: new Int32Array(WORDS_MAX),
});

/** Splits the text of a line at spaces; words past WORDS_MAX are ignored. */
export function splitWords(line: TraceLine, words: Words): void {
	const { buf, end } = line;
	let at = line.textStart;
	let count = 0;
	while (at < end && count < WORDS_MAX) {
		while (at < end && buf[at] === SPACE) at++;
		if (at >= end) break;
		words.starts[count] = at;
		while (at < end && buf[at] !== SPACE) at++;
		words.ends[count++] = at;
	}
	words.count = count;
}

/** The number in word `index` (hex or decimal), NaN when there is none. */
export const wordNumber = (
	line: TraceLine,
	words: Words,
	index: number,
): number =>
	index < words.count
		? line.numberAt(words.starts[index] as number, words.ends[index] as number)
		: Number.NaN;

/** Word `index` as text, "" when there is none. */
export const wordText = (
	line: TraceLine,
	words: Words,
	index: number,
): string =>
	index < words.count
		? line.slice(words.starts[index] as number, words.ends[index] as number)
		: "";

/** The two 32-bit halves [high, low] of a hex word "0x…", written into `into`; false when it is none. */
export function wordHalves(
	line: TraceLine,
	words: Words,
	index: number,
	into: Uint32Array,
): boolean {
	if (index >= words.count) return false;
	const start = (words.starts[index] as number) + 2;
	const end = words.ends[index] as number;
	if (end - start > 16 || end <= start) return false;
	const split = Math.max(start, end - 8);
	const high = hex(line, start, split);
	const low = hex(line, split, end);
	if (high < 0 || low < 0) return false;
	into[0] = high;
	into[1] = low;
	return true;
}

function hex(line: TraceLine, start: number, end: number): number {
	let value = 0;
	for (let at = start; at < end; at++) {
		const byte = line.buf[at] as number;
		const digit =
			byte >= 48 && byte <= 57
				? byte - 48
				: byte >= 97 && byte <= 102
					? byte - 87
					: -1;
		if (digit < 0) return -1;
		value = value * 16 + digit;
	}
	return value;
}
