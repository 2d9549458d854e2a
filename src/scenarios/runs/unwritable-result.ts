/** ATTACH_PT whose answer cannot be copied out (facts §11 row 43, anomaly A8). */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

/** Replace 1, answer lost. */
export const unwritableResult: RunScenario = {
	name: "unwritable-result",
	title: "Replace 1 succeeds, the id cannot be copied out",
	about:
		"Facts §11 row 43, anomaly A8: the device ends detached, its siblings stay on the new hwpt",
	topology: threeInOneGroup(),
	devices: DEVICES,
	switches: { unwritableResult: "replace" },
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		callsOf("manual").replace("d", "dev1", 2),
	],
};
