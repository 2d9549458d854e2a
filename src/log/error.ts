/**
 * The one error type of the log. Every error says what was expected, what was found, where, and what to do next; none of them
 * leaves the log in a state that a later open cannot read.
 */

/**
 * What went wrong.
 *
 * Content: `not-a-log` (no header), `newer-version`, `older-version` (read it, convert it, but do not append), `bad-line` (no JSON), `bad-record` (schema), `too-large`, `bad-gzip`,
 * `compressed` (cannot be repaired in place).
 * Integrity: `flipped-byte`, `missing-lines`, `swapped-lines`, `duplicate-line`, `torn-tail`, `damaged` (none of the others
 * explains it), `head-mismatch` (the log is whole, but not the one that was expected).
 * Store: `conflict` (expected position), `key-reused` (idempotency key with other content), `locked` (another writer),
 * `disk-full`, `read-only`, `io`, `clock-backwards`, `closed`, `unavailable` (a remote store cannot be reached).
 */
export type LogErrorCode =
	| "not-a-log"
	| "newer-version"
	| "older-version"
	| "bad-line"
	| "bad-record"
	| "too-large"
	| "bad-gzip"
	| "compressed"
	| "flipped-byte"
	| "missing-lines"
	| "swapped-lines"
	| "duplicate-line"
	| "torn-tail"
	| "damaged"
	| "head-mismatch"
	| "conflict"
	| "key-reused"
	| "locked"
	| "disk-full"
	| "read-only"
	| "io"
	| "clock-backwards"
	| "closed"
	| "unavailable";

/** What a reader can still do about damaged bytes. Offsets are in the (uncompressed) log. */
export interface Damage {
	/** Everything before this offset is whole and sealed. */
	readonly goodBytes: number;
	/** The segment concerned, when the log has several. */
	readonly path?: string;
	/** No later seal follows: only the last append is concerned. */
	readonly lastBatch: boolean;
	/** The one byte that, put back, makes the seal right again. */
	readonly fix?: { readonly offset: number; readonly byte: number };
}

/** Where and how; all optional but `hint`. */
export interface LogErrorPlace {
	/** Counts from 1. */
	readonly line?: number | undefined;
	/** Counts from 1, in UTF-16 units of the line's text, which is bytes for the ASCII lines a log mostly holds. */
	readonly column?: number | undefined;
	/** The record concerned, or the first record that is in doubt. */
	readonly seq?: number | undefined;
	/** What to do about it. */
	readonly hint?: string | undefined;
	readonly damage?: Damage | undefined;
	readonly cause?: unknown;
}

/** Thrown by everything in src/log. */
export class LogError extends Error {
	override readonly name = "LogError";
	readonly code: LogErrorCode;
	readonly line: number | undefined;
	readonly column: number | undefined;
	readonly seq: number | undefined;
	readonly hint: string | undefined;
	/** For integrity errors: what is whole, and what would mend the rest. */
	readonly damage: Damage | undefined;

	constructor(code: LogErrorCode, message: string, place: LogErrorPlace = {}) {
		const where =
			place.line === undefined
				? ""
				: place.column === undefined
					? `line ${place.line}: `
					: `line ${place.line}, column ${place.column}: `;
		super(`${where}${message}`, { cause: place.cause });
		this.code = code;
		this.line = place.line;
		this.column = place.column;
		this.seq = place.seq;
		this.hint = place.hint;
		this.damage = place.damage;
	}
}
