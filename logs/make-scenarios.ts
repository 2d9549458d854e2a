/** Writes logs/scenarios anew: `npm run scenarios`. A test compares what is there with what the machines decide. */
import { join } from "node:path";
import { byOperation, writeLog } from "../src/cli/write-log.ts";
import { FLOWS } from "../src/orchestrator/switches.ts";
import { runCaches } from "../src/scenarios/cache-run.ts";
import { CACHE_RUNS } from "../src/scenarios/cache-runs.ts";
import { runScenario } from "../src/scenarios/run.ts";
import { runScenarioNamed } from "../src/scenarios/runs.ts";

/** Scenarios that are run under every flow, and those that are about one. */
const UNDER_EVERY_FLOW = [
	"replace-1",
	"replace-2",
	"replace-3",
	"laggard-detach",
	"first-detach",
];

for (const name of UNDER_EVERY_FLOW)
	for (const flow of FLOWS) {
		const { header, records } = runScenario(runScenarioNamed(name), { flow });
		await writeLog(
			join(import.meta.dirname, "scenarios", `${name}.${flow}.ndjson`),
			header,
			byOperation(records),
		);
	}

/** Cache runs whose logs ship; the others are one command away. */
const OF_CACHES = [
	"lazy-unmap",
	"strict-use-after-unmap",
	"nested-parent-flush",
];

for (const run of CACHE_RUNS.filter(({ name }) => OF_CACHES.includes(name))) {
	const { header, records } = runCaches(run, false);
	await writeLog(
		join(import.meta.dirname, "scenarios", `${run.name}.ndjson`),
		header,
		[records],
	);
}
