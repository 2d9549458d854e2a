/**
 * Move every attached device of an iommu_group to another hwpt or IOAS. The kernel moves the hardware of the whole group with the first
 * replace, and relies on user space to replace the others: seed mail 3 marks those calls "user space must do".
 */
import type { Definition, Edge } from "./define.ts";
import {
	askBack,
	backPhase,
	moreOfPart,
	nothingToDo,
	type SagaContext,
	sagaActions,
	sagaGuards,
	SAGA_START,
	STUCK,
} from "./saga.ts";
import { step, TX_EVENTS, txConfig } from "./transaction.ts";

const on: readonly Edge[] = [
	{
		guard: "moreOfGroup",
		target: "Following",
		actions: ["nextCommand"],
		reenter: true,
	},
	{ target: "Committed" },
];

/** The saga moveGroup. */
export const moveGroup: Definition<SagaContext, undefined> = {
	id: "move-group",
	about:
		"Saga: replace every attached device of a group (seed mail 3: user space must do)",
	events: TX_EVENTS,
	start: () => SAGA_START,
	guards: {
		...sagaGuards,
		nothingToDo,
		moreOfGroup: moreOfPart,
	},
	actions: { ...sagaActions, askSwitchBack: askBack.switch },
	config: txConfig(
		[
			{ guard: "nothingToDo", target: "Committed", actions: ["begin"] },
			{ target: "Switching", actions: ["begin"] },
		],
		{
			Switching: step(
				"askCommand",
				on,
				"unwinding.SwitchingBack",
				"The first device: the hardware of its whole group moves",
			),
			Following: step(
				"askCommand",
				on,
				"unwinding.SwitchingBack",
				"User space must replace the others too: their books follow",
			),
			Stuck: STUCK,
		},
		{
			SwitchingBack: backPhase(
				"move-group",
				"SwitchingBack",
				"askSwitchBack",
				"AttachingBack",
				"The group moves back through a device that is still attached",
			),
			AttachingBack: backPhase(
				"move-group",
				"AttachingBack",
				"askAttachBack",
				"Tidying",
				"Devices that a failed call left detached (A8)",
			),
			Tidying: backPhase(
				"move-group",
				"Tidying",
				"askTidy",
				"#move-group.Failed",
				"Placeholders that kept object ids free are destroyed",
			),
		},
	),
};
