/**
 * The mail's last idea (seed mail 3, "force-update idev2 and idev3 too when idev1 does a replace"): one call moves the bookkeeping of every
 * device of the group that is on the old hwpt. The new domain is still filled after the switch, as the mail sketches it (W4).
 */
import type { Definition } from "./define.ts";
import type { OwnedContext } from "./device-owned.ts";
import { ownedActions, ownedGuards, ownedStart, pick } from "./device-owned.ts";
import { step, sure, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

const unreserve = [
	{
		guard: "ioasChanges",
		target: "unwinding.DroppingReservations",
		actions: ["firstMover"],
	},
	{ target: "unwinding.Unlocking" },
];
const moveOne = [
	{ guard: "ioasChanges", target: "DroppingOldReservations" },
	{ target: "CountingOld" },
];
const startMoving = [{ target: "RemovingFromOld", actions: ["firstMover"] }];

/** Replace, device-forced. */
export const replaceDeviceForced: Definition<OwnedContext, undefined> = {
	id: "replace-device-forced",
	about:
		"Replace, updating every same-group device of the old hwpt (seed mail 3, force-update)",
	events: TX_EVENTS,
	start: ownedStart,
	guards: {
		...pick(
			ownedGuards,
			"notAttached",
			"targetIsCurrent",
			"ioasChanges",
			"newWasEmpty",
		),
		...pick(ownedGuards, "oldBecameEmpty", "oldIsUnused", "moreMovers"),
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
			"learnMovers",
		),
		...pick(
			ownedActions,
			"nextMover",
			"firstMover",
			"askLock",
			"askUnlock",
			"askNoop",
			"askReserveNew",
		),
		...pick(
			ownedActions,
			"askUnreserveNew",
			"askUnreserveOld",
			"askLookNew",
			"askLookOld",
			"askSwitch",
		),
		...pick(
			ownedActions,
			"askSwitchBack",
			"askFillNew",
			"askLinkNew",
			"askRemoveFromOld",
			"askDrainOld",
		),
		...pick(
			ownedActions,
			"askUnlinkOld",
			"askCountOld",
			"askPoint",
			"askCountNew",
			"askAddToNew",
		),
		...pick(ownedActions, "askFreeOld", "askReport", "returnResult"),
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
					{ target: "LookingAtOld" },
				],
				"Failed",
			),
			DoingNothing: sure("askNoop", "UnlockingUnchanged"),
			UnlockingUnchanged: sure("askUnlock", "Committed"),
			LookingAtOld: step(
				"askLookOld",
				[
					{
						guard: "ioasChanges",
						target: "Reserving",
						actions: ["learnMovers"],
					},
					{ target: "LookingAtNew", actions: ["learnMovers"] },
				],
				"unwinding.Unlocking",
			),
			Reserving: step(
				"askReserveNew",
				[
					{
						guard: "moreMovers",
						target: "Reserving",
						reenter: true,
						actions: ["nextMover"],
					},
					{ target: "LookingAtNew" },
				],
				[{ target: "unwinding.DroppingReservations", actions: ["firstMover"] }],
			),
			LookingAtNew: step(
				"askLookNew",
				[{ target: "Switching", actions: ["learnNew"] }],
				unreserve,
			),
			Switching: step(
				"askSwitch",
				[{ guard: "newWasEmpty", target: "Filling" }, ...startMoving],
				unreserve,
				"The group goes to a domain that is not filled yet (W4)",
			),
			Filling: step("askFillNew", "Linking", "unwinding.SwitchingBack"),
			Linking: sure("askLinkNew", startMoving),
			RemovingFromOld: sure(
				"askRemoveFromOld",
				moveOne.map((edge) => ({ ...edge, actions: ["learnOld"] })),
			),
			DroppingOldReservations: sure("askUnreserveOld", "CountingOld"),
			CountingOld: sure("askCountOld", [
				{ target: "Pointing", actions: ["learnUse"] },
			]),
			Pointing: sure("askPoint", "CountingNew"),
			CountingNew: sure("askCountNew", "Adding"),
			Adding: sure("askAddToNew", [
				{
					guard: "moreMovers",
					target: "RemovingFromOld",
					actions: ["nextMover"],
				},
				{ guard: "oldBecameEmpty", target: "DrainingOld" },
				{ target: "Unlocking" },
			]),
			DrainingOld: sure("askDrainOld", "UnlinkingOld"),
			UnlinkingOld: sure("askUnlinkOld", "Unlocking"),
			Unlocking: sure("askUnlock", [
				{ guard: "oldIsUnused", target: "FreeingOld" },
				{ target: "Reporting" },
			]),
			FreeingOld: sure("askFreeOld", "Reporting"),
			Reporting: sure("askReport", "Committed"),
		},
		{
			SwitchingBack: sure("askSwitchBack", [
				{
					guard: "ioasChanges",
					target: "DroppingReservations",
					actions: ["firstMover"],
				},
				{ target: "Unlocking" },
			]),
			DroppingReservations: sure("askUnreserveNew", [
				{
					guard: "moreMovers",
					target: "DroppingReservations",
					reenter: true,
					actions: ["nextMover"],
				},
				{ target: "Unlocking" },
			]),
			Unlocking: sure("askUnlock", "#replace-device-forced.Failed"),
		},
	),
};
