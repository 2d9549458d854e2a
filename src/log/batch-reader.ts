/** Reads batches whose bytes are proven (scan.ts) and hands their content on: header, records, seals. */
import { FORMAT_VERSION, type LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { literal, textOf } from "./byte-text.ts";
import { LogError } from "./error.ts";
import { decodeHeader } from "./header-line.ts";
import { LineReader } from "./line-reader.ts";
import { decodeLine, encodeRecord } from "./record-line.ts";
import { LineDecoder } from "./scan-line.ts";
import type { LogHandler, ResumePoint } from "./scan-types.ts";
import { decodeSeal, type Head, SEAL_START, type Seal } from "./seal.ts";
import { versionOf } from "./upcast.ts";

const NEWLINE = 0x0a;
const SEAL = literal(SEAL_START);
const COUNT = literal(',"n":');
const HASH = literal(',"hash":"');
const SEAL_BYTES = Buffer.from(SEAL_START);

/** Tells whether a seal line starts here. */
export function startsSeal(buffer: Buffer, at: number): boolean {
	for (let i = 0; i < SEAL_BYTES.length; i++)
		if (buffer[at + i] !== SEAL_BYTES[i]) return false;
	return true;
}

/** Text of a line. Throws LogError `bad-line` when it is no UTF-8. */
export function lineText(bytes: Uint8Array, line: number): string {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
			bytes,
		);
	} catch (cause) {
		throw new LogError("bad-line", "not UTF-8", { line, column: 1, cause });
	}
}

/** What was read so far, and the means to read on. */
export class BatchReader {
	readonly #handler: LogHandler;
	readonly #onRecord: LogHandler["record"];
	readonly #decoder: LineDecoder;
	readonly #seal = new LineReader();
	#buffer: Buffer = Buffer.alloc(0);
	header: LogHeader | undefined;
	/** Format version of the bytes; `header` is as the current version has it. */
	version: number = FORMAT_VERSION;
	head: Head = { seq: -1, hash: "" };
	lines = 0;
	seals = 0;
	/** Record lines that left the fast path and are not what this program would write. */
	uncanonical = 0;
	/** Where in the buffer the last seal line starts, and where it ends: the next batch starts there. */
	sealAt = -1;
	position = 0;

	/** From the start of a log, or from behind a seal. */
	constructor(
		handler: LogHandler,
		resume?: ResumePoint,
		decoder: LineDecoder = new LineDecoder(),
	) {
		this.#handler = handler;
		this.#decoder = decoder;
		this.#onRecord = handler.record?.bind(handler);
		if (resume === undefined) return;
		this.header = resume.header;
		this.version = resume.version ?? FORMAT_VERSION;
		this.head = resume.chain.head;
		this.lines = resume.lines;
	}

	/** Reads from these bytes from now on, up to `end`, which is behind a newline. */
	use(buffer: Buffer, end: number): void {
		this.#buffer = buffer;
		this.#decoder.use(buffer, end);
		this.#seal.use(buffer, end);
	}

	/** Reads the batch at `position`. Throws LogError for what is no batch at all. */
	read(): void {
		const buffer = this.#buffer;
		const onRecord = this.#onRecord;
		const decoder = this.#decoder;
		const old = this.version < FORMAT_VERSION;
		let at = this.position;
		let line = this.lines + 1;
		if (this.head.seq < 0) {
			at = this.#readHeader(at);
			line++;
		}
		let seq = Math.max(this.head.seq, 0);
		for (;;) {
			let found = old ? undefined : decoder.decode(at);
			let next = decoder.position;
			if (found === undefined) {
				if (startsSeal(buffer, at)) break;
				next = buffer.indexOf(NEWLINE, at) + 1;
				found = this.#slowly(buffer.subarray(at, next - 1), line);
			}
			if (found.seq !== seq + 1)
				throw new LogError(
					"missing-lines",
					`seq is ${found.seq}, expected ${seq + 1}`,
					{ line, seq: seq + 1 },
				);
			seq++;
			line++;
			at = next;
			if (onRecord !== undefined) onRecord(found);
		}
		this.#readSeal(at, seq, line);
	}

	/** The first thing that is wrong with the lines from `position` up to a seal or `end`, as a reader of lines sees it. */
	problem(end: number): LogError {
		const buffer = this.#buffer;
		let line = this.lines + 1;
		let seq = this.head.seq + 1;
		try {
			for (
				let at = this.position;
				at < end && !startsSeal(buffer, at);
				line++, seq++
			) {
				const next = buffer.indexOf(NEWLINE, at) + 1;
				const text = lineText(buffer.subarray(at, next - 1), line);
				if (seq === 0) decodeHeader(text);
				else decodeLine(text, line, this.version);
				at = next;
			}
		} catch (error) {
			if (error instanceof LogError) return error;
			throw error;
		}
		return new LogError("damaged", "the hash does not match the bytes", {
			line,
			seq,
		});
	}

	#slowly(bytes: Buffer, line: number): LogRecord {
		const text = lineText(bytes, line);
		const found = decodeLine(text, line, this.version);
		if (this.version === FORMAT_VERSION && encodeRecord(found) !== text)
			this.uncanonical++;
		return found;
	}

	#readHeader(at: number): number {
		const close = this.#buffer.indexOf(NEWLINE, at);
		const text = lineText(this.#buffer.subarray(at, close), 1);
		this.header = decodeHeader(text);
		this.version = versionOf(JSON.parse(text));
		this.#handler.header?.(this.header);
		return close + 1;
	}

	#readSeal(at: number, seq: number, line: number): void {
		const count = seq - Math.max(this.head.seq, 0);
		const seal =
			this.#plainSeal(at, seq, count) ?? this.#otherSeal(at, seq, count, line);
		const next = this.#buffer.indexOf(NEWLINE, at) + 1;
		this.head = { seq, hash: seal.hash };
		this.lines = line;
		this.seals++;
		this.sealAt = at;
		this.position = next;
		this.#handler.seal?.(seal);
	}

	/** The seal that must stand here if it has no key. */
	#plainSeal(at: number, seq: number, count: number): Seal | undefined {
		const reader = this.#seal;
		reader.position = at;
		if (!reader.take(SEAL) || reader.count() !== seq) return undefined;
		if (!reader.take(COUNT) || reader.count() !== count || !reader.take(HASH))
			return undefined;
		return {
			seq,
			count,
			hash: textOf(reader.bytes, reader.position, reader.position + 64),
		};
	}

	/** A seal with a key, or one that does not fit: then it throws. */
	#otherSeal(at: number, seq: number, count: number, line: number): Seal {
		const seal = decodeSeal(
			this.#buffer.toString("utf8", at, this.#buffer.indexOf(NEWLINE, at)),
		);
		if (seal === undefined)
			throw new LogError("bad-line", "no well-formed seal", {
				line,
				column: 1,
				seq,
			});
		if (seal.seq === seq && seal.count === count) return seal;
		const message = `the seal covers ${seal.count} records up to ${seal.seq}; found ${count} up to ${seq}`;
		throw new LogError("missing-lines", message, { line, seq });
	}
}
