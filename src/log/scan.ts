/**
 * Reading a log: whole sealed batches only. Bytes go in chunk by chunk, records come out to a handler; what lies behind the last
 * seal is never handed on but reported as the tail.
 *
 * Not verified here: that the log is the one you think it is (compare the head hash), and that free-form values are canonical
 * (`log check` does).
 */
import type { Hash } from "node:crypto";
import type { LogHeader } from "../vocabulary/header.ts";
import { BatchReader, startsSeal } from "./batch-reader.ts";
import { explainDamage } from "./damage.ts";
import { LogError } from "./error.ts";
import { decodeHeader } from "./header-line.ts";
import type { LineDecoder } from "./scan-line.ts";
import type {
	LogHandler,
	ResumePoint,
	ScanSummary,
	TornTail,
} from "./scan-types.ts";
import {
	CHAIN_START,
	type Head,
	SEAL_START,
	SEAL_TAIL_LENGTH,
} from "./seal.ts";

export type {
	LogHandler,
	ResumePoint,
	ScanSummary,
	TornTail,
} from "./scan-types.ts";

const NEWLINE = 0x0a;
const SEAL_NEEDLE = Buffer.from(`\n${SEAL_START}`);
/** How much is looked at in one go: small enough for the processor's cache. */
const PIECE_BYTES = 1 << 18;
/** The largest batch (and line) that is read or written: bounds the memory of a reader, whatever a file holds. */
export const BATCH_BYTES_MAX = 64 << 20;
/** Enough to see whether a file is a log: it tells so in its first bytes, unless its first lines are damaged. */
const PROBE_BYTES = 4096;
const LOG_SIGNS = /"iommu-ledger"|^\{"(?:seal|seq)":/m;
/** How much is kept behind a damaged place to find out what happened there. */
const EXPLAIN_BYTES_MAX = 64 << 20;

/** The push form of `scanLog`: give it chunks as they come, then `end`. Throws LogError from either; it is of no use after that. */
export class LogScanner {
	readonly #reader: BatchReader;
	#buffer: Buffer = Buffer.alloc(0);
	/** Valid bytes are [0, #end); what is not handed on yet starts at the reader's position. */
	#end = 0;
	/** How far the buffer was searched for seals. */
	#searched = 0;
	/** Offset in the log of buffer position 0. */
	#origin = 0;
	/** The hash over everything before #checked. Batches before #checked are proven; all of them are handed on at once. */
	#sum: Hash = CHAIN_START.sum;
	#checked = 0;
	/** The last seal line, once it is no longer in the buffer. */
	#lastLine = "";
	/** Set at the first damage: bytes are only collected from then on, and explained at the end. */
	#damaged: LogError | undefined;

	/** Reads from the start of a log, or from behind a seal. `decoder`: one that was used before knows the record types already. */
	constructor(
		handler: LogHandler,
		resume?: ResumePoint,
		decoder?: LineDecoder,
	) {
		this.#reader = new BatchReader(handler, resume, decoder);
		if (resume === undefined) return;
		this.#lastLine = resume.chain.line;
		this.#sum = resume.chain.sum;
		this.#origin = resume.bytes;
	}

	/** Takes the next bytes; hands on every batch that is complete with them. The chunk may be reused afterwards. */
	push(chunk: Uint8Array): void {
		for (let at = 0; at < chunk.length; at += PIECE_BYTES)
			this.#pushPiece(chunk.subarray(at, at + PIECE_BYTES));
	}

	#pushPiece(piece: Uint8Array): void {
		const kept = this.#end - this.#reader.position;
		if (this.#damaged !== undefined && kept > EXPLAIN_BYTES_MAX) return;
		if (kept > BATCH_BYTES_MAX + PIECE_BYTES) throw this.#tooLarge();
		this.#room(piece.length);
		this.#buffer.set(piece, this.#end);
		this.#end += piece.length;
		if (this.#reader.head.seq < 0 && this.#end >= PROBE_BYTES) this.#probe();
		if (this.#damaged === undefined) this.#batches();
	}

	/** No more bytes. */
	end(): ScanSummary {
		if (this.#reader.header === undefined && this.#damaged === undefined)
			throw this.#noHeader();
		const tail = this.#tail();
		return {
			...this.place(),
			codec: "ndjson",
			version: this.#reader.version,
			head: this.#reader.head,
			records: this.#reader.head.seq,
			seals: this.#reader.seals,
			uncanonical: this.#reader.uncanonical,
			tail,
		};
	}

	/** Where reading could go on later: behind the last seal handed on. Only after the header was read. */
	place(): ResumePoint {
		const ahead = this.#buffer.subarray(this.#checked, this.#reader.position);
		return {
			header: this.#reader.header as LogHeader,
			version: this.#reader.version,
			chain: {
				line: this.#line(),
				head: this.#reader.head,
				sum: this.#sum.copy().update(ahead),
			},
			lines: this.#reader.lines,
			bytes: this.bytes,
		};
	}

	/** Bytes of the log up to and with the last seal handed on. */
	get bytes(): number {
		return this.#origin + this.#reader.position;
	}

	/** The last sealed position so far. */
	get head(): Head {
		return this.#reader.head;
	}

	#room(bytes: number): void {
		if (this.#end + bytes <= this.#buffer.length) return;
		const kept = this.#end - this.#reader.position;
		const size = Math.max(
			this.#buffer.length,
			2 ** Math.ceil(Math.log2(kept + bytes)),
		);
		const target =
			size > this.#buffer.length ? Buffer.allocUnsafe(size) : this.#buffer;
		this.#lastLine = this.#line();
		this.#reader.sealAt = -1;
		this.#buffer.copy(target, 0, this.#reader.position, this.#end);
		this.#buffer = target;
		this.#origin += this.#reader.position;
		this.#checked -= this.#reader.position;
		this.#searched -= this.#reader.position;
		this.#end = kept;
		this.#reader.position = 0;
	}

	/** Refuses at once what is no log at all, instead of looking for a seal in megabytes of something else. */
	#probe(): void {
		const start = this.#buffer.toString("latin1", 0, PROBE_BYTES);
		if (!LOG_SIGNS.test(start)) decodeHeader(start.split("\n", 1)[0] ?? "");
	}

	/** Checks and hands on everything up to the last complete seal line in the buffer. */
	#batches(): void {
		const close = this.#lastSealEnd();
		if (close < 0) return;
		const buffer = this.#buffer.subarray(0, this.#end);
		try {
			// One hash for all batches at once; only when it is wrong, one by one to the first that is.
			if (!this.#region(buffer, close)) this.#upToDamage(buffer);
		} catch (error) {
			if (!(error instanceof LogError) || !EXPLAINABLE.has(error.code))
				throw error;
			this.#damaged = error;
		}
	}

	/** Where the newline of the last complete seal line is that was not looked at yet; -1 for none. */
	#lastSealEnd(): number {
		const buffer = this.#buffer.subarray(0, this.#end);
		const from = Math.max(
			this.#searched - SEAL_NEEDLE.length,
			this.#reader.position,
			0,
		);
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
		return close;
	}

	/** Checks the seal line that ends at `close` and hands on what it proves: everything up to it. False when its hash is wrong. */
	#region(buffer: Buffer, close: number): boolean {
		const tail = close - SEAL_TAIL_LENGTH;
		if (tail < this.#checked) return false;
		const sum = this.#sum.copy().update(buffer.subarray(this.#checked, tail));
		const line = `,"hash":"${sum.copy().digest("hex")}"}\n`;
		if (buffer.toString("latin1", tail, close + 1) !== line) return false;
		this.#reader.use(buffer, close + 1);
		while (this.#reader.position <= close) this.#reader.read();
		this.#sum = sum.update(line);
		this.#checked = close + 1;
		return true;
	}

	/** Hands on the batches that are still good, then throws. */
	#upToDamage(buffer: Buffer): never {
		for (;;) {
			const seal = startsSeal(buffer, this.#reader.position)
				? this.#reader.position
				: buffer.indexOf(SEAL_NEEDLE, this.#reader.position) + 1;
			const close = buffer.indexOf(NEWLINE, seal);
			if (!this.#region(buffer, close)) {
				this.#reader.use(buffer, close + 1);
				throw this.#reader.problem(close);
			}
		}
	}

	/** The last seal line that was handed on. */
	#line(): string {
		return this.#reader.sealAt < 0
			? this.#lastLine
			: this.#buffer.toString(
					"utf8",
					this.#reader.sealAt,
					this.#reader.position - 1,
				);
	}

	/** What lies behind the last seal. Throws when that is damage, not an append that was cut short. */
	#tail(): TornTail | undefined {
		const rest = this.#buffer.subarray(this.#reader.position, this.#end);
		if (rest.length === 0) return undefined;
		const line = this.#reader.lines + 1;
		const first = this.#damaged;
		const { code, error, records } = explainDamage({
			previous: this.#line(),
			sum: this.#sum,
			rest,
			offset: this.bytes,
			head: this.#reader.head,
			line,
			first,
		});
		if (code === "torn-tail" && this.#reader.head.seq >= 0)
			return {
				line,
				offset: this.bytes,
				bytes: rest.length,
				records,
				seq: this.#reader.head.seq + 1,
				// A log never holds zeros.
				...(rest.includes(0) ? { unwritten: true } : {}),
			};
		// No log at all, or one of a later version, unless it can be proven that it was not always so.
		const foreign =
			first?.code === "not-a-log" || first?.code === "newer-version";
		throw first !== undefined && foreign && code === "damaged" ? first : error;
	}

	#noHeader(): LogError {
		const start = this.#buffer.toString(
			"utf8",
			0,
			Math.min(this.#end, PROBE_BYTES),
		);
		const first = start.split("\n", 1)[0] ?? "";
		if (this.#end === 0)
			return new LogError("not-a-log", "the file is empty", {
				line: 1,
				seq: 0,
				hint: "Nothing was ever written to it.",
			});
		if (!first.startsWith('{"format":"iommu-ledger"')) {
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
				line: this.#reader.lines + 1,
				seq: this.#reader.head.seq + 1,
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
