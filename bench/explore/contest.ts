/** Ways to get a verdict on one model, run in turns, and the table of their times. Spin's are left out where spin or gcc is not installed. */
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";

const RUNS = 7;
export const now = (): number => performance.now();

/** One way to get a verdict. */
export interface Contender {
	readonly name: string;
	/** Seconds spent once, before the runs. */
	readonly before: number;
	run(): {
		readonly states: number;
		readonly red: boolean;
		readonly seconds: number;
	};
}

/**
 * Options of Spin's verifiers: their defaults, but for a hash table of 2^20 slots instead of 2^24, whose 128 MB would cost these small models
 * more than their search does (the largest has a million states, the deepest run 220 steps).
 */
const PAN_OPTIONS = ["-w20", "-m10000"];

/** Spin on a model of bench/spin: its verifier is generated and compiled with -O2 once; a run is one run of it. */
export function spin(
	model: string,
	name: string,
	defines: readonly string[],
	flags: readonly string[],
	scratch: string,
): Contender | undefined {
	const cwd = mkdtempSync(join(scratch, "pan-"));
	const path = join(import.meta.dirname, "../spin", model);
	const start = now();
	try {
		execFileSync("spin", ["-a", ...defines, path], { cwd, stdio: "pipe" });
		execFileSync(
			"gcc",
			["-O2", "-DSAFETY", "-w", ...flags, "-o", "pan", "pan.c"],
			{ cwd, stdio: "pipe" },
		);
	} catch {
		return undefined;
	}
	return {
		name: `spin ${name}`,
		before: (now() - start) / 1000,
		run() {
			const begun = now();
			const text = execFileSync("./pan", PAN_OPTIONS, {
				cwd,
				encoding: "utf8",
			});
			const seconds = (now() - begun) / 1000;
			const stored = /([\d.e+]+) states, stored/.exec(text)?.[1];
			const states = Number(stored ?? Number.NaN);
			return { states, red: text.includes("VIOLATED"), seconds };
		},
	};
}

export const row = (cells: readonly (string | number)[]): string =>
	cells
		.map((c, i) => (i === 0 ? String(c).padEnd(40) : String(c).padStart(12)))
		.join("");
const seconds = (s: number): string => s.toFixed(4);

/** Runs all in turns and prints the table; throws when they disagree about the verdict. Returns the states of each by name. */
export function contest(
	title: string,
	all: readonly (Contender | undefined)[],
): ReadonlyMap<string, number> {
	const contenders = all.filter((c) => c !== undefined);
	const times = contenders.map((): number[] => []);
	const states: number[] = [];
	const verdicts = new Set<boolean>();
	for (let run = 0; run < RUNS; run++)
		contenders.forEach((contender, i) => {
			const r = contender.run();
			times[i]?.push(r.seconds);
			states[i] = r.states;
			verdicts.add(r.red);
		});
	if (verdicts.size !== 1)
		throw new Error(`${title}: the contenders disagree about the verdict`);
	const verdict = verdicts.has(true) ? "violated" : "holds";
	console.log(`\n${title}: all say ${verdict}, ${RUNS} runs each`);
	const head = ["states", "first s", "min s", "median s", "k states/s"];
	console.log(row(["", ...head, "built in s"]));
	contenders.forEach((contender, i) => {
		const sorted = [...(times[i] ?? [])].sort((a, b) => a - b);
		const min = sorted[0] ?? Number.NaN;
		console.log(
			row([
				contender.name,
				states[i] ?? "?",
				seconds(times[i]?.[0] ?? 0),
				seconds(min),
				seconds(sorted[RUNS >> 1] ?? 0),
				Math.round((states[i] ?? 0) / min / 1000),
				seconds(contender.before),
			]),
		);
	});
	return new Map(contenders.map(({ name }, i) => [name, states[i] ?? 0]));
}
