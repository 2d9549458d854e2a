/**
 * Reading a log: whole sealed batches only. Bytes go in chunk by chunk, records come out to a handler; what lies behind the last
 * seal is never handed on but reported as the tail.
 *
 * Not verified here: that the log is the one you think it is (compare the head hash), and that free-form values are canonical
 * (`log check` does).
 */
import { FORMAT_VERSION, type LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { explainDamage } from "./damage.ts";
import { LogError } from "./error.ts";
import { decodeHeader } from "./header-line.ts";
import { decodeLine } from "./record-line.ts";
import { versionOf } from "./upcast.ts";
import type {
	LogHandler,
	ResumePoint,
	ScanSummary,
	TornTail,
} from "./scan-types.ts";
import { LineDecoder } from "./scan-line.ts";
import {
	type Chain,
	decodeSeal,
	digest,
	type Head,
	SEAL_START,
	SEAL_TAIL_LENGTH,
	type Seal,
	sealPrefix,
} from "./seal.ts";

export type {
	LogHandler,
	ResumePoint,
	ScanSummary,
	TornTail,
} from "./scan-types.ts";

const NEWLINE = 0x0a;
const SEAL_NEEDLE = Buffer.from(`\n${SEAL_START}`);
const SEAL_BYTES = Buffer.from(SEAL_START);
/** How much is looked at in one go: small enough for the processor's cache. */
const PIECE_BYTES = 1 << 18;
const START_BYTES = 1 << 16;
/** The largest batch (and line) that is read or written: bounds the memory of a reader, whatever a file holds. */
export const BATCH_BYTES_MAX = 64 << 20;
/** Enough to see whether a file is a log: it tells so in its first bytes, unless its first lines are damaged. */
const PROBE_BYTES = 4096;
const LOG_SIGNS = /"iommu-ledger"|^\{"(?:seal|seq)":/m;
/** How much is kept behind a damaged place to find out what happened there. */
const EXPLAIN_BYTES_MAX = 64 << 20;

/** Text of bytes. Undefined when they are no UTF-8. */
export function utf8Text(bytes: Uint8Array): string | undefined {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
			bytes,
		);
	} catch {
		return undefined;
	}
}

/** The push form of `scanLog`: give it chunks as they come, then `end`. Throws LogError from either; it is of no use after that. */
export class LogScanner {
	readonly #handler: LogHandler;
	readonly #onRecord: LogHandler["record"];
	readonly #decoder = new LineDecoder();
	#buffer = Buffer.allocUnsafe(START_BYTES);
	/** Valid bytes are [0, #end); the open batch starts at #batch; the seal line before it at #chain (or equal, for the first). */
	#end = 0;
	#batch = 0;
	#chain = 0;
	/** How far the buffer was searched for seals. */
	#searched = 0;
	/** Offset in the log of buffer position 0. */
	#origin = 0;
	#header: LogHeader | undefined;
	/** Format version of the bytes; `#header` is as the current version has it. */
	#version = FORMAT_VERSION;
	#head: Head = { seq: -1, hash: "" };
	#lines = 0;
	#seals = 0;
	#uncanonical = 0;
	/** Set at the first damage: bytes are only collected from then on, and explained at the end. */
	#damaged: LogError | undefined;

	/** Reads from the start of a log, or from behind a seal. */
	constructor(handler: LogHandler, resume?: ResumePoint) {
		this.#handler = handler;
		this.#onRecord = handler.record?.bind(handler);
		if (resume === undefined) return;
		this.#header = resume.header;
		this.#version = resume.version ?? FORMAT_VERSION;
		this.#head = resume.chain.head;
		this.#lines = resume.lines;
		this.#end = this.#buffer.write(`${resume.chain.line}\n`);
		this.#batch = this.#end;
		this.#origin = resume.bytes - this.#end;
	}

	/** Takes the next bytes; hands on every batch that is complete with them. The chunk may be reused afterwards. */
	push(chunk: Uint8Array): void {
		for (let at = 0; at < chunk.length; at += PIECE_BYTES)
			this.#pushPiece(chunk.subarray(at, at + PIECE_BYTES));
	}

