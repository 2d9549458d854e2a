/** Opening a log file for writing: find its end, undo an append that was cut short, or start a new log. */
import { dirname } from "node:path";
import { FORMAT_VERSION, type LogHeader } from "../vocabulary/header.ts";
import type { Continuation, LogCodec, Scanner } from "./codec.ts";
import { type Damage, LogError } from "./error.ts";
import { ioError, type LogFile, type LogIo } from "./io.ts";
import type {
	LogHandler,
	ResumePoint,
	ScanSummary,
	TornTail,
} from "./scan-types.ts";
import { plainChunks } from "./chunks.ts";
import { cutOff, putByte, setAside } from "./set-aside.ts";
import { brokenStart, inSegment, type Segment } from "./segments.ts";

/** What opening had to do. */
export interface Recovery {
	/** Bytes behind the last seal that were dropped: never acknowledged. */
	readonly dropped?: TornTail;
	/** A byte that was put back, proven by the seal. */
	readonly mended?: { readonly line: number; readonly column: number };
	/** A copy of what was cut off, when it held whole lines or blocks that were never written. */
	readonly savedAs?: string;
}

/** An opened segment: where to go on. */
export interface OpenSegment {
	readonly segment: Segment;
	readonly file: LogFile;
	readonly summary: ScanSummary;
	readonly recovery: Recovery;
}

const READ_BYTES = 1 << 20;

/** Scans an open file from its start, or as a later segment of a log. */
export async function scanFile(
	file: LogFile,
	codec: LogCodec,
	handler: LogHandler,
	resume: ResumePoint | undefined,
	onScanner: (scanner: Scanner) => void = () => {},
): Promise<ScanSummary> {
	const scanner = codec.scanner(handler, resume);
	onScanner(scanner);
	const buffer = Buffer.allocUnsafe(
		Math.min(READ_BYTES, (await file.size()) + 1),
	);
	let position = resume?.bytes ?? 0;
	for (;;) {
		const count = await file.read(buffer, position);
		if (count === 0) return scanner.end();
		scanner.push(buffer.subarray(0, count));
		position += count;
	}
}

/** Room for a whole continuation: a seal line with the longest key, every character of it escaped. */
const CONTINUATION_BYTES_MAX = 4096;

/** What a later segment goes on from; undefined when its start is not whole. */
export async function segmentStart(
	file: LogFile,
	codec: LogCodec,
): Promise<Continuation | undefined> {
	const bytes = Buffer.alloc(CONTINUATION_BYTES_MAX);
	return codec.continues(bytes.subarray(0, await file.read(bytes, 0)));
}

/** Where to start reading a segment. Throws LogError `missing-lines` when it does not start with a seal. */
export async function startOf(
	file: LogFile,
	segment: Segment,
	codec: LogCodec,
	header: LogHeader | undefined,
): Promise<ResumePoint | undefined> {
	if (segment.first === 0 || header === undefined) return undefined;
	const start = await segmentStart(file, codec);
	if (start === undefined || start.chain.head.seq !== segment.first - 1)
		throw brokenStart(segment);
	return { header, ...start };
}

/** Reads only the header of a log, from its first segment. */
export async function readHeader(
	io: LogIo,
	first: Segment,
	codec: LogCodec,
): Promise<LogHeader> {
	let header: LogHeader | undefined;
	const scanner = codec.scanner({ header: (found) => (header = found) });
	for await (const chunk of first.archived
		? plainChunks(first.path)
		: fileChunks(io, first.path)) {
		scanner.push(chunk);
		if (header !== undefined) return header;
	}
	return scanner.end().header;
}

async function* fileChunks(
	io: LogIo,
	path: string,
): AsyncGenerator<Uint8Array> {
	const file = await io.open(path, "read");
	try {
		const buffer = Buffer.allocUnsafe(READ_BYTES);
		for (let position = 0; ; ) {
			const count = await file.read(buffer, position);
			if (count === 0) return;
			yield buffer.subarray(0, count);
			position += count;
		}
	} finally {
		await file.close();
	}
}

/**
 * Tells whether a segment is only the beginning of one: the writer died while making it, and nothing in it was acknowledged. That is so
 * when it holds, as far as it goes, the bytes it was to start with (`expected`), blocks that never reached the disk being zeros.
 */
export async function isUnborn(
	io: LogIo,
	segment: Segment,
	expected: Uint8Array,
): Promise<boolean> {
	const file = await io.open(segment.path, "read").catch((error: unknown) => {
		throw ioError(error, `opening ${segment.path}`);
	});
	try {
		const bytes = Buffer.alloc(expected.length + 1);
		const size = await file.read(bytes, 0);
		if (size > expected.length) return false;
		const there = bytes.subarray(0, size);
		return (
			!there.equals(expected) &&
			there.every((byte, i) => byte === 0 || byte === expected[i])
		);
	} finally {
		await file.close();
	}
}

