/** Hazard W3 (facts §3.6): after 1.d the device that was replaced is detached. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

const { replace, detach } = callsOf("manual");

/** Replace 1, detach 1. */
export const firstDetach: RunScenario = {
	name: "first-detach",
	title: "Replace 1, then detach 1",
	about:
		"Hazard W3 (facts §3.6): device 1 is alone on the new hwpt by the books; 2 and 3 translate through it",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		replace("d", "dev1", 2),
		detach("detach 1", "dev1"),
	],
};
