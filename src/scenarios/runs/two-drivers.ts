/** Anomaly A5 (facts §9): a machine with two IOMMU drivers. */
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { RunScenario } from "../run-scenario.ts";
import { call, MSI } from "../setting.ts";

const devices = {
	intel: deviceId("0000:01:00.0"),
	other: deviceId("0001:01:00.0"),
};

/** Attach refuses the other driver's domain, replace hands it over. */
export const foreignDomain: RunScenario = {
	name: "foreign-domain",
	title: "Attach, then replace, to a domain that another driver made",
	about:
		"Anomaly A5 (facts §4.4): attach checks who made a domain, replace does not: the driver gets a structure that is not its own. GRP-13",
	topology: {
		known: "complete",
		groups: [
			{
				group: groupId(1),
				driver: "vtd",
				members: [{ dev: devices.intel, resv: [MSI] }],
			},
			{
				group: groupId(2),
				driver: "smmu-v3",
				members: [{ dev: devices.other, resv: [MSI] }],
			},
		],
	},
	devices,
	steps: [
		call("open", "open", {}, "ctx"),
		...Object.keys(devices).map((dev) => call(`bind ${dev}`, "bind", { dev })),
		call("ioas A", "ioasAlloc", {}, "A"),
		call("ioas B", "ioasAlloc", {}, "B"),
		call("own hwpt", "hwptAlloc", { dev: "intel", pt: "A" }, "own"),
		call("other's hwpt", "hwptAlloc", { dev: "other", pt: "B" }, "foreign"),
		call("attach refused", "attach", { dev: "intel", pt: "foreign" }),
		call("attach", "attach", { dev: "intel", pt: "own" }),
		call("replace", "replace", { dev: "intel", pt: "foreign" }),
	],
};
