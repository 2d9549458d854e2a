/**
 * The explorer's soundness for concurrent calls, on random small systems under every flow and lock: the reduced search finds exactly the
 * violations of the full search, and by ways of the same length.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
	type CallScenario,
	callScenarioSchema,
} from "../../src/explore/call-scenario.ts";
import {
	type CallResult,
	exploreCalls,
} from "../../src/explore/explore-calls.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";

const now = () => performance.now();

const call = fc
	.tuple(
		fc.constantFrom("attach", "replace", "detach"),
		fc.integer({ min: 1, max: 3 }),
		fc.constantFrom(1, 2),
	)
	.map(([what, dev, to]) =>
		what === "detach" ? { do: what, dev } : { do: what, dev, to },
	);
const scenarios: fc.Arbitrary<CallScenario> = fc
	.record({
		flow: fc.constantFrom(...FLOWS),
		locks: fc.constantFrom("group", "group", "call", "none"),
		sets: fc.constantFrom([], [], [[1, 2]], [[1, 2, 3]]),
		attached: fc.subarray([1, 2, 3]),
		threads: fc.array(fc.array(call, { minLength: 1, maxLength: 2 }), {
			minLength: 2,
			maxLength: 3,
		}),
	})
	.map(({ threads, ...rest }) =>
		callScenarioSchema.parse({
			...rest,
			name: "random",
			threads: threads.map((calls, i) => ({ name: `t${i + 1}`, calls })),
		}),
	);

const found = ({ violations }: CallResult) =>
	violations.map(({ id, depth }) => `${id} ${depth}`).sort();

test("the reduced search finds exactly the violations of the full search", () => {
	const limits = { maxStates: 30_000 };
	let saved = 0;
	let red = 0;
	fc.assert(
		fc.property(scenarios, (scenario) => {
			const full = exploreCalls(scenario, { now, limits, full: true });
			fc.pre(full.complete);
			const reduced = exploreCalls(scenario, { now, limits });
			expect(reduced.complete).toBe(true);
			expect(found(reduced)).toEqual(found(full));
			expect(reduced.violations.every(({ minimal }) => minimal)).toBe(true);
			saved += full.states - reduced.states;
			if (full.verdict === "violated") red++;
		}),
		{ numRuns: Number(process.env["RUNS"] ?? 60) },
	);
	expect(saved).toBeGreaterThan(0);
	expect(red).toBeGreaterThan(0);
}, 120_000);
