/** Writes logs/scenarios anew: `npm run scenarios`. A test compares what is there with what the machines decide. */
import { join } from "node:path";
import { byOperation, writeLog } from "../src/cli/write-log.ts";
import { FLOWS } from "../src/orchestrator/switches.ts";
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
