/** Scenario 2 of seed mail 3: one sibling detached before the replaces, attached again after them. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	setUp,
	threeInOneGroup,
	DEVICES,
	type Variant,
} from "../setting.ts";

/** Scenario 2 in a variant. */
export function replace2(variant: Variant, name: string): RunScenario {
	const { attach, replace, detach } = callsOf(variant);
	return {
		name,
		title: "Detach 3, replace 1, replace 2, attach 3",
		about:
			"Seed mail 3, scenario 2 (facts §3.5): a detached sibling moves along in hardware and joins the new hwpt by a clean attach",
		topology: threeInOneGroup(),
		devices: DEVICES,
		steps: [
			...setUp(variant),
			...allAttached(variant),
			detach("d", "dev3"),
			replace("f", "dev1", 2),
			replace("g", "dev2", 2),
			attach("h", "dev3", 2),
		],
	};
}
