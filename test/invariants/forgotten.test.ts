/**
 * Invariants that a kernel breaks by forgetting one step: the catalogue's `brokenBy` names the scenario and the switch, the log that it gives
 * violates that invariant first, and without the switch the invariant holds.
 */
import { expect, test } from "vitest";
import { CATALOGUE } from "../../src/invariants/catalogue.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS } from "../../src/scenarios/runs.ts";

const FORGETS = /^scenario (\S+) with omit=(\S+)$/;
const rows = CATALOGUE.flatMap(({ id, brokenBy }) => {
	const [, name, omit] = FORGETS.exec(brokenBy) ?? [];
	return name === undefined || omit === undefined ? [] : [[id, name, omit]];
}) as [string, string, string][];

test("most rows of the catalogue that need a fault have one", () => {
	expect(rows.length).toBeGreaterThanOrEqual(30);
});

test.each(rows)("%s: %s with omit=%s", (id, name, omit) => {
	const scenario = RUN_SCENARIOS.find((one) => one.name === name)!;
	const judged = (set: { readonly [name: string]: string }) => {
		const { header, records } = runScenario(scenario, {
			engine: "compiled",
			set,
		});
		return verifyRecords(header, records).violations.map((one) => one.id);
	};
	expect(judged({})).not.toContain(id);
	expect(judged({ omit })[0]).toBe(id);
});

test("omit names steps: anything else is refused with the reason", () => {
	const run = (omit: string) => () =>
		runScenario(RUN_SCENARIOS[0]!, { set: { omit } });
	expect(run("no.such")).toThrow(/"no.such" is no step/);
	expect(run("op.commit")).toThrow(/is no step/);
	expect(run("obj.ref#x")).toThrow(/is no step/);
});
