/** An unattached sibling asks for another hwpt than its group's (facts §11 row 33). */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	callsOf,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

/** Attach 1 and 2 to H1, 3 to H2. */
export const otherHwptSibling: RunScenario = {
	name: "other-hwpt-sibling",
	title: "Attach 1 and 2 to H1, try 3 on H2",
	about:
		"Facts §11 row 33: refused, the group untouched; then a replace by the unattached 3 is refused too (A14)",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		...allAttached("manual", 2),
		callsOf("manual").attach("try 3", "dev3", 2),
		callsOf("manual").replace("replace 3", "dev3", 2),
	],
};
