/**
 * Logs from files, streams and standard input: plain or gzip (by content, not by name). The scan itself is synchronous per chunk;
 * there is a promise per chunk and none per record.
 */
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { LogError } from "./error.ts";
import { type LogHandler, LogScanner, type ScanSummary } from "./scan.ts";
import { copyRecord } from "./scan-line.ts";
import type { Seal } from "./seal.ts";

/** Where a log comes from: a path, `-` for standard input, or chunks of bytes. */
export type LogSource =
	| string
	| AsyncIterable<Uint8Array>
	| Iterable<Uint8Array>;

const READ_BYTES = 1 << 20;

/** The bytes of a file, in chunks that are reused: use each before asking for the next. */
async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
	const file = await open(path, "r");
	try {
		const buffer = Buffer.allocUnsafe(READ_BYTES);
		for (;;) {
			const { bytesRead } = await file.read(buffer, 0, READ_BYTES, null);
			if (bytesRead === 0) return;
			yield buffer.subarray(0, bytesRead);
		}
	} finally {
		await file.close();
	}
}

function chunksOf(
	source: LogSource,
): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
	if (source === "-") return process.stdin as AsyncIterable<Uint8Array>;
	return typeof source === "string" ? fileChunks(source) : source;
}

const isGzip = (bytes: Uint8Array): boolean =>
	bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Chunks with gzip undone. A compressed stream that ends too early gives what it held, as a cut plain file would. */
export async function* plainChunks(
	source: LogSource,
): AsyncGenerator<Uint8Array> {
	const iterator = toAsync(chunksOf(source));
	const first = await firstBytes(iterator);
	if (first === undefined) return;
	if (!isGzip(first)) {
		yield first;
		yield* iterator;
		return;
	}
	const packed = Readable.from(copies(first, iterator), { objectMode: false });
	const unpacked = createGunzip({ chunkSize: 1 << 18 });
	packed.on("error", (error) => unpacked.destroy(error));
	try {
		yield* packed.pipe(unpacked) as AsyncIterable<Uint8Array>;
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === "Z_BUF_ERROR") return;
		if (!((cause as NodeJS.ErrnoException).code ?? "").startsWith("Z_"))
			throw cause;
		throw new LogError("bad-gzip", "the gzip data is damaged", {
			hint: "Copy the file again, or look for the uncompressed log.",
			cause,
		});
	}
}

async function* toAsync(
	chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
	yield* chunks;
}

/** The stream in front of zlib reads ahead, so reused chunks must be copied. */
async function* copies(
	first: Uint8Array,
	rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
	yield Buffer.from(first);
	for await (const chunk of rest) yield Buffer.from(chunk);
}

/** The first chunk, with at least 2 bytes unless there are fewer. */
async function firstBytes(
	iterator: AsyncGenerator<Uint8Array>,
): Promise<Uint8Array | undefined> {
	let bytes: Uint8Array | undefined;
	while (bytes === undefined || bytes.length < 2) {
		const { value, done } = await iterator.next();
		if (done) return bytes;
		bytes = bytes === undefined ? value : Buffer.concat([bytes, value]);
	}
	return bytes;
}

/**
 * Reads a whole log and hands every sealed record to the handler, in order. Throws LogError when the log is damaged: the code
 * says how (flipped-byte, missing-lines, swapped-lines, …), with line, column and seq. A torn tail is no error but
 * `summary.tail`: what lies behind the last seal was never acknowledged.
 */
export async function scanLog(
	source: LogSource,
	handler: LogHandler = {},
): Promise<ScanSummary> {
	const scanner = new LogScanner(handler);
	for await (const chunk of plainChunks(source)) scanner.push(chunk);
	return scanner.end();
}

/** A sealed batch: records of their own, which may be kept. */
export interface LogBatch {
	readonly records: readonly LogRecord[];
	readonly seal: Seal;
}

/** A log being read batch by batch. */
export interface OpenLog {
	readonly header: LogHeader;
	/** Call once. Returns the summary when the log is read to its end. */
	batches(): AsyncGenerator<LogBatch, ScanSummary>;
}

/**
 * Opens a log for reading batch by batch, with back-pressure: nothing is read ahead of the caller but one chunk. Slower than
 * `scanLog`, which makes no object per record. Throws LogError like it, from here (no log at all) or from the batches.
 */
export async function readLog(source: LogSource): Promise<OpenLog> {
	const ready: LogBatch[] = [];
	let header: LogHeader | undefined;
	let records: LogRecord[] = [];
	const scanner = new LogScanner({
		header: (found) => {
			header = found;
		},
		record: (record) => {
			records.push(copyRecord(record));
		},
		seal: (seal) => {
			if (seal.count > 0) ready.push({ records, seal });
			records = [];
		},
	});
	const chunks = plainChunks(source);
	let summary: ScanSummary | undefined;
	const more = async (): Promise<void> => {
		const { value, done } = await chunks.next();
		if (done) summary = scanner.end();
		else scanner.push(value);
	};
	while (header === undefined && summary === undefined) await more();
	if (header === undefined)
		throw new LogError("not-a-log", "no header", { line: 1 });
	return {
		header,
		async *batches() {
			try {
				for (;;) {
					yield* ready.splice(0);
					if (summary !== undefined) return summary;
					await more();
				}
			} finally {
				await chunks.return(undefined);
			}
		},
	};
}

/** A whole log in memory: for small logs and tests. */
export interface LoadedLog extends ScanSummary {
	readonly contents: readonly LogRecord[];
	readonly sealed: readonly Seal[];
}

/** Reads a log into memory. Throws LogError like `scanLog`. */
export async function loadLog(source: LogSource): Promise<LoadedLog> {
	const contents: LogRecord[] = [];
	const sealed: Seal[] = [];
	const summary = await scanLog(source, {
		record: (record) => {
			contents.push(copyRecord(record));
		},
		seal: (seal) => {
			sealed.push(seal);
		},
	});
	return { ...summary, contents, sealed };
}
