/** Anomalies A2 and A3 (facts §9): dirty pages that a migration never hears of. */
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { RunScenario, ScenarioStep } from "../run-scenario.ts";
import { area, call, MSI } from "../setting.ts";

const devices = { dev1: deviceId("0000:01:00.0") };
/** HWPT_ALLOC flag: the domain can track dirty pages. */
const DIRTY_TRACKING = 2;
const DIRTY = {
	topology: {
		known: "complete",
		groups: [
			{
				group: groupId(1),
				driver: "vtd",
				members: [{ dev: devices.dev1, resv: [MSI], caps: { dirty: true } }],
			},
		],
	},
	devices,
} as const;

const tracking: readonly ScenarioStep[] = [
	call("open", "open", {}, "ctx"),
	call("bind", "bind", { dev: "dev1" }),
	call("ioas A", "ioasAlloc", {}, "A"),
	call(
		"hwpt H",
		"hwptAlloc",
		{ dev: "dev1", pt: "A", flags: DIRTY_TRACKING },
		"H",
	),
	area("map A", "A", "0x700000"),
	call("attach", "attach", { dev: "dev1", pt: "H" }),
	call("track", "dirtySet", { hwpt: "H", on: true }),
];
const read = (label: string, length: string): ScenarioStep =>
	call(label, "dirtyGet", {
		hwpt: "H",
		iova: "0x100000",
		length,
		pageSize: "0x1000",
	});
const wrote = (label: string, iova: string): ScenarioStep =>
	call(label, "deviceWrote", { hwpt: "H", iova, length: "0x1000" });

/** A3: tracking is switched on although it is on. */
export const dirtyEnabledTwice: RunScenario = {
	...DIRTY,
	name: "dirty-enabled-twice",
	title: "Enable dirty tracking twice, a device write in between",
	about:
		"Anomaly A3 (facts §2.10): the second enabling drops the bits gathered; the write is lost to the reader. DRT-5",
	steps: [
		...tracking,
		wrote("device writes", "0x101000"),
		call("track again", "dirtySet", { hwpt: "H", on: true }),
		read("read", "0x4000"),
	],
};

/** A2: a hole ends the walk, and the read succeeds. */
export const dirtyReadOverHole: RunScenario = {
	...DIRTY,
	name: "dirty-read-over-hole",
	title: "Read the dirty bitmap of a range with a hole",
	about:
		"Anomaly A2 (facts §2.10): the walk stops at the hole, its error is swallowed; the write behind the hole is not reported. DRT-6",
	steps: [
		...tracking,
		area("map behind a hole", "A", "0x900000", "0x108000"),
		wrote("device writes", "0x100000"),
		wrote("device writes behind the hole", "0x108000"),
		read("read", "0xc000"),
	],
};
