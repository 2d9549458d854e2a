/** A codec turns batches into bytes and back. Stores and converters work with any; NDJSON is for people, binary for scale. */
import type { LogHeader } from "../vocabulary/header.ts";
import { LogScanner } from "./scan.ts";
import type { LogHandler, ResumePoint, ScanSummary } from "./scan-types.ts";
import { type Chain, chainFrom, decodeSeal, type SealedBytes } from "./seal.ts";
import { sealFacts, sealHeader, type TimedFact } from "./write.ts";

export type { SealedBytes } from "./seal.ts";

/** Takes bytes, hands on records. */
export interface Scanner {
	push(chunk: Uint8Array): void;
	end(): ScanSummary;
	/** Where reading could go on later: behind the last seal handed on. Only after the header was read. */
	place(): ResumePoint;
	/** Bytes of the log up to there. */
	readonly bytes: number;
}

/** A resume point without its header: what a segment's first bytes tell. */
export type Continuation = Omit<ResumePoint, "header">;

/** One way of writing a log down. */
export interface LogCodec {
	readonly name: "ndjson" | "binary";
	/** File name extension of segments, with its dot. */
	readonly extension: string;
	/** The start of a log. */
	start(header: LogHeader): SealedBytes;
	/** One sealed batch. Throws LogError `bad-record`. */
	seal(chain: Chain, facts: readonly TimedFact[], key?: string): SealedBytes;
	/** What a later segment starts with: the bytes of the seal it goes on from, and the chain of the new file. */
	continuation(chain: Chain): SealedBytes;
	/** Where to go on in a segment that starts with these bytes; undefined when they are no whole continuation. */
	continues(bytes: Buffer): Continuation | undefined;
	/** The seal that these bytes, the end of a segment, end in: what `continuation` gave or will give. */
	lastSeal(bytes: Buffer): Buffer | undefined;
	/** A reader, from the start of a log or from a seal. */
	scanner(handler: LogHandler, resume?: ResumePoint): Scanner;
}

/** Text lines (docs/log-format.md). */
export const NDJSON: LogCodec = {
	name: "ndjson",
	extension: ".ndjson",
	start: sealHeader,
	seal: sealFacts,
	continuation: ({ line, head }) => ({
		bytes: Buffer.from(`${line}\n`),
		chain: chainFrom(line, head),
	}),
	lastSeal(bytes) {
		const start = bytes.lastIndexOf("\n", bytes.length - 2) + 1;
		return start > 0 && bytes.at(-1) === 0x0a
			? bytes.subarray(start)
			: undefined;
	},
	continues(bytes) {
		const end = bytes.indexOf("\n");
		const line = end < 0 ? "" : bytes.toString("utf8", 0, end);
		const seal = decodeSeal(line);
		if (seal === undefined) return undefined;
		return { chain: chainFrom(line, seal), lines: 1, bytes: end + 1 };
	},
	scanner: (handler, resume) => new LogScanner(handler, resume),
};
