/** What the parts of the log benchmark share. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyRecord, LineDecoder } from "../../src/log/scan-line.ts";
import type { TimedFact } from "../../src/log/write.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { generateLog } from "../../test/inspector/generate.ts";

export const RECORDS = Number(process.env["BENCH_RECORDS"] ?? 1_000_000);
export const ROUNDS = 5;
export const folder = mkdtempSync(
	join(process.env["BENCH_DIR"] ?? tmpdir(), "ledger-bench-"),
);

export interface Figures {
	readonly min: number;
	readonly median: number;
}
export function figuresOf(times: readonly number[]): Figures {
	const sorted = [...times].sort((a, b) => a - b);
	return { min: sorted[0] ?? 0, median: sorted[sorted.length >> 1] ?? 0 };
}
/** Runs the candidates in turn, ROUNDS times after one warm-up; milliseconds each. */
export function interleaved(candidates: readonly (() => unknown)[]): Figures[] {
	const times: number[][] = candidates.map(() => []);
	for (let round = 0; round <= ROUNDS; round++)
		for (const [i, run] of candidates.entries()) {
			globalThis.gc?.();
			const start = performance.now();
			run();
			if (round > 0) times[i]?.push(performance.now() - start);
		}
	return times.map(figuresOf);
}
export const perSecond = (count: number, ms: number): string =>
	`${(count / ms / 1000).toFixed(2)} M/s`;
export const row = (...cells: (string | number)[]): void =>
	console.log(`| ${cells.join(" | ")} |`);
export const heading = (title: string, ...cells: string[]): void => {
	console.log(`\n### ${title}\n`);
	row(...cells);
	row(...cells.map(() => "---"));
};

/** The generator's records as facts, one operation a batch. */
export function operations(): { header: LogHeader; batches: TimedFact[][] } {
	const lines = [...generateLog({ records: RECORDS })]
		.join("")
		.trimEnd()
		.split("\n");
	const header = JSON.parse(lines[0] ?? "") as LogHeader;
	const batches: TimedFact[][] = [];
	const text = `${lines.slice(1).join("\n")}\n`;
	// Not sealed yet, so read with the line decoder of the codec under test.
	for (const record of recordsOf(Buffer.from(text))) {
		if (record.type === "op.begin" || batches.length === 0) batches.push([]);
		batches.at(-1)?.push(record as TimedFact);
	}
	return { header, batches };
}
export function* recordsOf(bytes: Buffer): Generator<LogRecord> {
	const decoder = new LineDecoder();
	decoder.use(bytes, bytes.length);
	for (let at = 0; at < bytes.length; at = decoder.position) {
		const record = decoder.decode(at);
		if (record === undefined) throw new Error(`line at ${at} is not canonical`);
		yield copyRecord(record);
	}
}

/** A fold that looks at every record: how many there are, and how many bytes they mapped. */
export function trivialFold(): {
	record(record: LogRecord): void;
	result(): number;
} {
	let records = 0;
	let mapped = 0;
	return {
		record(record) {
			records++;
			if (record.type === "dom.map") mapped += Number(record.data.len);
		},
		result: () => mapped + records,
	};
}
