/** Hazard W2 (facts §3.6): after 1.d the laggards are detached instead of replaced. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

const { replace, detach } = callsOf("manual");

/** Replace 1, detach 2, detach 3. */
export const laggardDetach: RunScenario = {
	name: "laggard-detach",
	title: "Replace 1, then detach 2 and 3",
	about:
		"Hazard W2 (facts §3.6): is device 3, the last on the old hwpt by the books, the last of the group?",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		replace("d", "dev1", 2),
		detach("detach 2", "dev2"),
		detach("detach 3", "dev3"),
	],
};
