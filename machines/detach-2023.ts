/**
 * Detach, as the kernel of February 2023 did it (seed mail 3): the last device of the group on this hwpt stops the group, and before
 * that, the last device at all takes the domain out of the IOAS. "Of the group on this hwpt" is what W2 and W3 turn on.
 */
import type { Definition } from "./define.ts";
import type { OwnedContext } from "./device-owned.ts";
import { ownedActions, ownedGuards, ownedStart, pick } from "./device-owned.ts";
import { step, sure, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

/** Detach, 2023. */
export const detach2023: Definition<OwnedContext, undefined> = {
	id: "detach-2023",
	about:
		"Detach a device from its hwpt, February 2023 (seed mail 3; iommufd_device_detach then)",
	events: TX_EVENTS,
	start: ownedStart,
	guards: pick(ownedGuards, "oldIsEmpty", "oldStillHasGroup"),
	actions: {
		...txActions,
		...pick(
			ownedActions,
			"beginDetach",
			"noteSwitch",
			"askLock",
			"askUnlock",
			"askRemoveFromOld",
		),
		...pick(
			ownedActions,
			"askDrainOld",
			"askUnlinkOld",
			"askDetachGroup",
			"askUnreserveOld",
		),
		...pick(ownedActions, "askUnpoint", "askPutOld", "askDetachDevice"),
		returnResult: ownedActions.returnNothing,
	},
	config: txConfig([{ target: "Locking", actions: ["beginDetach"] }], {
		Locking: step("askLock", "Removing", "Failed"),
		Removing: step(
			"askRemoveFromOld",
			[
				{ guard: "oldStillHasGroup", target: "DroppingReservations" },
				{ guard: "oldIsEmpty", target: "Draining", actions: ["noteSwitch"] },
				{ target: "DetachingGroup", actions: ["noteSwitch"] },
			],
			"Failed",
		),
		Draining: sure("askDrainOld", "Unlinking"),
		Unlinking: sure("askUnlinkOld", "DetachingGroup"),
		DetachingGroup: sure("askDetachGroup", "DroppingReservations"),
		DroppingReservations: sure("askUnreserveOld", "Unpointing"),
		Unpointing: sure("askUnpoint", "Unlocking"),
		Unlocking: sure("askUnlock", "Putting"),
		Putting: sure("askPutOld", "DetachingDevice"),
		DetachingDevice: sure("askDetachDevice", "Committed"),
	}),
};
