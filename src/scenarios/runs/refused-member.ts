/** A driver refuses member 2 of the group for the new domain (facts §3.8, §11 rows 34 and 35). */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
	type Variant,
} from "../setting.ts";

/** All attached, replace 1 refused for member 2; on one IOAS anomaly A1 shows. */
export function refusedMember(variant: Variant, name: string): RunScenario {
	return {
		name,
		title: "Replace 1 while the driver refuses member 2",
		about:
			"Facts §3.8, §11 rows 34-35: members reached so far go back, nothing else changes (on one IOAS: anomaly A1)",
		topology: threeInOneGroup(),
		devices: DEVICES,
		refuse: [{ dev: "dev2", to: "H2", errno: "EINVAL", when: "forward" }],
		steps: [
			...setUp(variant),
			...allAttached(variant),
			callsOf(variant).replace("d", "dev1", 2),
		],
	};
}
