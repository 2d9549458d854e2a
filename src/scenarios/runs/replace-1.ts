/** Scenario 1 of seed mail 3: three devices attached, each replaced in turn. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	setUp,
	threeInOneGroup,
	DEVICES,
	type Variant,
} from "../setting.ts";

/** Scenario 1 in a variant. */
export function replace1(variant: Variant, name: string): RunScenario {
	const { replace } = callsOf(variant);
	return {
		name,
		title: "Replace 1, then 2, then 3",
		about:
			"Seed mail 3, scenario 1 (facts §3.5): who switches, and what do the siblings' books say in between?",
		topology: threeInOneGroup(),
		devices: DEVICES,
		steps: [
			...setUp(variant),
			...allAttached(variant),
			replace("d", "dev1", 2),
			replace("e", "dev2", 2),
			replace("f", "dev3", 2),
		],
	};
}
