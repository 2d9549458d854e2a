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
import { WARNINGS } from "../../src/explore/call-checks.ts";
import { CATALOGUE } from "../../src/invariants/catalogue.ts";
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
			expect(result.warnings.map((v) => v.id).sort()).toEqual(
				[...(wanted?.warnings ?? [])].sort(),
			);
			expect(result.states).toBe(wanted?.states);
		});

		const found = [...result.violations, ...result.warnings];
		test.runIf(found.length > 0)(
			"each violation's log verifies red with the same id",
			() => {
				for (const { id, log, way, depth } of found) {
					expect(way).toHaveLength(depth);
					for (const record of log.records)
						expect(recordProblem(record)).toBeUndefined();
					const report = verifyRecords(log.header, log.records);
					const judged = WARNINGS.has(id) ? report.warnings : report.violations;
					expect(judged.map((v) => v.id)).toContain(id);
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
			expect(fixed.warnings).toEqual([]);
			expect(fixed.verdict).toBe("holds");
		});
	},
);

test.each([
	["name: x\nthreads: []", /^f:2:10: .*threads/],
	["name: x\nthreads: [", /^f:2:/],
	[
		"name: x\nthreads:\n  - { name: t, calls: [{ do: fly, dev: 1 }] }",
		/^f:3:30: /,
	],
	[
		"name: x\nsets: [[1, 2], [2]]\nthreads: [{ name: t, calls: [{ do: detach, dev: 1 }] }]",
		/^f:2:7: device 2 is in two sets/,
	],
	[
		"name: x\nattached: [1, 1]\nthreads: [{ name: t, calls: [{ do: detach, dev: 1 }] }]",
		/^f:2:15: device 1 is attached twice/,
	],
	[
		"name: x\nthreads: [{ name: t, calls: [{ do: detach, dev: 4 }] }]",
		/^f:2:49: device 4 is in no group/,
	],
	[
		"name: x\nthreads: [{ name: t, calls: [{ do: map, in: A, over: 1 }] }]",
		/^f:2:\d+: device 1 has no window/,
	],
	[
		"name: x\nattached: [1]\nrefuse: [{ dev: 1, to: 1 }]\nthreads: [{ name: t, calls: [{ do: detach, dev: 1 }] }]",
		/^f:2:11: set-up: attach failed with EINVAL/,
	],
])("a bad scenario says where it is wrong: %#", (text, message) => {
	expect(() => parseCallScenario(text, "f")).toThrow(message);
});

test("what is a warning here is one in the catalogue", () => {
	const severe = CATALOGUE.filter(({ id }) => WARNINGS.has(id));
	expect(severe.map(({ severity }) => severity)).toEqual(
		[...WARNINGS].map(() => "warning"),
	);
});

test("a limit is admitted", () => {
	const path = callScenarioFiles().find((f) => f.name === "three-lives-merged")
		?.path as string;
	const scenario = parseCallScenario(readFileSync(path, "utf8"), path);
	const result = exploreCalls(scenario, { now, limits: { maxStates: 100 } });
	expect(result).toMatchObject({
		verdict: "incomplete",
		complete: false,
		stoppedBy: "maxStates",
	});
});
