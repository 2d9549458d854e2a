/**
 * One catalogue, two engines: what the explorer raises on a path (src/explore: bytes, recomputed after every move) is what the judge finds in
 * the log of that path (src/invariants: records, incremental). On every scenario that ships and on random ones, along random paths.
 */
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { counterexample } from "../../src/explore/counterexample.ts";
import { DEFAULT_LIMITS, explore } from "../../src/explore/explore.ts";
import { parseScenario } from "../../src/explore/scenario-file.ts";
import type { Scenario } from "../../src/explore/scenario-schema.ts";
import { kindOf, MOVE, tableSystem } from "../../src/explore/table-system.ts";
import { toLog } from "../../src/explore/to-log.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { scenarioFiles } from "../../src/scenarios/library.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";
import { randomScenario } from "./random-scenario.ts";

const now = () => performance.now();

interface Compared {
	readonly raised: readonly string[];
	readonly judged: readonly string[];
	readonly text: string;
}

/** Runs a path chosen by `pick`, at most `length` moves, and judges its log. */
function compare(
	scenario: Scenario,
	pick: (n: number) => number,
	mode: "atomic flushes" | "any",
): Compared {
	const system = tableSystem(scenario, { explicit: false });
	const state = new Uint8Array(system.bytes);
	system.initial(state);
	const raised = new Set(system.raised.map(({ id }) => id));
	const atEnd: string[] = [];
	const moves: number[] = [];
	const out = new Int32Array(4096);
	const words: string[] = [];
	for (;;) {
		const choices: number[] = [];
		let underWay = false;
		// A thread in the middle of a flush goes on alone: then it does not matter when hardware carries it out.
		const waiting =
			mode === "any"
				? -1
				: system.model.threads.findIndex(
						(thread, i) =>
							system.programs[i]?.[state[thread.pc] as number]?.first === false,
					);
		for (let p = 0; p < system.processes; p++) {
			if (waiting >= 0 && p !== waiting) continue;
			const n = system.moves(state, p, out);
			for (let i = 0; i < n; i++)
				// Hardware that carries out a command early is in no record: the log's completion is the latest moment.
				if (kindOf(out[i] as number) !== MOVE.perform)
					choices.push(out[i] as number);
				else underWay = true;
		}
		const ended = system.model.threads.every(
			(thread, i) =>
				(state[thread.pc] as number) >= (system.programs[i]?.length ?? 0),
		);
		if (ended && !underWay) {
			system.ended(state);
			for (const { id } of system.raised) atEnd.push(id);
		}
		if (choices.length === 0 || moves.length >= 60 || ended) break;
		const move = choices[pick(choices.length)] as number;
		moves.push(move);
		system.apply(state, move);
		for (const { id, message } of system.raised) {
			raised.add(id);
			words.push(`${moves.length} ${id}: ${message}`);
		}
		system.raised.length = 0;
	}
	const { header, records } = toLog({
		id: "",
		message: "",
		witness: -1,
		system: tableSystem(scenario, { explicit: false }),
		moves: moves.map((move) => ({ by: "", text: "", move, fill: -1 })),
	});
	for (const record of records) expect(recordProblem(record)).toBeUndefined();
	const { violations } = verifyRecords(header, records);
	const judged = new Set(violations.map(({ id }) => id));
	// A thread that ends without the end of its call is not at rest for the judge.
	const open = records.filter(({ type }) => type === "op.begin").length;
	const closed = records.filter(({ type }) => /^op\.(commit|fail)$/.test(type));
	if (open === closed.length) for (const id of atEnd) raised.add(id);
	raised.delete("DEADLOCK");
	return {
		raised: [...raised].sort(),
		judged: [...judged].sort(),
		text: [
			...words,
			...violations.map((v) => `#${v.seq} ${v.id}: ${v.message}`),
			...records.map((r) => JSON.stringify(r)),
		].join("\n"),
	};
}

const paths = fc.infiniteStream(fc.nat(1 << 20));
function agree(
	scenario: Scenario,
	choices: Iterator<number>,
	mode: "atomic flushes" | "any",
): readonly string[] {
	const pick = (n: number): number => Number(choices.next().value) % n;
	const { raised, judged, text } = compare(scenario, pick, mode);
	if (mode === "any")
		expect(judged, text).toEqual(expect.arrayContaining([...raised]));
	else expect(judged, text).toEqual(raised);
	return raised;
}
/** Scenarios with bare issues: hardware carries those out when it likes, and the log holds the worst case. */
const issues = (scenario: Scenario): boolean =>
	scenario.threads.some(({ steps }) =>
		steps.some(({ verb }) => verb === "issue"),
	);

