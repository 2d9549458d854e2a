/** The text of docs/experiments.md: a page per scenario that ships, made from its file and from what exploring it finds. */
import type { CallScenario } from "../explore/call-scenario.ts";
import { counterexample } from "../explore/counterexample.ts";
import { DEFAULT_LIMITS, explore, type ReachRow } from "../explore/explore.ts";
import { exploreCalls } from "../explore/explore-calls.ts";
import type { Scenario } from "../explore/scenario-schema.ts";
import {
	callScenarioFiles,
	loadCallScenario,
	loadScenario,
	type ScenarioFile,
	scenarioFiles,
} from "./library.ts";

const HEAD = `# Experiments

A page per scenario that ships: the question, how to run it, the verdict, the shortest counterexample, and what fixes it. The format
of the files is in [scenarios.md](scenarios.md); \`npm run experiments\` writes this page, and the tests \`test/explore/library.test.ts\`,
\`calls.test.ts\` and \`docs.test.ts\` hold every verdict, id, number of states, way and table written here, and that the fix is green. Ids
are those of the invariant catalogue. Times are those of the machine that wrote the page. "flush: issued" and "flush: completed" are two
steps; what hardware does stands where it did it.
`;

interface Clock {
	readonly now: () => number;
}
type Named = Pick<Scenario, "name" | "title" | "question" | "source">;

const about = ({ name, title, question }: Named): string[] => [
	`### ${name}: ${title ?? ""}`,
	`*${question ?? ""}*`,
];
const sourceOf = ({ source }: Named): string => `Source: ${source ?? "-"}`;

const verdictLine = (result: {
	readonly verdict: string;
	readonly states: number;
	readonly seconds: number;
	readonly violations: readonly { readonly id: string }[];
}): string => {
	const word = result.verdict === "holds" ? "Holds" : "Violated";
	const ids = result.violations.map(({ id }) => id).sort();
	const list = ids.length === 0 ? "" : `: ${ids.join(", ")}`;
	return `**${word}**, ${result.states} states${list}. (below ${roundUp(result.seconds * 1000)} ms)`;
};

/** The next of 1, 2, 5, 10, 20 …: a page that is written again should not change for nothing. */
function roundUp(value: number): number {
	for (let step = 1; ; step *= 10)
		for (const digit of [1, 2, 5])
			if (value < digit * step) return digit * step;
}

const numbered = (lines: readonly string[]): string =>
	lines.map((line, i) => `${i + 1}. ${line}`).join("\n");

const settings = (fix: Readonly<Record<string, unknown>>): string =>
	Object.entries(fix)
		.map(([key, value]) => `--set ${key}=${String(value)}`)
		.join(" ");

function reachTable(rows: readonly ReachRow[]): string {
	const pages = [...new Set(rows.map(({ page }) => page))];
	const steps = [...new Set(rows.map(({ step }) => step))];
	const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
	return [
		line(["step", ...pages.map((page) => `page ${page}`)]),
		line(["---", ...pages.map(() => "---")]),
		...steps.map((step) => {
			const of = rows.filter((row) => row.step === step);
			return line([
				`${step} ${of[0]?.after}`,
				...of.map(({ sees }) => sees.join(" or ")),
			]);
		}),
	].join("\n");
}

const outcomeList = (
	outcomes: readonly Readonly<Record<string, string>>[],
): string =>
	outcomes
		.map(
			(outcome) =>
				`* ${Object.entries(outcome)
					.map(([key, value]) => `${key}: ${value}`)
					.join(", ")}`,
		)
		.join("\n");

function tablePage(scenario: Scenario, { now }: Clock): string {
	const result = explore(scenario, { now });
	const fix = scenario.expect?.fix;
	const run = `iommu-ledger explore ${scenario.name}`;
	const [first] = result.violations.toSorted((a, b) => a.depth - b.depth);
	const parts = [
		...about(scenario),
		sourceOf(scenario),
		["```", run, ...(fix ? [`${run} ${settings(fix)}`] : []), "```"].join("\n"),
		verdictLine(result),
	];
	if (first !== undefined) {
		const limits = DEFAULT_LIMITS;
		const way = counterexample(scenario, first.id, { now, limits });
		parts.push(
			`Shortest way to ${first.id} (${first.message}):`,
			numbered((way?.moves ?? []).map((move) => `${move.by}: ${move.text}`)),
		);
	}
	if (fix) parts.push(`Green with \`${settings(fix)}\`.`);
	if (result.reach.length > 0) parts.push(reachTable(result.reach));
	else parts.push("Every way it can end:", outcomeList(result.outcomes));
	return parts.join("\n\n");
}

const RUN = "iommu-ledger explore";

/** What of a scenario about calls differs from the usual. */
function callSetting(scenario: CallScenario): string {
	const { flow, locks, sets, groups, windows, at, refuse } = scenario;
	const parts = [`Flow \`${flow}\``, `locks \`${locks}\``];
	if (sets.length > 0) parts.push(`device sets ${JSON.stringify(sets)}`);
	if (groups.length > 1) parts.push(`groups ${JSON.stringify(groups)}`);
	if (at !== 1) parts.push(`at first on ${at}`);
	if (windows.length > 0) parts.push(`windows of ${windows.join(", ")}`);
	for (const { dev, to } of refuse)
		parts.push(`device ${dev} refuses ${to === "any" ? "all" : `H${to}`}`);
	if (scenario.failRollback) parts.push("no memory to roll back");
	return `${parts.join(", ")}.`;
}

function callPage(scenario: CallScenario, { now }: Clock): string {
	const result = exploreCalls(scenario, { now });
	const found = result.violations.length > 0 ? "violations" : "warnings";
	const [first] = result[found].toSorted((a, b) => a.depth - b.depth);
	const run = `${RUN} ${scenario.name}`;
	const fix = scenario.expect?.fix;
	const warned = result.warnings.map(({ id }) => id).join(", ");
	const parts = [
		...about(scenario),
		`${sourceOf(scenario)}. ${callSetting(scenario)}`,
		["```", run, ...(fix ? [`${run} ${settings(fix)}`] : []), "```"].join("\n"),
		`${verdictLine(result)}${warned === "" ? "" : ` Warned of: ${warned}.`}`,
	];
	if (first !== undefined)
		parts.push(
			`Shortest way to ${first.id} (${first.message}), ${first.depth} steps:`,
			numbered(first.way),
		);
	if (fix) parts.push(`Green with \`${settings(fix)}\`.`);
	return parts.join("\n\n");
}

/** The whole page. */
export function experimentsPage(clock: Clock): string {
	const tables = (folder: ScenarioFile["folder"]): string[] =>
		scenarioFiles()
			.filter((file) => file.folder === folder)
			.map(({ name }) => tablePage(loadScenario(name) as Scenario, clock));
	const calls = callScenarioFiles().map(({ name }) =>
		callPage(loadCallScenario(name) as CallScenario, clock),
	);
	return `${[
		HEAD.trimEnd(),
		"## Merging and splitting: the protocols",
		...tables("protocols"),
		"## Situations of the seed mails and of 6.12",
		...tables("library"),
		"## Concurrent ioctls",
		"The transactions are those of `machines/`, cut into their steps; every interleaving of the steps of all threads is visited, under the chosen locks (`group`: iommufd's group lock and VFIO's device sets, `call`: one ioctl at a time, `none`).",
		...calls,
	].join("\n\n")}\n`;
}
