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

const dev = fc.integer({ min: 1, max: 3 });
/** Calls on hwpts, and with `rich` through IOASes and of maps. */
const callOf = (rich: boolean): fc.Arbitrary<object> => {
	const to = fc.constantFrom(...(rich ? [1, 2, "A", "B"] : [1, 2]));
	const moves = fc.constantFrom("attach", "replace");
	return fc.oneof(
		{ weight: 4, arbitrary: fc.record({ do: moves, dev, to }) },
		{ weight: 2, arbitrary: fc.record({ do: fc.constant("detach"), dev }) },
		{
			weight: rich ? 1 : 0,
			arbitrary: fc.record({
				do: fc.constant("map"),
				in: fc.constantFrom("A", "B"),
				over: fc.constant(3),
			}),
		},
	);
};
const RICH = {
	groups: fc.constantFrom([[1, 2, 3]], [[1, 2], [3]]),
	windows: fc.constant([3]),
	at: fc.constantFrom(1, "A"),
	failRollback: fc.boolean(),
	refuse: fc.constantFrom(
		[],
		[{ dev: 2, to: 2 }],
		[{ dev: 3, to: 2, when: "any" }],
	),
};
/** Random systems of up to `threads` threads of up to `calls` calls. */
const systems = (
	threads: number,
	calls: number,
	rich = false,
): fc.Arbitrary<CallScenario> =>
	fc
		.record({
			flow: fc.constantFrom(...FLOWS),
			locks: fc.constantFrom("group", "group", "call", "none"),
			sets: fc.constantFrom([], [], [[1, 2]], [[1, 2, 3]]),
			attached: fc.subarray([1, 2, 3]),
			...(rich ? RICH : {}),
			threads: fc.array(
				fc.array(callOf(rich), { minLength: 1, maxLength: calls }),
				{
					minLength: 2,
					maxLength: threads,
				},
			),
		})
		.map(({ threads, ...rest }) =>
			callScenarioSchema.parse({
				...rest,
				name: "random",
				threads: threads.map((calls, i) => ({ name: `t${i + 1}`, calls })),
			}),
		);

const found = ({ violations, warnings }: CallResult) =>
	[...violations, ...warnings].map(({ id, depth }) => `${id} ${depth}`).sort();

/** Compares the two searches; how many states were saved, how many systems were red, how large the largest was. */
function compare(
	random: fc.Arbitrary<CallScenario>,
	maxStates: number,
	numRuns: number,
): { saved: number; red: number; largest: number } {
	const seen = { saved: 0, red: 0, largest: 0 };
	const limits = { maxStates };
	fc.assert(
		fc.property(random, (scenario) => {
			const full = exploreCalls(scenario, { now, limits, full: true });
			fc.pre(full.complete);
			const reduced = exploreCalls(scenario, { now, limits });
			expect(reduced.complete).toBe(true);
			expect(found(reduced)).toEqual(found(full));
			expect(reduced.violations.every(({ minimal }) => minimal)).toBe(true);
			expect(reduced.transitions).toBeLessThanOrEqual(full.transitions);
			seen.saved += full.states - reduced.states;
			if (full.verdict === "violated") seen.red++;
			seen.largest = Math.max(seen.largest, full.states);
		}),
		{ numRuns, seed: Number(process.env["SEED"] ?? 1) },
	);
	return seen;
}

test("the reduced search finds exactly the violations of the full search", () => {
	const runs = Number(process.env["RUNS"] ?? 60);
	const { saved, red } = compare(systems(3, 2), 30_000, runs);
	expect(saved).toBeGreaterThan(0);
	expect(red).toBeGreaterThan(0);
}, 120_000);

test("the same for four threads of up to three calls", () => {
	const runs = Number(process.env["RUNS"] ?? 40);
	const { saved, red, largest } = compare(systems(4, 3), 120_000, runs);
	expect(saved).toBeGreaterThan(0);
	expect(red).toBeGreaterThan(0);
	expect(largest).toBeGreaterThan(20_000);
}, 240_000);

test("the same with several groups, automatic hwpts, maps and refusals", () => {
	const runs = Number(process.env["RUNS"] ?? 60);
	const { saved, red } = compare(systems(3, 2, true), 60_000, runs);
	expect(saved).toBeGreaterThan(0);
	expect(red).toBeGreaterThan(0);
}, 240_000);

test("what a thread would do behind a lock that nobody gives back is known to conflict", () => {
	const scenario = callScenarioSchema.parse({
		name: "made",
		flow: "detach-attach",
		groups: [[1, 2, 3]],
		windows: [3],
		attached: [1],
		at: "A",
		threads: [
			{ name: "t1", calls: [{ do: "detach", dev: 1 }] },
			{
				name: "t2",
				calls: [
					{ do: "attach", dev: 2, to: "A" },
					{ do: "attach", dev: 1, to: 1 },
				],
			},
		],
	});
	const ids = exploreCalls(scenario, { now }).violations.map(({ id }) => id);
	expect(ids).toEqual(expect.arrayContaining(["DEADLOCK", "RSV-5"]));
});

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
