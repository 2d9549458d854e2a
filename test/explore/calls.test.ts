/**
 * Concurrent ioctls over the transaction machines: every shipped scenario is as expected, its fix turns it green, and the log of every
 * violation verifies red with the same id.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
	exploreCalls,
	parseCallScenario,
} from "../../src/explore/explore-calls.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { callScenarioFiles } from "../../src/scenarios/library.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";

const now = () => performance.now();

describe.each(callScenarioFiles().map((f) => [f.name, f.path] as const))(
	"%s",
	(name, path) => {
		const scenario = parseCallScenario(readFileSync(path, "utf8"), path);
		const wanted = scenario.expect;
		const result = exploreCalls(scenario, { now });

		test("is as expected", () => {
			expect(scenario.name).toBe(name);
			expect(result.complete).toBe(true);
			expect(result.verdict).toBe(wanted?.verdict);
			expect(result.violations.map((v) => v.id).sort()).toEqual(
				[...(wanted?.ids ?? [])].sort(),
			);
			if (wanted?.states !== undefined)
				expect(result.states).toBe(wanted.states);
		});

		test.runIf(result.violations.length > 0)(
			"each violation's log verifies red with the same id",
			() => {
				for (const { id, log, way, depth } of result.violations) {
					expect(way).toHaveLength(depth);
					for (const record of log.records)
						expect(recordProblem(record)).toBeUndefined();
					const report = verifyRecords(log.header, log.records);
					expect(report.violations.map((v) => v.id)).toContain(id);
				}
			},
		);

		test.runIf(wanted?.verdict === "violated")("its fix turns it green", () => {
			const fixed = exploreCalls(
				{
					...scenario,
					flow: wanted?.fix?.flow ?? scenario.flow,
					locks: wanted?.fix?.locks ?? scenario.locks,
				},
				{ now },
			);
			expect(fixed.violations).toEqual([]);
			expect(fixed.verdict).toBe("holds");
		});
	},
);

test("a bad scenario names what is wrong", () => {
	expect(() => parseCallScenario("name: x\nthreads: []", "f")).toThrow(
		/threads/,
	);
});
