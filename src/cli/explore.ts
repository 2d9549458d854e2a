/** `explore SCENARIO`: every interleaving of concurrent steps and hardware moves. */
import { readFileSync } from "node:fs";
import {
	DEFAULT_LIMITS,
	type ExploreResult,
	explore,
	type ReachRow,
} from "../explore/explore.ts";
import { parseScenario, withSettings } from "../explore/scenario-file.ts";
import { loadScenario, scenarioFiles } from "../scenarios/library.ts";
import { type Arguments, type Command, UsageError } from "./command.ts";
import { EXIT } from "./exit.ts";
import { type Io, printable } from "./io.ts";
import { settingsOf } from "./settings.ts";

/** The command. */
export const exploreCommand: Command = {
	name: "explore",
	words: "SCENARIO",
	summary:
		"Visit every interleaving of a scenario; verdict, states, shortest counterexample.",
	teach: `
A scenario is data (YAML or JSON, docs/scenarios.md): tables and pages at the start, threads of steps, which moves the hardware may
make. SCENARIO is a file or one of the names that "iommu-ledger explore --list" prints (docs/experiments.md tells their stories).

  iommu-ledger explore m-bad-1                       the superpage disaster of the seed mail
  iommu-ledger explore m-bad-1 --set flush=true      the same with the missing invalidation
  iommu-ledger explore my-protocol.yaml --json       also lists what a DMA can reach after each step`,
	options: {
		json: { help: "print one JSON object" },
		list: { help: "print the scenarios that come with the program" },
		set: {
			value: "KEY=VALUE",
			multiple: true,
			help: "set a switch or a parameter of the scenario",
		},
		full: { help: "visit every interleaving, without partial-order reduction" },
		states: {
			value: "N",
			help: `stop after N states (default ${DEFAULT_LIMITS.maxStates})`,
		},
		seconds: {
			value: "N",
			help: `stop after N seconds (default ${DEFAULT_LIMITS.maxSeconds})`,
		},
	},
	async run(args, io) {
		if (args.flag("list")) {
			for (const file of scenarioFiles()) io.out.write(`${file.name}\n`);
			return 0;
		}
		const [name] = args.words;
		if (name === undefined || args.words.length > 1)
			throw new UsageError(
				"explore needs one SCENARIO; --list prints those that come with the program",
			);
		const scenario = withSettings(find(name), settingsOf(args.texts("set")));
		const result = explore(scenario, {
			now: () => performance.now(),
			limits: limits(args),
			full: args.flag("full"),
		});
		if (args.flag("json")) io.out.write(`${JSON.stringify(result)}\n`);
		else io.out.write(text(result, io));
		return EXIT[
			result.verdict === "incomplete" ? "unexplained" : result.verdict
		];
	},
};

function find(name: string): ReturnType<typeof parseScenario> {
	const shipped = loadScenario(name);
	if (shipped !== undefined) return shipped;
	try {
		return parseScenario(readFileSync(name, "utf8"), name);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		throw new UsageError(
			`${name}: neither a file nor a scenario of the program; --list prints those`,
		);
	}
}

function limits(args: Arguments): Partial<typeof DEFAULT_LIMITS> {
	const positive = (name: string): number | undefined => {
		const given = args.text(name);
		if (given === undefined) return undefined;
		const value = Number(given);
		if (!(value > 0)) throw new UsageError(`--${name} is a number above 0`);
		return value;
	};
	const states = positive("states");
	const seconds = positive("seconds");
	return {
		...(states === undefined ? {} : { maxStates: states }),
		...(seconds === undefined ? {} : { maxSeconds: seconds }),
	};
}

function text(result: ExploreResult, io: Io): string {
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
	for (const v of result.violations)
		lines.push(
			"",
			`${paint("bold", v.id)}  ${printable(v.message)}`,
			`  shortest way there: ${v.depth} moves`,
		);
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
