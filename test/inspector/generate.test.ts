/** The logs that tests and the benchmark of the inspector run on are of a kernel that does everything right. */
import { describe, expect, test } from "vitest";
import { decodeLine } from "../../src/log/record-line.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { generatedLog } from "./generate.ts";

describe("generated logs", () => {
	test.each([
		{ records: 5000 },
		{ records: 5001, groups: 8, devicesPerGroup: 5, seed: 7 },
	])("hold, and have the length asked for: %o", (options) => {
		const [header, ...lines] = generatedLog(options).trimEnd().split("\n");
		const report = verifyRecords(
			JSON.parse(header as string) as LogHeader,
			lines.map((line, i) => decodeLine(line, i + 2)),
		);
		expect(report.violations).toEqual([]);
		expect(report.verdict).toBe("holds");
		expect(report.records).toBe(options.records);
	});
});
