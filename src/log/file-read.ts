/** Reading a file store's segments while they are being written: from a record on, up to what was written, and further as it grows. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { ChangeSignal } from "./change-signal.ts";
import type { LogCodec, Scanner } from "./codec.ts";
import { startOf } from "./file-open.ts";
import { LogError } from "./error.ts";
import type { LogIo } from "./io.ts";
import { plainChunks } from "./chunks.ts";
import type { LogBatch } from "./read.ts";
import { copyRecord } from "./scan-line.ts";
import type { ResumePoint } from "./scan-types.ts";
import { brokenStart, inSegment, type Segment } from "./segments.ts";

/** A place in a segment from which reading can start. */
export interface Place extends ResumePoint {
	readonly segment: Segment;
}

/** Distance of the places kept in memory from which reading can start. */
const PLACE_BYTES = 1 << 20;

/** The places known of a store's segments, in order. */
export class Places {
	readonly all: Place[] = [];

	/** Is it worth while to remember a place here? */
	isDue(segment: Segment, bytes: number): boolean {
		const last = this.all.at(-1);
		return last?.segment !== segment || bytes - last.bytes >= PLACE_BYTES;
	}

	/** Remembers one. */
	add(segment: Segment, place: ResumePoint): void {
		this.all.push({ ...place, segment });
	}
}

/** What a reader sees of the store; asked again whenever it has read all there was. */
export interface StoreView {
	readonly io: LogIo;
	readonly codec: LogCodec;
	readonly header: LogHeader;
	readonly changed: ChangeSignal;
	segments(): readonly Segment[];
	places(): readonly Place[];
	/** Bytes that were written to the last segment. */
	writtenBytes(): number;
	closed(): boolean;
}

const READ_BYTES = 1 << 18;

/** Batches from the one that holds record `from`. Without `follow`, up to what is written now. */
export async function* readBatches(
	view: StoreView,
	from: number,
	follow: AbortSignal | undefined,
): AsyncGenerator<LogBatch> {
	const place = view.places().findLast(({ chain }) => chain.head.seq < from);
	const start = view
		.segments()
		.findLast(({ first }) => first <= Math.max(from, 0));
	let segment =
		place !== undefined && place.segment.first === start?.first
			? place.segment
			: start;
	let resume: ResumePoint | undefined =
		segment === place?.segment ? place : undefined;
	let next = 0;
	while (segment !== undefined) {
		for await (const batch of segmentBatches(view, segment, resume, follow)) {
			const { seq, count } = batch.seal;
			// Whole segments may be missing between two that are whole.
			if (next > 0 && seq - count + 1 !== next) throw brokenStart(segment);
			next = seq + 1;
			if (seq >= from) yield batch;
		}
		const { first } = segment;
		segment = view.segments().find((other) => other.first > first);
		resume = undefined;
	}
}

async function* segmentBatches(
	view: StoreView,
	segment: Segment,
	from: ResumePoint | undefined,
	follow: AbortSignal | undefined,
): AsyncGenerator<LogBatch> {
	const ready: LogBatch[] = [];
	let records: LogRecord[] = [];
	const handler = {
		record: (record: LogRecord) => {
			records.push(copyRecord(record));
		},
		seal: (seal: LogBatch["seal"]) => {
			if (seal.count > 0) ready.push({ records, seal });
			records = [];
		},
	};
	try {
		const scan = (resume: ResumePoint | undefined): Scanner =>
			view.codec.scanner(handler, resume);
		const chunks = segment.archived
			? archivedChunks(view, segment, scan)
			: liveChunks(view, segment, from, follow, scan);
		for await (const _ of chunks) yield* ready.splice(0);
	} catch (error) {
		throw inSegment(error, segment);
	}
}

/** Pushes a compressed segment through a scanner, chunk by chunk. */
async function* archivedChunks(
	view: StoreView,
	segment: Segment,
	scan: (resume: ResumePoint | undefined) => Scanner,
): AsyncGenerator<void> {
	let scanner: Scanner | undefined;
	for await (const chunk of plainChunks(segment.path)) {
		if (scanner !== undefined) scanner.push(chunk);
		else {
			const start =
				segment.first === 0
					? undefined
					: view.codec.continues(Buffer.from(chunk));
			if (start === undefined && segment.first > 0) throw brokenStart(segment);
			scanner = scan(start && { header: view.header, ...start });
			scanner.push(chunk.subarray(start?.bytes ?? 0));
		}
		yield;
	}
	sealed(scanner);
}

/** A segment that another one follows ends with a seal: whatever was held back because more might come is damage now. */
function sealed(scanner: Scanner | undefined): void {
	const tail = scanner?.end().tail;
	if (tail === undefined) return;
	throw new LogError("missing-lines", "the segment ends without a seal", {
		line: tail.line,
		seq: tail.seq,
		hint: "It was cut or changed after the next one had begun. Put back a copy of it.",
	});
}

/** Pushes a segment that may be growing through a scanner, chunk by chunk. */
async function* liveChunks(
	view: StoreView,
	segment: Segment,
	from: ResumePoint | undefined,
	follow: AbortSignal | undefined,
	scan: (resume: ResumePoint | undefined) => Scanner,
): AsyncGenerator<void> {
	const file = await view.io.open(segment.path, "read");
	try {
		const resume =
			from ?? (await startOf(file, segment, view.codec, view.header));
		const scanner = scan(resume);
		const buffer = Buffer.allocUnsafe(READ_BYTES);
		let position = resume?.bytes ?? 0;
		for (;;) {
			const isLast = view.segments().at(-1)?.first === segment.first;
			const limit = isLast ? view.writtenBytes() : await file.size();
			while (position < limit) {
				const count = await file.read(
					buffer.subarray(0, Math.min(buffer.length, limit - position)),
					position,
				);
				scanner.push(buffer.subarray(0, count));
				position += count;
				yield;
			}
			if (!isLast) {
				sealed(scanner);
				break;
			}
			if (follow === undefined || follow.aborted || view.closed()) break;
			await view.changed.wait(follow);
		}
	} finally {
		await file.close();
	}
}
