/** Printing of reports that compare recorded answers with the model's: `vectors` and `conform` (DESIGN §7). */
import { type Io, printable } from "./io.ts";

/** The shape both reports share. */
export interface Comparison {
	readonly sequences: number;
	readonly calls: number;
	readonly matched: number;
	readonly mismatched: number;
	readonly skipped: readonly {
		readonly reason: string;
		readonly count: number;
	}[];
	readonly mismatches: readonly {
		readonly file: string;
		readonly sequence: number | string;
		readonly index: number;
		readonly call: string;
		readonly expected: unknown;
		readonly actual: unknown;
	}[];
}

const SHOWN_MAX = 10;
const number = (value: number): string => value.toLocaleString("en-US");

/** Prints the report and returns the exit code: 0 when all matched, 1 otherwise, 3 when nothing was compared. */
export function compared(report: Comparison, json: boolean, io: Io): number {
	io.done();
	if (json) io.out.write(`${JSON.stringify(report)}\n`);
	else io.out.write(comparisonText(report, io));
	if (report.mismatched > 0) return 1;
	return report.matched > 0 ? 0 : 3;
}

function comparisonText(report: Comparison, io: Io): string {
	const { paint } = io;
	const good = report.mismatched === 0 && report.matched > 0;
	const verdict = good
		? paint("green", "ALL MATCHED")
		: paint("red", "MISMATCHED");
	const head =
		report.matched + report.mismatched === 0
			? paint("yellow", "NOTHING COMPARED")
			: verdict;
	const lines = [
		`${head}  ${number(report.matched)} of ${number(report.calls)} calls in ${number(report.sequences)} sequences equal` +
			(report.mismatched > 0 ? `, ${number(report.mismatched)} differ` : ""),
		...report.skipped.map(
			(s) => `  not compared: ${number(s.count)} × ${s.reason}`,
		),
	];
	for (const m of report.mismatches.slice(0, SHOWN_MAX)) {
		lines.push(
			"",
			paint(
				"bold",
				printable(
					`${m.file}  sequence ${m.sequence}, line ${m.index + 1}: ${m.call}`,
				),
			),
			printable(`  expected  ${JSON.stringify(m.expected)}`),
			printable(`  actual    ${JSON.stringify(m.actual)}`),
		);
	}
	const more =
		report.mismatched - Math.min(SHOWN_MAX, report.mismatches.length);
	if (report.mismatched > 0 && more > 0)
		lines.push("", `… and ${number(more)} more (--json lists them)`);
	return `${lines.join("\n")}\n`;
}
