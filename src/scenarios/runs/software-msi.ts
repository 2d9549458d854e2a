/** Software MSI windows (facts §3.3): learned on attach, a cookie a domain, conflicts refused. */
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { RunScenario } from "../run-scenario.ts";
import { area, call, MSI } from "../setting.ts";

const SW_MSI = {
	start: "0x8000000",
	last: "0x80fffff",
	kind: "sw-msi",
} as const;
const devices = {
	dev1: deviceId("0000:01:00.0"),
	dev2: deviceId("0000:01:00.1"),
	both: deviceId("0000:02:00.0"),
};

/** A7: a replace while interrupts are live. */
export const doorbellLost: RunScenario = {
	name: "doorbell-lost",
	title: "Request interrupts, then replace",
	about:
		"Anomaly A7 (facts §3.3): the new domain gets the cookie but not the doorbell's mapping; interrupts are lost until requested again. MSI-2",
	topology: {
		known: "complete",
		groups: [
			{
				group: groupId(1),
				driver: "smmu-v3",
				members: [{ dev: devices.dev1, resv: [SW_MSI] }],
			},
		],
	},
	devices: { dev1: devices.dev1 },
	steps: [
		call("open", "open", {}, "ctx"),
		call("bind", "bind", { dev: "dev1" }),
		call("ioas A", "ioasAlloc", {}, "A"),
		call("ioas B", "ioasAlloc", {}, "B"),
		call("attach", "attach", { dev: "dev1", pt: "A" }),
		call("interrupts", "irqRequest", { dev: "dev1" }),
		call("replace", "replace", { dev: "dev1", pt: "B" }),
		call("interrupts again", "irqRequest", { dev: "dev1" }),
	],
};

/** A group with a software window, and a device that has both kinds. */
export const softwareMsi: RunScenario = {
	name: "software-msi",
	title: "Attach, replace and attach with software MSI windows",
	about:
		"Facts §3.3: the first attach learns the window and sets the cookie, a replace sets it on the new domain; both kinds on one device are EINVAL",
	topology: {
		known: "complete",
		groups: [
			{
				group: groupId(1),
				driver: "smmu-v3",
				members: [
					{ dev: devices.dev1, resv: [SW_MSI] },
					{ dev: devices.dev2, resv: [] },
				],
			},
			{
				group: groupId(2),
				driver: "smmu-v3",
				members: [{ dev: devices.both, resv: [SW_MSI, MSI] }],
			},
		],
	},
	devices,
	steps: [
		call("open", "open", {}, "ctx"),
		...Object.keys(devices).map((dev) => call(`bind ${dev}`, "bind", { dev })),
		call("ioas A", "ioasAlloc", {}, "A"),
		area("map A", "A", "0x700000"),
		call("hwpt H1", "hwptAlloc", { dev: "dev1", pt: "A" }, "H1"),
		call("hwpt H2", "hwptAlloc", { dev: "dev1", pt: "A" }, "H2"),
		call("attach 2", "attach", { dev: "dev2", pt: "H1" }),
		call("attach 1", "attach", { dev: "dev1", pt: "H1" }),
		call("replace 1", "replace", { dev: "dev1", pt: "H2" }),
		call("detach 1", "detach", { dev: "dev1" }),
		call("detach 2", "detach", { dev: "dev2" }),
		call("attach 2 again", "attach", { dev: "dev2", pt: "H1" }),
		call("both kinds", "attach", { dev: "both", pt: "A" }),
	],
};
