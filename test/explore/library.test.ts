/** Every scenario that ships is as its file expects: verdict, ids, states, reach, outcomes; and its fix turns it green. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import {
	parseScenario,
	withSettings,
} from "../../src/explore/scenario-file.ts";
import { scenarioFiles } from "../../src/scenarios/library.ts";

const now = () => performance.now();
const sorted = (words: readonly string[]) => [...words].sort();

describe.each(scenarioFiles().map((f) => [f.name, f.path] as const))(
	"%s",
	(name, path) => {
		const scenario = parseScenario(readFileSync(path, "utf8"), path);
		const { expect: wanted } = scenario;

		test("is as expected", () => {
			expect(scenario.name).toBe(name);
			expect(wanted).toBeDefined();
			const result = explore(scenario, { now });
			expect(result.verdict).toBe(wanted?.verdict);
			expect(result.complete).toBe(true);
			expect(sorted(result.violations.map((v) => v.id))).toEqual(
				sorted(wanted?.ids ?? []),
			);
			if (wanted?.states !== undefined)
				expect(result.states).toBe(wanted.states);
			for (const row of wanted?.reach ?? [])
				for (const page of row.pages) {
					const got = result.reach.find(
						(r) => r.step === row.step && r.page === page,
					);
					expect([
						row.step,
						page,
						sorted(got?.sees ?? ["no such row"]),
					]).toEqual([row.step, page, sorted(row.sees)]);
				}
			if (wanted?.outcomes !== undefined)
				expect(result.outcomes).toEqual(wanted.outcomes);
		});

		test.runIf(wanted?.verdict === "violated")("its fix turns it green", () => {
			expect(wanted?.fix).toBeDefined();
			const result = explore(withSettings(scenario, wanted?.fix ?? {}), {
				now,
			});
			expect(result.violations).toEqual([]);
			expect(result.verdict).toBe("holds");
		});

		test("reduction and full search agree", () => {
			const reduced = explore(scenario, { now });
			const full = explore(scenario, { now, full: true });
			expect(sorted(reduced.violations.map((v) => v.id))).toEqual(
				sorted(full.violations.map((v) => v.id)),
			);
			expect(reduced.outcomes).toEqual(full.outcomes);
			expect(reduced.states).toBeLessThanOrEqual(full.states);
		});
	},
);
