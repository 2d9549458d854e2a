/** The history of splitting (seed 5): per caller and driver, who sees that a partial unmap is answered differently. */
import { describe, expect, test } from "vitest";
import {
	SPLIT_DRIVERS,
	UNMAP_CALLERS,
	measuresFgsp,
	runSplitCase,
	splittingTable,
	type SplitOutcome,
} from "../../src/scenarios/splitting.ts";

const drivers = SPLIT_DRIVERS.map((driver) => driver.name);
/** Columns as in SPLIT_DRIVERS: Arm to 6.12, from 6.13, with the lookup defect, both, v7s, AMD v1, VT-d. */
const EXPECTED: Readonly<Record<string, readonly SplitOutcome[]>> = {
	"type1, page by page": [
		"split",
		"refused",
		"split",
		"refused",
		"wrong pages unpinned",
		"whole leaf",
		"whole leaf",
	],
	"type1 v1, userspace cuts a mapping": [
		"split",
		"refused",
		"split",
		"refused",
		"kept pages harmed",
		"whole leaf",
		"walked into data",
	],
	"type1, chunks by iova_to_phys": [
		"never asked",
		"never asked",
		"split",
		"refused",
		"never asked",
		"never asked",
		"never asked",
	],
	"type1, fgsp set": [
		"split",
		"refused",
		"split",
		"refused",
		"wrong pages unpinned",
		"whole leaf",
		"whole leaf",
	],
	"iommufd, whole area": drivers.map(() => "never asked" as const),
};

describe("who sees a partial unmap", () => {
	test("outcome by caller and driver", () => {
		const expected = Object.fromEntries(
			Object.entries(EXPECTED).map(([caller, row]) => [
				caller,
				Object.fromEntries(row.map((outcome, i) => [drivers[i], outcome])),
			]),
		);
		expect(splittingTable()).toEqual(expected);
	});

	test("fgsp is measured on AMD alone, so its row only counts there: nobody splits, nobody refuses", () => {
		const fine = SPLIT_DRIVERS.filter(measuresFgsp);
		expect(fine.map((driver) => driver.name)).toEqual(["AMD v1"]);
	});

	test("with a right lookup, today's callers cannot tell 6.12 from 6.13", () => {
		const today = UNMAP_CALLERS.filter(({ name }) =>
			["type1, chunks by iova_to_phys", "iommufd, whole area"].includes(name),
		);
		const pick = (name: string) => {
			const driver = SPLIT_DRIVERS.find((one) => one.name === name);
			if (driver === undefined) throw new Error(`no driver ${name}`);
			return driver;
		};
		for (const caller of today)
			expect(runSplitCase(caller, pick("Arm from 6.13"))).toEqual(
				runSplitCase(caller, pick("Arm to 6.12")),
			);
		const [chunks] = today;
		if (chunks === undefined) throw new Error("no caller");
		expect(
			runSplitCase(chunks, pick("Arm with the lookup defect")),
		).toMatchObject({
			partialCalls: 2,
			tablesMade: 2,
			calls: 3,
			unpinned: 1032,
		});
		expect(
			runSplitCase(chunks, pick("Arm from 6.13 with the lookup defect")),
		).toMatchObject({ outcome: "refused", unpinned: 0 });
	});

	test("every frame is unpinned exactly once wherever nothing was refused or harmed", () => {
		for (const caller of UNMAP_CALLERS)
			for (const driver of SPLIT_DRIVERS) {
				const report = runSplitCase(caller, driver);
				const isWhole = ["never asked", "whole leaf", "split"].includes(
					report.outcome,
				);
				if (!isWhole || caller.name.includes("cuts")) continue;
				expect(report.unpinned).toBe(2 * driver.blockFrames + 8);
				expect(report.leftMapped).toBe(0);
			}
	});
});
