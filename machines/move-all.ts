/**
 * Move every device that is attached through one IOAS to another one, group by group: each group as move-group.ts moves it.
 */
import type { Definition, Edge } from "./define.ts";
import {
	askBack,
	backPhase,
	laterPart,
	moreOfPart,
	nextPart,
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
	{
		guard: "moreGroups",
		target: "Switching",
		actions: ["nextGroup"],
		reenter: true,
	},
	{ target: "Committed" },
];

/** The saga moveAll. */
export const moveAll: Definition<SagaContext, undefined> = {
	id: "move-all",
	about:
		"Saga: replace every device that is attached through an IOAS, group by group",
	events: TX_EVENTS,
	start: () => SAGA_START,
	guards: {
		...sagaGuards,
		nothingToDo,
		moreOfGroup: moreOfPart,
		moreGroups: laterPart,
	},
	actions: {
		...sagaActions,
		nextGroup: nextPart,
		askSwitchBack: askBack.switch,
	},
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
				"move-all",
				"SwitchingBack",
				"askSwitchBack",
				"AttachingBack",
				"Each group that moved goes back through a device that is still attached",
			),
			AttachingBack: backPhase(
				"move-all",
				"AttachingBack",
				"askAttachBack",
				"Tidying",
				"Devices that a failed call left detached (A8)",
			),
			Tidying: backPhase(
				"move-all",
				"Tidying",
				"askTidy",
				"#move-all.Failed",
				"Placeholders that kept object ids free are destroyed",
			),
		},
	),
};
