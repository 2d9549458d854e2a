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

/** A14: a device that left its group's attachment asks for a replace. */
export const replaceByDetached: RunScenario = {
	name: "replace-by-detached",
	title: "Detach 3, then replace 3",
	about:
		"Anomaly A14 (facts §9): refused since 6.12.24 (commit 55c85fa7579d); before (--set replaceByUnattached=true) a device that holds no count moves the group. GRP-15",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		callsOf("manual").detach("d", "dev3"),
		callsOf("manual").replace("replace 3", "dev3", 2),
	],
};
