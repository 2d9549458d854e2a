/**
 * Replace, as Linux merged it: the group owns the attachment (facts §2.12, §3.7-3.8: iommufd_device_do_replace). One call moves every
 * listed device: reservations of all of them first, then one switch of the whole iommu_group, then one pointer and two counts.
 */
import type { DeviceId, GroupId } from "../src/vocabulary/ids.ts";
import { NO_HWPT, type AttachBegin, type ReservedValue } from "./attach.ts";
import type { Definition } from "./define.ts";
import type { GroupContext } from "./iommu-group.ts";
import type { HwptView, Pasid } from "./steps.ts";
import { ask } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import {
	failWith,
	FRESH,
	step,
	sure,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

/** A replace begins. `from` is what the device or its group is attached to now, null for nothing. The rest are the switches of facts §9. */
export interface ReplaceBegin extends AttachBegin {
	readonly from: HwptView | null;
	/** A1: the undo of a failed replace within one IOAS drops live reservations. The kernel does. */
	readonly sameIoasUnreserve: boolean;
	/** A12: the software MSI window is learned on attach only. The kernel does so. */
	readonly msiLearnedOnAttachOnly: boolean;
	/** A14: a bound sibling that is not attached may move the group. Up to 6.12.23 it may. */
	readonly replaceByUnattached: boolean;
}
/** What a replace knows; `i` walks `list`. */
export interface ReplaceContext extends TxContext {
	readonly dev: DeviceId;
	readonly group: GroupId;
	readonly pasid: Pasid;
	readonly to: HwptView;
	readonly from: HwptView;
	readonly list: readonly DeviceId[];
	readonly msi: number | bigint | null;
	readonly i: number;
	readonly sameIoasUnreserve: boolean;
	readonly msiLearnedOnAttachOnly: boolean;
	readonly replaceByUnattached: boolean;
}

type C = ReplaceContext;
const ioasChanges = (c: C): boolean => c.from.ioas !== c.to.ioas;
const guards = {
	groupUnattached: (_: C, e: Done<GroupContext>) => e.value.hwpt === null,
	callerNotListed: (c: C, e: Done<GroupContext>) =>
		!e.value.list.includes(c.dev) && !c.replaceByUnattached,
	targetIsCurrent: (c: C, e: Done<GroupContext>) => e.value.hwpt === c.to.hwpt,
	ioasChanges,
	groupNeedsCookie: (_: C, e: Done<GroupContext>) => e.value.msi !== null,
	moreToReserve: (c: C) => c.i + 1 < c.list.length,
	learnsMsiToo: (c: C, e: Done<ReservedValue>) =>
		e.value.swMsi !== undefined && c.msi === null && !c.msiLearnedOnAttachOnly,
	cookieNeeded: (c: C) => c.msi !== null,
	enablesPageRequests: (c: C) => c.to.fault && !c.from.fault,
	disablesPageRequests: (c: C) => c.from.fault && !c.to.fault,
	hadFaultQueue: (c: C) => c.from.fault,
	moreToDrop: (c: C) => c.i + 1 < c.list.length,
	unreserves: (c: C) => ioasChanges(c) || c.sameIoasUnreserve,
	movesSiblings: (c: C) => c.list.length > 1,
};

const actions = {
	...txActions,
	begin: (_: C, e: ReplaceBegin) => ({
		dev: e.dev,
		group: e.group,
		pasid: e.pasid,
		to: e.to,
		from: e.from ?? NO_HWPT,
		list: [],
		msi: null,
		i: 0,
		sameIoasUnreserve: e.sameIoasUnreserve,
		msiLearnedOnAttachOnly: e.msiLearnedOnAttachOnly,
		replaceByUnattached: e.replaceByUnattached,
		...FRESH,
	}),
	learnGroup: (_: C, e: Done<GroupContext>) => ({
		list: e.value.list,
		msi: e.value.msi,
	}),
	failUnattached: failWith("EINVAL", "ig.attached"),
	failNotListed: failWith("EINVAL", "ig.list"),
	learnMsi: (_: C, e: Done<ReservedValue>) => ({ msi: e.value.swMsi! }),
	nextDevice: (c: C) => ({ i: c.i + 1 }),
	restart: () => ({ i: 0 }),
	askLock: (c: C) => ({ ask: ask({ type: "ig.lock", to: c.group }) }),
	askUnlock: (c: C) => ({ ask: ask({ type: "ig.unlock", to: c.group }) }),
	askNoop: (c: C) => ({
		ask: ask({ type: "dev.replace.noop", to: c.dev, hwpt: c.to.hwpt }),
	}),
	askReserve: (c: C) => ({
		ask: ask({
			type: "resv.add",
			to: c.to.ioas,
			dev: c.list[c.i]!,
			attaching: false,
		}),
	}),
	askLearnMsi: (c: C) => ({
		ask: ask({ type: "ig.msi.set", to: c.group, start: c.msi! }),
	}),
	askCookie: (c: C) => ({
		ask: ask({ type: "dom.msi.cookie", to: c.to.dom, failable: "ENOMEM" }),
	}),
	askAllocHandle: () => ({
		ask: ask({ type: "handle.alloc", to: "host", failable: "ENOMEM" }),
	}),
	askFreeHandle: () => ({ ask: ask({ type: "handle.free", to: "host" }) }),
	askPageRequestsOn: (c: C) => ({
		ask: ask({ type: "fault.iopf.on", to: c.dev, failable: "ENODEV" }),
	}),
	askPageRequestsOff: (c: C) => ({
		ask: ask({ type: "fault.iopf.off", to: c.dev }),
	}),
	askSwitch: (c: C) => ({
		ask: ask({
			type: "call.switch",
			to: c.group,
			how: "replace",
			dev: c.dev,
			pasid: c.pasid,
			dom: c.to.dom,
			undo: false,
		}),
	}),
	askAnswerFaults: (c: C) => ({
		ask: ask({ type: "fault.answer", to: c.from.hwpt }),
	}),
	askUnreserveOld: (c: C) => ({
		ask: ask({
			type: "resv.drop",
			to: c.from.ioas,
			owner: c.list[c.i]!,
			undo: false,
		}),
	}),
	askUnreserveNew: (c: C) => ({
		ask: ask({
			type: "resv.drop",
			to: c.to.ioas,
			owner: c.list[c.i]!,
			undo: true,
		}),
	}),
	askSetHwpt: (c: C) => ({
		ask: ask({ type: "ig.hwpt.set", to: c.group, hwpt: c.to.hwpt }),
	}),
	askCountNew: (c: C) => ({
		ask: ask({
			type: "obj.get",
			to: c.to.hwpt,
			n: c.list.length,
			why: "replace",
		}),
	}),
	askCountOld: (c: C) => ({
		ask: ask({
			type: "obj.put",
			to: c.from.hwpt,
			n: c.list.length - 1,
			why: "replace",
		}),
	}),
	askPutOld: (c: C) => ({
		ask: ask({ type: "call.put", to: c.from.hwpt, hwpt: c.from.hwpt }),
	}),
	askReplaced: (c: C) => ({
		ask: ask({
			type: "dev.replaced",
			to: c.dev,
			from: c.from.hwpt,
			hwpt: c.to.hwpt,
		}),
	}),
	returnResult: (c: C) => ({
		ask: ask({ type: "return", to: "host", ok: true, value: c.to.hwpt }),
	}),
};

const reserved = [
	{ guard: "learnsMsiToo", target: "LearningMsi", actions: ["learnMsi"] },
	{
		guard: "moreToReserve",
		target: "Reserving",
		reenter: true as const,
		actions: ["nextDevice"],
	},
	{ guard: "cookieNeeded", target: "SettingCookie" },
	{ target: "AllocatingHandle" },
];
const unwindReservations = [
	{
		guard: "unreserves",
		target: "unwinding.DroppingReservations",
		actions: ["restart"],
	},
	{ target: "unwinding.Unlocking" },
];
const replaceSwitched = [
	{ guard: "hadFaultQueue", target: "AnsweringFaults" },
	{
		guard: "ioasChanges",
		target: "DroppingOldReservations",
		actions: ["restart"],
	},
	{ target: "SettingHwpt" },
];

/** Replace, group-owned. */
export const replace: Definition<ReplaceContext, undefined> = {
	id: "replace",
	about:
		"Replace the hwpt of a whole group (iommufd/device.c:iommufd_device_do_replace, 6.12)",
	events: TX_EVENTS,
	start: () => ({
		dev: "device:none",
		group: "group:0",
		pasid: "none",
		to: NO_HWPT,
		from: NO_HWPT,
		list: [],
		msi: null,
		i: 0,
		sameIoasUnreserve: true,
		msiLearnedOnAttachOnly: true,
		replaceByUnattached: false,
		...FRESH,
	}),
	guards,
	actions,
	config: txConfig(
		[{ target: "Locking", actions: ["begin"] }],
		{
			Locking: step(
				"askLock",
				[
					{
						guard: "groupUnattached",
						target: "unwinding.Unlocking",
						actions: ["failUnattached"],
					},
					{
						guard: "callerNotListed",
						target: "unwinding.Unlocking",
						actions: ["failNotListed"],
					},
					{ guard: "targetIsCurrent", target: "DoingNothing" },
					{
						guard: "ioasChanges",
						target: "Reserving",
						actions: ["learnGroup"],
					},
					{
						guard: "groupNeedsCookie",
						target: "SettingCookie",
						actions: ["learnGroup"],
					},
					{ target: "AllocatingHandle", actions: ["learnGroup"] },
				],
				"Failed",
			),
			DoingNothing: sure("askNoop", "UnlockingUnchanged"),
			UnlockingUnchanged: sure("askUnlock", "Committed"),
			Reserving: step(
				"askReserve",
				reserved,
				unwindReservations,
				"Every listed device's regions, in list order, in the new IOAS",
			),
			LearningMsi: sure("askLearnMsi", reserved.slice(1)),
			SettingCookie: step("askCookie", "AllocatingHandle", unwindReservations),
			AllocatingHandle: step(
				"askAllocHandle",
				[
					{ guard: "enablesPageRequests", target: "EnablingPageRequests" },
					{ target: "Switching" },
				],
				unwindReservations,
			),
			EnablingPageRequests: step(
				"askPageRequestsOn",
				"Switching",
				"unwinding.FreeingHandle",
			),
			Switching: step(
				"askSwitch",
				replaceSwitched,
				[
					{
						guard: "enablesPageRequests",
						target: "unwinding.DisablingPageRequests",
					},
					{ target: "unwinding.FreeingHandle" },
				],
				"All members of the iommu_group, listed or not",
			),
			AnsweringFaults: sure("askAnswerFaults", [
				{ guard: "disablesPageRequests", target: "DisablingPageRequests" },
				...replaceSwitched.slice(1),
			]),
			DisablingPageRequests: sure(
				"askPageRequestsOff",
				replaceSwitched.slice(1),
			),
			DroppingOldReservations: sure("askUnreserveOld", [
				{
					guard: "moreToDrop",
					target: "DroppingOldReservations",
					reenter: true,
					actions: ["nextDevice"],
				},
				{ target: "SettingHwpt" },
			]),
			SettingHwpt: sure("askSetHwpt", "CountingNew"),
			CountingNew: sure("askCountNew", [
				{ guard: "movesSiblings", target: "CountingOld" },
				{ target: "Unlocking" },
			]),
			CountingOld: sure("askCountOld", "Unlocking"),
			Unlocking: sure("askUnlock", "PuttingOld"),
			PuttingOld: sure("askPutOld", "Reporting"),
			Reporting: sure("askReplaced", "Committed"),
		},
		{
			DisablingPageRequests: sure("askPageRequestsOff", "FreeingHandle"),
			FreeingHandle: sure("askFreeHandle", [
				{
					guard: "unreserves",
					target: "DroppingReservations",
					actions: ["restart"],
				},
				{ target: "Unlocking" },
			]),
			DroppingReservations: sure("askUnreserveNew", [
				{
					guard: "moreToDrop",
					target: "DroppingReservations",
					reenter: true,
					actions: ["nextDevice"],
				},
				{ target: "Unlocking" },
			]),
			Unlocking: sure("askUnlock", "#replace.Failed"),
		},
	),
};
