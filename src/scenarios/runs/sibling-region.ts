/** Hazard W7 (facts §3.6, §3.2 point 3): reservations follow the list of attached devices, hardware follows the group. */
import type { RunScenario } from "../run-scenario.ts";
import {
	area,
	callsOf,
	DEV3_WINDOW,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

/** Attach 1 only, map over a window of its unattached sibling. */
export const siblingRegion: RunScenario = {
	name: "sibling-region",
	title: "Attach 1, map over a reserved window of device 3",
	about:
		"Hazard W7 (facts §3.6): legal in 6.12, a risk all the same; device 3 translates through this domain",
	topology: threeInOneGroup({ dev3: [DEV3_WINDOW] }),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		callsOf("manual").attach("a", "dev1", 1),
		area("map over", "A", "0xb00000", DEV3_WINDOW.start),
	],
};
