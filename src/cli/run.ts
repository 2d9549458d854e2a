/** `run SCENARIO`: run a scenario through the live machines, write its log, verify it. */
import { existsSync, readFileSync } from "node:fs";
import { type Flow, FLOWS } from "../orchestrator/switches.ts";
import { verifyRun } from "../replay/verify-path.ts";
import {
	parseRunScenario,
	type RunScenario,
} from "../scenarios/run-scenario.ts";
import { runScenario } from "../scenarios/run.ts";
import { RUN_SCENARIOS } from "../scenarios/runs.ts";
import { runCaches } from "../scenarios/cache-run.ts";
import { CACHE_RUNS } from "../scenarios/cache-runs.ts";
import { fixed, runTable } from "../scenarios/table-run.ts";
import { TABLE_RUNS } from "../scenarios/table-runs.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { type Arguments, type Command, oneOf, UsageError } from "./command.ts";
import { EXIT } from "./exit.ts";
import { SPLITTING, SPLITTING_TITLE, runSplitting } from "./run-splitting.ts";
import type { Io } from "./io.ts";
import { settingsOf } from "./settings.ts";
import { verifyJson } from "./verify-json.ts";
import { fileText } from "./verify-text.ts";
import { byOperation, writeLog } from "./write-log.ts";

/** The command. */
export const runCommand: Command = {
	name: "run",
	words: "SCENARIO",
	summary: "Run a scenario through the statecharts, write its log, judge it.",
	teach: `
A scenario is a machine and what user space does on it. SCENARIO is a JSON file or one of the names that
"iommu-ledger run --list" prints; docs/replace-flows.md tells what they show. The replace debate of February 2023 is replayed by running
one scenario under each flow:

  iommu-ledger run replace-1 --flow posted-v2        the posted series: the group's other devices lag behind
  iommu-ledger run replace-1                         what Linux merged
  iommu-ledger run replace-1 --set failNth=20 --out failed.ndjson
  iommu-ledger run vtd-map-over-page                 calls on one page table, entry by entry (docs/table-runs.md)
  iommu-ledger run vtd-map-over-page --set fix=true  the same with what makes it right
  iommu-ledger run lazy-unmap                        what caches may still hold: flush queue, PASIDs, nesting (docs/cache-runs.md)
  iommu-ledger run splitting                         who ever saw the split of a block that 6.13 removed`,
	options: {
		flow: {
			value: "FLOW",
			help: `replace flow: ${FLOWS.join(", ")} (default group-owned, as merged)`,
		},
		driver: {
			value: "NAME",
			help: "driver personality for every group, instead of the scenario's own",
		},
		set: {
			value: "KEY=VALUE",
			multiple: true,
			help: "set a switch (docs/replace-flows.md lists them)",
		},
		out: {
			value: "LOG",
			short: "o",
			help: "write the log here; compressed when it ends in .gz",
		},
		list: { help: "print the scenarios that come with the program" },
		all: { help: "show every finding and every call" },
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		if (args.flag("list")) {
			const listed = [...RUN_SCENARIOS, ...TABLE_RUNS, ...CACHE_RUNS];
			const width = Math.max(...listed.map((s) => s.name.length));
			for (const s of listed)
				io.out.write(`${s.name.padEnd(width)}  ${s.title}\n`);
			io.out.write(`${SPLITTING.padEnd(width)}  ${SPLITTING_TITLE}\n`);
			return 0;
		}
		const [name] = args.words;
		if (name === undefined || args.words.length > 1)
			throw new UsageError(
				"run needs one SCENARIO; --list prints those that come with the program",
			);
		if (name === SPLITTING)
			return runSplitting(
				args.text("driver"),
				settingsOf(args.texts("set")),
				args.flag("json"),
				io,
			);
		const out = args.text("out");
		const table = TABLE_RUNS.find((run) => run.name === name);
		if (table !== undefined) {
			const made = runTable(
				wantsFix(settingsOf(args.texts("set"))) ? fixed(table) : table,
			);
			return finish(name, made, out, args, io);
		}
		const caches = CACHE_RUNS.find((run) => run.name === name);
		if (caches !== undefined) {
			const isFixed = wantsFix(settingsOf(args.texts("set")));
			return finish(name, runCaches(caches, isFixed), out, args, io);
		}
		const scenario = find(name);
		const flow: Flow | undefined =
			args.text("flow") === undefined
				? undefined
				: oneOf(args, "flow", FLOWS, "group-owned");
		const driver = args.text("driver");
		const run = refusable(() =>
			runScenario(scenario, {
				set: settingsOf(args.texts("set")),
				...(flow === undefined ? {} : { flow }),
				...(driver === undefined ? {} : { driver }),
			}),
		);
		return finish(scenario.name, run, out, args, io);
	},
};

/** Writes the log of a run where it was asked for, judges it and tells the verdict. */
async function finish(
	name: string,
	{ header, records }: { header: LogHeader; records: readonly LogRecord[] },
	out: string | undefined,
	args: Arguments,
	io: Io,
): Promise<number> {
	if (out !== undefined) await writeLog(out, header, byOperation(records));
	const file = verifyRun(out ?? name, header, records);
	if (args.flag("json"))
		io.out.write(`${JSON.stringify(verifyJson([file], 0))}\n`);
	else
		io.out.write(fileText(file, { all: args.flag("all"), brief: false }, io));
	return EXIT[file.verdict];
}

/** A table run or cache run knows one switch: its fix. */
function wantsFix(settings: Readonly<Record<string, Json>>): boolean {
	const other = Object.keys(settings).find((key) => key !== "fix");
	if (other !== undefined || typeof (settings["fix"] ?? false) !== "boolean")
		throw new UsageError(
			`a table run or cache run takes --set fix=true and no other switch (found ${other ?? "fix"})`,
		);
	return settings["fix"] === true;
}

/** What a caller named wrongly is a RangeError in the library and one line here. */
function refusable<T>(make: () => T): T {
	try {
		return make();
	} catch (error) {
		if (error instanceof RangeError) throw new UsageError(error.message);
		throw error;
	}
}

function find(name: string): RunScenario {
	const shipped = RUN_SCENARIOS.find((scenario) => scenario.name === name);
	if (shipped !== undefined) return shipped;
	if (!existsSync(name))
		throw new UsageError(
			`${name}: neither a file nor a scenario of the program; --list prints those`,
		);
	return refusable(() => parseRunScenario(readFileSync(name, "utf8")));
}
