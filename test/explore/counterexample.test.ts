/** Counterexamples: minimal, replayable, and whole as logs. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { counterexample } from "../../src/explore/counterexample.ts";
import { DEFAULT_LIMITS, explore } from "../../src/explore/explore.ts";
import {
	parseScenario,
	withSettings,
} from "../../src/explore/scenario-file.ts";
import { tableSystem } from "../../src/explore/table-system.ts";
import type { Scenario } from "../../src/explore/scenario-schema.ts";
import { toLog } from "../../src/explore/to-log.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { loadScenario, scenarioFiles } from "../../src/scenarios/library.ts";
import { headerProblem } from "../../src/vocabulary/header.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";

const now = () => performance.now();
const options = { now, limits: DEFAULT_LIMITS };

function shipped(name: string): Scenario {
	const scenario = loadScenario(name);
	if (scenario === undefined) throw new Error(`no scenario ${name}`);
	return scenario;
}

describe("the disaster of seed 2", () => {
	test("in words: what hardware cached, and when", () => {
		const example = counterexample(shipped("m-bad-1"), "PT-25", options);
		expect(example?.moves.map((m) => `${m.by}: ${m.text}`)).toEqual([
			"hardware: caches the pointer to T for pages 0, 1",
			"merge: clear slot",
			"merge: free table",
		]);
	});

	test("as records", () => {
		const example = counterexample(shipped("m-bad-1"), "PT-25", options);
		if (example === undefined) throw new Error("no counterexample");
		const types = toLog(example).records.map((r) => r.type);
		expect(types.slice(types.indexOf("hw.filled"))).toEqual([
			"hw.filled",
			"slot.cleared",
			"table.unlinked",
			"table.freed",
		]);
	});
});

test("the fill that matters is the block entry, cached before the swap", () => {
	const example = counterexample(shipped("s-bad-2"), "PT-32", options);
	expect(example?.moves.filter((m) => m.fill >= 0).map((m) => m.text)).toEqual([
		"caches old for pages 0, 1 (level 2) as a leaf",
	]);
});

test("there is none for an invariant that holds", () => {
	expect(counterexample(shipped("m-ok-1"), "PT-25", options)).toBeUndefined();
});

const red = scenarioFiles().flatMap((file) => {
	const scenario = parseScenario(readFileSync(file.path, "utf8"), file.path);
	return (scenario.expect?.ids ?? []).map((id) => [file.name, id] as const);
});

describe("every violation of every scenario", () => {
	test.each(red)(
		"%s %s: its log verifies red with that id, minimal depth",
		(name, id) => {
			const scenario = shipped(name);
			const example = counterexample(scenario, id, options);
			if (example === undefined) throw new Error("no counterexample");
			const { header, records } = toLog(example);
			expect(headerProblem(header)).toBeUndefined();
			records.forEach((record, i) => {
				expect(recordProblem(record)).toBeUndefined();
				expect(record.seq).toBe(i + 1);
			});
			const report = verifyRecords(header, records);
			expect(report.verdict).toBe("violated");
			const found = report.violations.map((v) => v.id);
			expect(found).toContain(id);
			// Nothing that the explorer does not find in that scenario.
			for (const other of found) expect(scenario.expect?.ids).toContain(other);
			const full = explore(scenario, { now, full: true });
			const steps = example.moves.filter((m) => m.fill < 0);
			expect(steps.length).toBe(
				full.violations.find((v) => v.id === id)?.depth,
			);
		},
	);
});

/** A log of one whole run, threads by turns. */
function wholeRun(scenario: Scenario) {
	const system = tableSystem(scenario, { explicit: false });
	const state = new Uint8Array(system.bytes);
	system.initial(state);
	const out = new Int32Array(4096);
	const moves: number[] = [];
	const threads = system.model.threads.length;
	for (let turn = 0, idle = 0; idle < threads && moves.length < 500; turn++) {
		const n = system.moves(state, turn % threads, out);
		idle = n === 0 ? idle + 1 : 0;
		if (n === 0) continue;
		moves.push(out[0] as number);
		system.apply(state, out[0] as number);
	}
	const steps = moves.map((move) => ({ by: "", text: "", move, fill: -1 }));
	return toLog({
		id: "",
		message: "",
		witness: -1,
		system: tableSystem(scenario, { explicit: false }),
		moves: steps,
	});
}

const fixes = scenarioFiles().flatMap((file) => {
	const scenario = parseScenario(readFileSync(file.path, "utf8"), file.path);
	const { fix, verdict } = scenario.expect ?? {};
	if (verdict === "holds") return [[file.name, scenario] as const];
	return fix === undefined
		? []
		: [[file.name, withSettings(scenario, fix)] as const];
});

describe("with the named fix, and where nothing is wrong, the log of a run is green", () => {
	test.each(fixes)("%s", (_, scenario) => {
		const { header, records } = wholeRun(scenario);
		const report = verifyRecords(header, records);
		expect(report.violations.map((v) => `${v.id}: ${v.message}`)).toEqual([]);
		expect(report.verdict).toBe("holds");
	});
});
