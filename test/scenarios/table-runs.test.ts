/**
 * Table runs: each breaks exactly the invariants it names, the first of them first, and is green with its fix. Together with the explorer's
 * counterexamples they hold a log for every row of facts pagetable-semantics.md §8 that is judged entry by entry.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { counterexample } from "../../src/explore/counterexample.ts";
import { DEFAULT_LIMITS } from "../../src/explore/explore.ts";
import { parseScenario } from "../../src/explore/scenario-file.ts";
import { toLog } from "../../src/explore/to-log.ts";
import { CATALOGUE } from "../../src/invariants/catalogue.ts";
import { writeLog } from "../../src/cli/write-log.ts";
import { redecidePath } from "../../src/replay/redecide-path.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { scenarioFiles } from "../../src/scenarios/library.ts";
import {
	fixed,
	runTable,
	type TableRun,
} from "../../src/scenarios/table-run.ts";
import { TABLE_RUNS } from "../../src/scenarios/table-runs.ts";
import { headerProblem } from "../../src/vocabulary/header.ts";
import { recordProblem } from "../../src/vocabulary/records.ts";

function judge(run: TableRun) {
	const { header, records } = runTable(run);
	expect(headerProblem(header)).toBeUndefined();
	for (const record of records) expect(recordProblem(record)).toBeUndefined();
	return verifyRecords(header, records);
}

describe.each(TABLE_RUNS.map((run) => [run.name, run] as const))(
	"%s",
	(_, run) => {
		test("breaks what it says, in that order", () => {
			const { verdict, violations } = judge(run);
			expect(verdict).toBe("violated");
			expect([...new Set(violations.map(({ id }) => id))]).toEqual(run.ids);
		});
		test("is green with its fix", () => {
			const { verdict, violations } = judge(fixed(run));
			expect(violations.map((v) => `${v.id}: ${v.message}`)).toEqual([]);
			expect(verdict).toBe("holds");
		});
	},
);

test("a log of a table run is decided again byte for byte, fixed or not", async () => {
	const folder = mkdtempSync(join(tmpdir(), "table-run-"));
	for (const one of [
		TABLE_RUNS[0] as TableRun,
		fixed(TABLE_RUNS[0] as TableRun),
	]) {
		const path = join(folder, "log.ndjson");
		const { header, records } = runTable(one);
		await writeLog(path, header, [records]);
		expect((await redecidePath(path)).outcome).toBe("same");
	}
	rmSync(folder, { recursive: true });
});

/** Rows that can never be the first to break, and why. */
const NEVER_FIRST: { readonly [id: string]: string } = {
	"PT-45":
		"a device writes without setting the bit only through an entry that knows it as set: PT-46 finds that entry when the report goes out",
	"PT-26":
		"the state form of PT-25 and PT-2: it breaks at the record that breaks one of them",
};

test("every row that is judged entry by entry is the first to break in some log", () => {
	const first = new Set(TABLE_RUNS.map((run) => judge(run).violations[0]?.id));
	const now = () => performance.now();
	for (const { path } of scenarioFiles()) {
		const scenario = parseScenario(readFileSync(path, "utf8"), path);
		for (const id of scenario.expect?.ids ?? []) {
			const example = counterexample(scenario, id, {
				now,
				limits: DEFAULT_LIMITS,
			});
			if (example === undefined) continue;
			const { header, records } = toLog(example);
			first.add(verifyRecords(header, records).violations[0]?.id);
		}
	}
	const missing = CATALOGUE.filter(
		({ id, entries, test: state }) =>
			(entries === true || (state !== undefined && id.startsWith("PT-"))) &&
			!first.has(id) &&
			NEVER_FIRST[id] === undefined,
	).map(({ id }) => id);
	expect(missing).toEqual([]);
});
