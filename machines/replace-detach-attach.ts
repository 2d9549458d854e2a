/**
 * What user space had before replace (seed mail 3, "current detach+attach flow"): detach, then attach. A sibling still attached keeps the
 * group on its domain, so the attach half ends in EBUSY and the device stays detached; the last one passes through the
 * blocking domain. Nothing is restored.
 */
import type { Definition } from "./define.ts";
import type { OwnedContext } from "./device-owned.ts";
import { ownedActions, ownedGuards, ownedStart, pick } from "./device-owned.ts";
import { step, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

/** Replace by detach and attach. */
export const replaceDetachAttach: Definition<OwnedContext, undefined> = {
	id: "replace-detach-attach",
	about: "Detach, then attach: what there was before replace (seed mail 3)",
	events: TX_EVENTS,
	start: ownedStart,
	guards: pick(ownedGuards, "isAttached"),
	actions: {
		...txActions,
		...pick(ownedActions, "begin", "askDetach", "askAttach", "returnResult"),
	},
	config: txConfig(
		[
			{ guard: "isAttached", target: "Detaching", actions: ["begin"] },
			{ target: "Attaching", actions: ["begin"] },
		],
		{
			Detaching: step("askDetach", "Attaching", "Failed"),
			Attaching: step(
				"askAttach",
				"Committed",
				"Failed",
				"EBUSY while a sibling holds the group",
			),
		},
	),
};
