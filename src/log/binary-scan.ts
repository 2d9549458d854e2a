/** Reading binary logs: as scan.ts does NDJSON. Bytes in, proven batches out; what lies behind the last seal is the tail. */
import type { Hash } from "node:crypto";
import type { LogHeader } from "../vocabulary/header.ts";
import { FORMAT_VERSION } from "../vocabulary/header.ts";
import { ByteReader } from "./binary-bytes.ts";
import { badSignature, explainFrames } from "./binary-damage.ts";
import {
	FRAME,
	frameEnd,
	hasUnwrittenSector,
	HASH_BYTES,
	HEAD_BYTES,
	readSealFrame,
	SIGNATURE,
	signatureFaults,
} from "./binary-frames.ts";
import { NameReader, nameTable, type NameTable } from "./binary-names.ts";
import { RecordReader } from "./binary-record.ts";
import { GROUP_BYTES_MAX } from "./damage.ts";
import { LogError } from "./error.ts";
import { decodeHeader } from "./header-line.ts";
import type {
	LogHandler,
	ResumePoint,
	ScanSummary,
	TornTail,
} from "./scan-types.ts";
import { BATCH_BYTES_MAX } from "./scan.ts";
import { CHAIN_START, type Chain, type Head } from "./seal.ts";

const PIECE_BYTES = 1 << 18;

/** The push form, with the same promises as LogScanner. "Lines" are frames here. */
export class BinaryScanner {
	readonly #handler: LogHandler;
	readonly #onRecord: LogHandler["record"];
	readonly #in = new ByteReader();
	readonly #names: NameReader;
	readonly #records: RecordReader;
	#buffer: Buffer = Buffer.allocUnsafe(1 << 16);
	#end = 0;
	/** Start of what is not handed on yet. */
	#position = 0;
	/** Frames were walked up to here; the last whole seal frame among them, or -1. */
	#walked = 0;
	#seal = -1;
	#sealEnd = 0;
	#broken = false;
	#origin = 0;
	#sum: Hash;
	/** Where the last seal frame is in the buffer; -1: no longer there, but in #lastSeal. */
	#sealAt = -1;
	#lastSeal: Buffer = Buffer.alloc(0);
	#header: LogHeader | undefined;
	#seq = CHAIN_START.head.seq;
	#frames = 0;
	#seals = 0;

