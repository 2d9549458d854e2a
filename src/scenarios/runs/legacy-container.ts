/** Legacy VFIO containers (facts §5): the two type1 versions, side by side on one group each. */
import { deviceId, groupId } from "../../vocabulary/ids.ts";
import type { RunScenario, ScenarioStep } from "../run-scenario.ts";
import { call, MSI } from "../setting.ts";

const devices = {
	dev1: deviceId("0000:01:00.0"),
	dev2: deviceId("0000:02:00.0"),
};
const group = (n: number, dev: keyof typeof devices) => ({
	group: groupId(n),
	driver: "vtd",
	members: [{ dev: devices[dev], resv: [MSI] }],
});
const map = (label: string, iova: string): ScenarioStep =>
	call(label, "containerMap", {
		iova,
		length: "0x200000",
		va: "0x40000000",
		prot: 3,
	});
const unmap = (label: string, iova: string, length: string): ScenarioStep =>
	call(label, "containerUnmap", { iova, length });

const container = (version: "v1" | "v2", name: string): RunScenario => ({
	name,
	title: `A container of type1 ${version}: two groups, entries, unmaps that cut`,
	about: `Facts §5.3, §5.4: what an unmap of ${version} does at the edges of an entry; a second group replays what is mapped. VFT-1 to VFT-6`,
	topology: {
		known: "complete",
		groups: [group(1, "dev1"), group(2, "dev2")],
	},
	devices,
	steps: [
		call("open", "containerOpen", {}, "ctx"),
		call("group 1", "groupSetContainer", { group: groupId(1) }),
		call("group 1 again", "groupSetContainer", { group: groupId(1) }),
		call("type", "containerSetIommu", { version }),
		call("type again", "containerSetIommu", { version }),
		map("map", "0x200000"),
		map("map over it", "0x200000"),
		map("map over the MSI window", "0xfee00000"),
		map("map behind it", "0x400000"),
		call("group 2", "groupSetContainer", { group: groupId(2) }),
		unmap("unmap the first page", "0x200000", "0x1000"),
		unmap("unmap from the middle", "0x500000", "0x100000"),
		unmap("unmap whole", "0x400000", "0x200000"),
		unmap("unmap nothing", "0x800000", "0x1000"),
		call("group 2 leaves", "groupUnsetContainer", { group: groupId(2) }),
		call("unmap all", "containerUnmap", {}),
		call("group 1 leaves", "groupUnsetContainer", { group: groupId(1) }),
		call("close", "containerClose", {}),
	],
});

/** Start-of-mapping rule: what starts in the request goes whole. */
export const legacyV1 = container("v1", "legacy-v1");
/** Whole entries inside the request, or EINVAL. */
export const legacyV2 = container("v2", "legacy-v2");
