/**
 * Facts iommufd-semantics.md §3.5, call by call: three scenarios under four flows, and under detach-attach. Rows are folded from records.
 * Columns: call | switched to | devices | u1/u2 | doms of A | of B | reservations in A | in B | D1 cleaned (before/after the switch).
 */
import { describe, expect, test } from "vitest";
import type { Flow } from "../../src/orchestrator/switches.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { runScenarioNamed } from "../../src/scenarios/runs.ts";
import { table } from "./table.ts";

const lines = (text: string): string[] =>
	text
		.trim()
		.split("\n")
		.map((line) => line.trim());

const PREFIX_2023 = `
	a | D1 | 1:H1 | 2/1 | D1 | - | 1 | - | no
	b | - | 1,2:H1 | 3/1 | D1 | - | 1,2 | - | no
	c | - | 1,2,3:H1 | 4/1 | D1 | - | 1,2,3 | - | no`;
const PREFIX_6_12 = `
	a | D1 | 1:H1 | 2/1 | D1 | D2 | 1 | - | no
	b | - | 1,2:H1 | 3/1 | D1 | D2 | 1,2 | - | no
	c | - | 1,2,3:H1 | 4/1 | D1 | D2 | 1,2,3 | - | no`;

const S1_LAGGING = `${PREFIX_2023}
	d | D2 | 1:H2 2,3:H1 | 3/2 | D1 | D2 | 2,3 | 1 | no
	e | - | 1,2:H2 3:H1 | 2/3 | D1 | D2 | 3 | 1,2 | no
	f | - | 1,2,3:H2 | 1/4 | - | D2 | - | 1,2,3 | yes`;
const S2_LAGGING = `${PREFIX_2023}
	d | - | 1,2:H1 | 3/1 | D1 | - | 1,2 | - | no
	f | D2 | 1:H2 2:H1 | 2/2 | D1 | D2 | 2 | 1 | no
	g | - | 1,2:H2 | 1/3 | - | D2 | - | 1,2 | yes
	h | - | 1,2,3:H2 | 1/4 | - | D2 | - | 1,2,3 | no`;
const S3 = (clean: string): string => `${PREFIX_2023}
	d | - | 1,2:H1 | 3/1 | D1 | - | 1,2 | - | no
	e | - | 1:H1 | 2/1 | D1 | - | 1 | - | no
	f | D2 | 1:H2 | 1/2 | - | D2 | - | 1 | ${clean}
	g | - | 1,2:H2 | 1/3 | - | D2 | - | 1,2 | no
	h | - | 1,2,3:H2 | 1/4 | - | D2 | - | 1,2,3 | no`;

const TABLES: {
	readonly [scenario: string]: { readonly [F in Flow]: string };
} = {
	"replace-1": {
		"posted-v2": S1_LAGGING,
		"device-lagging": S1_LAGGING,
		"device-forced": `${PREFIX_2023}
			d | D2 | 1,2,3:H2 | 1/4 | - | D2 | - | 1,2,3 | after
			e | - | 1,2,3:H2 | 1/4 | - | D2 | - | 1,2,3 | no
			f | - | 1,2,3:H2 | 1/4 | - | D2 | - | 1,2,3 | no`,
		"group-owned": `${PREFIX_6_12}
			d | D2 | 1,2,3:H2 | 1/4 | D1 | D2 | - | 1,2,3 | no
			e | - | 1,2,3:H2 | 1/4 | D1 | D2 | - | 1,2,3 | no
			f | - | 1,2,3:H2 | 1/4 | D1 | D2 | - | 1,2,3 | no`,
		"detach-attach": `${PREFIX_2023}
			d | - | 2,3:H1 | 3/1 | D1 | - | 2,3 | - | no
			e | - | 3:H1 | 2/1 | D1 | - | 3 | - | no
			f | blk,D2 | 3:H2 | 1/2 | - | D2 | - | 3 | before`,
	},
	"replace-2": {
		"posted-v2": S2_LAGGING,
		"device-lagging": S2_LAGGING,
		"device-forced": `${PREFIX_2023}
			d | - | 1,2:H1 | 3/1 | D1 | - | 1,2 | - | no
			f | D2 | 1,2:H2 | 1/3 | - | D2 | - | 1,2 | after
			g | - | 1,2:H2 | 1/3 | - | D2 | - | 1,2 | no
			h | - | 1,2,3:H2 | 1/4 | - | D2 | - | 1,2,3 | no`,
		"group-owned": `${PREFIX_6_12}
			d | - | 1,2:H1 | 3/1 | D1 | D2 | 1,2 | - | no
			f | D2 | 1,2:H2 | 1/3 | D1 | D2 | - | 1,2 | no
			g | - | 1,2:H2 | 1/3 | D1 | D2 | - | 1,2 | no
			h | - | 1,2,3:H2 | 1/4 | D1 | D2 | - | 1,2,3 | no`,
		"detach-attach": `${PREFIX_2023}
			d | - | 1,2:H1 | 3/1 | D1 | - | 1,2 | - | no
			f | - | 2:H1 | 2/1 | D1 | - | 2 | - | no
			g | blk,D2 | 2:H2 | 1/2 | - | D2 | - | 2 | before
			h | - | 2,3:H2 | 1/3 | - | D2 | - | 2,3 | no`,
	},
	"replace-3": {
		"posted-v2": S3("after"),
		"device-lagging": S3("before"),
		"device-forced": S3("after"),
		"group-owned": `${PREFIX_6_12}
			d | - | 1,2:H1 | 3/1 | D1 | D2 | 1,2 | - | no
			e | - | 1:H1 | 2/1 | D1 | D2 | 1 | - | no
			f | D2 | 1:H2 | 1/2 | D1 | D2 | - | 1 | no
			g | - | 1,2:H2 | 1/3 | D1 | D2 | - | 1,2 | no
			h | - | 1,2,3:H2 | 1/4 | D1 | D2 | - | 1,2,3 | no`,
		"detach-attach": S3("before").replace("f | D2 |", "f | blk,D2 |"),
	},
};