	/** Reads from the start of a log, or from behind a seal. */
	constructor(handler: LogHandler, resume?: ResumePoint) {
		this.#handler = handler;
		this.#onRecord = handler.record?.bind(handler);
		const chain = (resume?.chain ?? CHAIN_START) as Chain & {
			names?: NameTable;
			named?: number;
		};
		this.#names = new NameReader(
			this.#in,
			chain.names ?? nameTable(),
			chain.named ?? 0,
		);
		this.#records = new RecordReader(this.#in, this.#names);
		this.#sum = chain.sum;
		if (resume === undefined) return;
		this.#header = resume.header;
		this.#seq = chain.head.seq;
		this.#lastSeal = Buffer.from(chain.line, "latin1");
		this.#frames = resume.lines;
		this.#origin = resume.bytes;
	}

	/** Takes the next bytes; hands on every batch that is complete with them. */
	push(chunk: Uint8Array): void {
		for (let at = 0; at < chunk.length; at += PIECE_BYTES)
			this.#piece(chunk.subarray(at, at + PIECE_BYTES));
	}

	/** No more bytes. */
	end(): ScanSummary {
		if (this.#header === undefined) throw this.#noHeader();
		const tail = this.#tail();
		const { header, chain, lines, bytes } = this.place();
		const { head } = chain;
		return {
			header,
			codec: "binary",
			version: FORMAT_VERSION,
			head,
			chain,
			records: head.seq,
			seals: this.#seals,
			lines,
			bytes,
			uncanonical: 0,
			tail,
		};
	}

	/** Bytes of the log up to and with the last seal handed on. */
	get bytes(): number {
		return this.#origin + this.#position;
	}

	/** Where reading could go on later: behind the last seal handed on. */
	place(): ResumePoint {
		const { table } = this.#names;
		const sum =
			this.#checkedSum === undefined
				? this.#sum
				: this.#sum
						.copy()
						.update(this.#buffer.subarray(this.#checkedSum, this.#position));
		const frame = this.#lastFrame();
		const head: Head = {
			seq: this.#seq,
			hash: frame.toString("hex", frame.length - HASH_BYTES),
		};
		const chain = {
			line: frame.toString("latin1"),
			head,
			sum,
			names: table,
			named: table.list.length,
		};
		return {
			header: this.#header as LogHeader,
			chain,
			lines: this.#frames,
			bytes: this.bytes,
		};
	}

	/** While a region is handed on: where #sum ends in the buffer. */
	#checkedSum: number | undefined;

	#piece(piece: Uint8Array): void {
		const kept = this.#end - this.#position;
		if (kept > BATCH_BYTES_MAX + PIECE_BYTES) {
			if (this.#broken) return;
			throw new LogError(
				"too-large",
				`no seal within ${BATCH_BYTES_MAX >> 20} MiB`,
				{ seq: this.#seq + 1 },
			);
		}
		this.#room(piece.length);
		this.#buffer.set(piece, this.#end);
		this.#end += piece.length;
		if (
			this.#origin === 0 &&
			this.#walked === 0 &&
			this.#end >= SIGNATURE.length
		)
			this.#signature();
		if (!this.#broken) this.#walk();
		if (this.#seal >= 0) this.#region();
	}

	#room(bytes: number): void {
		if (this.#end + bytes <= this.#buffer.length) return;
		const kept = this.#end - this.#position;
		const size = Math.max(
			this.#buffer.length,
			2 ** Math.ceil(Math.log2(kept + bytes)),
		);
		const target =
			size > this.#buffer.length ? Buffer.allocUnsafe(size) : this.#buffer;
		this.#lastSeal = Buffer.from(this.#lastFrame());
		this.#sealAt = -1;
		this.#buffer.copy(target, 0, this.#position, this.#end);
		this.#buffer = target;
		this.#origin += this.#position;
		this.#walked -= this.#position;
		this.#end = kept;
		this.#position = 0;
	}

	#signature(): void {
		const faults = signatureFaults(this.#buffer);
		if (faults.length > 0) throw badSignature(this.#buffer, faults);
		this.#walked = SIGNATURE.length;
	}

	/** Finds the last whole seal frame. */
	#walk(): void {
		if (this.#header === undefined && this.#walked === 0) return;
		for (;;) {
			const next = frameEnd(this.#buffer, this.#walked, this.#end);
			if (next === "partial") return;
			if (next === "broken") {
				this.#broken = true;
				return;
			}
			if (this.#buffer[this.#walked] === FRAME.seal) {
				this.#seal = this.#walked;
				this.#sealEnd = next;
			}
			this.#walked = next;
		}
	}

	/** Checks the last whole seal and hands on what it proves; else batch by batch up to the damage. */
	#region(): void {
		const seal = this.#seal;
		const end = this.#sealEnd;
		this.#seal = -1;
		if (this.#proves(end)) return;
		this.#broken = true;
		for (
			let at =
				this.#position === 0 && this.#header === undefined
					? SIGNATURE.length
					: this.#position;
			at <= seal;
		) {
			const next = frameEnd(this.#buffer, at, this.#end);
			if (typeof next !== "number") return;
			if (this.#buffer[at] === FRAME.seal && !this.#proves(next)) return;
			at = next;
		}
	}

	#proves(end: number): boolean {
		const start = this.#position;
		const sum = this.#sum
			.copy()
			.update(this.#buffer.subarray(start, end - HASH_BYTES));
		const hash = sum.copy().digest();
		if (!hash.equals(this.#buffer.subarray(end - HASH_BYTES, end)))
			return false;
		this.#checkedSum = start;
		while (this.#position < end) this.#batch();
		this.#checkedSum = undefined;
		this.#sum = sum.update(hash);
		return true;
	}

	/** One proven batch: header or records, then its seal. */
	#batch(): void {
		let at =
			this.#header === undefined
				? this.#position + SIGNATURE.length
				: this.#position;
		let seq = this.#seq;
		for (;;) {
			const next = frameEnd(this.#buffer, at, this.#end);
			if (typeof next !== "number")
				throw new LogError("damaged", "no frame", { seq });
			const kind = this.#buffer[at];
			this.#frames++;
			if (kind === FRAME.seal) return this.#sealFrame(at, next, seq);
			if (kind === FRAME.header) {
				this.#header = decodeHeader(
					this.#buffer.toString("utf8", at + HEAD_BYTES, next),
				);
				this.#handler.header?.(this.#header);
				seq = 0;
			} else seq = this.#batchFrame(at + HEAD_BYTES, next, seq);
			at = next;
		}
	}

	#batchFrame(start: number, end: number, before: number): number {
		const input = this.#in;
		const onRecord = this.#onRecord;
		input.use(this.#buffer, start, end);
		if (input.byte() === 1) {
			this.#names.reset();
			this.#records.reset();
		}
		let seq = before;
		let t = 0;
		for (let left = input.count(); left > 0; left--) {
			const found = this.#records.read(++seq, t);
			t = found.t;
			input.check();
			if (onRecord !== undefined) onRecord(found);
		}
		return seq;
	}

	#sealFrame(at: number, next: number, seq: number): void {
		const buffer = this.#buffer;
		const count = seq - Math.max(this.#seq, 0);
		const sealed = buffer.readDoubleLE(at + HEAD_BYTES);
		const counted = buffer.readUInt32LE(at + HEAD_BYTES + 8);
		if (sealed !== seq || counted !== count)
			throw new LogError(
				"missing-lines",
				`the seal covers ${counted} records up to ${sealed}; found ${count} up to ${seq}`,
				{ seq },
			);
		this.#seq = seq;
		this.#sealAt = at;
		this.#seals++;
		this.#position = next;
		this.#handler.seal?.(readSealFrame(buffer.subarray(at, next)));
	}

	/** The last seal frame that was handed on. */
	#lastFrame(): Buffer {
		return this.#sealAt < 0
			? this.#lastSeal
			: this.#buffer.subarray(this.#sealAt, this.#position);
	}

	/** What lies behind the last seal; damage throws. Sectors that were never written: see `unwritten` in damage.ts. */
	#tail(): TornTail | undefined {
		const rest = this.#buffer.subarray(this.#position, this.#end);
		if (rest.length === 0) return undefined;
		const unwritten =
			this.#broken &&
			rest.length <= GROUP_BYTES_MAX &&
			hasUnwrittenSector(rest, this.bytes);
		if (this.#broken && !unwritten) throw this.#damage();
		return {
			line: this.#frames + 1,
			offset: this.bytes,
			bytes: rest.length,
			records: 0,
			seq: this.#seq + 1,
			...(unwritten ? { unwritten } : {}),
		};
	}

	#damage(): LogError {
		return explainFrames({
			sum: this.#sum,
			rest: this.#buffer.subarray(this.#position, this.#end),
			offset: this.bytes,
			frame: this.#frames + 1,
			seq: this.#seq + 1,
		});
	}

	#noHeader(): LogError {
		if (this.#end === 0)
			return new LogError("not-a-log", "the file is empty", {
				line: 1,
				seq: 0,
			});
		return this.#broken
			? this.#damage()
			: new LogError("torn-tail", "not even the header is sealed", {
					line: 1,
					seq: 0,
					hint: "The log was cut in its first write; it never held a record.",
				});
	}
}
