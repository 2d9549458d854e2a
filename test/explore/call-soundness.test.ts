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

test("beginnings and ends of calls keep their order: what is judged between calls is found", () => {
	// The detach of device 1 blocks device 3 (W3) only while no other call is under way; an order that begins one too early hides it.
	const scenario = callScenarioSchema.parse({
		name: "between",
		flow: "device-lagging",
		attached: [1, 3],
		threads: [
			{
				name: "t0",
				calls: [
					{ do: "replace", dev: 1, to: 2 },
					{ do: "detach", dev: 1 },
				],
			},
			{ name: "t1", calls: [{ do: "detach", dev: 2 }] },
			{
				name: "t2",
				calls: [
					{ do: "attach", dev: 3, to: 2 },
					{ do: "replace", dev: 3, to: 2 },
				],
			},
		],
	});
	const reduced = exploreCalls(scenario, { now });
	expect(found(reduced)).toEqual(
		found(exploreCalls(scenario, { now, full: true })),
	);
	expect(reduced.violations.map(({ id }) => id)).toContain("GRP-8");
});
