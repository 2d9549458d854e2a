/** One device of three attached, detached, attached again, unbound while attached (facts §11 rows 36, 37). */
import type { RunScenario } from "../run-scenario.ts";
import { call, callsOf, DEVICES, setUp, threeInOneGroup } from "../setting.ts";

const { attach, detach } = callsOf("manual");

/** The whole life of one attachment, and everything taken down at the end. */
export const onlyOneAttached: RunScenario = {
	name: "only-one-attached",
	title: "Attach 1, detach 1, attach 1, unbind refused, all taken down",
	about:
		"Facts §11 rows 36-37: one device's last detach blocks all three; an unbind of an attached device is EBUSY and keeps ownership",
	topology: threeInOneGroup(),
	devices: DEVICES,
	steps: [
		...setUp("manual"),
		attach("a", "dev1", 1),
		detach("detach 1", "dev1"),
		attach("again", "dev1", 1),
		call("unbind refused", "unbind", { dev: "dev1" }),
		call("destroy refused", "destroy", { id: "H1" }),
		detach("detach again", "dev1"),
		call("destroy H1", "destroy", { id: "H1" }),
		call("destroy H1 again", "destroy", { id: "H1" }),
		call("destroy A", "destroy", { id: "A" }),
		call("destroy B refused", "destroy", { id: "B" }),
		call("unmap B", "unmap", { ioas: "B", iova: "0x100000", length: "0x4000" }),
		...Object.keys(DEVICES).map((dev) =>
			call(`unbind ${dev}`, "unbind", { dev }),
		),
		call("close", "close", {}),
	],
};
