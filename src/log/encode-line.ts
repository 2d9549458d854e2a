/**
 * The fast way to write record lines: checks a fact against its table and writes it in one walk, with names checked and turned into bytes
 * once and remembered. Gives up whatever it does not find in order, and everything where code may not be generated; the general path
 * (`recordProblem`, `encodeRecord`) then accepts it or says what is wrong. A property test holds the two together.
 */
import { type FieldKind, isOfKind } from "../vocabulary/fields.ts";
import { isRecordType } from "../vocabulary/records.ts";
import { type Literal, literal } from "./byte-text.ts";
import { compileWrite, type WriteLine } from "./compile-write.ts";
import { quote } from "./json-text.ts";
import type { LineBytes } from "./line-bytes.ts";

/** A name that was seen before: its JSON text, and the bits of the kinds it was found to be. */
export interface KnownName {
	readonly quoted: Literal;
	kinds: number;
}

/** Names remembered at most; then all are forgotten. A cache: nothing but speed depends on it. */
const KNOWN_MAX = 1 << 16;
/** Longer names are left to the general path: so it is known how much room a record takes. */
export const NAME_BYTES_MAX = 64;
const known = new Map<string, KnownName>();

/** The bytes of a name of that kind; undefined for what is none, or a long one. */
export function nameOf(
	kind: FieldKind,
	bit: number,
	value: unknown,
): KnownName | undefined {
	if (typeof value !== "string" || value.length > NAME_BYTES_MAX)
		return undefined;
	let found = known.get(value);
	if (found !== undefined && (found.kinds & bit) !== 0) return found;
	if (!isOfKind(kind, value)) return undefined;
	if (found === undefined) {
		found = { quoted: literal(quote(value)), kinds: 0 };
		if (found.quoted.length > NAME_BYTES_MAX) return undefined;
		if (known.size >= KNOWN_MAX) known.clear();
		known.set(value, found);
	}
	found.kinds |= bit;
	return found;
}

/** By type; undefined for what is none. */
const writers = new Map<string, WriteLine | undefined>();

function writerOf(type: string): WriteLine | undefined {
	let writer = writers.get(type);
	if (writer === undefined && !writers.has(type) && isRecordType(type)) {
		writer = compileWrite(type);
		writers.set(type, writer);
	}
	return writer;
}

const isCount = (value: unknown): value is number =>
	Number.isSafeInteger(value) && (value as number) >= 0;

/** What becomes a record: a fact, whoever made it. */
export interface Unchecked {
	readonly t: unknown;
	readonly type: string;
	readonly actor: unknown;
	readonly op?: unknown;
	readonly data: unknown;
}

/** Checks a fact and writes its line at position `seq`. When something is not in order it writes nothing and gives false. */
export function putChecked(
	out: LineBytes,
	seq: number,
	fact: Unchecked,
): boolean {
	const { t, type, actor, op = 0, data } = fact;
	const write = writerOf(type);
	if (
		write === undefined ||
		!isCount(seq) ||
		!isCount(t) ||
		!isCount(op) ||
		typeof data !== "object" ||
		data === null ||
		Array.isArray(data)
	)
		return false;
	const start = out.length;
	if (write(out, seq, t, actor, op, data)) return true;
	out.length = start;
	return false;
}
