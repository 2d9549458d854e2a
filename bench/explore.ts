/**
 * The explorer: states per second and time to a complete verdict, with and without its reductions, beside Spin on the same model in the
 * same run (where spin and gcc are installed).  npx tsx bench/explore.ts
 *
 * The model: a block map against n page maps in one empty region (bench/spin/block-against-pages.pml). Three forms of it:
 *   explicit  every hardware fill and eviction is a move; no reduction of ours / Spin with -DNOREDUCE and with its own reduction
 *   closure   all fills after every step; full, and with ample sets and symmetry / Spin with the same closure written into the model
 * Runs alternate; minimum and median of them are shown. Spin's "pan" is the search alone; "all" adds spin -a and gcc -O2.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	exploreCalls,
	parseCallScenario,
} from "../src/explore/explore-calls.ts";
import { DEFAULT_LIMITS } from "../src/explore/explore.ts";
import { search } from "../src/explore/search.ts";
import { tableSystem } from "../src/explore/table-system.ts";
import { callScenarioFiles } from "../src/scenarios/library.ts";
import { blockAgainstPages } from "./explore-scenarios.ts";

const RUNS = 5;
const now = () => performance.now();
const MODEL = join(import.meta.dirname, "spin/block-against-pages.pml");

/** One way to get a verdict. */
interface Contender {
	readonly name: string;
	run(): {
		readonly states: number;
		readonly red: boolean;
		readonly seconds: number;
	};
	/** Seconds spent once, before the runs. */
	readonly before: number;
}

function ours(
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

function spin(
	n: number,
	name: string,
	defines: readonly string[],
	flags: readonly string[],
	scratch: string,
): Contender | undefined {
	const cwd = mkdtempSync(join(scratch, "pan-"));
	const start = now();
	try {
		execFileSync("spin", ["-a", `-DN=${n}`, ...defines, MODEL], {
			cwd,
			stdio: "pipe",
		});
		execFileSync(
			"gcc",
			["-O2", "-DSAFETY", "-w", ...flags, "-o", "pan", "pan.c"],
			{ cwd, stdio: "pipe" },
		);
	} catch {
		return undefined;
	}
	const before = (now() - start) / 1000;
	return {
		name: `spin ${name}`,
		before,
		run() {
			const begun = now();
			const text = execFileSync("./pan", ["-w20", "-m1000000"], {
				cwd,
				encoding: "utf8",
			});
			const seconds = (now() - begun) / 1000;
			const states = Number(
				/([\d.e+]+) states, stored/.exec(text)?.[1] ?? Number.NaN,
			);
			return { states, red: text.includes("VIOLATED"), seconds };
		},
	};
}

const row = (cells: readonly (string | number)[]): string =>
	cells
		.map((c, i) => (i === 0 ? String(c).padEnd(34) : String(c).padStart(13)))
		.join("");
const seconds = (s: number): string => s.toFixed(4);

function compare(n: number, scratch: string): void {
	const contenders = [
		ours(n, "closure, ample, symmetry", true, false),
		ours(n, "closure, full", false, false),
		ours(n, "explicit, full", false, true),
		spin(n, "closure, its reduction", ["-DCLOSURE"], [], scratch),
		spin(n, "explicit, its reduction", [], [], scratch),
		spin(n, "explicit, full", [], ["-DNOREDUCE"], scratch),
	].filter((c) => c !== undefined);
	const times = contenders.map((): number[] => []);
	const states: number[] = [];
	let red = 0;
	for (let run = 0; run < RUNS; run++)
		contenders.forEach((contender, i) => {
			const r = contender.run();
			times[i]?.push(r.seconds);
			states[i] = r.states;
			if (r.red) red++;
		});
	if (red !== RUNS * contenders.length)
		throw new Error("the contenders disagree about the verdict");
	console.log(
		`\nblock against ${n} page map${n > 1 ? "s" : ""}: all say violated, ${RUNS} runs each`,
	);
	console.log(
		row([
			"",
			"states",
			"first s",
			"min s",
			"median s",
			"k states/s",
			"built in s",
		]),
	);
	contenders.forEach((contender, i) => {
		const sorted = [...(times[i] ?? [])].sort((a, b) => a - b);
		const min = sorted[0] ?? Number.NaN;
		const rate = Math.round((states[i] ?? 0) / min / 1000);
		console.log(
			row([
				contender.name,
				states[i] ?? "?",
				seconds(times[i]?.[0] ?? 0),
				seconds(min),
				seconds(sorted[RUNS >> 1] ?? 0),
				rate,
				seconds(contender.before),
			]),
		);
	});
}

/** Concurrent ioctls over the transaction machines; no Spin model of those is written. */
function calls(): void {
	console.log(`\nconcurrent ioctls on the transaction machines`);
	console.log(row(["", "states", "s", "states/s", "verdict"]));
	const show = (
		name: string,
		scenario: ReturnType<typeof parseCallScenario>,
	) => {
		const r = exploreCalls(scenario, { now });
		console.log(
			row([
				name,
				r.states,
				r.seconds.toFixed(2),
				Math.round(r.states / r.seconds),
				r.verdict,
			]),
		);
	};
	for (const file of callScenarioFiles()) {
		const scenario = parseCallScenario(
			readFileSync(file.path, "utf8"),
			file.path,
		);
		show(file.name, scenario);
		if (file.name.startsWith("three-lives"))
			show("three-lives, group lock only", { ...scenario, locks: "group" });
	}
}

const scratch = mkdtempSync(join(tmpdir(), "explore-bench-"));
try {
	for (const n of [1, 2, 3]) compare(n, scratch);
	calls();
} finally {
	rmSync(scratch, { recursive: true });
}
