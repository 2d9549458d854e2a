/** Who may not bind (facts §11 rows 38-40, §4.2). */
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { RunScenario } from "../run-scenario.ts";
import { call, MSI } from "../setting.ts";

const DIRECT = {
	start: "0x80000000",
	last: "0x800fffff",
	kind: "direct",
} as const;
const devices = {
	ours: deviceId("0000:03:00.0"),
	kernel: deviceId("0000:03:00.1"),
	direct: deviceId("0000:04:00.0"),
	plain: deviceId("0000:04:00.1"),
	one: deviceId("0000:05:00.0"),
	two: deviceId("0000:05:00.1"),
	noncoherent: deviceId("0000:06:00.0"),
};

/** Three groups that refuse, each for its own reason. */
export const bindRefusals: RunScenario = {
	name: "bind-refusals",
	title: "Binds that are refused",
	about:
		"Facts §11 rows 38-40: a sibling with a kernel driver, a mandated direct region, a second context; §2.1 step 1",
	topology: {
		known: "complete",
		groups: [
			{
				group: groupId(1),
				driver: "vtd",
				members: [
					{ dev: devices.ours, resv: [MSI] },
					{ dev: devices.kernel, resv: [MSI], kernelDriver: "e1000e" },
				],
			},
			{
				group: groupId(2),
				driver: "vtd",
				members: [
					{ dev: devices.plain, resv: [MSI] },
					{ dev: devices.direct, resv: [MSI, DIRECT] },
				],
			},
			{
				group: groupId(3),
				driver: "vtd",
				members: [
					{ dev: devices.one, resv: [MSI] },
					{ dev: devices.two, resv: [MSI] },
				],
			},
			{
				group: groupId(4),
				driver: "smmu-v3",
				members: [
					{ dev: devices.noncoherent, resv: [MSI], caps: { coherent: false } },
				],
			},
		],
	},
	devices,
	steps: [
		call("open", "open", {}, "ctx"),
		call("sibling has a kernel driver", "bind", { dev: "ours" }),
		call("direct region", "bind", { dev: "plain" }),
		call("bind one", "bind", { dev: "one" }),
		{ label: "open second", do: "open", args: {}, as: "other" },
		{ label: "second context", do: "bind", args: { ctx: "other", dev: "two" } },
		call("bind two", "bind", { dev: "two" }),
		call("not coherent", "bind", { dev: "noncoherent" }),
		call("close refused", "close", {}),
	],
};
