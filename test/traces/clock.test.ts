/** Calls on another clock than the trace: moved back where that can be measured, left out where it cannot, and never a violation of their own. */
import { describe, expect, test } from "vitest";
import { createVerifier } from "../../src/replay/verify.ts";
import { clockText, judgeClock, type Pair } from "../../src/traces/clock.ts";
import {
	type Imported,
	importAll,
	load,
	mapLines,
	only,
	type Parts,
} from "./support.ts";

type Clock = (t: number) => number;

/** The same calls, read from another clock. */
const onClock = (calls: string | undefined, clock: Clock): string =>
	mapLines(calls, (line) => {
		if (line.trim() === "") return line;
		const call = JSON.parse(line) as { t: number; t_end?: number };
		const end = call.t_end === undefined ? {} : { t_end: clock(call.t_end) };
		return JSON.stringify({ ...call, t: clock(call.t), ...end });
	});

const firstOf = (parts: Parts): number =>
	(JSON.parse((parts.calls ?? "").split("\n")[0] ?? "") as { t: number }).t;

async function judged(
	parts: Parts,
): Promise<Imported & { found: [string, number, string][]; verdict: string }> {
	const imported = await importAll(parts);
	const verifier = createVerifier(imported.header);
	for (const record of imported.records) verifier.next(record);
	const { violations, verdict } = verifier.finish();
	const found = violations.map((v): [string, number, string] => [
		v.id,
		v.seq,
		v.evidence,
	]);
	return { ...imported, found, verdict };
}

/** What happened, without when. */
const story = ({ records }: Imported): unknown[] =>
	records.map(({ type, actor, op, data }) => [
		type,
		actor,
		op,
		type === "dma.done" ? { ...data, from: 0 } : data,
	]);

const CLOCKS: { readonly [name: string]: (first: number) => Clock } = {
	"3 µs early": () => (t) => t - 3000,
	"3 µs late": () => (t) => t + 3000,
	"1 ms early": () => (t) => t - 1e6,
	"1 ms late": () => (t) => t + 1e6,
	"2 s early": () => (t) => t - 2e9,
	"2 s late": () => (t) => t + 2e9,
	"50 ppm fast": (first) => (t) => Math.round(t + 5e-5 * (t - first)),
	"1 s late, 200 ppm slow": (first) => (t) =>
		Math.round(t + 1e9 - 2e-4 * (t - first)),
};

describe.each([
	"a_bridge_v1.M1",
	"f2_attach_v1.B1",
	"f4_ro_mfunc_v1.B5",
	"e_type1_v1.M2",
	"h_hotplug.M1",
])("%s", (name) => {
	const parts = load(name);
	const bare = {
		...parts,
		trace: mapLines(parts.trace, (line) =>
			line.includes("tracing_mark_write") ? undefined : line,
		),
	};
	const whole = judged(parts);
	const wholeBare = judged(bare);

	test("unchanged: one clock", async () => {
		const { report } = await whole;
		expect(report.clock).toMatchObject({ state: "one", against: 0 });
		expect(clockText(report.clock)).toBeUndefined();
	});

	test.each(Object.keys(CLOCKS))("%s", async (clock) => {
		const read = CLOCKS[clock]?.(firstOf(parts)) as Clock;
		const calls = onClock(parts.calls, read);
		const moved = await judged({ ...parts, calls });
		const { found, verdict } = await whole;
		const ids = (list: typeof found) =>
			list.map(([id, , proof]) => [id, proof]);
		expect(ids(moved.found)).toEqual(ids(found));
		expect(moved.verdict).toBe(verdict);
		// What calls and lines do not contradict is not moved.
		if (clock.startsWith("3 µs") && moved.report.clock.state === "one") return;
		expect(moved.report.clock.state).toBe("corrected");
		expect(moved.found).toEqual(found);
		expect(story(moved)).toEqual(story(await whole));
	});

	test.each(Object.keys(CLOCKS))("%s, without markers", async (clock) => {
		const read = CLOCKS[clock]?.(firstOf(parts)) as Clock;
		const moved = await judged({ ...bare, calls: onClock(parts.calls, read) });
		const known = (await wholeBare).found.map(([id]) => id);
		expect(moved.found.filter(([id]) => !known.includes(id))).toEqual([]);
		if (moved.report.clock.state === "apart")
			expect(
				only(moved.records, "trace.lost").map(({ data }) => data.event),
			).toContain("calls");
	});
});

test("calls of another recording are not used, and that is said", async () => {
	const parts = load("a_bridge_v1.M1");
	const { calls } = load("b_mfunc_v1.M1");
	const { report, found } = await judged({ ...parts, calls } as Parts);
	expect(report.clock.state).toBe("apart");
	expect(report.calls.read).toBe(0);
	expect(clockText(report.clock)).toContain("cannot be aligned");
	expect(found).toEqual([]);
});

describe("what pairs tell", () => {
	const pairs = (clock: Clock, n = 50): Pair[] =>
		Array.from({ length: n }, (_, i) => {
			const t = 1e9 + i * 1e6;
			return {
				t: clock(t),
				tEnd: clock(t + 20_000),
				first: t + 4000,
				last: t + 19_000,
			};
		});

	test("how early, and within what", () => {
		const clock = judgeClock(pairs((t) => t - 30_000));
		expect(clock).toMatchObject({ state: "corrected", driftPpm: 0 });
		expect(Math.abs(clock.offsetNs - 30_000)).toBeLessThanOrEqual(
			clock.marginNs,
		);
		expect(clockText(clock)).toBe(
			"clock: calls are 31.5 µs early against the trace (± 3.0 µs): corrected",
		);
	});

	test("a clock that runs faster", () => {
		const clock = judgeClock(
			pairs((t) => Math.round(t + 1e-4 * (t - 1e9)), 1000),
		);
		expect(clock.state).toBe("corrected");
		expect(clock.driftPpm).toBeCloseTo(-100, 0);
		expect(clockText(clock)).toMatch(
			/ (?:99\.9|100\.0)\d µs more late each second/,
		);
	});

	test("no clock at all", () => {
		const clock = judgeClock(pairs((t) => t + ((t * 7919) % 977) * 1e5));
		expect(clock).toMatchObject({ state: "apart", offsetNs: 0 });
	});

	test("one call out of place does not move the others", () => {
		const list = pairs((t) => t);
		const [first] = list as [Pair];
		list[0] = { ...first, last: first.last + 1e9 };
		expect(judgeClock(list)).toMatchObject({ state: "one", against: 1 });
	});

	test("two are too few", () => {
		expect(judgeClock(pairs((t) => t - 1e6, 2)).state).toBe("unmeasured");
	});
});
