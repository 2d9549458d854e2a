/**
 * What a DMA can see after each step of each protocol equals facts pagetable-semantics.md §6, cell by cell. The tables here are
 * copied from the facts, not from the scenario files.
 */
import { describe, expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import { loadScenario } from "../../src/scenarios/library.ts";

const now = () => performance.now();

/** [protocol, page, cells]: a cell is what the row of that step says; rows of the facts may skip steps that change nothing. */
const TABLES: readonly (readonly [string, number, Record<number, string>])[] = [
	["m-ok-1", 0, { 0: "old", 1: "old fault", 2: "fault", 3: "new", 4: "new" }],
	["m-ok-2", 0, { 0: "old", 1: "old", 2: "old", 3: "old" }],
	["m-bad-1", 0, { 1: "fault", 2: "garbage fault", 3: "garbage new" }],
	// "GARBAGE or fault between free and flush completion; correct afterwards"
	["m-bad-2", 0, { 1: "fault", 2: "garbage fault", 3: "fault", 4: "new" }],
	// "after flush leaf only old stays reachable through the walk cache; after the free: GARBAGE, old or new"
	["m-bad-3", 0, { 2: "old fault", 3: "old new", 4: "garbage old new" }],
	// "old or new until the flush completes"
	["m-bad-4", 0, { 1: "old new", 2: "new", 3: "new" }],
	["s-ok-1", 0, { 1: "old", 2: "old", 3: "old", 4: "old fault", 5: "fault" }],
	["s-ok-1", 1, { 1: "old", 2: "old", 3: "old", 4: "old", 5: "old" }],
	// "Faults are possible in the model but unreachable because nothing issues DMA"
	["s-ok-2", 0, { 2: "", 3: "", 4: "", 5: "", 6: "old" }],
	// "all pages fault between step 1 and 3"
	["s-bad-1", 0, { 1: "old fault", 2: "fault", 3: "old" }],
	["s-bad-1", 1, { 1: "old fault", 2: "fault", 3: "old" }],
	// "A cached block entry keeps p reachable for ever"
	["s-bad-2", 0, { 1: "old fault", 2: "old fault", 3: "old fault" }],
	["s-bad-2", 1, { 1: "old", 2: "old", 3: "old" }],
	// "DMA to p hits old or new target; a flush of an unrelated page does not help"
	["s-bad-3", 0, { 1: "old", 2: "old fault", 3: "old fault", 5: "old new" }],
];

const sorted = (words: readonly string[]) => [...words].sort().join(" ");

describe("facts §6: what a DMA sees after each step", () => {
	test.each(TABLES)("%s, page %i", (name, page, cells) => {
		const scenario = loadScenario(name);
		expect(scenario).toBeDefined();
		if (scenario === undefined) return;
		const result = explore(scenario, { now });
		const seen: Record<number, string> = {};
		for (const row of result.reach)
			if (row.page === page && cells[row.step] !== undefined)
				seen[row.step] = sorted(row.sees);
		const wanted = Object.fromEntries(
			Object.entries(cells).map(([step, cell]) => [
				step,
				sorted(cell.split(" ").filter((w) => w !== "")),
			]),
		);
		expect(seen).toEqual(wanted);
	});

	test.each([
		["m-ok-1", "holds"],
		["m-ok-2", "holds"],
		["m-bad-1", "violated"],
		["m-bad-2", "violated"],
		["m-bad-3", "violated"],
		["m-bad-4", "violated"],
		["s-ok-1", "holds"],
		["s-ok-2", "holds"],
		["s-bad-1", "violated"],
		["s-bad-2", "violated"],
		["s-bad-3", "violated"],
	])("%s %s", (name, verdict) => {
		const scenario = loadScenario(name);
		if (scenario === undefined) throw new Error(`no scenario ${name}`);
		const result = explore(scenario, { now });
		expect(result.verdict).toBe(verdict);
		expect(result.complete).toBe(true);
	});
});
