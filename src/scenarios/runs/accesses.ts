/** Anomalies A6 and A9 (facts §9): in-kernel users of an IOAS, and the unmaps that ask them to let go. */
import type { RunScenario, ScenarioStep } from "../run-scenario.ts";
import { area, call, DEVICES, threeInOneGroup } from "../setting.ts";

const RANGE = { iova: "0x100000", length: "0x4000" };
const start: readonly ScenarioStep[] = [
	call("open", "open", {}, "ctx"),
	call("ioas A", "ioasAlloc", {}, "A"),
	area("map A", "A", "0x700000"),
];
const pin = (label: string): ScenarioStep =>
	call(label, "accessPin", { access: "P", iova: "0x101000", length: "0x1000" });
const unmap = (label: string): ScenarioStep =>
	call(label, "unmap", { ioas: "A", ...RANGE });

/** A6: a user that does not let go makes the unmap give up, and its mark stays. */
export const deafAccess: RunScenario = {
	name: "deaf-access",
	title: "Unmap under an access that does not let go, then use the area",
	about:
		"Anomaly A6 (facts §2.6): after one EDEADLOCK the area refuses every pin and read for good, although it stays mapped. ACC-8",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...start,
		call("create P", "accessCreate", { pinning: true, deaf: true }, "P"),
		call("attach P", "accessAttach", { access: "P", ioas: "A" }),
		call("pin", "accessPin", {
			access: "P",
			iova: "0x101000",
			length: "0x1000",
		}),
		unmap("unmap gives up"),
		call("unpin", "accessUnpin", { access: "P", item: 0 }),
		pin("pin again"),
	],
};

/** A9: a user that only reads and writes is asked as well. */
export const readerIsAsked: RunScenario = {
	name: "reader-is-asked",
	title: "Unmap where a reader shares the IOAS with a user that pins",
	about:
		"Anomaly A9 (facts §2.14): the unmap calls the hook of every attached access; one made without pinning has none. ACC-7",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...start,
		call("create P", "accessCreate", { pinning: true }, "P"),
		call("create R", "accessCreate", { pinning: false }, "R"),
		call("attach P", "accessAttach", { access: "P", ioas: "A" }),
		call("attach R", "accessAttach", { access: "R", ioas: "A" }),
		pin("pin"),
		call("read", "accessRw", {
			access: "R",
			iova: "0x100000",
			length: "0x10",
		}),
		unmap("unmap"),
	],
};
