/** A bind that fails after it has claimed the group switches it back: two switches in one operation, neither of them a detour (GRP-2). */
import { expect, test } from "vitest";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { runScenarioNamed } from "../../src/scenarios/runs.ts";

test("claimed, failed, given back: nothing is violated", () => {
	const seen = [];
	for (let failNth = 1; failNth <= 20; failNth++) {
		const { header, records } = runScenario(
			runScenarioNamed("sibling-region"),
			{ engine: "compiled", set: { failNth } },
		);
		const failed = records.find(
			({ type, data }) =>
				type === "op.fail" && (data as { step?: string }).step === "id.reserve",
		);
		if (failed !== undefined) seen.push(failNth);
		expect(
			verifyRecords(header, records).violations.map(({ id }) => id),
		).not.toContain("GRP-2");
	}
	expect(seen.length).toBeGreaterThan(0);
});
