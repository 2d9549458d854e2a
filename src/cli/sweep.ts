/** `sweep SCENARIO|CALLS`: fail-nth. */
import { existsSync } from "node:fs";
import { type Flow, FLOWS } from "../orchestrator/switches.ts";
import { findSources } from "../replay/conform/sources.ts";
import { Sweeper } from "../replay/conform/sweep.ts";
import { RUN_SCENARIOS } from "../scenarios/runs.ts";
import { sweepScenario } from "../scenarios/sweep.ts";
import { type Arguments, type Command, oneOf, UsageError } from "./command.ts";
import { type Io, printable } from "./io.ts";
import { settingsOf } from "./settings.ts";

/** The command. */
export const sweepCommand: Command = {
	name: "sweep",
	words: "SCENARIO|CALLS",
	summary:
		"Fail the first, second, … n-th step that can fail, and judge what is left.",
	teach: `
Every allocation, pinning, driver attach and copy to user space is made to fail once, one run each, until none is left. SCENARIO is a name
of "iommu-ledger run --list": each run's log is judged, and what the scenario violates anyway is left out. CALLS is a recording of iommufd calls:
after a failed call the objects must be as before, except where the kernel documents otherwise. It is what conform takes: a file of test
programs, the folder of a kernel recording, a folder of those.

  iommu-ledger sweep replace-1-one-ioas
  iommu-ledger sweep test/fixtures/calls/directed/directed.reserved.ndjson.gz`,
	options: {
		flow: { value: "FLOW", help: `replace flow: ${FLOWS.join(", ")}` },
		set: {
			value: "KEY=VALUE",
			multiple: true,
			help: "set a switch of the scenario",
		},
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		const [what] = args.words;
		if (what === undefined || args.words.length > 1)
			throw new UsageError("sweep needs one SCENARIO or CALLS file");
		const scenario = RUN_SCENARIOS.find(({ name }) => name === what);
		if (scenario !== undefined) return sweepOne(scenario, args, io);
		if (!existsSync(what))
			throw new UsageError(
				`${what}: neither a file nor a scenario of the program; run --list prints those`,
			);
		return sweepRecording(what, args, io);
	},
};

function sweepOne(
	scenario: (typeof RUN_SCENARIOS)[number],
	args: Arguments,
	io: Io,
): number {
	const flow: Flow | undefined =
		args.text("flow") === undefined
			? undefined
			: oneOf(args, "flow", FLOWS, "group-owned");
	const sweep = sweepScenario(scenario, {
		set: settingsOf(args.texts("set")),
		...(flow === undefined ? {} : { flow }),
	});
	const bad = sweep.runs.filter((run) => run.ids.length > 0);
	if (args.flag("json")) io.out.write(`${JSON.stringify(sweep)}\n`);
	else {
		const own =
			sweep.without.length > 0
				? ` (it violates ${sweep.without.join(", ")} by itself)`
				: "";
		io.out.write(
			`${bad.length > 0 ? io.paint("red", "VIOLATED") : io.paint("green", "HOLDS")}  ${sweep.scenario}: ${sweep.runs.length} steps failed, one a run; ${bad.length} runs violate something${own}\n`,
		);
		for (const run of bad)
			io.out.write(
				`  step ${run.nth}: ${run.call ?? "tolerated"} ${run.errno ?? ""} at ${run.step ?? ""}: ${run.ids.join(", ")}\n`,
			);
	}
	return bad.length > 0 ? 1 : 0;
}

async function sweepRecording(
	path: string,
	args: Arguments,
	io: Io,
): Promise<number> {
	const sweeper = new Sweeper();
	for await (const source of findSources(path)) sweeper.source(source);
	const { report } = sweeper;
	const { calls, injections, tolerated, findings, documented } = report;
	if (args.flag("json")) io.out.write(`${JSON.stringify(report)}\n`);
	else {
		const verdict =
			findings.length > 0
				? io.paint("red", "VIOLATED")
				: injections > 0
					? io.paint("green", "HOLDS")
					: "NOT TOLD";
		io.out.write(
			`${verdict}  ${printable(path)}: ${calls} calls, ${injections} failures injected, ${tolerated} tolerated, ${findings.length} left a change that nothing documents\n`,
		);
		for (const [what, count] of Object.entries(documented))
			io.out.write(printable(`  documented: ${count} × ${what}`) + "\n");
		for (const f of findings.slice(0, 20))
			io.out.write(
				printable(
					`  call ${f.index} ${f.call}, step ${f.k} ${f.step}: ${f.message}`,
				) + "\n",
			);
	}
	if (findings.length > 0) return 1;
	return injections > 0 ? 0 : 3;
}
