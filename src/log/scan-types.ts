/** What goes in and out of a scan, whatever the codec. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Chain, Head, Seal } from "./seal.ts";

/** Receives the content of a log in order. */
export interface LogHandler {
	header?(header: LogHeader): void;
	/** One record, of a batch whose seal was found right. The object is reused for later records: copy what must stay (`copyRecord`). */
	record?(record: LogRecord): void;
	/** A batch ended and its hash is right. The header's own seal (seq 0) is told too. */
	seal?(seal: Seal): void;
	/** A later segment of the log starts: hashes begin anew with the copy of the seal before it. */
	segment?(): void;
}

/** Bytes behind the last seal: an append that was cut short, or one that is just being written. */
export interface TornTail {
	/** First line of it, from 1, and its byte offset in the (uncompressed) log. */
	readonly line: number;
	readonly offset: number;
	readonly bytes: number;
	/** Whole records in it, which are dropped with it. */
	readonly records: number;
	/** The first seq that is not in the log. */
	readonly seq: number;
	/** Sectors in it were never written: of a write that a power cut interrupted, unless the medium lost them later. */
	readonly unwritten?: boolean;
	/** The segment it is in, when the log has several; line and offset are in that segment. */
	readonly path?: string;
}

/** What a scan found. */
export interface ScanSummary {
	readonly header: LogHeader;
	readonly codec: "ndjson" | "binary";
	/** Format version of the file; header and records are given as the current version has them. */
	readonly version: number;
	readonly head: Head;
	/** What an append goes on from. */
	readonly chain: Chain;
	/** Records up to the head (of the whole log, also when the scan began later). */
	readonly records: number;
	readonly seals: number;
	/** Lines and bytes up to and with the last seal. */
	readonly lines: number;
	readonly bytes: number;
	/** Record lines that were not canonical byte for byte as far as the fast path sees; they were read all the same. */
	readonly uncanonical: number;
	readonly tail: TornTail | undefined;
}

/** A sealed place to go on reading from. */
export interface ResumePoint {
	readonly header: LogHeader;
	/** Format version of the file; the current one when absent. */
	readonly version?: number;
	/** The seal line there, without newline. */
	readonly chain: Chain;
	/** Lines and bytes of the log up to and with that seal line. */
	readonly lines: number;
	readonly bytes: number;
}
