/**
 * Replace as posted in v2 (seed mail 3, "but replace flow is different on the detach part"; facts §3.5 "naive"): switch the group when the
 * new hwpt does not have it yet, and only then fill the new domain; afterwards move this one device and clean up when it was the last.
 */
import type { Definition } from "./define.ts";
import type { OwnedContext } from "./device-owned.ts";
import { ownedActions, ownedGuards, ownedStart, pick } from "./device-owned.ts";
import { step, sure, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

const unreserve = [
	{ guard: "ioasChanges", target: "unwinding.DroppingReservations" },
	{ target: "unwinding.Unlocking" },
];
const leaveOld = [
	{ guard: "ioasChanges", target: "DroppingOldReservations" },
	{ target: "CountingOld" },
];

/** Replace, posted v2. */
export const replacePostedV2: Definition<OwnedContext, undefined> = {
	id: "replace-posted-v2",
	about:
		"Replace one device's hwpt as posted in v2 of the series (seed mail 3)",
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
		...pick(ownedGuards, "newWasEmpty", "oldIsEmpty", "oldIsUnused"),
	},
	actions: {
		...txActions,
		...pick(
			ownedActions,
			"begin",
			"failUnattached",
			"learnNew",
			"learnUse",
			"askLock",
			"askUnlock",
			"askNoop",
		),
		...pick(
			ownedActions,
			"askReserveNew",
			"askUnreserveNew",
			"askUnreserveOld",
			"askLookNew",
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
					{ guard: "ioasChanges", target: "Reserving" },
					{ target: "LookingAtNew" },
				],
				"Failed",
			),
			DoingNothing: sure("askNoop", "UnlockingUnchanged"),
			UnlockingUnchanged: sure("askUnlock", "Committed"),
			Reserving: step("askReserveNew", "LookingAtNew", "unwinding.Unlocking"),
			LookingAtNew: step(
				"askLookNew",
				[
					{ guard: "newHasGroup", target: "RemovingFromOld" },
					{ target: "Switching", actions: ["learnNew"] },
				],
				unreserve,
			),
			Switching: step(
				"askSwitch",
				[
					{ guard: "newWasEmpty", target: "Filling" },
					{ target: "RemovingFromOld" },
				],
				unreserve,
				"The group goes to a domain that is not filled yet (W4)",
			),
			Filling: step("askFillNew", "Linking", "unwinding.SwitchingBack"),
			Linking: sure("askLinkNew", "RemovingFromOld"),
			RemovingFromOld: sure("askRemoveFromOld", [
				{ guard: "oldIsEmpty", target: "DrainingOld" },
				...leaveOld,
			]),
			DrainingOld: sure("askDrainOld", "UnlinkingOld"),
			UnlinkingOld: sure("askUnlinkOld", leaveOld),
			DroppingOldReservations: sure("askUnreserveOld", "CountingOld"),
			CountingOld: sure("askCountOld", [
				{ target: "Pointing", actions: ["learnUse"] },
			]),
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
				{ target: "Unlocking" },
			]),
			DroppingReservations: sure("askUnreserveNew", "Unlocking"),
			Unlocking: sure("askUnlock", "#replace-posted-v2.Failed"),
		},
	),
};
