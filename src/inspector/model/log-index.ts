/**
 * A log as its bytes and a columnar index: what the page holds instead of a million objects. Bytes may come in pieces of any
 * size, at any time (a live log grows). Runs in a worker and in Node; no DOM, no Node imports.
 */
import { Interner } from "./intern.ts";
import { lineFields, scanLine } from "./line.ts";

/** A line that is no record, header or seal. `line` and `column` count from 1. */
export interface LineProblem {
	readonly line: number;
	readonly column: number;
	readonly why: string;
}

/** Problems beyond this are only counted: a page with a million of them helps nobody. */
export const PROBLEMS_KEPT_MAX = 100;
/** Offsets are 32 bit wide. */
export const LOG_BYTES_MAX = 0xffff_ffff;

const NEWLINE = 0x0a;
/** How every seal line starts (src/log/seal.ts; that file needs node:crypto). Hashes are checked by `log check`, not here. */
const SEAL_START = [...new TextEncoder().encode('{"seal":')];
const BYTES_AT_START = 1 << 16;
const RECORDS_AT_START = 1 << 12;

const decoder = new TextDecoder();

/** Thrown for bytes that cannot be held: above 4 GiB. */
export class LogTooLargeError extends Error {
	override readonly name = "LogTooLargeError";
	constructor(lengthBytes: number) {
		super(
			`the log is larger than 4 GiB (${lengthBytes} bytes); cut it first: iommu-ledger log cat --from SEQ --to SEQ`,
		);
	}
}

function grown<T extends Uint32Array | Float64Array>(
	column: T,
	make: new (length: number) => T,
): T {
	const wider = new make(column.length * 2);
	wider.set(column as never);
	return wider;
}

/** Append-only: `push` bytes, then read columns. Column entries beyond `count` are undefined. */
export class LogIndex {
	/** The parsed first line, when it is a header of a known kind. */
	header: Readonly<Record<string, unknown>> | undefined;
	/** Records indexed. */
	count = 0;
	/** Bytes held, a last unfinished line included. */
	lengthBytes = 0;
	/** Lines read, of any kind. */
	lines = 0;
	/** Lines that seal a batch. */
	seals = 0;
	problemCount = 0;
	readonly problems: LineProblem[] = [];
	readonly types = new Interner();
	readonly actors = new Interner();

	/** Bytes of the log; only the first `lengthBytes` count. */
	bytes: Uint8Array;
	lineStart = new Uint32Array(RECORDS_AT_START);
	lineEnd = new Uint32Array(RECORDS_AT_START);
	seq = new Uint32Array(RECORDS_AT_START);
	/** Nanoseconds since the epoch named in the header. */
	t = new Float64Array(RECORDS_AT_START);
	/** Number in `types`. */
	type = new Uint32Array(RECORDS_AT_START);
	/** Number in `actors`. */
	actor = new Uint32Array(RECORDS_AT_START);
	op = new Uint32Array(RECORDS_AT_START);

	/** Where the first line that is not indexed yet starts. */
	#next = 0;
	readonly #fields = lineFields();

	/** `sizeHintBytes`: the size of the whole log when it is known, to allocate once. */
	constructor(sizeHintBytes = BYTES_AT_START) {
		this.bytes = new Uint8Array(
			Math.min(Math.max(sizeHintBytes, 1), LOG_BYTES_MAX),
		);
	}

