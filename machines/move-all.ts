/**
 * Move every device that is attached through one IOAS to another one: first the mappings that the other one lacks are copied, so that no DMA
 * faults behind the switch; then group by group, each as move-group.ts moves it. The first part of the plan are the copies.
 */
import type { Definition, Edge } from "./define.ts";
import {
	askBack,
	backPhase,
	laterPart,
	moreOfPart,
	nextPart,
	nothingToDo,
	type SagaBegin,
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

/** There are mappings to copy. */
const copiesFirst = (_: SagaContext, e: SagaBegin): boolean => e.counts[0]! > 0;

/** The saga moveAll. */
export const moveAll: Definition<SagaContext, undefined> = {
	id: "move-all",
	about:
		"Saga: copy the mappings of an IOAS to another one, then replace every device that is attached through it, group by group",
	events: TX_EVENTS,
	start: () => SAGA_START,
	guards: {
		...sagaGuards,
		nothingToDo,
		copiesFirst,
		moreCopies: moreOfPart,
		moreOfGroup: moreOfPart,
		moreGroups: laterPart,
	},
	actions: {
		...sagaActions,
		nextGroup: nextPart,
		askSwitchBack: askBack.switch,
		askUnmapBack: askBack.unmap,
	},
	config: txConfig(
		[
			{ guard: "nothingToDo", target: "Committed", actions: ["begin"] },
			{ guard: "copiesFirst", target: "Copying", actions: ["begin"] },
			{ target: "Switching", actions: ["begin"] },
		],
		{
			Copying: step(
				"askCommand",
				[
					{
						guard: "moreCopies",
						target: "Copying",
						actions: ["nextCommand"],
						reenter: true,
					},
					{ target: "Switching", actions: ["nextGroup"] },
				],
				"unwinding.SwitchingBack",
				"Each mapping that the other IOAS lacks: the kernel copies none by itself",
			),
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
				"Unmapping",
				"Devices that a failed call left detached (A8)",
			),
			Unmapping: backPhase(
				"move-all",
				"Unmapping",
				"askUnmapBack",
				"Tidying",
				"Copies are unmapped, now that no device is on them any more",
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
