/** Hazard W6 at its worst (facts §3.6): 3.f is refused when the old domain has been drained already, and it cannot be filled again. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

const { replace, detach } = callsOf("manual");

/** 3.f refused, rollback out of memory. */
export const failingRefill: RunScenario = {
	name: "failing-refill",
	title:
		"Only 1 attached, its replace refused, no memory to fill the old domain again",
	about:
		"Hazards W5 and W6 (facts §3.6): the domain that stays current has lost its mappings",
	topology: threeInOneGroup(),
	devices: DEVICES,
	switches: { failRollback: true },
	refuse: [{ dev: "dev2", to: "H2", errno: "EINVAL", when: "forward" }],
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		detach("d", "dev3"),
		detach("e", "dev2"),
		replace("f", "dev1", 2),
	],
};