	/** Appends bytes and indexes every line that is now complete. Throws LogTooLargeError. */
	push(chunk: Uint8Array): void {
		const length = this.lengthBytes + chunk.length;
		if (length > LOG_BYTES_MAX) throw new LogTooLargeError(length);
		if (length > this.bytes.length) this.#growBytes(length);
		this.bytes.set(chunk, this.lengthBytes);
		this.lengthBytes = length;
		const filled = this.bytes.subarray(0, length);
		for (;;) {
			const end = filled.indexOf(NEWLINE, this.#next);
			if (end < 0) break;
			this.#line(this.#next, end);
			this.#next = end + 1;
		}
	}

	/** Indexes a last line that has no newline (a torn log); call once when no more bytes come. */
	finish(): void {
		if (this.#next < this.lengthBytes) this.#line(this.#next, this.lengthBytes);
		this.#next = this.lengthBytes;
	}

	/** The text of the record at position `at` (0 … count−1). */
	textAt(at: number): string {
		return decoder.decode(
			this.bytes.subarray(this.lineStart[at], this.lineEnd[at]),
		);
	}

	/** The position of the record with that `seq`, or of the last one before it; −1 when it is before the first. */
	positionOf(seq: number): number {
		let low = 0;
		let high = this.count;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.seq[middle] as number) <= seq) low = middle + 1;
			else high = middle;
		}
		return low - 1;
	}

	#growBytes(needed: number): void {
		const size = Math.min(
			Math.max(needed, this.bytes.length * 2),
			LOG_BYTES_MAX,
		);
		const wider = new Uint8Array(size);
		wider.set(this.bytes.subarray(0, this.lengthBytes));
		this.bytes = wider;
	}

	#line(start: number, end: number): void {
		this.lines++;
		if (end === start) return;
		const found = this.#fields;
		if (scanLine(this.bytes, start, end, found)) {
			this.#add(
				start,
				end,
				found.seq,
				found.t,
				found.op,
				this.types.of(this.bytes, found.typeStart, found.typeEnd),
				this.actors.of(this.bytes, found.actorStart, found.actorEnd),
			);
		} else this.#otherLine(start, end);
	}

	/** Header, seal, a record in another key order, or a problem. */
	#otherLine(start: number, end: number): void {
		if (this.#isSeal(start)) {
			this.seals++;
			return;
		}
		let value: unknown;
		try {
			value = JSON.parse(decoder.decode(this.bytes.subarray(start, end)));
		} catch (error) {
			this.#problem(error instanceof Error ? error.message : "not JSON");
			return;
		}
		if (typeof value !== "object" || value === null) {
			this.#problem("not an object");
			return;
		}
		const line = value as Record<string, unknown>;
		if (this.lines === 1 && typeof line["format"] === "string")
			this.header = line;
		else if (isRecordShape(line)) this.#addSlowly(start, end, line);
		else this.#problem("neither header, record nor seal");
	}

	#isSeal(start: number): boolean {
		return SEAL_START.every((byte, i) => this.bytes[start + i] === byte);
	}

	#addSlowly(start: number, end: number, line: RecordShape): void {
		const intern = (table: Interner, text: string): number => {
			const bytes = new TextEncoder().encode(JSON.stringify(text).slice(1, -1));
			return table.of(bytes, 0, bytes.length);
		};
		this.#add(
			start,
			end,
			line.seq,
			line.t,
			line.op,
			intern(this.types, line.type),
			intern(this.actors, line.actor),
		);
	}

	#add(
		start: number,
		end: number,
		seq: number,
		t: number,
		op: number,
		type: number,
		actor: number,
	): void {
		const at = this.count;
		if (at > 0 && seq <= (this.seq[at - 1] as number)) {
			this.#problem(`seq ${seq} does not follow ${this.seq[at - 1]}`);
			return;
		}
		if (at === this.seq.length) this.#growColumns();
		this.lineStart[at] = start;
		this.lineEnd[at] = end;
		this.seq[at] = seq;
		this.t[at] = t;
		this.op[at] = op;
		this.type[at] = type;
		this.actor[at] = actor;
		this.count = at + 1;
	}

	#growColumns(): void {
		this.lineStart = grown(this.lineStart, Uint32Array);
		this.lineEnd = grown(this.lineEnd, Uint32Array);
		this.seq = grown(this.seq, Uint32Array);
		this.t = grown(this.t, Float64Array);
		this.type = grown(this.type, Uint32Array);
		this.actor = grown(this.actor, Uint32Array);
		this.op = grown(this.op, Uint32Array);
	}

	#problem(why: string): void {
		this.problemCount++;
		if (this.problems.length < PROBLEMS_KEPT_MAX)
			this.problems.push({ line: this.lines, column: 1, why });
	}
}

interface RecordShape {
	readonly seq: number;
	readonly t: number;
	readonly op: number;
	readonly type: string;
	readonly actor: string;
}

function isRecordShape(line: object): line is RecordShape {
	const { seq, t, op, type, actor } = line as Record<string, unknown>;
	return (
		Number.isSafeInteger(seq) &&
		Number.isSafeInteger(t) &&
		Number.isSafeInteger(op) &&
		typeof type === "string" &&
		typeof actor === "string"
	);
}
