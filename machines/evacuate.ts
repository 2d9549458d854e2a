/**
 * Take a device away from user space: it leaves its translation only when no device of its group is attached any more, and its group goes
 * back to the kernel only when none is bound (facts iommufd-semantics.md §4.2). So all of them are detached, then all unbound.
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

const more = (state: string): Edge => ({
	guard: "moreOfPart",
	target: state,
	actions: ["nextCommand"],
	reenter: true,
});

/** The saga evacuate. */
export const evacuate: Definition<SagaContext, undefined> = {
	id: "evacuate",
	about:
		"Saga: detach and unbind every device of a group, so that one of them can be taken away",
	events: TX_EVENTS,
	start: () => SAGA_START,
	guards: {
		...sagaGuards,
		nothingToDo,
		nothingAttached: (_: SagaContext, e: SagaBegin) => e.counts[0] === 0,
		moreOfPart,
		devicesToUnbind: laterPart,
	},
	actions: {
		...sagaActions,
		firstUnbind: nextPart,
		askBindBack: askBack.bind,
	},
	config: txConfig(
		[
			{ guard: "nothingToDo", target: "Committed", actions: ["begin"] },
			{ guard: "nothingAttached", target: "Unbinding", actions: ["begin"] },
			{ target: "Detaching", actions: ["begin"] },
		],
		{
			Detaching: step(
				"askCommand",
				[
					more("Detaching"),
					{
						guard: "devicesToUnbind",
						target: "Unbinding",
						actions: ["firstUnbind"],
					},
					{ target: "Committed" },
				],
				"unwinding.BindingBack",
				"With the last one the group's hardware is blocked",
			),
			Unbinding: step(
				"askCommand",
				[more("Unbinding"), { target: "Committed" }],
				"unwinding.BindingBack",
				"With the last one the group goes back to the kernel",
			),
			Stuck: STUCK,
		},
		{
			BindingBack: backPhase(
				"evacuate",
				"BindingBack",
				"askBindBack",
				"AttachingBack",
				"Each under the object id it had",
			),
			AttachingBack: backPhase(
				"evacuate",
				"AttachingBack",
				"askAttachBack",
				"Tidying",
				"Each to the hwpt it had, or to its IOAS where the hwpt was automatic",
			),
			Tidying: backPhase(
				"evacuate",
				"Tidying",
				"askTidy",
				"#evacuate.Failed",
				"Placeholders that kept object ids free are destroyed",
			),
		},
	),
};
