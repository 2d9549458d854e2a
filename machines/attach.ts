/**
 * Attach a device to a hwpt, as Linux 6.12 does it (facts §2.11: iommufd_hw_pagetable_attach). Only the first device of a group
 * touches hardware; the others reserve their regions, take a count and join the list.
 */
import type {
	CtxId,
	DeviceId,
	GroupId,
	HwptId,
} from "../src/vocabulary/ids.ts";
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

/** An attach (or detach) begins; the look-up of the hwpt is done. */
export interface AttachBegin {
	readonly type: "BEGIN";
	readonly dev: DeviceId;
	readonly ctx: CtxId;
	readonly group: GroupId;
	readonly pasid: Pasid;
	readonly to: HwptView;
	readonly laterCookie?: boolean;
}
/** What an attach knows; the group's view is learned under its lock. */
export interface AttachContext extends TxContext {
	readonly dev: DeviceId;
	readonly group: GroupId;
	readonly pasid: Pasid;
	readonly to: HwptView;
	readonly first: boolean;
	readonly msi: number | bigint | null;
	/** A12 mended: a window that a later device brings gives the domain its cookie too. */
	readonly laterCookie: boolean;
}
/** What reserving a device's regions found: the software MSI window, or two kinds of MSI window that cannot both be (facts §3.3). */
export interface ReservedValue {
	readonly swMsi?: number | bigint;
	readonly conflict: boolean;
}

/** A hwpt view for contexts that have not begun. */
export const NO_HWPT: HwptView = {
	hwpt: "ctx:0/hwpt:0@0" as HwptId,
	dom: "domain:0",
	ioas: "ctx:0/ioas:0@0",
	auto: false,
	fault: false,
};

type C = AttachContext;
const guards = {
	groupIsElsewhere: (c: C, e: Done<GroupContext>) =>
		e.value.hwpt !== null && e.value.hwpt !== c.to.hwpt,
	conflictingMsi: (_: C, e: Done<ReservedValue>) => e.value.conflict,
	foundSoftwareMsi: (_: C, e: Done<ReservedValue>) =>
		e.value.swMsi !== undefined,
	firstNeedsCookie: (c: C) => c.first && c.msi !== null,
	isFirst: (c: C) => c.first,
	laterNeedsCookie: (c: C) => c.laterCookie,
	hasFaultQueue: (c: C) => c.to.fault,
};

const actions = {
	...txActions,
	begin: (_: C, e: AttachBegin) => ({
		dev: e.dev,
		group: e.group,
		pasid: e.pasid,
		to: e.to,
		first: false,
		msi: null,
		laterCookie: e.laterCookie === true,
		...FRESH,
	}),
	learnGroup: (_: C, e: Done<GroupContext>) => ({
		first: e.value.list.length === 0,
		msi: e.value.msi,
	}),
	failElsewhere: failWith("EINVAL", "ig.hwpt"),
	failConflict: failWith("EINVAL", "resv.msi"),
	learnMsi: (_: C, e: Done<ReservedValue>) => ({ msi: e.value.swMsi! }),
	askLock: (c: C) => ({ ask: ask({ type: "ig.lock", to: c.group }) }),
	askUnlock: (c: C) => ({ ask: ask({ type: "ig.unlock", to: c.group }) }),
	askReserve: (c: C) => ({
		ask: ask({ type: "resv.add", to: c.to.ioas, dev: c.dev, attaching: true }),
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
			how: "attach",
			dev: c.dev,
			pasid: c.pasid,
			dom: c.to.dom,
			undo: false,
		}),
	}),
	askSetHwpt: (c: C) => ({
		ask: ask({ type: "ig.hwpt.set", to: c.group, hwpt: c.to.hwpt }),
	}),
	askCount: (c: C) => ({
		ask: ask({ type: "obj.get", to: c.to.hwpt, n: 1, why: "attach" }),
	}),
	askList: (c: C) => ({
		ask: ask({ type: "ig.list.add", to: c.group, dev: c.dev, hwpt: c.to.hwpt }),
	}),
	askAttachDevice: (c: C) => ({
		ask: ask({
			type: "dev.attach",
			to: c.dev,
			hwpt: c.to.hwpt,
			first: c.first,
		}),
	}),
	askUnreserve: (c: C) => ({
		ask: ask({ type: "resv.drop", to: c.to.ioas, owner: c.dev, undo: true }),
	}),
	returnResult: (c: C) => ({
		ask: ask({ type: "return", to: "host", ok: true, value: c.to.hwpt }),
	}),
};

/** Attach, Linux 6.12. */
export const attach: Definition<AttachContext, undefined> = {
	id: "attach",
	about:
		"Attach a device to a hwpt (iommufd/device.c:iommufd_hw_pagetable_attach, 6.12)",
	events: TX_EVENTS,
	start: () => ({
		dev: "device:none",
		group: "group:0",
		pasid: "none",
		to: NO_HWPT,
		first: false,
		msi: null,
		laterCookie: false,
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
						guard: "groupIsElsewhere",
						target: "unwinding.Unlocking",
						actions: ["learnGroup", "failElsewhere"],
					},
					{ target: "Reserving", actions: ["learnGroup"] },
				],
				"Failed",
			),
			Reserving: step(
				"askReserve",
				[
					{
						guard: "conflictingMsi",
						target: "unwinding.DroppingReservations",
						actions: ["failConflict"],
					},
					{
						guard: "foundSoftwareMsi",
						target: "LearningMsi",
						actions: ["learnMsi"],
					},
					{ guard: "firstNeedsCookie", target: "SettingCookie" },
					{ guard: "isFirst", target: "AllocatingHandle" },
					{ target: "Counting" },
				],
				"unwinding.Unlocking",
				"This device's regions only, owned by this device",
			),
			LearningMsi: sure("askLearnMsi", [
				{ guard: "isFirst", target: "SettingCookie" },
				{ guard: "laterNeedsCookie", target: "SettingLaterCookie" },
				{ target: "Counting" },
			]),
			SettingLaterCookie: step(
				"askCookie",
				"Counting",
				"unwinding.DroppingReservations",
				"Not in Linux: A12 mended",
			),
			SettingCookie: step(
				"askCookie",
				"AllocatingHandle",
				"unwinding.DroppingReservations",
			),
			AllocatingHandle: step(
				"askAllocHandle",
				[
					{ guard: "hasFaultQueue", target: "EnablingPageRequests" },
					{ target: "Switching" },
				],
				"unwinding.DroppingReservations",
			),
			EnablingPageRequests: step(
				"askPageRequestsOn",
				"Switching",
				"unwinding.FreeingHandle",
			),
			Switching: step(
				"askSwitch",
				"SettingHwpt",
				[
					{ guard: "hasFaultQueue", target: "unwinding.DisablingPageRequests" },
					{ target: "unwinding.FreeingHandle" },
				],
				"First device only: the whole iommu_group",
			),
			SettingHwpt: sure("askSetHwpt", "Counting"),
			Counting: sure("askCount", "Listing"),
			Listing: sure("askList", "AttachingDevice"),
			AttachingDevice: sure("askAttachDevice", "Unlocking"),
			Unlocking: sure("askUnlock", "Committed"),
		},
		{
			DisablingPageRequests: sure("askPageRequestsOff", "FreeingHandle"),
			FreeingHandle: sure("askFreeHandle", "DroppingReservations"),
			DroppingReservations: sure("askUnreserve", "Unlocking"),
			Unlocking: sure("askUnlock", "#attach.Failed"),
		},
	),
};
