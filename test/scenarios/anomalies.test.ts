/** Every anomaly that the live system carries: red (or a warning) by its invariant with the kernel as it is, green with the switch mended. */
import { describe, expect, test } from "vitest";
import { createJudge } from "../../src/invariants/judge.ts";
import { runScenario, type RunOptions } from "../../src/scenarios/run.ts";
import { runScenarioNamed } from "../../src/scenarios/runs.ts";

function found(scenario: string, set: NonNullable<RunOptions["set"]>) {
	const run = runScenario(runScenarioNamed(scenario), {
		engine: "compiled",
		set,
	});
	const judge = createJudge(run.header);
	for (const record of run.records) judge.next(record);
	judge.finish();
	const ids = (list: readonly { readonly id: string }[]) => [
		...new Set(list.map(({ id }) => id)),
	];
	const { violations, warnings } = judge.verdicts;
	return { run, errors: ids(violations), warnings: ids(warnings) };
}

type Row = readonly [
	anomaly: string,
	scenario: string,
	mended: NonNullable<RunOptions["set"]>,
	errors: readonly string[],
	warnings: readonly string[],
];
const ROWS: readonly Row[] = [
	[
		"A1",
		"refused-member-one-ioas",
		{ sameIoasUnreserve: false },
		["RSV-2", "RSV-5"],
		[],
	],
	["A2", "dirty-read-over-hole", { dirtyWalkErrorsLost: false }, [], ["DRT-6"]],
	["A3", "dirty-enabled-twice", { enablingClears: false }, [], ["DRT-5"]],
	[
		"A4",
		"page-requests-of-two",
		{ pageRequestsInAnyGroup: false },
		["FLT-2", "GRP-11"],
		[],
	],
	["A5", "foreign-domain", { replaceChecksOwner: true }, ["GRP-13"], []],
	["A6", "deaf-access", { preventSticks: false }, [], ["ACC-8"]],
	["A7", "doorbell-lost", { doorbellsLost: false }, ["MSI-2"], []],
	["A8", "unwritable-result", { respFailureDetaches: false }, ["VFT-7"], []],
	["A9", "reader-is-asked", { asksEveryAccess: false }, [], ["ACC-7"]],
	["A10", "unwritable-iova", { respFailureKeeps: false }, [], ["LOG-7"]],
	["A11", "partial-unmap", { partialUnmapStays: false }, [], ["LOG-7"]],
	["A12", "software-msi", { msiLearnedOnAttachOnly: false }, ["MSI-1"], []],
	["A13", "refused-member", { refusalTearsDown: false }, [], ["GRP-14"]],
];

describe.each(ROWS)("%s: %s", (_, scenario, mended, errors, warnings) => {
	test("is found by its invariant with the kernel as it is", () => {
		const seen = found(scenario, {});
		expect(seen.errors).toEqual(expect.arrayContaining([...errors]));
		expect(seen.warnings).toEqual(expect.arrayContaining([...warnings]));
	});
	test("is gone with the switch mended", () => {
		const seen = found(scenario, mended);
		for (const id of [...errors, ...warnings])
			expect([...seen.errors, ...seen.warnings]).not.toContain(id);
	});
});

test("A14: GRP-15 finds it up to 6.12.23; later ones refuse", () => {
	const old = found("replace-by-detached", { replaceByUnattached: true });
	expect(old.errors).toContain("GRP-15");
	const now = found("replace-by-detached", {});
	expect(now.errors).toEqual([]);
	expect(now.run.calls["replace 3"]).toMatchObject({ errno: "EINVAL" });
});
