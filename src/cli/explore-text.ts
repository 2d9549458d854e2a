/** The human report of `explore`. */
import type {
	ExploreResult,
	ExploreViolation,
	ReachRow,
} from "../explore/explore.ts";
import { type Io, printable } from "./io.ts";

const WAY_SHOWN = 40;

/** Verdict, figures, each violation with the moves that lead to it, the reach table. */
export function exploreText(
	result: Omit<ExploreResult, "outcomes"> & {
		readonly warnings?: readonly ExploreViolation[];
	},
	ways: ReadonlyMap<string, readonly string[]>,
	io: Io,
): string {
	const { paint } = io;
	const colour = {
		holds: "green",
		violated: "red",
		incomplete: "yellow",
	} as const;
	const lines = [
		`${paint(colour[result.verdict], result.verdict.toUpperCase())}  ${printable(result.scenario)}: ` +
			`${result.states.toLocaleString("en-US")} states, ${result.transitions.toLocaleString("en-US")} transitions, ` +
			`${result.seconds.toFixed(3)} s${result.complete ? ", complete" : `, NOT COMPLETE (${result.stoppedBy})`}`,
	];
	const told = (v: ExploreViolation, mark: string): string[] => [
		"",
		`${paint("bold", v.id)}  ${mark}${printable(v.message)}`,
		`  shortest way there${v.minimal ? "" : " (perhaps not the shortest)"}: ${v.depth} steps of the threads`,
		...wayLines(ways.get(v.id) ?? []),
	];
	for (const v of result.violations) lines.push(...told(v, ""));
	for (const v of result.warnings ?? []) lines.push(...told(v, "warning: "));
	if (result.reach.length > 0)
		lines.push(
			"",
			"What a DMA can reach after each step:",
			...reachLines(result.reach),
		);
	return `${lines.join("\n")}\n`;
}

function reachLines(rows: readonly ReachRow[]): string[] {
	const steps = [...new Set(rows.map((row) => row.step))];
	const width = Math.max(...rows.map((row) => row.after.length));
	return steps.map((step) => {
		const of = rows.filter((row) => row.step === step);
		const pages = of.map((row) => `page ${row.page}: ${row.sees.join(" or ")}`);
		return `  ${String(step).padStart(2)} ${printable(of[0]?.after ?? "").padEnd(width)}  ${pages.join("   ")}`;
	});
}

const wayLines = (way: readonly string[]): string[] => [
	...way
		.slice(0, WAY_SHOWN)
		.map((move, i) => `    ${String(i + 1).padStart(2)} ${printable(move)}`),
	...(way.length > WAY_SHOWN ? [`    … ${way.length - WAY_SHOWN} more`] : []),
];
