/** The hazards of seed mail 3 (facts iommufd §3.6): found by invariants in logs of the model, red exactly where the table says so. */
import { expect, test } from "vitest";
import { FLOWS, type Flow } from "../../src/orchestrator/switches.ts";
import { type Report, verifyRecords } from "../../src/replay/verify.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";

function judge(
	name: string,
	flow: Flow,
	set?: { readonly [name: string]: number },
): Report {
	const run = runScenario(runScenarioNamed(name), {
		flow,
		engine: "compiled",
		...(set === undefined ? {} : { set }),
	});
	return verifyRecords(run.header, run.records);
}
const errors = (report: Report): string[] => [
	...new Set(report.violations.map(({ id }) => id)),
];
const warnings = (report: Report): string[] => [
	...new Set(report.warnings.map(({ id }) => id)),
];

/** Rows of §3.6: scenario, invariant, and the flows that break it there. */
const HAZARDS: readonly (readonly [
	what: string,
	scenario: string,
	id: string,
	flows: readonly Flow[],
])[] = [
	[
		"W1 group and bookkeeping differ",
		"replace-1",
		"GRP-4",
		["posted-v2", "device-lagging"],
	],
	[
		"W1 two hwpts in one group",
		"replace-1",
		"GRP-9",
		["posted-v2", "device-lagging"],
	],
	[
		"W2 laggards' detach blocks the sibling that moved",
		"laggard-detach",
		"GRP-8",
		["posted-v2", "device-lagging"],
	],
	[
		"W3 the first device's detach blocks its siblings",
		"first-detach",
		"GRP-8",
		["posted-v2", "device-lagging"],
	],
	[
		"W4 switched to before it is filled",
		"replace-1",
		"HWP-10",
		["posted-v2", "device-lagging", "device-forced"],
	],
	["W5 drained before the switch", "replace-3", "HWP-11", ["device-lagging"]],
];

test.each(HAZARDS)("%s (%s): %s", (_, scenario, id, flows) => {
	for (const flow of FLOWS) {
		if (flow === "detach-attach") continue;
		expect([flow, errors(judge(scenario, flow)).includes(id)]).toEqual([
			flow,
			flows.includes(flow),
		]);
	}
});

test("W6: a rollback that fails is found under device-lagging only", () => {
	for (const flow of FLOWS.filter((one) => one !== "detach-attach"))
		expect([
			flow,
			errors(judge("failing-rollback", flow)).some(
				(id) => id === "RSV-5" || id.startsWith("LOG"),
			),
		]).toEqual([flow, flow === "device-lagging"]);
});

test("W7: a laggard's region is a warning, and no error by itself", () => {
	for (const flow of FLOWS.filter((one) => one !== "detach-attach"))
		expect([
			flow,
			warnings(judge("laggard-region", flow)).includes("RSV-6"),
		]).toEqual([flow, flow === "posted-v2" || flow === "device-lagging"]);
	expect(warnings(judge("sibling-region", "group-owned"))).toEqual(["RSV-6"]);
});

test("W8: what user space left unfinished is still broken when the log ends", () => {
	for (const flow of FLOWS.filter((one) => one !== "detach-attach")) {
		const standing = judge("unfinished", flow)
			.violations.filter((one) => one.standing)
			.map(({ id }) => id);
		expect([flow, standing.includes("GRP-4")]).toEqual([
			flow,
			flow === "posted-v2" || flow === "device-lagging",
		]);
	}
});

test("what Linux merged has none of them", () => {
	for (const name of [
		"replace-1",
		"replace-2",
		"replace-3",
		"laggard-detach",
		"first-detach",
		"unfinished",
		"failing-rollback",
		"failing-refill",
		"laggard-region",
		"only-one-attached",
	])
		for (const variant of ["", "-auto", "-one-ioas"])
			if (RUN_SCENARIOS.some((scenario) => scenario.name === name + variant)) {
				const report = judge(name + variant, "group-owned");
				expect([name + variant, report.verdict, errors(report)]).toEqual([
					name + variant,
					"holds",
					[],
				]);
			}
});

test("the anomalies of 6.12 are found: A1, A8, A12, a torn group", () => {
	expect(errors(judge("refused-member-one-ioas", "group-owned"))).toEqual([
		"RSV-5",
		"RSV-2",
	]);
	expect(errors(judge("unwritable-result", "group-owned"))).toEqual(["VFT-7"]);
	expect(errors(judge("software-msi", "group-owned"))).toEqual(["MSI-1"]);
	expect(errors(judge("torn-group", "group-owned"))).toEqual([
		"GRP-1",
		"LOG-5",
	]);
});

test("a finding names its record, its actors, what led to it and the source", () => {
	const [first] = judge("laggard-detach", "posted-v2").violations.filter(
		({ id }) => id === "GRP-8",
	);
	expect(first).toMatchObject({
		id: "GRP-8",
		severity: "error",
		evidence: "possible",
	});
	expect(first?.message).toMatch(
		/detaching device:\S+ moved group:\d+ to domain:\d+ although device:\S+ is still attached/,
	);
	expect(first?.actors).toContain("group:7");
	expect(first?.leadingRecords.at(-1)).toBe(first?.seq);
	expect(first?.leadingRecords.length).toBeGreaterThanOrEqual(3);
	expect(first?.source.length).toBeGreaterThan(0);
});

test("the summary tells who was switched in which call, and which calls were no-ops", () => {
	const { summary } = judge("replace-1", "group-owned");
	const calls = summary.calls
		.filter((call) => call.op === "attach" || call.op === "replace")
		.map((call) => [
			call.op,
			call.did,
			call.switches.map((one) => one.members.length),
		]);
	expect(calls).toEqual([
		["attach", "attached", [3]],
		["attach", "attached", []],
		["attach", "attached", []],
		["replace", "replaced", [3]],
		["replace", "unchanged", []],
		["replace", "unchanged", []],
	]);
});
