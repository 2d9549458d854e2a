/**
 * The file store: one file, or a directory of segments, with one writer. What `append` has answered is on the disk (policy `always`)
 * and is there again after a crash at any moment; what it has not answered is there whole or not at all.
 *
 * Not promised: with `interval` and `never`, that a power cut keeps what was answered (a killed process loses nothing). And no
 * store can know about a disk that lies about fdatasync.
 */
import { dirname } from "node:path";
import type { LogHeader } from "../vocabulary/header.ts";
import { archiveSegments } from "./archive.ts";
import { changeSignal } from "./change-signal.ts";
import { type LogCodec, NDJSON } from "./codec.ts";
import { LogError } from "./error.ts";
import {
	createDurable,
	findLayout,
	isUnborn,
	lastSeal,
	type Layout,
	openSegment,
	type OpenSegment,
	readHeader,
	type Recovery,
	scanFile,
	startOf,
} from "./file-open.ts";
import { type Place, readBatches, type StoreView } from "./file-read.ts";
import type { FileStore, FileStoreOptions } from "./file-store-options.ts";
import { ioError, type LogFile, type LogIo, nodeIo } from "./io.ts";
import { takeLock } from "./lock.ts";
import type { LogBatch } from "./read.ts";
import { BATCH_BYTES_MAX } from "./scan.ts";
import type { LogHandler, ResumePoint } from "./scan-types.ts";
import type { Chain, Head } from "./seal.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { inSegment, type Segment } from "./segments.ts";
import {
	type Appended,
	type AppendOptions,
	batchFrom,
	checkAppend,
	type ReadOptions,
	repeatedAnswer,
} from "./store.ts";
import type { TimedFact } from "./write.ts";

/** Distance of the places kept in memory from which reading can start. */
const PLACE_BYTES = 1 << 20;

/** A key that was used: the last record of its batch, and when that is durable. */
interface Known {
	readonly last: number;
	readonly done: Promise<void>;
}

/**
 * Opens a log for writing, or starts one. Recovers first: an append that was cut short is dropped and reported in `recovery`. Throws
 * LogError: `locked`, `read-only`, `disk-full`, `io`, `not-a-log`, and the integrity errors when acknowledged batches are damaged.
 */
export async function openFileStore(
	path: string,
	options: FileStoreOptions = {},
): Promise<FileStore> {
	const io = options.io ?? nodeIo;
	const codec = options.codec ?? NDJSON;
	const layout = await findLayout(
		io,
		path,
		options.segmentBytes !== undefined,
		codec.extension,
	);
	const unlock = await takeLock(io, layout.lockPath);
	try {
		const store = new Store(io, codec, layout, options, unlock);
		await store.open();
		return store;
	} catch (error) {
		await unlock();
		throw error instanceof LogError ? error : ioError(error, `opening ${path}`);
	}
}

class Store implements FileStore {
	readonly #io: LogIo;
	readonly #codec: LogCodec;
	readonly #layout: Layout;
	readonly #options: FileStoreOptions;
	readonly #unlock: () => Promise<void>;
	readonly #changed = changeSignal();
	readonly #keys = new Map<string, Known>();
	readonly #places: Place[] = [];
	#segments: Segment[] = [];
	#writer!: SegmentWriter;
	#header!: LogHeader;
	/** The chain as given out, and as written. */
	#chain!: Chain;
	#written!: Chain;
	#lastT = 0;
	#writtenT = 0;
	/** What is written of the last segment. */
	#bytes = 0;
	#lines = 0;
	#rotateNext = false;
	#closed = false;
	recovery: Recovery = {};

	constructor(
		io: LogIo,
		codec: LogCodec,
		layout: Layout,
		options: FileStoreOptions,
		unlock: () => Promise<void>,
	) {
		this.#io = io;
		this.#codec = codec;
		this.#layout = layout;
		this.#options = options;
		this.#unlock = unlock;
	}

	get header(): LogHeader {
		return this.#header;
	}
	get head(): Head {
		return this.#chain.head;
	}
	get written(): Head {
		return this.#written.head;
	}
	segments(): readonly Segment[] {
		return this.#segments;
	}
	rotate(): void {
		this.#rotateNext = this.#layout.segmented;
	}

