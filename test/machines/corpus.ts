/** The corpus that pins the machines: every shipped scenario under every flow, and some switches. Each item gives text. */
import type { AnyDefinition } from "../../machines/define.ts";
import type { Flow } from "../../src/orchestrator/switches.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";
import { runScenario, type RunOptions } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS, runScenarioNamed } from "../../src/scenarios/runs.ts";

/** Puts a definition in the place of another. */
export type Substitute = (definition: AnyDefinition) => AnyDefinition;
/** One item: `run` gives what happened, as text. */
export interface CorpusItem {
	readonly name: string;
	run(substitute: Substitute): string;
}

const asText = (value: unknown): string =>
	JSON.stringify(value, (_k, v) =>
		typeof v === "bigint" ? `0x${v.toString(16)}` : v,
	);

function item(
	scenario: string,
	flow: Flow,
	set: NonNullable<RunOptions["set"]> = {},
): CorpusItem {
	return {
		name: `${scenario} ${flow} ${Object.keys(set).length === 0 ? "" : asText(set)}`.trim(),
		run(definition) {
			const run = runScenario(runScenarioNamed(scenario), {
				flow,
				set,
				engine: "compiled",
				definition,
			});
			return asText(run.records);
		},
	};
}

/** Every scenario under every flow. */
export const SCENARIO_ITEMS: readonly CorpusItem[] = RUN_SCENARIOS.flatMap(
	({ name }) => FLOWS.map((flow) => item(name, flow)),
);
/** Scenarios under switches that open other ways. */
export const SWITCHED: readonly CorpusItem[] = [
	item("refused-member-one-ioas", "group-owned", { sameIoasUnreserve: false }),
	item("unwritable-result", "group-owned", { respFailureDetaches: false }),
	item("unwritable-result", "group-owned", { unwritableResult: "attach" }),
	item("unwritable-result", "group-owned", { unwritableResult: "ioasAlloc" }),
	item("unwritable-result", "group-owned", { unwritableResult: "hwptAlloc" }),
	item("unwritable-result", "posted-v2", { unwritableResult: "hwptAlloc" }),
	item("other-hwpt-sibling", "group-owned", { replaceByUnattached: true }),
	item("software-msi", "group-owned", { msiLearnedOnAttachOnly: false }),
	item("refused-member", "group-owned", { refusalTearsDown: false }),
];
