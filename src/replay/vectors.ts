/**
 * Golden page-table vectors: runs recorded calls of the real C code through the reducer and compares every answer (DESIGN §7, `vectors`).
 *
 * Not compared, and counted by name in `skipped`: calls after a hazard (memory contents are undefined from there on), and probes through
 * stray AMD replicas (VECTORS.md). What cannot be parsed or run is a mismatch.
 */
import { isDeepStrictEqual } from "node:util";
import type { VectorLine } from "./vectors-fields.ts";
import { VectorLineError } from "./vectors-fields.ts";
import { PLAIN_INPUTS, plainKind, runPlain } from "./vectors-plain.ts";
import { readLines, VectorsReadError } from "./vectors-read.ts";
import { INPUT_FIELDS, VectorSession } from "./vectors-session.ts";

/** One answer that differs. `index` counts lines of the file from 0. */
export interface VectorMismatch {
	readonly file: string;
	/** Sessions (or plain files) of this file, from 1. */
	readonly sequence: number;
	readonly index: number;
	readonly call: string;
	readonly expected: unknown;
	readonly actual: unknown;
}

/** The report of DESIGN §7. */
export interface VectorsReport {
	sequences: number;
	calls: number;
	matched: number;
	mismatched: number;
	skipped: { reason: string; count: number }[];
	mismatches: VectorMismatch[];
	/** Files that could not be read to their end, or hold no line: unusable input. Each is a mismatch, too. */
	unusable: string[];
}

/** Options of a run. */
export interface VectorsOptions {
	/** Mismatches kept in the report; counts are never capped. Default 50. */
	readonly mismatchLimit?: number;
	/** Called now and then with the calls done so far. */
	readonly onProgress?: (calls: number) => void;
}

/** Reasons of skipped calls. */
export const SKIP_REASONS = {
	hazard: "call after a hazard",
	strayReplica: "probe through a stray AMD replica",
} as const;

const MISMATCH_LIMIT = 50;
/** Characters shown of a line that is no JSON. */
const SHOWN_MAX = 200;
const PROGRESS_EVERY = 10_000;

/** Runs vector files, in the order given. A file that cannot be read counts as one mismatch. */
export async function runVectors(
	paths: readonly string[],
	options: VectorsOptions = {},
): Promise<VectorsReport> {
	const report: VectorsReport = {
		sequences: 0,
		calls: 0,
		matched: 0,
		mismatched: 0,
		skipped: [],
		mismatches: [],
		unusable: [],
	};
	for (const path of paths) await runFile(path, report, options);
	return report;
}

async function runFile(
	path: string,
	report: VectorsReport,
	options: VectorsOptions,
): Promise<void> {
	const run = new FileRun(path, report, options);
	try {
		for await (const lines of readLines(path))
			for (const text of lines) run.line(text);
	} catch (error) {
		if (!(error instanceof VectorsReadError)) throw error;
		run.unusable("a readable vector file", error.message);
		return;
	}
	run.end();
}

/** Where JSON.parse gave up, from 1: it says so, or the text ends too early. */
function columnOf(error: unknown, text: string): number {
	const position = /at position (\d+)/.exec(String(error))?.[1];
	return 1 + (position === undefined ? text.length : Number(position));
}

/** One file on its way through the model. */
class FileRun {
	readonly #path: string;
	readonly #report: VectorsReport;
	readonly #options: VectorsOptions;
	#session = new VectorSession();
	#sequence = 0;
	#index = -1;
	#isPlain = false;

	constructor(path: string, report: VectorsReport, options: VectorsOptions) {
		this.#path = path;
		this.#report = report;
		this.#options = options;
	}

	line(text: string): void {
		this.#index++;
		if (text.trim() === "") return;
		let line: unknown;
		try {
			line = JSON.parse(text);
		} catch (error) {
			const column = columnOf(error, text);
			const actual = `column ${column}: ${text.slice(0, SHOWN_MAX)}`;
			this.mismatch("line", "one JSON object", actual);
			return;
		}
		if (typeof line !== "object" || line === null || Array.isArray(line))
			this.mismatch("line", "one JSON object", line);
		else this.#call(line as VectorLine);
		if (this.#report.calls % PROGRESS_EVERY === 0)
			this.#options.onProgress?.(this.#report.calls);
	}

	/** A file without one call says nothing: that is an error of the caller. */
	end(): void {
		if (this.#index < 0) this.unusable("vector lines", "an empty file");
	}

	/** What there is of the file cannot be all of it. */
	unusable(expected: string, actual: string): void {
		this.#report.unusable.push(this.#path);
		this.mismatch("file", expected, actual);
	}

	#call(line: VectorLine): void {
		const kind = plainKind(line);
		if (kind !== undefined) {
			if (!this.#isPlain) this.#nextSequence();
			this.#isPlain = true;
			this.#compare(kind, line, PLAIN_INPUTS[kind], () => runPlain(kind, line));
			return;
		}
		if (line.op === "note" || line.op === "hazard") return;
		if (line.op === "cfg") {
			this.#nextSequence();
			this.#session = new VectorSession();
		} else if (this.#session.isPastHazard) {
			this.#skip(SKIP_REASONS.hazard);
			return;
		}
		const strayBefore = this.#session.strayProbes;
		const inputs = INPUT_FIELDS[String(line.op)] ?? [];
		this.#compare(String(line.op), line, inputs, () => this.#session.run(line));
		for (let i = strayBefore; i < this.#session.strayProbes; i++)
			this.#skip(SKIP_REASONS.strayReplica);
	}

	#nextSequence(): void {
		this.#sequence++;
		this.#report.sequences++;
	}

	#compare(
		call: string,
		line: VectorLine,
		inputs: readonly string[],
		run: () => Record<string, unknown>,
	): void {
		let actual: Record<string, unknown>;
		try {
			actual = run();
		} catch (error) {
			if (!(error instanceof Error)) throw error;
			const expected = "a call the model can run";
			const why = `${error instanceof VectorLineError ? "" : `${error.name}: `}${error.message}`;
			this.mismatch(call, expected, why);
			return;
		}
		const expected: Record<string, unknown> = {};
		for (const key of Object.keys(line))
			if (key !== "i" && key !== "op" && !inputs.includes(key))
				expected[key] = line[key];
		if (isDeepStrictEqual(expected, actual)) {
			this.#report.calls++;
			this.#report.matched++;
			return;
		}
		const differs = [
			...new Set([...Object.keys(expected), ...Object.keys(actual)]),
		].filter((key) => !isDeepStrictEqual(expected[key], actual[key]));
		const only = (fields: Record<string, unknown>): unknown =>
			Object.fromEntries(differs.map((key) => [key, fields[key] ?? null]));
		this.mismatch(call, only(expected), only(actual));
	}

	mismatch(call: string, expected: unknown, actual: unknown): void {
		this.#report.calls++;
		this.#report.mismatched++;
		const limit = this.#options.mismatchLimit ?? MISMATCH_LIMIT;
		if (this.#report.mismatches.length >= limit) return;
		this.#report.mismatches.push({
			file: this.#path,
			sequence: this.#sequence,
			index: this.#index,
			call,
			expected,
			actual,
		});
	}

	#skip(reason: string): void {
		const { skipped } = this.#report;
		const entry = skipped.find((known) => known.reason === reason);
		if (entry === undefined) skipped.push({ reason, count: 1 });
		else entry.count++;
	}
}