	async archive(before: number): Promise<readonly Segment[]> {
		const moved = await archiveSegments(
			this.#layout.path,
			Math.min(before, this.#written.head.seq),
		);
		this.#segments = this.#segments.map(
			(segment) =>
				moved.find(({ first }) => first === segment.first) ?? segment,
		);
		return moved;
	}

	/** Finds the end of the log, or starts it. */
	async open(): Promise<void> {
		this.#segments = [...this.#layout.segments];
		await this.#removeUnborn();
		const last = this.#segments.at(-1);
		if (last === undefined) return this.#start();
		const first = this.#segments[0] as Segment;
		const header =
			last.first === 0
				? undefined
				: await readHeader(this.#io, first, this.#codec);
		if (header !== undefined) await this.#readBefore(header);
		this.#goOn(
			await openSegment(
				this.#io,
				last,
				this.#codec,
				header,
				...this.#collector(last),
			),
		);
	}

	/** Removes a last segment that was being made when the writer died. The one before is the last then, or there is no log yet. */
	async #removeUnborn(): Promise<void> {
		const last = this.#segments.at(-1);
		const before = this.#segments.at(-2);
		if (last === undefined) return;
		const { header } = this.#options;
		const expected =
			before !== undefined
				? await lastSeal(this.#io, before, this.#codec)
				: header && this.#codec.start(header).bytes;
		if (expected === undefined || !(await isUnborn(this.#io, last, expected)))
			return;
		await this.#io.remove(last.path);
		this.#segments.pop();
	}

	async #start(): Promise<void> {
		const { header } = this.#options;
		const path = this.#layout.pathOf(0);
		if (header === undefined)
			throw new LogError("not-a-log", `there is no log at ${path}`, {
				seq: 0,
				hint: "To start one, give its header.",
			});
		const { bytes, chain } = this.#codec.start(header);
		const file = await createDurable(this.#io, path, bytes);
		// The log's own directory may be new, too.
		if (this.#layout.segmented)
			await this.#io.syncDirectory(dirname(this.#layout.path));
		this.#segments = [{ first: 0, path, archived: false }];
		this.#header = header;
		this.#begin(file, { header, chain, bytes: bytes.length, lines: 2 });
	}

	#goOn({ file, summary, recovery }: OpenSegment): void {
		this.#header = summary.header;
		this.recovery = recovery;
		this.#begin(file, summary);
	}

	#begin(file: LogFile, { chain, bytes, lines }: ResumePoint): void {
		this.#chain = chain;
		this.#written = chain;
		this.#writtenT = this.#lastT;
		this.#bytes = bytes;
		this.#lines = lines;
		this.#writer = new SegmentWriter(file, bytes, {
			policy: this.#options.fsync ?? "always",
			intervalMs: this.#options.fsyncIntervalMs ?? 50,
			next: (now) => this.#nextSegment(now),
			onDropped: () => this.#onDropped(),
		});
	}

	/** Keys and the last time of the segment before the last, so that both reach back over a rotation. */
	async #readBefore(header: LogHeader): Promise<void> {
		const before = this.#segments.at(-2);
		if (before === undefined || before.archived) return;
		const file = await this.#io.open(before.path, "read");
		try {
			const resume = await startOf(file, before, this.#codec, header);
			await scanFile(file, this.#codec, this.#collector(before)[0], resume);
		} catch (error) {
			throw inSegment(error, before);
		} finally {
			await file.close();
		}
	}

	/** Learns keys, places and the last time while a segment is scanned. */
	#collector(
		segment: Segment,
	): [LogHandler, (place: () => ResumePoint) => void] {
		let placeNow: (() => ResumePoint) | undefined;
		const handler: LogHandler = {
			record: ({ t }) => {
				this.#lastT = t;
			},
			seal: ({ seq, key }) => {
				if (key !== undefined)
					this.#keys.set(key, { last: seq, done: Promise.resolve() });
				if (placeNow !== undefined) this.#addPlace(segment, placeNow());
			},
		};
		return [handler, (place) => (placeNow = place)];
	}

