/** Counterexamples: minimal, replayable, and whole as logs. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { counterexample } from "../../src/explore/counterexample.ts";
import { DEFAULT_LIMITS, explore } from "../../src/explore/explore.ts";
import { parseScenario } from "../../src/explore/scenario-file.ts";
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

/** What the judge of src/invariants finds again in the log alone, by id. */
const REVERIFIED = [
	["m-bad-1", "PT-25"],
	["m-bad-2", "PT-25"],
	["m-bad-3", "PT-25"],
	["m-bad-4", "PT-37"],
	["s-bad-3", "PT-32"],
	["flush-started-too-early", "PT-32"],
	["amd-v2-free-in-walk", "PT-25"],
	["superpage-disaster", "PT-25"],
	["superpage-flush-after", "PT-25"],
	["vtd-612-superpage-switch", "PT-25"],
	["gather-sync-mid-unmap", "PT-25"],
	["context-switch-order", "PT-25"],
	["block-against-page", "PT-37"],
] as const;

test.each(REVERIFIED)("the log of %s verifies red with %s", (name, id) => {
	const example = counterexample(shipped(name), id, options);
	if (example === undefined) throw new Error("no counterexample");
	const { header, records } = toLog(example);
	const report = verifyRecords(header, records);
	expect(report.verdict).toBe("violated");
	expect(report.violations.map((v) => v.id)).toContain(id);
});

const red = scenarioFiles().flatMap((file) => {
	const scenario = parseScenario(readFileSync(file.path, "utf8"), file.path);
	return (scenario.expect?.ids ?? []).map((id) => [file.name, id] as const);
});

describe("every violation of every scenario", () => {
	test.each(red)("%s %s: well-formed log, minimal depth", (name, id) => {
		const scenario = shipped(name);
		const example = counterexample(scenario, id, options);
		if (example === undefined) throw new Error("no counterexample");
		const { header, records } = toLog(example);
		expect(headerProblem(header)).toBeUndefined();
		records.forEach((record, i) => {
			expect(recordProblem(record)).toBeUndefined();
			expect(record.seq).toBe(i + 1);
		});
		const full = explore(scenario, { now, full: true });
		const steps = example.moves.filter((m) => m.fill < 0);
		expect(steps.length).toBe(full.violations.find((v) => v.id === id)?.depth);
	});
});