/** The seal that a segment ends in, as the next one repeats it; undefined when it cannot be told. */
export async function lastSeal(
	io: LogIo,
	segment: Segment,
	codec: LogCodec,
): Promise<Uint8Array | undefined> {
	if (segment.archived) return undefined;
	const file = await io.open(segment.path, "read");
	try {
		const from = Math.max(0, (await file.size()) - CONTINUATION_BYTES_MAX);
		const bytes = Buffer.alloc(CONTINUATION_BYTES_MAX);
		return codec.lastSeal(bytes.subarray(0, await file.read(bytes, from)));
	} finally {
		await file.close();
	}
}

/** Scans a sealed segment. */
export async function readSegment(
	io: LogIo,
	segment: Segment,
	codec: LogCodec,
	header: LogHeader,
	handler: LogHandler,
): Promise<void> {
	const file = await io.open(segment.path, "read");
	try {
		await scanFile(
			file,
			codec,
			handler,
			await startOf(file, segment, codec, header),
		);
	} catch (error) {
		throw inSegment(error, segment);
	} finally {
		await file.close();
	}
}

/** Opens the last segment for writing and brings it to its last whole seal. Throws LogError when earlier batches are damaged. */
export async function openSegment(
	io: LogIo,
	segment: Segment,
	codec: LogCodec,
	header: LogHeader | undefined,
	handler: LogHandler,
	onScanner: (scanner: Scanner) => void,
): Promise<OpenSegment> {
	const file = await io.open(segment.path, "write").catch((error: unknown) => {
		throw ioError(error, `opening ${segment.path}`);
	});
	try {
		const resume = await startOf(file, segment, codec, header);
		const scan = (): Promise<ScanSummary> =>
			scanFile(file, codec, handler, resume, onScanner);
		try {
			const summary = await scan();
			if (summary.version < FORMAT_VERSION) throw tooOld(summary.version);
			if (summary.tail === undefined)
				return { segment, file, summary, recovery: {} };
			const recovery = await dropTail(io, segment, file, summary.tail);
			return { segment, file, summary, recovery };
		} catch (error) {
			if (!(error instanceof LogError) || error.damage?.lastBatch !== true)
				throw error;
			const recovery = await mend(io, segment, file, error, error.damage);
			return { segment, file, summary: await scan(), recovery };
		}
	} catch (error) {
		await file.close();
		throw inSegment(error, segment);
	}
}

const tooOld = (version: number): LogError =>
	new LogError(
		"older-version",
		`the log is of format version ${version}; this program appends ${FORMAT_VERSION}`,
		{
			line: 1,
			hint: "It can be read as it is. To append, make a current one of it: `iommu-ledger log convert`.",
		},
	);

/** Cuts off what lies behind the last seal. When there may be more to it than a write cut short, a copy stays: it may interest somebody. */
async function dropTail(
	io: LogIo,
	segment: Segment,
	file: LogFile,
	tail: TornTail,
): Promise<Recovery> {
	const savedAs =
		tail.records > 0 || tail.unwritten
			? await setAside(io, segment.path, file, tail.offset)
			: undefined;
	await cutOff(file, tail.offset);
	return { dropped: tail, ...(savedAs === undefined ? {} : { savedAs }) };
}

/** Only the last batch is damaged: put the byte back if it is one, else set the bytes aside and cut them off. */
async function mend(
	io: LogIo,
	segment: Segment,
	file: LogFile,
	error: LogError,
	damage: Damage,
): Promise<Recovery> {
	if (damage.fix !== undefined) {
		await putByte(file, damage.fix);
		return { mended: { line: error.line ?? 0, column: error.column ?? 0 } };
	}
	if (damage.goodBytes === 0) throw error;
	const savedAs = await setAside(io, segment.path, file, damage.goodBytes);
	await cutOff(file, damage.goodBytes);
	return { savedAs };
}

/** Makes a file with these bytes and makes it durable, its name included. */
export async function createDurable(
	io: LogIo,
	path: string,
	bytes: Uint8Array,
): Promise<LogFile> {
	const file = await io.open(path, "create").catch((error: unknown) => {
		throw ioError(error, `creating ${path}`);
	});
	try {
		await file.write(bytes, 0);
		await file.datasync();
		await io.syncDirectory(dirname(path));
		return file;
	} catch (error) {
		await file.close();
		await io.remove(path).catch(() => {});
		throw ioError(error, `creating ${path}`);
	}
}
