/** A refusal, and a member that cannot go back either (facts §3.8, §4.3): the group is Torn. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

/** Member 2 refuses the new domain, member 1 the way back. */
export const tornGroup: RunScenario = {
	name: "torn-group",
	title: "Replace 1 refused for member 2, and member 1 cannot go back",
	about:
		"Facts §3.8: what cannot be re-attached is blocked; the books still say attached. Breaks GRP-1",
	topology: threeInOneGroup(),
	devices: DEVICES,
	refuse: [
		{ dev: "dev2", to: "H2", errno: "EINVAL", when: "forward" },
		{ dev: "dev1", to: "H1", errno: "EIO", when: "undo" },
	],
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		callsOf("manual").replace("d", "dev1", 2),
	],
};
