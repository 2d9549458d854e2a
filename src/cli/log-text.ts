/** What `log …` prints, as text and as JSON. */
import type { CheckResult, LogStat } from "../log/care.ts";
import type { LogError } from "../log/error.ts";
import type { RepairResult } from "../log/repair.ts";
import type { ScanSummary, TornTail } from "../log/scan-types.ts";
import { printable } from "./io.ts";

const number = (value: number): string => value.toLocaleString("en-US");

/** One line about bytes that were never sealed; nothing when there are none. */
export const tailText = (tail: TornTail | undefined): string =>
	tail === undefined
		? ""
		: `  torn tail: ${number(tail.bytes)} bytes from line ${tail.line} on were never sealed\n`;

/** The answer of `check`. */
export function checkText(
	path: string,
	{ state, problem, summary, canonical }: CheckResult,
): string {
	const lines = [`${state.toUpperCase().padEnd(6)}  ${printable(path)}\n`];
	if (problem !== undefined)
		lines.push(`  ${problem.code}: ${printable(problem.message)}\n`);
	if (problem?.hint !== undefined) lines.push(`  ${printable(problem.hint)}\n`);
	if (summary !== undefined)
		lines.push(
			`  ${number(summary.records)} records, ${number(summary.seals)} seals, ${number(summary.bytes)} bytes\n`,
			`  head #${summary.head.seq} ${summary.head.hash}\n`,
			tailText(summary.tail),
		);
	if (!canonical && state !== "broken")
		lines.push(
			"  valid, but not written canonically (log convert writes it anew)\n",
		);
	return lines.join("");
}

/** A summary without what only a program can use. */
export const summaryJson = ({ chain: _, ...rest }: ScanSummary): object => rest;

/** An error of the log. */
export const problemJson = ({
	code,
	message,
	line,
	column,
	seq,
	hint,
	damage,
}: LogError): object => ({ code, message, line, column, seq, hint, damage });

/** The answer of `check`. */
export const checkJson = ({
	problem,
	summary,
	...rest
}: CheckResult): object => ({
	...rest,
	...(summary && { summary: summaryJson(summary) }),
	...(problem && { problem: problemJson(problem) }),
});

/** The answer of `repair`. */
export function repairText(
	path: string,
	{ steps, check }: RepairResult,
): string {
	const lines = steps.map(
		({ what, bytes, path: file, offset, why, savedAs }) => {
			const saved = savedAs === undefined ? "" : `; a copy is in ${savedAs}`;
			return `${what}: ${number(bytes)} bytes of ${file} at ${offset}: ${why}${saved}`;
		},
	);
	const done =
		check.state === "broken" ? "nothing repaired" : "nothing to repair";
	if (lines.length === 0) lines.push(done);
	return `${lines.map(printable).join("\n")}\n${checkText(path, check)}`;
}

/** The answer of `stat`. */
export function statText(path: string, stat: LogStat): string {
	const { header, summary, types } = stat;
	const rows = types.map(
		({ type, records }) => `  ${number(records).padStart(12)}  ${type}\n`,
	);
	return (
		`${printable(path)}: ${header.origin} log, ${header.fidelity}, kernel ${printable(header.kernel)}, model ${printable(header.model)}, ${summary.codec}\n` +
		`  ${number(summary.records)} records of ${number(stat.actors)} actors in ${number(summary.seals)} batches, ${number(summary.bytes)} bytes (${stat.bytesPerRecord.toFixed(0)} a record)\n` +
		rows.join("") +
		tailText(summary.tail)
	);
}

/** The answer of `stat`. */
export const statJson = ({ summary, ...rest }: LogStat): object => ({
	...rest,
	summary: summaryJson(summary),
});
