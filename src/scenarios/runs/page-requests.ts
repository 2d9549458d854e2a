/** Anomaly A4 (facts §9): page requests of a group with two devices. */
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { RunScenario } from "../run-scenario.ts";
import { call, MSI } from "../setting.ts";

const devices = {
	dev1: deviceId("0000:01:00.0"),
	dev2: deviceId("0000:01:00.1"),
};
const caps = { nesting: true, pri: true };
/** HWPT_ALLOC flags. */
const NEST_PARENT = 1;
const FAULT_QUEUE = 4;
/** A VT-d first stage: 24 bytes (struct iommu_hwpt_vtd_s1). */
const FIRST_STAGE = { type: 1, bytes: "00".repeat(24) };

/** Enabled through the first that attaches, disabled through the last that detaches. */
export const pageRequestsOfTwo: RunScenario = {
	name: "page-requests-of-two",
	title: "Two devices on a hwpt with a fault queue; the first leaves first",
	about:
		"Anomaly A4 (facts §2.11, §2.13): page requests are enabled on device 1 and disabled on device 2, and faults are reported for a device that is detached. FLT-2, GRP-11",
	topology: {
		known: "complete",
		groups: [
			{
				group: groupId(1),
				driver: "vtd",
				members: Object.values(devices).map((dev) => ({
					dev,
					resv: [MSI],
					caps,
				})),
			},
		],
	},
	devices,
	steps: [
		call("open", "open", {}, "ctx"),
		...Object.keys(devices).map((dev) => call(`bind ${dev}`, "bind", { dev })),
		call("ioas A", "ioasAlloc", {}, "A"),
		call(
			"hwpt P",
			"hwptAlloc",
			{ dev: "dev1", pt: "A", flags: NEST_PARENT },
			"P",
		),
		call("queue", "faultQueueAlloc", {}, "F"),
		call(
			"hwpt N",
			"hwptAlloc",
			{
				dev: "dev1",
				pt: "P",
				flags: FAULT_QUEUE,
				data: FIRST_STAGE,
				fault: "F",
			},
			"N",
		),
		call("attach 1", "attach", { dev: "dev1", pt: "N" }),
		call("attach 2", "attach", { dev: "dev2", pt: "N" }),
		call("page request", "pageRequest", {
			dev: "dev2",
			grpid: 1,
			addr: "0x1000",
			perm: 1,
		}),
		call("read", "faultRead", { fault: "F" }),
		call("answer", "faultAnswer", { fault: "F", cookie: 1, code: 0 }),
		call("detach 1", "detach", { dev: "dev1" }),
		call("detach 2", "detach", { dev: "dev2" }),
	],
};
