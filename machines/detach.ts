/**
 * Detach a device, as Linux 6.12 does it (facts §2.13: iommufd_hw_pagetable_detach). It cannot fail. Only the last device of the list
 * stops the group's DMA. The hwpt was read before the lock, as in the kernel (race R1).
 */
import type { DeviceId, GroupId } from "../src/vocabulary/ids.ts";
import { NO_HWPT, type AttachBegin } from "./attach.ts";
import type { Definition } from "./define.ts";
import type { HwptView, Pasid } from "./steps.ts";
import { ask } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import {
	FRESH,
	step,
	sure,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

/** What a detach knows; `to` of its BEGIN is what the device is attached to. */
export interface DetachContext extends TxContext {
	readonly dev: DeviceId;
	readonly group: GroupId;
	readonly pasid: Pasid;
	readonly from: HwptView;
	readonly last: boolean;
}

type C = DetachContext;
const guards = {
	wasLast: (_: C, e: Done<{ readonly last: boolean }>) => e.value.last,
	hasFaultQueue: (c: C) => c.from.fault,
};
const actions = {
	...txActions,
	begin: (_: C, e: AttachBegin) => ({
		dev: e.dev,
		group: e.group,
		pasid: e.pasid,
		from: e.to,
		last: false,
		...FRESH,
	}),
	noteLast: () => ({ last: true }),
	askLock: (c: C) => ({ ask: ask({ type: "ig.lock", to: c.group }) }),
	askUnlock: (c: C) => ({ ask: ask({ type: "ig.unlock", to: c.group }) }),
	askUnlist: (c: C) => ({
		ask: ask({ type: "ig.list.remove", to: c.group, dev: c.dev }),
	}),
	askSwitch: (c: C) => ({
		ask: ask({
			type: "call.switch",
			to: c.group,
			how: "detach",
			dev: c.dev,
			pasid: c.pasid,
			undo: false,
		}),
	}),
	askAnswerFaults: (c: C) => ({
		ask: ask({ type: "fault.answer", to: c.from.hwpt }),
	}),
	askPageRequestsOff: (c: C) => ({
		ask: ask({ type: "fault.iopf.off", to: c.dev }),
	}),
	askClearHwpt: (c: C) => ({
		ask: ask({ type: "ig.hwpt.clear", to: c.group }),
	}),
	askUnreserve: (c: C) => ({
		ask: ask({ type: "resv.drop", to: c.from.ioas, owner: c.dev, undo: false }),
	}),
	askPut: (c: C) => ({
		ask: ask({ type: "call.put", to: c.from.hwpt, hwpt: c.from.hwpt }),
	}),
	askDetachDevice: (c: C) => ({
		ask: ask({
			type: "dev.detach",
			to: c.dev,
			hwpt: c.from.hwpt,
			last: c.last,
		}),
	}),
	returnResult: () => ({ ask: ask({ type: "return", to: "host", ok: true }) }),
};

/** Detach, Linux 6.12. */
export const detach: Definition<DetachContext, undefined> = {
	id: "detach",
	about:
		"Detach a device from its group's hwpt (iommufd/device.c:iommufd_hw_pagetable_detach, 6.12)",
	events: TX_EVENTS,
	start: () => ({
		dev: "device:none",
		group: "group:0",
		pasid: "none",
		from: NO_HWPT,
		last: false,
		...FRESH,
	}),
	guards,
	actions,
	config: txConfig([{ target: "Locking", actions: ["begin"] }], {
		Locking: step("askLock", "Unlisting", "Failed"),
		Unlisting: step(
			"askUnlist",
			[
				{ guard: "wasLast", target: "Switching", actions: ["noteLast"] },
				{ target: "DroppingReservations" },
			],
			"Failed",
			"Not the last: the hardware goes on translating this device",
		),
		Switching: sure("askSwitch", [
			{ guard: "hasFaultQueue", target: "AnsweringFaults" },
			{ target: "ClearingHwpt" },
		]),
		AnsweringFaults: sure("askAnswerFaults", "DisablingPageRequests"),
		DisablingPageRequests: sure("askPageRequestsOff", "ClearingHwpt"),
		ClearingHwpt: sure("askClearHwpt", "DroppingReservations"),
		DroppingReservations: sure("askUnreserve", "Unlocking"),
		Unlocking: sure("askUnlock", "Putting"),
		Putting: sure("askPut", "DetachingDevice"),
		DetachingDevice: sure("askDetachDevice", "Committed"),
	}),
};
