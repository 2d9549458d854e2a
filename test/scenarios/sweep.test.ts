/**
 * Every shipped scenario under Linux's own flow, each failable step failing once: what is violated is known of 6.12, by number, and never new. What counts
 * as known is not taken from ids: mended kernels show it.
 */
import { describe, expect, test } from "vitest";
import { DEFAULT_SWITCHES } from "../../src/orchestrator/switches.ts";
import { sweepScenario } from "../../src/scenarios/sweep.ts";
import { KNOWN_ANOMALIES } from "../../src/scenarios/known.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";
import { run } from "../cli/harness.ts";

/** Failable steps, and how many of them bring which anomaly to light. */
const SWEEPS: readonly (readonly [
	name: string,
	steps: number,
	known: { readonly [anomaly: string]: number },
])[] = [
	["replace-1", 57, { A8: 3 }],
	["replace-1-auto", 55, { A8: 3 }],
	["replace-1-one-ioas", 50, { A1: 5, A8: 3 }],
	["replace-2", 57, { A8: 2 }],
	["replace-2-auto", 55, { A8: 2 }],
	["replace-2-one-ioas", 51, { A1: 5, A8: 2 }],
	["replace-3", 57, { A8: 1 }],
	["replace-3-auto", 55, { A8: 1 }],
	["replace-3-one-ioas", 52, { A1: 5, A8: 1 }],
	["laggard-detach", 55, { A8: 1 }],
	["first-detach", 55, { A8: 1 }],
	["legacy-v1", 19, { torn: 2 }],
	["legacy-v2", 19, { torn: 2 }],
	["unfinished", 55, { A8: 1 }],
	["failing-rollback", 54, { torn: 2 }],
	["failing-refill", 53, { torn: 2 }],
	["sibling-region", 45, {}],
	["laggard-region", 60, { A8: 3 }],
	["refused-member", 55, { torn: 2 }],
	["refused-member-one-ioas", 48, { torn: 2 }],
	["torn-group", 56, {}],
	["other-hwpt-sibling", 44, {}],
	["replace-by-detached", 46, {}],
	["only-one-attached", 58, { torn: 3 }],
	["bind-refusals", 22, { torn: 2 }],
	["unwritable-result", 55, {}],
	["software-msi", 55, { A1: 5, A8: 1, torn: 2 }],
	["doorbell-lost", 29, { A8: 1 }],
	["dirty-read-over-hole", 25, {}],
	["dirty-enabled-twice", 22, {}],
	["page-requests-of-two", 36, {}],
	["foreign-domain", 37, { A8: 1 }],
	["deaf-access", 10, {}],
	["reader-is-asked", 13, {}],
	["unwritable-iova", 6, {}],
	["partial-unmap", 7, {}],
	["hot-add", 45, {}],
	["tour", 137, { torn: 8, A8: 1 }],
];

test("the table has every scenario", () => {
	expect(SWEEPS.map(([name]) => name)).toEqual(
		RUN_SCENARIOS.map(({ name }) => name),
	);
});

test.each(SWEEPS)(
	"%s: %i steps, known %o, nothing new",
	(name, steps, known) => {
		const sweep = sweepScenario(runScenarioNamed(name), { engine: "compiled" });
		const found: Record<string, number> = {};
		for (const one of sweep.runs.flatMap((r) => r.known))
			found[one.anomaly] = (found[one.anomaly] ?? 0) + 1;
		expect(
			sweep.runs.flatMap(({ nth, fresh }) => fresh.map((id) => `${nth} ${id}`)),
		).toEqual([]);
		expect([sweep.runs.length, found]).toEqual([steps, known]);
		expect(sweep.verdict).toBe(
			Object.keys(known).length > 0 ? "known" : "holds",
		);
	},
);

