/**
 * The explorer's own soundness, on random small systems: the reduced search finds exactly what the full search finds, and the
 * closure over hardware histories finds exactly what explicit fills and evictions find.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ExploreResult, explore } from "../../src/explore/explore.ts";
import { randomCopies, randomScenario } from "./random-scenario.ts";

/** Another seed: SEED=2 npx vitest run test/explore. */
const seed = Number(process.env["SEED"] ?? 1);

const now = () => performance.now();
const ids = (result: ExploreResult) =>
	result.violations.map((v) => v.id).sort();
const reach = (result: ExploreResult) =>
	result.reach.map((r) => `${r.step} ${r.page} ${[...r.sees].sort().join()}`);

describe("reduction", () => {
	const three = randomScenario({
		threads: 3,
		steps: 4,
		dirty: false,
		slots: 2,
	});
	test("the reduced search finds exactly the violations and outcomes of the full search", () => {
		let saved = 0;
		fc.assert(
			fc.property(three, (scenario) => {
				const full = explore(scenario, { now, full: true });
				const reduced = explore(scenario, { now });
				expect(full.complete && reduced.complete).toBe(true);
				expect(ids(reduced)).toEqual(ids(full));
				expect(reduced.outcomes).toEqual(full.outcomes);
				saved += full.states - reduced.states;
			}),
			{ numRuns: 600, seed },
		);
		expect(saved).toBeGreaterThan(0);
	});

	test("the same for larger systems, whose moves have more orders to leave out", () => {
		const four = randomScenario({
			threads: 4,
			steps: 6,
			dirty: false,
			slots: 2,
		});
		const limits = { maxStates: 40_000 };
		let saved = 0;
		let red = 0;
		let largest = 0;
		fc.assert(
			fc.property(four, (scenario) => {
				const full = explore(scenario, { now, full: true, limits });
				fc.pre(full.complete);
				const reduced = explore(scenario, { now });
				expect(reduced.complete).toBe(true);
				expect(ids(reduced)).toEqual(ids(full));
				expect(reduced.outcomes).toEqual(full.outcomes);
				saved += full.transitions - reduced.transitions;
				if (full.verdict === "violated") red++;
				largest = Math.max(largest, full.states);
			}),
			{ numRuns: Number(process.env["RUNS"] ?? 120), seed },
		);
		expect(saved).toBeGreaterThan(0);
		expect(red).toBeGreaterThan(10);
		expect(largest).toBeGreaterThan(2000);
	}, 120_000);

	test("the same for copies, whose symmetry is used", () => {
		let saved = 0;
		fc.assert(
			fc.property(randomCopies(), (scenario) => {
				const full = explore(scenario, { now, full: true });
				const reduced = explore(scenario, { now });
				expect(full.complete && reduced.complete).toBe(true);
				expect(ids(reduced)).toEqual(ids(full));
				expect(reduced.outcomes).toEqual(full.outcomes);
				saved += full.states - reduced.states;
			}),
			{ numRuns: 200, seed },
		);
		expect(saved).toBeGreaterThan(0);
	});

	test("the same for readers and grace periods", () => {
		const readers = randomScenario({
			threads: 3,
			steps: 4,
			dirty: false,
			slots: 1,
			readers: true,
		});
		fc.assert(
			fc.property(readers, (scenario) => {
				const full = explore(scenario, { now, full: true });
				const reduced = explore(scenario, { now });
				expect(ids(reduced)).toEqual(ids(full));
				expect(reduced.outcomes).toEqual(full.outcomes);
			}),
			{ numRuns: 300, seed },
		);
	});

	test("the same for threads that queue invalidations behind each other", () => {
		const queue = randomScenario({
			threads: 3,
			steps: 5,
			dirty: false,
			slots: 2,
			queue: true,
		});
		fc.assert(
			fc.property(queue, (scenario) => {
				const full = explore(scenario, { now, full: true });
				const reduced = explore(scenario, { now });
				expect(ids(reduced)).toEqual(ids(full));
				expect(reduced.outcomes).toEqual(full.outcomes);
			}),
			{ numRuns: 300, seed },
		);
	});

	test("the same while devices write", () => {
		const dirty = randomScenario({
			threads: 2,
			steps: 3,
			dirty: true,
			slots: 1,
		});
		fc.assert(
			fc.property(dirty, (scenario) => {
				const full = explore(scenario, { now, full: true });
				const reduced = explore(scenario, { now });
				expect(full.complete && reduced.complete).toBe(true);
				expect(ids(reduced)).toEqual(ids(full));
				expect(reduced.outcomes).toEqual(full.outcomes);
			}),
			{ numRuns: 100, seed },
		);
	});
});

describe("closure over hardware histories", () => {
	test("finds exactly the violations of explicit fills and evictions", () => {
		const two = randomScenario({
			threads: 2,
			steps: 3,
			dirty: false,
			slots: 1,
		});
		fc.assert(
			fc.property(two, (scenario) => {
				const closure = explore(scenario, { now, full: true });
				const explicit = explore(scenario, { now, full: true, explicit: true });
				expect(explicit.complete).toBe(true);
				expect(ids(closure)).toEqual(ids(explicit));
				expect(closure.outcomes).toEqual(explicit.outcomes);
			}),
			{ numRuns: 120, seed },
		);
	}, 120_000);

	test("gives the same reach table for a single protocol", () => {
		const one = randomScenario({
			threads: 1,
			steps: 5,
			dirty: false,
			slots: 1,
		});
		fc.assert(
			fc.property(one, (scenario) => {
				const closure = explore(scenario, { now });
				const explicit = explore(scenario, { now, full: true, explicit: true });
				expect(explicit.complete).toBe(true);
				expect(reach(closure)).toEqual(reach(explicit));
			}),
			{ numRuns: 150, seed },
		);
	});
});
