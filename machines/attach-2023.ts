/**
 * Attach, as the kernel of February 2023 did it ("current detach+attach flow" of seed mail 3): the first device of the group on this hwpt
 * switches the group, the first device at all brings the domain into the IOAS, after the switch.
 */
import type { Definition } from "./define.ts";
import type { OwnedContext } from "./device-owned.ts";
import { ownedActions, ownedGuards, ownedStart, pick } from "./device-owned.ts";
import { step, sure, TX_EVENTS, txActions, txConfig } from "./transaction.ts";

/** Attach, 2023. */
export const attach2023: Definition<OwnedContext, undefined> = {
	id: "attach-2023",
	about:
		"Attach a device to a hwpt, February 2023 (seed mail 3; iommufd_device_attach then)",
	events: TX_EVENTS,
	start: ownedStart,
	guards: pick(ownedGuards, "newHasGroup", "newWasEmpty", "conflictingMsi"),
	actions: {
		...txActions,
		...pick(
			ownedActions,
			"failConflict",
			"begin",
			"learnNew",
			"askLock",
			"askUnlock",
			"askReserveNew",
			"askUnreserveNew",
		),
		...pick(
			ownedActions,
			"askLookNew",
			"askSwitch",
			"askDetachGroup",
			"askFillNew",
			"askLinkNew",
		),
		...pick(
			ownedActions,
			"askPoint",
			"askCountNew",
			"askAddToNew",
			"askAttachDevice",
			"returnResult",
		),
	},
	config: txConfig(
		[{ target: "Locking", actions: ["begin"] }],
		{
			Locking: step("askLock", "Reserving", "Failed"),
			Reserving: step(
				"askReserveNew",
				[
					{
						guard: "conflictingMsi",
						target: "unwinding.DroppingReservations",
						actions: ["failConflict"],
					},
					{ target: "LookingAtNew" },
				],
				"unwinding.Unlocking",
			),
			LookingAtNew: step(
				"askLookNew",
				[
					{ guard: "newHasGroup", target: "Pointing" },
					{ target: "Switching", actions: ["learnNew"] },
				],
				"unwinding.DroppingReservations",
			),
			Switching: step(
				"askSwitch",
				[{ guard: "newWasEmpty", target: "Filling" }, { target: "Pointing" }],
				"unwinding.DroppingReservations",
				"First device of the group on this hwpt; EBUSY when the group is on another user's domain",
			),
			Filling: step("askFillNew", "Linking", "unwinding.DetachingGroup"),
			Linking: sure("askLinkNew", "Pointing"),
			Pointing: sure("askPoint", "Counting"),
			Counting: sure("askCountNew", "Listing"),
			Listing: sure("askAddToNew", "AttachingDevice"),
			AttachingDevice: sure("askAttachDevice", "Unlocking"),
			Unlocking: sure("askUnlock", "Committed"),
		},
		{
			DetachingGroup: sure("askDetachGroup", "DroppingReservations"),
			DroppingReservations: sure("askUnreserveNew", "Unlocking"),
			Unlocking: sure("askUnlock", "#attach-2023.Failed"),
		},
	),
};
