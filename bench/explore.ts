/**
 * The explorer: transitions per second of the compiled machines beside XState; states per second and time to a complete verdict, with and without
 * reduction, beside Spin on the same models in the same run (where spin and gcc are installed).  npx tsx bench/explore.ts
 *
 * Block against pages: a block map against n page maps in one empty region (bench/spin/block-against-pages.pml), in three forms:
 *   explicit  every hardware fill and eviction is a move; no reduction of ours / Spin with -DNOREDUCE and with its own reduction
 *   closure   all fills after every step; full, and with ample sets and symmetry / Spin with the same closure written into the model
 * Three lives: three devices, each attached, replaced and detached by a thread of its own (bench/spin/three-lives.pml). Without reduction both
 * must find the same number of states. "moves known" is a search after another one has worked the moves out, which is what a compiled
 * verifier starts from; "from nothing" includes setting the host up and working every move out by the machines, as Spin's "built in"
 * column does for Spin.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { callSystem } from "../src/explore/call-system.ts";
import { DEFAULT_LIMITS } from "../src/explore/explore.ts";
import {
	exploreCalls,
	parseCallScenario,
	verdictOf,
} from "../src/explore/explore-calls.ts";
import { search } from "../src/explore/search.ts";
import { tableSystem } from "../src/explore/table-system.ts";
import {
	callScenarioFiles,
	loadCallScenario,
} from "../src/scenarios/library.ts";
import { type Contender, contest, now, row, spin } from "./explore/contest.ts";
import { machines } from "./explore/machines.ts";
import { blockAgainstPages } from "./explore/scenarios.ts";

function block(
	n: number,
	name: string,
	reduce: boolean,
	explicit: boolean,
): Contender {
	return {
		name: `ours ${name}`,
		before: 0,
		run() {
			const start = now();
			const system = tableSystem(blockAgainstPages(n), { explicit });
			const { symmetry } = system;
			const searched =
				reduce && symmetry !== undefined
					? { ...system, canonicalize: symmetry.canonicalize }
					: system;
			const r = search(searched, { reduce, limits: DEFAULT_LIMITS, now });
			if (!r.complete) throw new Error("not complete");
			const seconds = (now() - start) / 1000;
			return { states: r.states, red: r.found.length > 0, seconds };
		},
	};
}

function blocks(n: number, scratch: string): void {
	const model = "block-against-pages.pml";
	const size = `-DN=${n}`;
	contest(`block against ${n} page map${n > 1 ? "s" : ""}`, [
		block(n, "closure, ample, symmetry", true, false),
		block(n, "closure, full", false, false),
		block(n, "explicit, full", false, true),
		spin(model, "closure, its reduction", [size, "-DCLOSURE"], [], scratch),
		spin(model, "explicit, its reduction", [size], [], scratch),
		spin(model, "explicit, full", [size], ["-DNOREDUCE"], scratch),
	]);
}

function lives(scratch: string): void {
	const scenario = loadCallScenario("three-lives-merged");
	if (scenario === undefined) throw new Error("no scenario");
	const known = callSystem(scenario);
	verdictOf(known, { now });
	const ours = (
		name: string,
		full: boolean,
		of: () => ReturnType<typeof callSystem>,
	): Contender => ({
		name: `ours ${name}`,
		before: 0,
		run() {
			const start = now();
			const r = verdictOf(of(), { now, full });
			const seconds = (now() - start) / 1000;
			return { states: r.states, red: r.found.length > 0, seconds };
		},
	});
	const model = "three-lives.pml";
	const states = contest("three lives (attach, replace, detach, two hwpts)", [
		ours("reduced, moves known", false, () => known),
		ours("reduced, from nothing", false, () => callSystem(scenario)),
		ours("full, moves known", true, () => known),
		ours("full, from nothing", true, () => callSystem(scenario)),
		spin(model, "its reduction", [], [], scratch),
		spin(model, "full", [], ["-DNOREDUCE"], scratch),
	]);
	const theirs = states.get("spin full");
	const mine = states.get("ours full, from nothing");
	if (theirs !== undefined && theirs !== mine)
		throw new Error(`not the same model: ${mine} and ${theirs} states`);
}

/** The other scenarios about concurrent ioctls. */
function calls(): void {
	console.log(`\nconcurrent ioctls on the transaction machines`);
	console.log(row(["", "states", "s", "states/s", "full", "verdict"]));
	for (const file of callScenarioFiles()) {
		const text = readFileSync(file.path, "utf8");
		const scenario = parseCallScenario(text, file.path);
		const r = exploreCalls(scenario, { now });
		const full = exploreCalls(scenario, { now, full: true });
		const rate = Math.round(r.states / r.seconds);
		const took = r.seconds.toFixed(3);
		console.log(row([file.name, r.states, took, rate, full.states, r.verdict]));
	}
}

const scratch = mkdtempSync(join(tmpdir(), "explore-bench-"));
try {
	machines();
	for (const n of [1, 2, 3]) blocks(n, scratch);
	lives(scratch);
	calls();
} finally {
	rmSync(scratch, { recursive: true });
}
