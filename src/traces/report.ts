/**
 * What an import tells about itself beside its records: every line of the input is counted as consumed, as a comment, or
 * named as unexplained (DESIGN §5, issue 7).
 */
import type { ClockReport } from "./clock.ts";
import { unmeasured } from "./clock.ts";

/** How many unexplained lines are kept with their text position; the count goes on. */
export const UNEXPLAINED_KEPT = 1000;

/** A line the importer could not explain; `line` counts from 1. */
export interface UnexplainedLine {
	readonly line: number;
	readonly event: string;
	readonly why: string;
}

/** The account of one import. Counts are exact; the list of unexplained lines is capped at UNEXPLAINED_KEPT. */
export interface ImportReport {
	/** All lines of the trace, comments included. */
	lines: number;
	comments: number;
	/** Trace lines that were understood. */
	consumed: number;
	/** Lines per event type, in the spelling of the trace. */
	readonly events: Map<string, number>;
	readonly unexplained: UnexplainedLine[];
	unexplainedCount: number;
	/** Events the recorder says it lost (LOST markers, overwritten buffer); `unknown` counts markers without a number. */
	readonly lost: { events: number; markers: number; unknown: number };
	/** Facts that the trace does not allow to decide, by kind: never guessed, never unexplained. */
	readonly undecided: Map<string, number>;
	/** Attributions that were made by something weaker than an enclosing call, by the way they were made. */
	readonly attributed: Map<string, number>;
	/** Time stamps that went backwards. */
	backwards: number;
	/** Calls read, and those that could not be parsed. */
	readonly calls: { read: number; bad: number; late: number };
	/** Whether the calls are on the trace's clock. */
	clock: ClockReport;
	/** Lines of the emulator's log read, and how their descriptors lined up with the trace's. */
	readonly witness: {
		lines: number;
		records: number;
		descriptors: number;
		aligned: boolean;
		/** Commands that one of the two does not have. */
		skipped: number;
		bad: number;
	};
	/** The last line had no line end. */
	truncated: boolean;
	/** Trace bytes read (decompressed). */
	bytes: number;
	records: number;
}

/** An empty report. */
export function emptyReport(): ImportReport {
	return {
		lines: 0,
		comments: 0,
		consumed: 0,
		events: new Map(),
		unexplained: [],
		unexplainedCount: 0,
		lost: { events: 0, markers: 0, unknown: 0 },
		undecided: new Map(),
		attributed: new Map(),
		backwards: 0,
		calls: { read: 0, bad: 0, late: 0 },
		clock: unmeasured(),
		witness: {
			lines: 0,
			records: 0,
			descriptors: 0,
			aligned: true,
			skipped: 0,
			bad: 0,
		},
		truncated: false,
		bytes: 0,
		records: 0,
	};
}

/** Counts one in a table of counts. */
export function count(table: Map<string, number>, key: string, n = 1): void {
	table.set(key, (table.get(key) ?? 0) + n);
}