	#addPlace(segment: Segment, place: ResumePoint): void {
		const last = this.#places.at(-1);
		if (last?.segment === segment && place.bytes - last.bytes < PLACE_BYTES)
			return;
		this.#places.push({ ...place, segment });
	}

	async append(
		facts: readonly TimedFact[],
		options: AppendOptions = {},
	): Promise<Appended> {
		if (this.#closed)
			throw new LogError("closed", "the log is closed", {
				hint: "Open it again.",
			});
		if (this.#writer.failure !== undefined) throw this.#writer.failure;
		const { key } = options;
		const known = key === undefined ? undefined : this.#keys.get(key);
		if (key !== undefined && known !== undefined)
			return this.#repeat(facts, key, known);
		checkAppend(
			facts,
			options,
			this.#chain.head,
			this.#options.clock === "any" ? 0 : this.#lastT,
		);
		const first = this.#chain.head.seq + 1;
		const { bytes, chain } = this.#codec.seal(this.#chain, facts, key);
		if (bytes.length > BATCH_BYTES_MAX)
			throw new LogError(
				"too-large",
				`a batch of ${bytes.length} bytes; the limit is ${BATCH_BYTES_MAX}`,
				{
					seq: first,
					hint: "Nothing was written. Append in smaller batches.",
				},
			);
		const t = facts.at(-1)?.t ?? this.#lastT;
		this.#chain = chain;
		this.#lastT = t;
		const done = this.#writer.write(bytes, () =>
			this.#onWritten(chain, t, bytes.length, facts.length + 1),
		);
		if (key !== undefined) this.#keys.set(key, { last: chain.head.seq, done });
		await done;
		return { first, last: chain.head.seq, head: chain.head, repeated: false };
	}

	async #repeat(
		facts: readonly TimedFact[],
		key: string,
		{ last, done }: Known,
	): Promise<Appended> {
		await done;
		for await (const batch of readBatches(this.#view(), last, undefined))
			return repeatedAnswer(facts, batch, key);
		return repeatedAnswer(facts, undefined, key);
	}

	#onWritten(chain: Chain, t: number, bytes: number, lines: number): void {
		this.#written = chain;
		this.#writtenT = t;
		this.#bytes += bytes;
		this.#lines += lines;
		const segment = this.#segments.at(-1) as Segment;
		this.#addPlace(segment, {
			header: this.#header,
			chain,
			bytes: this.#bytes,
			lines: this.#lines,
		});
		this.#changed.tell();
	}

	#onDropped(): void {
		this.#chain = this.#written;
		this.#lastT = this.#writtenT;
		for (const [key, { last }] of this.#keys)
			if (last > this.#written.head.seq) this.#keys.delete(key);
	}

	/** Before a group is written: a new segment when the last is full. */
	async #nextSegment(size: number): Promise<LogFile | undefined> {
		const full =
			size >= (this.#options.segmentBytes ?? Number.POSITIVE_INFINITY);
		const first = this.#written.head.seq + 1;
		if (
			!(full || this.#rotateNext) ||
			this.#segments.at(-1)?.first === first ||
			first === 1
		)
			return undefined;
		this.#rotateNext = false;
		const path = this.#layout.pathOf(first);
		await this.#io.remove(path);
		const start = this.#codec.continuation(this.#written);
		const file = await createDurable(this.#io, path, start);
		this.#bytes = start.length;
		this.#lines = 1;
		this.#segments.push({ first, path, archived: false });
		return file;
	}

	#view(): StoreView {
		return {
			io: this.#io,
			codec: this.#codec,
			header: this.#header,
			changed: this.#changed,
			segments: () => this.#segments,
			places: () => this.#places,
			writtenBytes: () => this.#bytes,
			closed: () => this.#closed,
		};
	}

	async *read(
		from: number,
		options: ReadOptions = {},
	): AsyncGenerator<LogBatch> {
		for await (const batch of readBatches(this.#view(), from, options.follow)) {
			const part = batchFrom(batch, from);
			if (part !== undefined) yield part;
		}
	}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		try {
			await this.#writer.close();
		} finally {
			this.#changed.tell();
			await this.#unlock();
		}
	}
}
