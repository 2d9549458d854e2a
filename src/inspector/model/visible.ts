/**
 * Text from logs as it is, with what cannot be seen written out: controls, and the characters that reorder or hide what stands beside
 * them (a device named with U+202E would turn the rest of its line around).
 */

/** First and last code points of what is written out. Newlines stay: titles have them. */
const HIDDEN: readonly (readonly [number, number])[] = [
	[0x00, 0x09],
	[0x0b, 0x1f],
	[0x7f, 0x9f],
	[0x00ad, 0x00ad],
	[0x061c, 0x061c],
	[0x200b, 0x200f],
	[0x2028, 0x202e],
	[0x2060, 0x206f],
	[0xfeff, 0xfeff],
	[0xfff9, 0xfffb],
];

const hex4 = (code: number): string => code.toString(16).padStart(4, "0");
const HIDDEN_PATTERN = new RegExp(
	`[${HIDDEN.map(([from, to]) => `\\u${hex4(from)}-\\u${hex4(to)}`).join("")}]`,
	"g",
);

/** The text with hidden characters as `\u202e`. */
export const visible = (text: string): string =>
	text.replace(HIDDEN_PATTERN, (sign) => `\\u${hex4(sign.charCodeAt(0))}`);
