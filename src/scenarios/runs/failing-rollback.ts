/** Hazard W6 (facts §3.6): 2.f is refused by a driver, and what the rollback must allocate cannot be had. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

const { replace, detach } = callsOf("manual");

/** 2.f refused, rollback out of memory. */
export const failingRollback: RunScenario = {
	name: "failing-rollback",
	title: "Detach 3, replace 1 refused for member 2, no memory to roll back",
	about:
		"Hazard W6 (facts §3.6): a flow that gives up the old reservations first must get them back, and may not",
	topology: threeInOneGroup(),
	devices: DEVICES,
	switches: { failRollback: true },
	refuse: [{ dev: "dev2", to: "H2", errno: "EINVAL", when: "forward" }],
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		detach("d", "dev3"),
		replace("f", "dev1", 2),
	],
};
