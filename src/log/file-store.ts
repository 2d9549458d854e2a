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
import {
	type LogCodec,
	NDJSON,
	type Scanner,
	type SealedBytes,
} from "./codec.ts";
import { LogError } from "./error.ts";
import {
	createDurable,
	isUnborn,
	lastSeal,
	openSegment,
	type OpenSegment,
	readHeader,
	type Recovery,
	readSegment,
} from "./file-open.ts";
import { Places, readBatches, type StoreView } from "./file-read.ts";
import { Keys, type Known } from "./file-keys.ts";
import type { FileStore, FileStoreOptions } from "./file-store-options.ts";
import { ioError, type LogFile, type LogIo, nodeIo } from "./io.ts";
import { codecFound, findLayout, type Layout } from "./layout.ts";
import { takeLock } from "./lock.ts";
import type { LogBatch } from "./read.ts";
import { BATCH_BYTES_MAX } from "./scan.ts";
import type { LogHandler, ResumePoint } from "./scan-types.ts";
import type { Chain, Head } from "./seal.ts";
import { type NewSegment, SegmentWriter } from "./segment-writer.ts";
import type { Segment } from "./segments.ts";
import {
	closed,
	tooLarge,
	type Appended,
	type AppendOptions,
	batchFrom,
	checkAppend,
	type ReadOptions,
	repeatedAnswer,
} from "./store.ts";
import type { TimedFact } from "./write.ts";

/**
 * Opens a log for writing, or starts one. Recovers first: an append that was cut short is dropped and reported in `recovery`. Throws
 * LogError: `locked`, `read-only`, `disk-full`, `io`, `not-a-log`, and the integrity errors when acknowledged batches are damaged.
 */
export async function openFileStore(
	path: string,
	options: FileStoreOptions = {},
): Promise<FileStore> {
	const io = options.io ?? nodeIo;
	const layout = await findLayout(
		io,
		await io.realPath(path),
		options.segmentBytes !== undefined,
	);
	const unlock = await takeLock(io, layout.lockPath);
	try {
		const found = await codecFound(io, layout);
		const codec = found ?? options.codec ?? NDJSON;
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
	readonly #keys: Keys;
	readonly #places = new Places();
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
	/** The last segment as given out: its size, and the record it starts with. */
	#size = 0;
	#segmentFirst = 0;
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
		this.#keys = new Keys(options.keysMax);
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
		await this.#keys.idle();
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
		// The last time and the latest keys reach back over a rotation: the segment before the last is read, too.
		const before = this.#segments.at(-2);
		const isRead = before !== undefined && !before.archived;
		this.#keys.startsAt(isRead ? before.first : last.first);
		if (header !== undefined && isRead) {
			const [handler] = this.#collector(before);
			await readSegment(this.#io, before, this.#codec, header, handler);
		}
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
		if (last === undefined) return;
		const before = this.#segments.at(-2);
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
		const path = this.#layout.pathOf(0, this.#codec);
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
		this.#size = bytes;
		this.#segmentFirst = this.#segments.at(-1)?.first ?? 0;
		this.#writer = new SegmentWriter(file, bytes, {
			policy: this.#options.fsync ?? "always",
			intervalMs: this.#options.fsyncIntervalMs ?? 50,
			onDropped: () => this.#onDropped(),
		});
	}

	/** Learns keys, places and the last time while a segment is scanned. */
	#collector(segment: Segment): [LogHandler, (scanner: Scanner) => void] {
		let scanner: Scanner | undefined;
		const handler: LogHandler = {
			record: ({ t }) => {
				this.#lastT = t;
			},
			seal: ({ seq, key }) => {
				if (key !== undefined) this.#keys.set(key, seq);
				if (scanner !== undefined && this.#places.isDue(segment, scanner.bytes))
					this.#places.add(segment, scanner.place());
			},
		};
		return [handler, (made) => (scanner = made)];
	}

	append(
		facts: readonly TimedFact[],
		options: AppendOptions = {},
	): Promise<Appended> {
		const read = () => readBatches(this.#view(), 1, undefined);
		const append = () => this.#append(facts, options);
		return this.#keys.inOrder(options.key, read, append);
	}

	async #append(
		facts: readonly TimedFact[],
		options: AppendOptions,
	): Promise<Appended> {
		if (this.#closed) throw closed();
		if (this.#writer.failure !== undefined) throw this.#writer.failure;
		const { key } = options;
		const known = key === undefined ? undefined : this.#keys.get(key);
		if (known !== undefined) return this.#repeat(facts, key ?? "", known);
		checkAppend(
			facts,
			options,
			this.#chain.head,
			this.#options.clock === "any" ? 0 : this.#lastT,
		);
		const first = this.#chain.head.seq + 1;
		const start = this.#isSegmentDue(first)
			? this.#codec.continuation(this.#chain)
			: undefined;
		const { bytes, chain } = this.#codec.seal(
			start?.chain ?? this.#chain,
			facts,
			key,
		);
		if (bytes.length > BATCH_BYTES_MAX) throw tooLarge(bytes.length, first);
		const t = facts.at(-1)?.t ?? this.#lastT;
		this.#chain = chain;
		this.#lastT = t;
		this.#size = (start?.bytes.length ?? this.#size) + bytes.length;
		const done = this.#writer.write(
			bytes,
			() => this.#onWritten(chain, t, bytes.length, facts.length + 1),
			start && this.#newSegment(first, start),
		);
		if (key !== undefined) this.#keys.set(key, chain.head.seq, done);
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
		if (this.#places.isDue(segment, this.#bytes)) {
			const { header } = this;
			this.#places.add(segment, {
				header,
				chain,
				bytes: this.#bytes,
				lines: this.#lines,
			});
		}
		this.#changed.tell();
	}

	#onDropped(): void {
		this.#chain = this.#written;
		this.#lastT = this.#writtenT;
		this.#size = this.#bytes;
		this.#segmentFirst = this.#segments.at(-1)?.first ?? 0;
		this.#keys.dropBehind(this.#written.head.seq);
	}

	/** Is record `first` to start a segment? The chain must know before it is sealed. */
	#isSegmentDue(first: number): boolean {
		const full =
			this.#size >= (this.#options.segmentBytes ?? Number.POSITIVE_INFINITY);
		if (
			!(full || this.#rotateNext) ||
			this.#segmentFirst === first ||
			first === 1
		)
			return false;
		this.#rotateNext = false;
		this.#segmentFirst = first;
		return true;
	}

	/** Makes the segment's file when its first batch is about to be written. */
	#newSegment(first: number, { bytes, chain }: SealedBytes): NewSegment {
		return async () => {
			const path = this.#layout.pathOf(first, this.#codec);
			await this.#io.remove(path);
			const file = await createDurable(this.#io, path, bytes);
			this.#written = chain;
			this.#bytes = bytes.length;
			this.#lines = 1;
			this.#segments.push({ first, path, archived: false });
			return file;
		};
	}

	#view(): StoreView {
		return {
			io: this.#io,
			codec: this.#codec,
			header: this.#header,
			changed: this.#changed,
			segments: () => this.#segments,
			places: () => this.#places.all,
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
