/** R9 (facts §9, §4.7): a device is plugged in while its group is attached to a user's hwpt. */
import type { RunScenario } from "../run-scenario.ts";
import {
	area,
	call,
	callsOf,
	DEV3_WINDOW,
	DEVICES,
	setUp,
	threeInOneGroup,
} from "../setting.ts";

const { known, groups } = threeInOneGroup({ dev3: [DEV3_WINDOW] });

/** Device 3 appears: on H1 at once, nothing of it reserved; when it is bound and attached, an area lies over its window. */
export const hotAdd: RunScenario = {
	name: "hot-add",
	title: "Attach 1, plug in device 3, map over its window, attach 3",
	about:
		"Race R9 (facts §9, §4.7): the newcomer gets the group's current domain, the user's, and iommufd is not told: its window can be mapped over, and its own attach is refused for it. GRP-16, RSV-6",
	topology: {
		known,
		groups: groups.map((group) => ({
			...group,
			members: group.members.map((member) =>
				member.dev === DEVICES.dev3 ? { ...member, absent: true } : member,
			),
		})),
	},
	devices: DEVICES,
	steps: [
		...setUp("manual").filter(({ label }) => label !== "bind dev3"),
		callsOf("manual").attach("a", "dev1", 1),
		call("bind too early", "bind", { dev: "dev3" }),
		{ label: "plug in", do: "hotAdd", args: { dev: "dev3" } },
		area("map over", "A", "0xb00000", DEV3_WINDOW.start),
		call("bind dev3", "bind", { dev: "dev3" }),
		callsOf("manual").attach("c", "dev3", 1),
	],
};
