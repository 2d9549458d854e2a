/** The flush queue as the kernel keeps it is green whatever happens; each of its named faults breaks its row (PT-33, PT-34, PT-35). */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
	newFlushQueue,
	queueIova,
	RING_SLOTS,
	timeout,
	TIMEOUT_NS,
} from "../../src/iotlb/flush-queue.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runLazy, type LazyStep } from "../../src/scenarios/lazy-run.ts";

const ids = (...run: Parameters<typeof runLazy>): string[] => {
	const { header, records } = runLazy(...run);
	const { violations } = verifyRecords(header, records);
	return [...new Set(violations.map(({ id }) => id))];
};
const use = (page: number, cpu = 0): LazyStep => ({ do: "use", page, cpu });
const storm = Array.from({ length: RING_SLOTS + 10 }, (_, i) => use(i));

test("random use of a lazy domain is green", () => {
	const step = fc.oneof(
		{
			weight: 9,
			arbitrary: fc
				.tuple(fc.nat(600), fc.nat(3))
				.map(([page, cpu]) => use(page, cpu)),
		},
		fc.nat(2 * TIMEOUT_NS).map((ns): LazyStep => ({ do: "pass", ns })),
	);
	fc.assert(
		fc.property(
			fc.array(step, { maxLength: 800 }),
			fc.boolean(),
			(steps, single) => {
				expect(ids(steps, { single })).toEqual([]);
			},
		),
		{ numRuns: 40 },
	);
});

test.each([
	["hands-out-queued", [use(1), use(1)], "PT-33"],
	[
		"releases-without-flush",
		[use(1), { do: "pass", ns: 2 * TIMEOUT_NS }],
		"PT-34",
	],
	["ring-without-end", storm, "PT-35"],
	[
		"timer-never-fires",
		[use(1), { do: "pass", ns: 2 * TIMEOUT_NS }, use(2)],
		"PT-35",
	],
] as const)("the fault %s", (fault, steps, id) => {
	expect(ids(steps, { fault })[0]).toBe(id);
	expect(ids(steps)).toEqual([]);
});

test("a full ring is flushed, and only what that flush covers is released", () => {
	let queue = newFlushQueue();
	for (let i = 0; i < RING_SLOTS - 1; i++)
		queue = queueIova(queue, { start: i, n: 1 }, 0, i).queue;
	const { queue: after, events } = queueIova(
		queue,
		{ start: 999, n: 1 },
		0,
		999,
	);
	expect(events[0]).toEqual({ type: "flush" });
	expect(events.filter(({ type }) => type === "released")).toHaveLength(
		RING_SLOTS - 1,
	);
	expect(after.rings.get(0)).toHaveLength(1);
});

test("the timer drains the rings of all CPUs, and is armed anew by the next entry", () => {
	let { queue } = queueIova(newFlushQueue(), { start: 1, n: 1 }, 0, 5);
	expect(queue.timerAt).toBe(5 + TIMEOUT_NS);
	queue = queueIova(queue, { start: 2, n: 1 }, 3, 9).queue;
	const fired = timeout(queue);
	expect(fired.events.map(({ type }) => type)).toEqual([
		"flush",
		"released",
		"released",
	]);
	expect(fired.queue.timerAt).toBeUndefined();
	expect(queueIova(fired.queue, { start: 3, n: 1 }, 0, 77).queue.timerAt).toBe(
		77 + TIMEOUT_NS,
	);
});
