/**
 * The mail's counter-proposal (seed mail 3, "correct (?) replace flow"): first take this device out of the old hwpt (partial detach), and
 * clean that up when it was the last, then the attach half with "replace" in place of "attach". The siblings lag behind until
 * they are replaced themselves. What the first half took away, a failure must put back, and putting back can fail (W6).
 */
import type { Definition } from "./define.ts";
import type { OwnedContext } from "./device-owned.ts";
import { ownedActions, ownedGuards, ownedStart, pick } from "./device-owned.ts";
import { step, sure, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

const leaveOld = [
	{ guard: "ioasChanges", target: "DroppingOldReservations" },
	{ target: "CountingOld" },
];
const unreserve = [
	{ guard: "ioasChanges", target: "unwinding.DroppingReservations" },
	{ target: "unwinding.CountingBack" },
];
const refill = [
	{ guard: "oldBecameEmpty", target: "RefillingOld" },
	{ target: "AddingBack" },
];

/** Replace, device-lagging. */
export const replaceDeviceLagging: Definition<OwnedContext, undefined> = {
	id: "replace-device-lagging",
	about:
		"Replace one device's hwpt, partial detach first (seed mail 3, correct (?) flow)",
	events: TX_EVENTS,
	start: ownedStart,
	guards: {
		...pick(
			ownedGuards,
			"notAttached",
			"targetIsCurrent",
			"ioasChanges",
			"newHasGroup",
		),
		...pick(
			ownedGuards,
			"newWasEmpty",
			"oldIsEmpty",
			"oldBecameEmpty",
			"oldIsUnused",
		),
	},
	actions: {
		...txActions,
		...pick(
			ownedActions,
			"begin",
			"failUnattached",
			"learnNew",
			"learnOld",
			"learnUse",
			"askLock",
			"askUnlock",
		),
		...pick(
			ownedActions,
			"askNoop",
			"askReserveNew",
			"askUnreserveNew",
			"askUnreserveOld",
			"askLookNew",
		),
		...pick(
			ownedActions,
			"askSwitch",
			"askSwitchBack",
			"askFillNew",
			"askLinkNew",
			"askRemoveFromOld",
		),
		...pick(
			ownedActions,
			"askDrainOld",
			"askUnlinkOld",
			"askCountOld",
			"askPoint",
			"askCountNew",
		),
		...pick(
			ownedActions,
			"askAddToNew",
			"askReserveOldAgain",
			"askRefillOld",
			"askRelinkOld",
			"askAddBack",
		),
		...pick(
			ownedActions,
			"askCountBack",
			"askFreeOld",
			"askReport",
			"returnResult",
		),
	},
	config: txConfig(
		[{ target: "Locking", actions: ["begin"] }],
		{
			Locking: step(
				"askLock",
				[
					{
						guard: "notAttached",
						target: "unwinding.Unlocking",
						actions: ["failUnattached"],
					},
					{ guard: "targetIsCurrent", target: "DoingNothing" },
					{ target: "RemovingFromOld" },
				],
				"Failed",
			),
			DoingNothing: sure("askNoop", "UnlockingUnchanged"),
			UnlockingUnchanged: sure("askUnlock", "Committed"),
			RemovingFromOld: sure("askRemoveFromOld", [
				{ guard: "oldIsEmpty", target: "DrainingOld", actions: ["learnOld"] },
				...leaveOld,
			]),
			DrainingOld: {
				...sure("askDrainOld", "UnlinkingOld"),
				description: "Still the group's current domain (W5)",
			},
			UnlinkingOld: sure("askUnlinkOld", leaveOld),
			DroppingOldReservations: sure("askUnreserveOld", "CountingOld"),
			CountingOld: sure("askCountOld", [
				{ guard: "ioasChanges", target: "Reserving", actions: ["learnUse"] },
				{ target: "LookingAtNew", actions: ["learnUse"] },
			]),
			Reserving: step(
				"askReserveNew",
				"LookingAtNew",
				"unwinding.CountingBack",
			),
			LookingAtNew: step(
				"askLookNew",
				[
					{ guard: "newHasGroup", target: "Pointing" },
					{ target: "Switching", actions: ["learnNew"] },
				],
				unreserve,
			),
			Switching: step(
				"askSwitch",
				[{ guard: "newWasEmpty", target: "Filling" }, { target: "Pointing" }],
				unreserve,
				"The group goes to a domain that is not filled yet (W4)",
			),
			Filling: step("askFillNew", "Linking", "unwinding.SwitchingBack"),
			Linking: sure("askLinkNew", "Pointing"),
			Pointing: sure("askPoint", "CountingNew"),
			CountingNew: sure("askCountNew", "Adding"),
			Adding: sure("askAddToNew", "Unlocking"),
			Unlocking: sure("askUnlock", [
				{ guard: "oldIsUnused", target: "FreeingOld" },
				{ target: "Reporting" },
			]),
			FreeingOld: sure("askFreeOld", "Reporting"),
			Reporting: sure("askReport", "Committed"),
		},
		{
			SwitchingBack: sure("askSwitchBack", [
				{ guard: "ioasChanges", target: "DroppingReservations" },
				{ target: "CountingBack" },
			]),
			DroppingReservations: sure("askUnreserveNew", "CountingBack"),
			CountingBack: sure("askCountBack", [
				{ guard: "ioasChanges", target: "ReservingOldAgain" },
				...refill,
			]),
			ReservingOldAgain: {
				...sure("askReserveOldAgain", refill),
				description:
					"May fail: then the device goes on without reservations (W6)",
			},
			RefillingOld: {
				...sure("askRefillOld", "RelinkingOld"),
				description: "May fail: then the current domain stays empty (W6)",
			},
			RelinkingOld: sure("askRelinkOld", "AddingBack"),
			AddingBack: sure("askAddBack", "Unlocking"),
			Unlocking: sure("askUnlock", "#replace-device-lagging.Failed"),
		},
	),
};
