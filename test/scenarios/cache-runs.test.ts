/** Cache runs: each breaks exactly what it names and is green with its fix; logs are well-formed, and made again byte for byte. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeLog } from "../../src/cli/write-log.ts";
import { redecidePath } from "../../src/replay/redecide-path.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runCaches, type CacheRun } from "../../src/scenarios/cache-run.ts";
import { CACHE_RUNS } from "../../src/scenarios/cache-runs.ts";
import { headerProblem } from "../../src/vocabulary/header.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";

function judge(run: CacheRun, isFixed: boolean) {
	const { header, records } = runCaches(run, isFixed);
	expect(headerProblem(header)).toBeUndefined();
	for (const record of records) expect(recordProblem(record)).toBeUndefined();
	return verifyRecords(header, records);
}

describe.each(CACHE_RUNS.map((run) => [run.name, run] as const))(
	"%s",
	(_, run) => {
		test("breaks what it says", () => {
			const { verdict, violations, unexplained } = judge(run, false);
			expect([...new Set(violations.map(({ id }) => id))]).toEqual(run.ids);
			expect(unexplained).toEqual([]);
			expect(verdict).toBe(run.ids.length > 0 ? "violated" : "holds");
			if (run.ids.length > 0)
				expect(violations[0]?.evidence).toBe(
					run.isProven === true ? "proven" : "possible",
				);
		});
		test.skipIf(run.fix === undefined)("is green with its fix", () => {
			const { verdict, violations } = judge(run, true);
			expect(violations.map((v) => `${v.id}: ${v.message}`)).toEqual([]);
			expect(verdict).toBe("holds");
		});
		test("is made again byte for byte", async () => {
			const folder = mkdtempSync(join(tmpdir(), "cache-run-"));
			for (const isFixed of [false, run.fix !== undefined]) {
				const path = join(folder, "log.ndjson");
				const { header, records } = runCaches(run, isFixed);
				await writeLog(path, header, [records]);
				expect((await redecidePath(path)).outcome).toBe("same");
			}
			rmSync(folder, { recursive: true });
		});
	},
);

/** What became of the device's writes. */
const writes = (name: string): string[] => {
	const run = CACHE_RUNS.find((one) => one.name === name) as CacheRun;
	return runCaches(run, false).records.flatMap((record) =>
		record.type === "dma.done" ? [record.data.outcome] : [],
	);
};

test("the window of lazy mode: open until the timer has flushed, or until the ring is full", () => {
	expect(writes("lazy-unmap")).toEqual(["done", "done", "blocked", "blocked"]);
	expect(writes("lazy-ring-full")).toEqual(["done", "blocked"]);
	expect(writes("strict-use-after-unmap")).toEqual(["done"]);
});