describe("what is known is told from what is new", () => {
	const bad = (
		name: string,
		set: object = {},
		flow?: "detach-attach" | "device-lagging",
	) =>
		sweepScenario(runScenarioNamed(name), {
			engine: "compiled",
			set: set as never,
			...(flow === undefined ? {} : { flow }),
		});

	test("a kernel without the anomaly violates nothing at the same steps", () => {
		const { runs } = bad("replace-1-one-ioas", {
			sameIoasUnreserve: false,
			respFailureDetaches: false,
		});
		expect(runs.filter(({ ids }) => ids.length > 0)).toEqual([]);
	});
	test("a step that the kernel forgets besides is new, next to what is known", () => {
		const { verdict, runs } = bad("doorbell-lost", { omit: "hw.attach#5" });
		expect(verdict).toBe("violated");
		expect(
			runs.some(({ fresh, known }) => fresh.length > 0 && known.length > 0),
		).toBe(true);
	});
	test("the same ids in another flow are new", () => {
		const { verdict, runs } = bad("replace-3", {}, "detach-attach");
		expect(verdict).toBe("violated");
		expect(runs.flatMap(({ fresh }) => fresh)).toEqual(
			expect.arrayContaining(["RSV-5", "VFT-7"]),
		);
	});
	test("every anomaly of the table is a switch of the live system with another default", () => {
		for (const { mended } of KNOWN_ANOMALIES)
			for (const [name, value] of Object.entries(mended))
				expect([name, value]).toEqual([
					name,
					!DEFAULT_SWITCHES[name as keyof typeof DEFAULT_SWITCHES],
				]);
	});
});

describe("the command", () => {
	test("words, JSON and exit code", async () => {
		const known = await run("sweep", "replace-1");
		expect(known.code).toBe(0);
		expect(known.out).toBe(
			`KNOWN  replace-1: 57 steps failed, one a run; 0 runs violate something new; 3 only what is known of Linux 6.12
  step 55: d EFAULT at resp: VFT-7 known (A8)
  step 56: e EFAULT at resp: RSV-5, VFT-7 known (A8)
  step 57: f EFAULT at resp: RSV-5, VFT-7 known (A8)
`,
		);
		const fresh = await run("sweep", "replace-3", "--flow", "detach-attach");
		expect(fresh.code).toBe(1);
		expect(fresh.out).toMatch(
			/^VIOLATED {2}replace-3: .*; 9 runs violate something new; 1 only/,
		);
		expect(fresh.out).toMatch(/RSV-5, VFT-7 NEW\n/);
		const holds = await run("sweep", "hot-add");
		expect([holds.code, holds.out.slice(0, 5)]).toEqual([0, "HOLDS"]);
		const { code, out } = await run("sweep", "legacy-v2", "--json");
		const { verdict, runs } = JSON.parse(out) as ReturnType<
			typeof sweepScenario
		>;
		expect([code, verdict]).toEqual([0, "known"]);
		expect(runs.filter((r) => r.verdict !== "holds")).toEqual([
			{
				nth: 17,
				verdict: "known",
				ids: ["GRP-1", "LOG-5"],
				known: [{ anomaly: "torn", ids: ["GRP-1", "LOG-5"] }],
				fresh: [],
			},
			{
				nth: 19,
				verdict: "known",
				ids: ["GRP-1", "LOG-5"],
				known: [{ anomaly: "torn", ids: ["GRP-1", "LOG-5"] }],
				fresh: [],
			},
		]);
	});

	test("a sample of recorded calls says what it left out, and is not the whole", async () => {
		const file = "test/fixtures/calls/directed/directed.reserved.ndjson.gz";
		const whole = await run("sweep", file, "--json");
		const part = await run("sweep", file, "--every", "5", "--json");
		const count = ({ out }: { out: string }) => {
			const { calls, leftOut } = JSON.parse(out) as {
				calls: number;
				leftOut: Record<string, number>;
			};
			return [
				calls,
				Object.values(leftOut).reduce((a, b) => a + b, 0),
			] as const;
		};
		const [calls, none] = count(whole);
		const [swept, missed] = count(part);
		expect([whole.code, part.code, none]).toEqual([0, 3, 0]);
		expect(swept + missed).toBe(calls);
		expect(swept).toBeGreaterThan(0);
		expect(missed).toBeGreaterThan(0);
		const text = await run("sweep", file, "--every", "5");
		expect(text.out).toContain("HOLDS AS FAR AS SWEPT");
		expect(text.out).toContain(
			`not swept: ${missed} of ${calls} calls (--every 5): `,
		);
		for (const wrong of ["0", "x", "1.5"]) {
			const refused = await run("sweep", file, "--every", wrong);
			expect([refused.code, refused.err]).toEqual([
				2,
				expect.stringContaining("--every takes a count"),
			]);
		}
		expect((await run("sweep", "replace-1", "--every", "2")).code).toBe(2);
	});
});
