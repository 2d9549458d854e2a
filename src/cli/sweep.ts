/** `sweep SCENARIO|CALLS`: fail-nth. */
import { existsSync } from "node:fs";
import { type Flow, FLOWS } from "../orchestrator/switches.ts";
import { findSources } from "../replay/conform/sources.ts";
import { Sweeper } from "../replay/conform/sweep.ts";
import { RUN_SCENARIOS } from "../scenarios/runs.ts";
import {
	type ScenarioSweep,
	type SweepVerdict,
	sweepScenario,
} from "../scenarios/sweep.ts";
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
of "iommu-ledger run --list": each run's log is judged, and what the scenario violates anyway is left out. A violation is known when it is gone
where the same step fails with an anomaly of 6.12 mended (docs/anomalies.md), or when a driver refused what must succeed ("torn"): the verdict is
KNOWN then, and the exit code 0; anything else is NEW, VIOLATED and 1. CALLS is a recording of iommufd calls:
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
		every: {
			value: "N",
			help: "of each kind of call of CALLS, sweep the first and every N-th after it; what is left out is told (exit code 3)",
		},
		json: { help: "print one JSON object" },
	},
	async run(args, io) {
		const [what] = args.words;
		if (what === undefined || args.words.length > 1)
			throw new UsageError("sweep needs one SCENARIO or CALLS file");
		const scenario = RUN_SCENARIOS.find(({ name }) => name === what);
		const every = everyOf(args.text("every"));
		if (scenario !== undefined) {
			if (every !== 1)
				throw new UsageError(
					"--every is for recorded calls; a scenario is swept whole",
				);
			return sweepOne(scenario, args, io);
		}
		if (!existsSync(what))
			throw new UsageError(
				`${what}: neither a file nor a scenario of the program; run --list prints those`,
			);
		return sweepRecording(what, every, args, io);
	},
};

/** The sampling step. */
function everyOf(text = "1"): number {
	if (!/^[1-9]\d{0,8}$/.test(text))
		throw new UsageError(
			`--every takes a count from 1 on; got ${JSON.stringify(text)}`,
		);
	return Number(text);
}

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
	if (args.flag("json")) io.out.write(`${JSON.stringify(sweep)}\n`);
	else io.out.write(sweepText(sweep, io));
	return sweep.verdict === "violated" ? 1 : 0;
}

const WORDS = {
	holds: ["green", "HOLDS"],
	known: ["yellow", "KNOWN"],
	violated: ["red", "VIOLATED"],
} as const;

function sweepText(sweep: ScenarioSweep, io: Io): string {
	const { scenario, verdict, without, runs } = sweep;
	const count = (wanted: SweepVerdict): number =>
		runs.filter((run) => run.verdict === wanted).length;
	const [colour, word] = WORDS[verdict];
	const parts = [
		`${runs.length} steps failed, one a run`,
		`${count("violated")} runs violate something new`,
		`${count("known")} only what is known of Linux 6.12`,
	];
	const own =
		without.length > 0 ? ` (it violates ${without.join(", ")} by itself)` : "";
	const lines = runs
		.filter((run) => run.ids.length > 0)
		.map(
			({ nth, call = "tolerated", errno = "", step, fresh, known }) =>
				`  step ${nth}: ${[call, errno, ...(step === undefined ? [] : ["at", step])].filter(Boolean).join(" ")}: ${[
					...(fresh.length > 0 ? [`${fresh.join(", ")} NEW`] : []),
					...known.map(
						({ anomaly, ids }) => `${ids.join(", ")} known (${anomaly})`,
					),
				].join("; ")}`,
		);
	return [
		`${io.paint(colour, word)}  ${scenario}: ${parts.join("; ")}${own}`,
		...lines,
		"",
	].join("\n");
}

async function sweepRecording(
	path: string,
	every: number,
	args: Arguments,
	io: Io,
): Promise<number> {
	const sweeper = new Sweeper(every);
	for await (const source of findSources(path)) sweeper.source(source);
	const { report } = sweeper;
	const { calls, injections, tolerated, findings, documented, leftOut } =
		report;
	const missed = Object.values(leftOut).reduce((sum, n) => sum + n, 0);
	if (args.flag("json")) io.out.write(`${JSON.stringify(report)}\n`);
	else {
		const verdict =
			findings.length > 0
				? io.paint("red", "VIOLATED")
				: injections > 0
					? io.paint("green", missed > 0 ? "HOLDS AS FAR AS SWEPT" : "HOLDS")
					: "NOT TOLD";
		io.out.write(
			`${verdict}  ${printable(path)}: ${calls} calls, ${injections} failures injected, ${tolerated} tolerated, ${findings.length} left a change that nothing documents\n`,
		);
		if (missed > 0)
			io.out.write(
				printable(
					`  not swept: ${missed} of ${calls + missed} calls (--every ${every}): ${Object.entries(
						leftOut,
					)
						.map(([call, count]) => `${count} × ${call}`)
						.join(", ")}`,
				) + "\n",
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
	return injections > 0 && missed === 0 ? 0 : 3;
}
