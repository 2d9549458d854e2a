/** `explore SCENARIO`: every interleaving of concurrent steps and hardware moves. */
import { readFileSync } from "node:fs";
import {
	type CallScenario,
	callScenarioSchema,
} from "../explore/call-scenario.ts";
import { counterexample } from "../explore/counterexample.ts";
import {
	DEFAULT_LIMITS,
	type ExploreResult,
	type ExploreViolation,
	explore,
} from "../explore/explore.ts";
import {
	type CallViolation,
	exploreCalls,
	parseCallScenario,
} from "../explore/explore-calls.ts";
import { parseScenario, withSettings } from "../explore/scenario-file.ts";
import type { Scenario } from "../explore/scenario-schema.ts";
import { type ExploreLog, toLog } from "../explore/to-log.ts";
import {
	callScenarioFiles,
	loadCallScenario,
	loadScenario,
	scenarioFiles,
} from "../scenarios/library.ts";
import { type Arguments, type Command, UsageError } from "./command.ts";
import { exploreText } from "./explore-text.ts";
import { EXIT } from "./exit.ts";
import { type Io, printable } from "./io.ts";
import { settingsOf } from "./settings.ts";
import { writeLog } from "./write-log.ts";

/** Violations whose shortest way is searched for. */
const WAYS_MAX = 3;

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
  iommu-ledger explore my-protocol.yaml --json       also lists what a DMA can reach after each step
  iommu-ledger explore m-bad-1 --out bad.ndjson      the shortest counterexample as a log for verify and inspect`,
	options: {
		json: { help: "print one JSON object" },
		list: { help: "print the scenarios that come with the program" },
		set: {
			value: "KEY=VALUE",
			multiple: true,
			help: "set a switch or a parameter of the scenario",
		},
		full: { help: "visit every interleaving, without partial-order reduction" },
		out: {
			value: "LOG",
			short: "o",
			help: "write the shortest counterexample as a log",
		},
		states: {
			value: "N",
			help: `stop after N states (default ${DEFAULT_LIMITS.maxStates})`,
		},
		seconds: {
			value: "N",
			help: `stop after N seconds (default ${DEFAULT_LIMITS.maxSeconds})`,
		},
		depth: {
			value: "N",
			help: `stop N moves from the start (default ${DEFAULT_LIMITS.maxDepth})`,
		},
		memory: {
			value: "MB",
			help: `stop when visited states take MB megabytes (default ${DEFAULT_LIMITS.maxMemoryBytes / 2 ** 20})`,
		},
	},
	async run(args, io) {
		if (args.flag("list")) {
			for (const file of [...scenarioFiles(), ...callScenarioFiles()])
				io.out.write(`${file.name}\n`);
			return 0;
		}
		const [name] = args.words;
		if (name === undefined || args.words.length > 1)
			throw new UsageError(
				"explore needs one SCENARIO; --list prints those that come with the program",
			);
		const now = (): number => performance.now();
		const onProgress = (states: number) =>
			io.progress(`${states.toLocaleString("en-US")} states`);
		const how = { now, limits: limits(args), onProgress };
		const found = find(name, settingsOf(args.texts("set")));
		const done =
			found.kind === "calls"
				? calls(found.scenario, { ...how, full: args.flag("full") })
				: tables(found.scenario, { ...how, full: args.flag("full") });
		io.done();
		const out = args.text("out");
		if (out !== undefined) await writeExample(out, done, io);
		if (args.flag("json")) io.out.write(`${JSON.stringify(done.result)}\n`);
		else io.out.write(exploreText(done.result, done.ways, io));
		const { verdict } = done.result;
		return EXIT[verdict === "incomplete" ? "unexplained" : verdict];
	},
};

/** A search that has ended. `ways`: per violation the moves that lead there; `log`: the shortest counterexample, when there is one. */
interface Explored {
	readonly result: Omit<ExploreResult, "outcomes"> & {
		readonly warnings?: readonly ExploreViolation[];
	};
	readonly ways: ReadonlyMap<string, readonly string[]>;
	readonly log: () => ExploreLog | undefined;
}
type How = {
	readonly now: () => number;
	readonly limits: Partial<typeof DEFAULT_LIMITS>;
	readonly full?: boolean;
	readonly onProgress: (states: number) => void;
};

function tables(scenario: Scenario, how: How): Explored {
	const result = explore(scenario, how);
	const examples = result.violations.slice(0, WAYS_MAX).map(({ id }) => {
		const limits = { ...DEFAULT_LIMITS, ...how.limits };
		return counterexample(scenario, id, { now: how.now, limits });
	});
	const shortest = examples
		.filter((example) => example !== undefined)
		.toSorted((a, b) => a.moves.length - b.moves.length)[0];
	return {
		result,
		ways: new Map(
			examples.flatMap((e) =>
				e === undefined
					? []
					: [[e.id, e.moves.map((m) => `${m.by}: ${m.text}`)] as const],
			),
		),
		log: () => (shortest === undefined ? undefined : toLog(shortest)),
	};
}

function calls(scenario: CallScenario, how: How): Explored {
	const { violations, warnings, ...rest } = exploreCalls(scenario, how);
	const all = [...violations, ...warnings];
	const shortest = (violations.length > 0 ? violations : warnings).toSorted(
		(a, b) => a.depth - b.depth,
	)[0];
	return {
		result: {
			...rest,
			violations: violations.map(inShort),
			warnings: warnings.map(inShort),
			reach: [],
		},
		ways: new Map(all.map(({ id, way }) => [id, way])),
		log: () => shortest?.log,
	};
}

const inShort = ({
	id,
	message,
	depth,
	minimal,
}: CallViolation): ExploreViolation => ({ id, message, depth, minimal });

async function writeExample(
	out: string,
	done: Explored,
	io: Io,
): Promise<void> {
	const log = done.log();
	if (log === undefined) {
		io.err.write("nothing is violated: no counterexample to write\n");
		return;
	}
	const count = await writeLog(out, log.header, [log.records]);
	io.err.write(
		`${printable(out)}: the shortest counterexample, ${count} records\n`,
	);
}

type Settings = Readonly<Record<string, boolean | string | number>>;
type Found =
	| { readonly kind: "tables"; readonly scenario: Scenario }
	| { readonly kind: "calls"; readonly scenario: CallScenario };

function find(name: string, settings: Settings): Found {
	const shippedTables = loadScenario(name);
	if (shippedTables !== undefined)
		return { kind: "tables", scenario: withSettings(shippedTables, settings) };
	const shippedCalls = loadCallScenario(name);
	if (shippedCalls !== undefined)
		return {
			kind: "calls",
			scenario: withCallSettings(shippedCalls, settings),
		};
	const text = read(name);
	return /^\s*-?\s*"?calls"?\s*:|[{,]\s*"?calls"?\s*:/m.test(text)
		? {
				kind: "calls",
				scenario: withCallSettings(parseCallScenario(text, name), settings),
			}
		: {
				kind: "tables",
				scenario: withSettings(parseScenario(text, name), settings),
			};
}

/** Of scenarios about calls everything can be set that is one value: `flow`, `locks`, `at`, `failRollback`. */
function withCallSettings(
	scenario: CallScenario,
	settings: Settings,
): CallScenario {
	const checked = callScenarioSchema.safeParse({ ...scenario, ...settings });
	if (checked.success) return checked.data;
	const issue = checked.error.issues[0];
	throw new UsageError(
		`--set ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not possible"}`,
	);
}

function read(name: string): string {
	try {
		return readFileSync(name, "utf8");
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "EISDIR")
			throw new UsageError(`${name} is a folder; a scenario is a file`);
		if (code !== "ENOENT") throw error;
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
	const depth = positive("depth");
	const memory = positive("memory");
	return {
		...(states === undefined ? {} : { maxStates: states }),
		...(seconds === undefined ? {} : { maxSeconds: seconds }),
		...(depth === undefined ? {} : { maxDepth: depth }),
		...(memory === undefined ? {} : { maxMemoryBytes: memory * 2 ** 20 }),
	};
}
