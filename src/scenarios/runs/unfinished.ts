/** Hazard W8 (facts §3.6): user space never makes calls e and f. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

/** Replace 1, and nothing more. */
export const unfinished: RunScenario = {
	name: "unfinished",
	title: "Replace 1, and the log ends",
	about:
		"Hazard W8 (facts §3.6): what is left when user space stops between d and f",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		callsOf("manual").replace("d", "dev1", 2),
	],
};