describe("scenarios that ship", () => {
	test.each(scenarioFiles().map((f) => [f.name, f.path] as const))(
		"%s",
		(_, path) => {
			const scenario = parseScenario(readFileSync(path, "utf8"), path);
			const mode = fc.constantFrom("atomic flushes", "any");
			fc.assert(
				fc.property(paths, mode, (choices, how) => {
					const worst = issues(scenario) ? "any" : how;
					agree(scenario, choices[Symbol.iterator](), worst);
				}),
				{ numRuns: 25, seed: 1 },
			);
		},
	);
});

test("random scenarios", () => {
	const seen = new Set<string>();
	const some = randomScenario({ threads: 3, steps: 5, dirty: false, slots: 2 });
	const mode = fc.constantFrom("atomic flushes", "any");
	fc.assert(
		fc.property(some, paths, mode, (scenario, choices, how) => {
			const worst = issues(scenario) ? "any" : how;
			for (const id of agree(scenario, choices[Symbol.iterator](), worst))
				seen.add(id);
		}),
		{ numRuns: 600, seed: 1 },
	);
	expect(seen.size).toBeGreaterThan(8);
});

/** Every counterexample is a legal log: the judge finds the same in it. Returns how many there were. */
function legal(random: fc.Arbitrary<Scenario>, numRuns: number): number {
	const limits = { ...DEFAULT_LIMITS, maxStates: 20_000 };
	let examples = 0;
	fc.assert(
		fc.property(random, (scenario) => {
			const { violations } = explore(scenario, { now, limits });
			for (const { id } of violations) {
				// For the judge a call that never ends and a command that nobody waits for are under way: there is no rest to judge.
				if (id === "DEADLOCK" || (id === "PT-37" && leavesOpen(scenario)))
					continue;
				const example = counterexample(scenario, id, { now, limits });
				if (example === undefined) continue;
				examples++;
				const { header, records } = toLog(example);
				const judged = verifyRecords(header, records).violations;
				expect(
					judged.map((v) => v.id),
					example.moves.map((m) => `${m.by}: ${m.text}`).join("\n"),
				).toContain(id);
			}
		}),
		{ numRuns, seed: Number(process.env["SEED"] ?? 1) },
	);
	return examples;
}

describe("every counterexample of a random scenario is a legal log", () => {
	const runs = Number(process.env["RUNS"] ?? 120);
	test("of any steps", () => {
		const some = randomScenario({
			threads: 3,
			steps: 5,
			dirty: false,
			slots: 2,
		});
		expect(legal(some, runs)).toBeGreaterThan(50);
	}, 120_000);

	test("of threads that queue invalidations behind each other", () => {
		const some = randomScenario({
			threads: 3,
			steps: 6,
			dirty: false,
			slots: 2,
			queue: true,
		});
		expect(legal(some, 4 * runs)).toBeGreaterThan(100);
	}, 120_000);
});

test("a thread that waits for a later command has waited for its own earlier one", () => {
	const free = (wait: string) =>
		parseScenario(
			JSON.stringify({
				name: "own-queue",
				geometry: { levels: 2, slots: 2 },
				root: { "0": "T" },
				tables: { T: { level: 1, holds: { all: "old" } } },
				hardware: ["walk", "cacheDirectory", "evict"],
				threads: [
					{
						name: "t0",
						steps: [
							{ clear: "root.0" },
							{ issue: { pages: [0, 1], scope: "all" } },
							...(wait === "" ? [] : [{ flush: { pages: [2], scope: wait } }]),
							{ free: "T" },
						],
					},
				],
			}),
			"own-queue.json",
		);
	const ids = (wait: string) =>
		explore(free(wait), { now }).violations.map(({ id }) => id);
	expect(ids("leaf")).toEqual([]);
	expect(ids("all")).toEqual([]);
	expect(ids("")).toContain("PT-25");
});

const leavesOpen = (scenario: Scenario): boolean =>
	scenario.threads.some(({ steps }) =>
		steps.some(({ verb }) => verb === "begin" || verb === "issue"),
	);
