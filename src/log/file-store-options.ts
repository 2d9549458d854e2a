/** Options of a file store, and what it can do beyond any store. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogCodec } from "./codec.ts";
import type { Recovery } from "./file-open.ts";
import type { LogIo } from "./io.ts";
import type { Head } from "./seal.ts";
import type { FsyncPolicy } from "./segment-writer.ts";
import type { Segment } from "./segments.ts";
import type { LogStore } from "./store.ts";

/** How to open a file store. */
export interface FileStoreOptions {
	/** Needed to start a new log; ignored when there is one. */
	readonly header?: LogHeader;
	/** Default `always`. */
	readonly fsync?: FsyncPolicy;
	/** For `interval`: at most this long between a write and its fdatasync. Default 50. */
	readonly fsyncIntervalMs?: number;
	/** Keep the log in a directory of segments, and start a new one when the last has this size. Default: one file. */
	readonly segmentBytes?: number;
	/** Of a new log; one that is there keeps its own. Default NDJSON. */
	readonly codec?: LogCodec;
	/** `any`: accept times that go backwards, as merged recordings may. Default `monotonic`. */
	readonly clock?: "monotonic" | "any";
	/** How many idempotency keys are remembered at most, the newest. Default 1,000,000. */
	readonly keysMax?: number;
	/** For tests: another file system. */
	readonly io?: LogIo;
}

/** A file store also tells what it found at opening, and where its segments are. */
export interface FileStore extends LogStore {
	readonly recovery: Recovery;
	/** The last batch that was answered. */
	readonly written: Head;
	segments(): readonly Segment[];
	/** Starts a new segment with the next append. */
	rotate(): void;
	/** Compresses segments that end before record `before` into the log's archive (archive.ts). */
	archive(before: number): Promise<readonly Segment[]>;
}
