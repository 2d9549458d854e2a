/**
 * The open recordings of a running Linux 6.12: every answer equal (issue 3). Counts are exact, so that nothing falls out of the comparison unseen.
 */
import { expect, test } from "vitest";
import { ConformJudge } from "../../../src/replay/conform/judging.ts";
import { runConform } from "../../../src/replay/conform.ts";

const FIXTURES = new URL("../../fixtures/calls/", import.meta.url).pathname;
/** Invariants that nothing in the recordings with mock devices touches. */
const UNEXERCISED = [
	"ACC-8",
	"GRP-13",
	"GRP-15",
	"GRP-6",
	"HWP-8",
	"HWP-9",
	"IOP-15",
	"IOP-17",
	"MSI-1",
	"MSI-2",
	"RSV-4",
	"RSV-6",
	"VFT-1",
	"VFT-2",
	"VFT-3",
	"VFT-4",
	"VFT-5",
	"VFT-6",
];
const ARMED =
	"call while the kernel's fail-nth was armed: followed, judged by invariants";

test.each([
	["directed", 31, 603],
	["random", 244, 29_685],
	["selftest", 120, 93_216],
	// Recorded with tools/recorder from another build of the same kernel (docs/kernel-oracle.md).
	["oracle", 26, 6_479],
])(
	"%s: %i sequences, %i calls, all equal",
	{ timeout: 120_000 },
	async (set, sequences, calls) => {
		const report = await runConform([`${FIXTURES}${set}`]);
		expect(report.mismatches).toEqual([]);
		expect(report).toMatchObject({
			sequences,
			calls,
			matched: calls,
			mismatched: 0,
			skipped: [],
		});
	},
);

test("fail-nth: calls with an armed fault are followed, all others equal, nothing is left over", async () => {
	const report = await runConform([`${FIXTURES}fail-nth`]);
	expect(report.mismatches).toEqual([]);
	expect(report).toMatchObject({
		sequences: 7,
		calls: 6162,
		matched: 4307,
		mismatched: 0,
		skipped: [{ reason: ARMED, count: 1855 }],
	});
}, 60_000);

test("kernel recordings of multi-device groups: every VFIO and iommufd answer equal; the catalogue finds A1 and A8 where they happened", async () => {
	const judges = new Map<string, ConformJudge>();
	const report = await runConform([`${FIXTURES}recordings`], {
		facts: (sequence, facts) => {
			const judge =
				judges.get(sequence) ??
				new ConformJudge(sequence, { groups: [], known: "unknown" });
			judges.set(sequence, judge);
			judge.next(facts);
		},
	});
	const violated = new Map<string, string[]>();
	for (const [sequence, judge] of judges)
		for (const id of new Set(judge.finish().map((v) => v.id)))
			violated.set(id, [...(violated.get(id) ?? []), sequence]);
	// A failed replace within one IOAS drops live reservations; a failing copy of the answer detaches (facts/kernel-findings.md F1, F4).
	expect(Object.fromEntries(violated)).toEqual({
		"RSV-5": ["f1_ctl_mask.A1", "f1_same_mfunc_v1.A1", "f1_same_single_v1.A1"],
		"VFT-7": [
			"f1_ctl_two_mfunc.A1",
			"f1_ctl_two_single.A1",
			"f1_same_single_v1.A1",
			"f4_ro_mfunc_v1.B5",
			"f4_ro_single_v1.B5",
		],
	});
	expect(report.mismatches).toEqual([]);
	expect(report.mismatched).toBe(0);
	expect(report.sequences).toBe(119);
	const skipped = Object.fromEntries(
		report.skipped.map(({ reason, count }) => [reason.split(":")[0], count]),
	);
	expect(skipped).toEqual({
		EDU_DMA: 1038,
		SYSFS_WRITE: 200,
		"call with an injected fault": 105,
	});
	expect(report.matched + 1038 + 200 + 105).toBe(report.calls);
}, 120_000);

test("the invariant catalogue has nothing against the model's own records", async () => {
	const sets = ["directed", "random", "fail-nth", "oracle"];
	const paths = sets.map((set) => `${FIXTURES}${set}`);
	const report = await runConform(paths, { judge: true });
	expect(report.violations).toEqual([]);
	expect(report.mismatched).toBe(0);
	const unexercised = (report.invariants ?? [])
		.filter(({ checked }) => checked === 0)
		.map(({ id }) => id)
		.filter((id) => !id.startsWith("PT-"));
	// Groups of several devices, reserved regions, interrupts, coherency, legacy containers, cleared tables: the mock device has none of them.
	expect(unexercised.sort()).toEqual(UNEXERCISED);
}, 120_000);