	#pushPiece(piece: Uint8Array): void {
		const kept = this.#end - this.#chain;
		if (this.#damaged !== undefined && kept > EXPLAIN_BYTES_MAX) return;
		if (kept > BATCH_BYTES_MAX + PIECE_BYTES) throw this.#tooLarge();
		this.#room(piece.length);
		this.#buffer.set(piece, this.#end);
		this.#end += piece.length;
		if (this.#head.seq < 0 && this.#end >= PROBE_BYTES) this.#probe();
		if (this.#damaged === undefined) this.#batches();
	}

	/** No more bytes. */
	end(): ScanSummary {
		if (this.#header === undefined && this.#damaged === undefined)
			throw this.#noHeader();
		const tail = this.#tail();
		return {
			header: this.#header as LogHeader,
			version: this.#version,
			head: this.#head,
			chain: this.#chainNow(),
			records: this.#head.seq,
			seals: this.#seals,
			lines: this.#lines,
			bytes: this.#origin + this.#batch,
			uncanonical: this.#uncanonical,
			tail,
		};
	}

	/** Where reading could go on later: behind the last seal. Only after the header was read. */
	place(): ResumePoint {
		const header = this.#header as LogHeader;
		return {
			header,
			version: this.#version,
			chain: this.#chainNow(),
			lines: this.#lines,
			bytes: this.#origin + this.#batch,
		};
	}

	#chainNow(): Chain {
		const line = this.#buffer.toString("utf8", this.#chain, this.#batch - 1);
		return { line, head: this.#head };
	}

	/** The last sealed position so far. */
	get head(): Head {
		return this.#head;
	}

	#room(bytes: number): void {
		if (this.#end + bytes <= this.#buffer.length) return;
		const kept = this.#end - this.#chain;
		const size = Math.max(
			this.#buffer.length,
			2 ** Math.ceil(Math.log2(kept + bytes)),
		);
		const target =
			size > this.#buffer.length ? Buffer.allocUnsafe(size) : this.#buffer;
		this.#buffer.copy(target, 0, this.#chain, this.#end);
		this.#buffer = target;
		this.#origin += this.#chain;
		this.#batch -= this.#chain;
		this.#searched -= this.#chain;
		this.#end = kept;
		this.#chain = 0;
	}

	/** Refuses at once what is no log at all, instead of looking for a seal in megabytes of something else. */
	#probe(): void {
		const start = this.#buffer.toString("latin1", 0, PROBE_BYTES);
		if (!LOG_SIGNS.test(start)) decodeHeader(start.split("\n", 1)[0] ?? "");
	}

	/** Reads up to the last complete seal line in the buffer. */
	#batches(): void {
		const buffer = this.#buffer.subarray(0, this.#end);
		const from = Math.max(this.#searched - SEAL_NEEDLE.length, this.#batch);
		const fresh = buffer.subarray(from);
		let seal = fresh.lastIndexOf(SEAL_NEEDLE);
		let close = seal < 0 ? -1 : buffer.indexOf(NEWLINE, from + seal + 1);
		// A seal line that has only begun is looked at again when more bytes are there; the one before it will do for now.
		const begun = seal >= 0 && close < 0;
		this.#searched = begun ? from + seal + SEAL_NEEDLE.length : this.#end;
		if (begun && seal > 0) {
			seal = fresh.lastIndexOf(SEAL_NEEDLE, seal - 1);
			close = seal < 0 ? -1 : buffer.indexOf(NEWLINE, from + seal + 1);
		}
		if (close < 0) return;
		this.#decoder.use(buffer, close + 1);
		try {
			while (this.#batch <= close) this.#readBatch(buffer);
		} catch (error) {
			if (!(error instanceof LogError) || !EXPLAINABLE.has(error.code))
				throw error;
			this.#damaged = error;
		}
	}

	/** One batch: header or records, then its seal. */
	#readBatch(buffer: Buffer): void {
		const onRecord = this.#onRecord;
		const decoder = this.#decoder;
		const old = this.#version < FORMAT_VERSION;
		let at = this.#batch;
		let line = this.#lines + 1;
		if (this.#head.seq < 0) {
			at = this.#readHeader(buffer);
			line++;
		}
		let seq = Math.max(this.#head.seq, 0);
		for (;;) {
			let found = old ? undefined : decoder.decode(at);
			let next = decoder.position;
			if (found === undefined) {
				if (startsSeal(buffer, at)) break;
				next = buffer.indexOf(NEWLINE, at) + 1;
				found = slowRecord(buffer.subarray(at, next - 1), line, this.#version);
				if (!old) this.#uncanonical++;
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
		this.#readSeal(buffer, at, seq, line);
	}

	#readHeader(buffer: Buffer): number {
		const close = buffer.indexOf(NEWLINE);
		const text = utf8Text(buffer.subarray(0, close));
		if (text === undefined) throw notUtf8(1);
		this.#header = decodeHeader(text);
		this.#version = versionOf(JSON.parse(text));
		this.#handler.header?.(this.#header);
		return close + 1;
	}

	#readSeal(buffer: Buffer, at: number, seq: number, line: number): void {
		const count = seq - Math.max(this.#head.seq, 0);
		const seal =
			this.#plainSeal(buffer, at, seq, count) ??
			this.#otherSeal(buffer, at, seq, count, line);
		this.#head = { seq, hash: seal.hash };
		this.#lines = line;
		this.#seals++;
		this.#chain = at;
		this.#batch = buffer.indexOf(NEWLINE, at) + 1;
		this.#handler.seal?.(seal);
	}

	/** The seal that must stand here if all is well and it has no key: one comparison instead of a parse. */
	#plainSeal(
		buffer: Buffer,
		at: number,
		seq: number,
		count: number,
	): Seal | undefined {
		const prefix = sealPrefix(seq, count, undefined);
		const end = at + prefix.length;
		const hash = digest(buffer.subarray(this.#chain, end));
		const line = buffer.toString("latin1", at, end + SEAL_TAIL_LENGTH + 1);
		return line === `${prefix},"hash":"${hash}"}\n`
			? { seq, count, hash }
			: undefined;
	}

	#otherSeal(
		buffer: Buffer,
		at: number,
		seq: number,
		count: number,
		line: number,
	): Seal {
		const close = buffer.indexOf(NEWLINE, at);
		const seal = decodeSeal(buffer.toString("utf8", at, close));
		if (seal === undefined)
			throw new LogError("bad-line", "no well-formed seal", {
				line,
				column: 1,
				seq,
			});
		if (seal.seq !== seq || seal.count !== count)
			throw new LogError(
				"missing-lines",
				`the seal covers ${seal.count} records up to ${seal.seq}; found ${count} up to ${seq}`,
				{ line, seq },
			);
		const sum = digest(buffer.subarray(this.#chain, close - SEAL_TAIL_LENGTH));
		if (sum !== seal.hash)
			throw new LogError("damaged", "the hash does not match the bytes", {
				line,
				seq,
			});
		return seal;
	}

	/** What lies behind the last seal. Throws when that is damage, not an append that was cut short. */
	#tail(): TornTail | undefined {
		const rest = this.#buffer.subarray(this.#batch, this.#end);
		if (rest.length === 0) return undefined;
		const offset = this.#origin + this.#batch;
		const line = this.#lines + 1;
		const first = this.#damaged;
		const previous = this.#buffer.subarray(this.#chain, this.#batch);
		const { code, error, records } = explainDamage({
			previous,
			rest,
			offset,
			head: this.#head,
			line,
			first,
		});
		if (code === "torn-tail" && this.#head.seq >= 0)
			return {
				line,
				offset,
				bytes: rest.length,
				records,
				seq: this.#head.seq + 1,
			};
		// No log at all, or one of a later version, unless it can be proven that it was not always so.
		const foreign =
			first?.code === "not-a-log" || first?.code === "newer-version";
		throw first !== undefined && foreign && code === "damaged" ? first : error;
	}

	#noHeader(): LogError {
		const text = utf8Text(this.#buffer.subarray(0, Math.min(this.#end, 4096)));
		const first = text?.split("\n", 1)[0];
		if (this.#end === 0)
			return new LogError("not-a-log", "the file is empty", {
				line: 1,
				seq: 0,
				hint: "Nothing was ever written to it.",
			});
		if (first !== undefined && !first.startsWith('{"format":"iommu-ledger"')) {
			try {
				decodeHeader(first);
			} catch (error) {
				if (error instanceof LogError) return error;
			}
		}
		return new LogError("torn-tail", "not even the header is sealed", {
			line: 1,
			seq: 0,
			hint: "The log was cut in its first write; it never held a record.",
		});
	}

	#tooLarge(): LogError {
		return new LogError(
			"too-large",
			`no seal within ${BATCH_BYTES_MAX >> 20} MiB`,
			{
				line: this.#lines + 1,
				seq: this.#head.seq + 1,
				hint: "A batch this large is never written; the file is damaged or no log.",
			},
		);
	}
}

/** Errors of the first look that `explainDamage` turns into what happened. */
const EXPLAINABLE: ReadonlySet<string> = new Set([
	"bad-line",
	"bad-record",
	"missing-lines",
	"damaged",
	"not-a-log",
	"newer-version",
]);

function startsSeal(buffer: Buffer, at: number): boolean {
	for (let i = 0; i < SEAL_BYTES.length; i++)
		if (buffer[at + i] !== SEAL_BYTES[i]) return false;
	return true;
}

const notUtf8 = (line: number): LogError =>
	new LogError("bad-line", "not UTF-8", { line, column: 1 });

function slowRecord(bytes: Buffer, line: number, version: number): LogRecord {
	const text = utf8Text(bytes);
	if (text === undefined) throw notUtf8(line);
	return decodeLine(text, line, version);
}
