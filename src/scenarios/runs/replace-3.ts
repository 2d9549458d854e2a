/** Scenario 3 of seed mail 3: only one device still attached when it is replaced. Hazard W5 lives here (facts §3.6). */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	setUp,
	threeInOneGroup,
	DEVICES,
	type Variant,
} from "../setting.ts";

/** Scenario 3 in a variant. */
export function replace3(variant: Variant, name: string): RunScenario {
	const { attach, replace, detach } = callsOf(variant);
	return {
		name,
		title: "Detach 3, detach 2, replace 1, attach 2, attach 3",
		about:
			"Seed mail 3, scenario 3 (facts §3.5): the only listed device is replaced; when is the old hwpt cleaned up?",
		topology: threeInOneGroup(),
		devices: DEVICES,
		steps: [
			...setUp(variant),
			...allAttached(variant),
			detach("d", "dev3"),
			detach("e", "dev2"),
			replace("f", "dev1", 2),
			attach("g", "dev2", 2),
			attach("h", "dev3", 2),
		],
	};
}
