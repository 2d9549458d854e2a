/** Hazard W7 (facts §3.6) between 1.d and 1.f: a laggard's window is not reserved yet where its DMA goes. */
import type { RunScenario } from "../run-scenario.ts";
import {
	allAttached,
	area,
	callsOf,
	DEV3_WINDOW,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

const { replace } = callsOf("manual");

/** Replace 1, map over 3's window in B, replace 3. */
export const laggardRegion: RunScenario = {
	name: "laggard-region",
	title:
		"Replace 1, map over a window of laggard 3 in the new IOAS, replace 2 and 3",
	about:
		"Hazard W7 (facts §3.6): the map is refused only if the laggard's window has been reserved; else 1.f cannot succeed any more",
	topology: threeInOneGroup({ dev3: [DEV3_WINDOW] }),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		...allAttached("manual"),
		replace("d", "dev1", 2),
		area("map over", "B", "0xb00000", DEV3_WINDOW.start),
		replace("e", "dev2", 2),
		replace("f", "dev3", 2),
	],
};
