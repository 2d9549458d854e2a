/** Anomalies A10 and A11 (facts §9): calls that fail and leave something behind. */
import type { RunScenario, ScenarioStep } from "../run-scenario.ts";
import { area, call, DEVICES, threeInOneGroup } from "../setting.ts";

const start: readonly ScenarioStep[] = [
	call("open", "open", {}, "ctx"),
	call("ioas A", "ioasAlloc", {}, "A"),
];

/** A10: the IOVA that was chosen cannot be copied out. */
export const unwritableIova: RunScenario = {
	name: "unwritable-iova",
	title: "Map without an IOVA, the answer cannot be written",
	about:
		"Anomaly A10 (facts §2.4): EFAULT, and the mapping stays at an address that nobody was told. LOG-7",
	topology: threeInOneGroup(),
	devices: DEVICES,
	switches: { unwritableResult: "map" },
	steps: [
		...start,
		call("map somewhere", "map", {
			ioas: "A",
			length: "0x4000",
			va: "0x700000",
			prot: 3,
		}),
	],
};

/** A11: the areas before the failing one are gone, and the caller is not told. */
export const partialUnmap: RunScenario = {
	name: "partial-unmap",
	title: "Unmap a range that ends within an area",
	about:
		"Anomaly A11 (facts §2.6): ENOENT at the second area, the first is unmapped already. LOG-7",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...start,
		area("map first", "A", "0x700000"),
		area("map second", "A", "0x900000", "0x104000"),
		call("unmap one and a half", "unmap", {
			ioas: "A",
			iova: "0x100000",
			length: "0x6000",
		}),
	],
};
