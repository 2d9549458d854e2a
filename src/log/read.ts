/**
 * Reading logs, wherever they are: a file, a directory of segments, a stream, standard input; NDJSON or binary; plain or gzip. The scan
 * itself is synchronous per chunk; there is a promise per chunk and none per record.
 */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { firstBytes, type LogSource, plainChunks } from "./chunks.ts";
import { BINARY, codecOf } from "./binary.ts";
import { NDJSON } from "./codec.ts";
import { LogError } from "./error.ts";
import { isUnborn, lastSeal } from "./file-open.ts";
import { nodeIo } from "./io.ts";
import { copyRecord } from "./scan-line.ts";
import type { LogHandler, ScanSummary, TornTail } from "./scan-types.ts";
import type { Seal } from "./seal.ts";
import {
	brokenStart,
	inSegment,
	listSegments,
	type Segment,
} from "./segments.ts";

export { plainChunks } from "./chunks.ts";
export type { LogSource } from "./chunks.ts";

/** Enough to hold what a segment starts with. */
const START_BYTES = 4096;

/** Scans chunk by chunk: yields after each, so that the caller sets the pace. */
async function* scanning(
	source: LogSource,
	handler: LogHandler,
): AsyncGenerator<void, ScanSummary> {
	if (
		typeof source === "string" &&
		source !== "-" &&
		(await nodeIo.isDirectory(source))
	)
		return yield* scanningSegments(source, handler);
	return yield* scanningStream(source, handler, undefined, undefined);
}

async function* scanningStream(
	source: LogSource,
	handler: LogHandler,
	segment: Segment | undefined,
	before: ScanSummary | undefined,
): AsyncGenerator<void, ScanSummary> {
	const chunks = plainChunks(source);
	try {
		const first = await firstBytes(chunks, START_BYTES);
		const codec = codecOf(first ?? new Uint8Array());
		let skip = 0;
		let scanner = codec.scanner(handler);
		if (segment !== undefined && before !== undefined) {
			const start = codec.continues(Buffer.from(first ?? []));
			if (start?.chain.head.hash !== before.head.hash)
				throw brokenStart(segment);
			scanner = codec.scanner(handler, {
				header: before.header,
				version: before.version,
				...start,
			});
			skip = start.bytes;
			handler.segment?.();
		}
		if (first !== undefined) scanner.push(first.subarray(skip));
		yield;
		for await (const chunk of chunks) {
			scanner.push(chunk);
			yield;
		}
		return scanner.end();
	} finally {
		await chunks.return(undefined);
	}
}

async function* scanningSegments(
	directory: string,
	handler: LogHandler,
): AsyncGenerator<void, ScanSummary> {
	const segments = await listSegments(nodeIo, directory);
	let whole: ScanSummary | undefined;
	for (const segment of segments) {
		if (whole?.tail !== undefined) throw cutSegment(segment, whole);
		const unborn = await beginning(segments, segment);
		if (unborn !== undefined && whole !== undefined) {
			const tail = {
				line: 1,
				offset: 0,
				bytes: unborn,
				records: 0,
				seq: segment.first,
				path: segment.path,
			};
			return { ...whole, tail };
		}
		try {
			const part: ScanSummary = yield* scanningStream(
				segment.path,
				handler,
				segment,
				whole,
			);
			const named = { ...part, tail: inPath(part.tail, segment) };
			whole = whole === undefined ? named : joined(whole, named);
		} catch (error) {
			throw inSegment(error, segment);
		}
	}
	if (whole === undefined)
		throw new LogError("not-a-log", `${directory} holds no segments`, {
			hint: "A log directory holds files like 0000000000000000.ndjson.",
		});
	return whole;
}

/** Size of the last segment when it is only the beginning of one: its writer died, or is just making it. */
async function beginning(
	segments: readonly Segment[],
	segment: Segment,
): Promise<number | undefined> {
	const before = segments.at(-2);
	if (segment !== segments.at(-1) || before === undefined) return undefined;
	const codec = segment.path.endsWith(BINARY.extension) ? BINARY : NDJSON;
	const expected = await lastSeal(nodeIo, before, codec);
	if (expected === undefined || !(await isUnborn(nodeIo, segment, expected)))
		return undefined;
	return (await nodeIo.readAll(segment.path)).length;
}

const joined = (a: ScanSummary, b: ScanSummary): ScanSummary => ({
	...b,
	seals: a.seals + b.seals,
	lines: a.lines + b.lines,
	bytes: a.bytes + b.bytes,
	uncanonical: a.uncanonical + b.uncanonical,
});

const inPath = (
	tail: TornTail | undefined,
	{ path }: Segment,
): TornTail | undefined => tail && { ...tail, path };

const cutSegment = (next: Segment, whole: ScanSummary): LogError =>
	new LogError(
		"missing-lines",
		`the segment before record ${next.first} ends without a seal`,
		{
			line: whole.tail?.line,
			seq: whole.head.seq + 1,
			hint: "It was cut after the next one had begun. Put back a copy of it.",
		},
	);

/**
 * Reads a whole log and hands every sealed record to the handler, in order. Throws LogError when the log is damaged: the code
 * says how (flipped-byte, missing-lines, swapped-lines, …), with line, column and seq. A torn tail is no error but
 * `summary.tail`: what lies behind the last seal was never acknowledged.
 */
export async function scanLog(
	source: LogSource,
	handler: LogHandler = {},
): Promise<ScanSummary> {
	const scan = scanning(source, handler);
	for (;;) {
		const { value, done } = await scan.next();
		if (done) return value;
	}
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
	const scan = scanning(source, {
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
	let summary: ScanSummary | undefined;
	const more = async (): Promise<void> => {
		const { value, done } = await scan.next();
		if (done) summary = value;
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
				// Ends the reading of the source; a summary is not made then.
				await scan.return(undefined as unknown as ScanSummary);
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
