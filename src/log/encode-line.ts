/**
 * The fast way to write record lines: checks a fact against its table and writes it in one walk, with names checked and turned into bytes
 * once and remembered. Gives up whatever it does not find in order, and everything where code may not be generated; the general path
 * (`recordProblem`, `encodeRecord`) then accepts it or says what is wrong. A property test holds the two together.
 */
import { isRecordType } from "../vocabulary/records.ts";
import { compileWrite, type WriteLine } from "./compile-write.ts";
import type { LineBytes } from "./line-bytes.ts";

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