const LABELS = ["a", "b", "c", "d", "e", "f", "g", "h"];

describe.each(Object.keys(TABLES))("%s", (scenario) => {
	test.each(Object.keys(TABLES[scenario]!) as Flow[])(
		"%s gives the table of facts §3.5",
		(flow) => {
			const run = runScenario(runScenarioNamed(scenario), { flow });
			expect(table(run, LABELS)).toEqual(lines(TABLES[scenario]![flow]));
		},
	);
	test("every member is switched, listed or not, and in the core's order", () => {
		const run = runScenario(runScenarioNamed(scenario), {
			flow: "group-owned",
		});
		const call = run.calls[scenario === "replace-1" ? "d" : "f"]!;
		const members = run.records.flatMap((r) =>
			r.op === call.seq && r.type === "hw.attach" ? [r.data.dev] : [],
		);
		expect(members).toEqual([
			"device:0000:01:00.0",
			"device:0000:02:00.0",
			"device:0000:02:01.0",
		]);
	});
});

test("detach-attach: the attach half of a first device ends in EBUSY", () => {
	const run = runScenario(runScenarioNamed("replace-1"), {
		flow: "detach-attach",
	});
	expect([
		run.calls["d"]!.errno,
		run.calls["e"]!.errno,
		run.calls["f"]!.errno,
	]).toEqual(["EBUSY", "EBUSY", undefined]);
});

// † of facts §3.5: with automatic hwpts H1 is destroyed inside the call that takes its last count.
const AUTO_6_12: { readonly [scenario: string]: string } = {
	"replace-1-auto": `
		a | D1 | 1:H1 | 2/- | D1 | - | 1 | - | no
		b | - | 1,2:H1 | 3/- | D1 | - | 1,2 | - | no
		c | - | 1,2,3:H1 | 4/- | D1 | - | 1,2,3 | - | no
		d | D2 | 1,2,3:H2 | gone/4 | - | D2 | - | 1,2,3 | after
		e | - | 1,2,3:H2 | gone/4 | - | D2 | - | 1,2,3 | no
		f | - | 1,2,3:H2 | gone/4 | - | D2 | - | 1,2,3 | no`,
	"replace-3-auto": `
		a | D1 | 1:H1 | 2/- | D1 | - | 1 | - | no
		b | - | 1,2:H1 | 3/- | D1 | - | 1,2 | - | no
		c | - | 1,2,3:H1 | 4/- | D1 | - | 1,2,3 | - | no
		d | - | 1,2:H1 | 3/- | D1 | - | 1,2 | - | no
		e | - | 1:H1 | 2/- | D1 | - | 1 | - | no
		f | D2 | 1:H2 | gone/2 | - | D2 | - | 1 | after
		g | - | 1,2:H2 | gone/3 | - | D2 | - | 1,2 | no
		h | - | 1,2,3:H2 | gone/4 | - | D2 | - | 1,2,3 | no`,
};
test.each(Object.keys(AUTO_6_12))(
	"%s, group-owned: the old automatic hwpt goes in the call that empties it",
	(scenario) => {
		const run = runScenario(runScenarioNamed(scenario));
		expect(table(run, LABELS)).toEqual(lines(AUTO_6_12[scenario]!));
	},
);

test("one IOAS: no reservation moves, both domains stay in it", () => {
	const run = runScenario(runScenarioNamed("replace-1-one-ioas"));
	expect(table(run, ["c", "d", "f"])).toEqual([
		"c | - | 1,2,3:H1 | 4/1 | D1,D2 | - | 1,2,3 | - | no",
		"d | D2 | 1,2,3:H2 | 1/4 | D1,D2 | - | 1,2,3 | - | no",
		"f | - | 1,2,3:H2 | 1/4 | D1,D2 | - | 1,2,3 | - | no",
	]);
	const moved = run.records.filter(
		(r) => r.op === run.calls["d"]!.seq && r.type.startsWith("resv."),
	);
	expect(moved).toEqual([]);
});
