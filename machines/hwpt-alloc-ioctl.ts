/**
 * IOMMU_HWPT_ALLOC's prologue (facts §2.9: hw_pagetable.c:iommufd_hwpt_alloc): an unknown device is ENOENT, but an unknown page table
 * object is EINVAL, and so is one of the wrong kind.
 */
import type {
	CtxId,
	DeviceId,
	HwptId,
	IoasId,
	ObjectId,
} from "../src/vocabulary/ids.ts";
import { NO_HWPT } from "./attach.ts";
import type { Definition } from "./define.ts";
import { ask } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import {
	failWith,
	FRESH,
	step,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

/** The call begins; `idev` is the number given as device, 0 for none. */
export interface AllocIoctlBegin {
	readonly type: "BEGIN";
	readonly ctx: CtxId;
	readonly dev: DeviceId;
	readonly idev: number;
	readonly pt: number;
}
/** What it knows. */
export interface AllocIoctlContext extends TxContext {
	readonly ctx: CtxId;
	readonly dev: DeviceId;
	readonly idev: number;
	readonly pt: number;
	readonly obj: ObjectId;
}
type C = AllocIoctlContext;

/** IOMMU_HWPT_ALLOC of a paging hwpt. */
export const hwptAllocIoctl: Definition<AllocIoctlContext, undefined> = {
	id: "hwpt-alloc-ioctl",
	about:
		"IOMMU_HWPT_ALLOC on an IOAS (iommufd/hw_pagetable.c:iommufd_hwpt_alloc)",
	events: TX_EVENTS,
	start: () => ({
		ctx: "ctx:0",
		dev: "device:none",
		idev: 0,
		pt: 0,
		obj: NO_HWPT.hwpt,
		...FRESH,
	}),
	guards: {
		isDevice: (_: C, e: Done<ObjectId>) => e.value.includes("/idev:"),
		isIoas: (_: C, e: Done<ObjectId>) => e.value.includes("/ioas:"),
	},
	actions: {
		...txActions,
		begin: (_: C, e: AllocIoctlBegin) => ({
			ctx: e.ctx,
			dev: e.dev,
			idev: e.idev,
			pt: e.pt,
			...FRESH,
		}),
		failNoDevice: failWith("ENOENT", "dev.look"),
		failNoPt: failWith("EINVAL", "pt.look"),
		failKind: failWith("EINVAL", "pt.kind"),
		learnObject: (_: C, e: Done<ObjectId>) => ({ obj: e.value }),
		askLookDevice: (c: C) => ({
			ask: ask({ type: "id.look", to: c.ctx, id: c.idev }),
		}),
		askLookPt: (c: C) => ({
			ask: ask({ type: "id.look", to: c.ctx, id: c.pt }),
		}),
		askAlloc: (c: C) => ({
			ask: ask({
				type: "call.alloc",
				to: c.obj,
				dev: c.dev,
				ioas: c.obj as IoasId,
				auto: "no",
			}),
		}),
		learnHwpt: (_: C, e: Done<HwptId>) => ({ obj: e.value }),
		returnResult: (c: C) => ({
			ask: ask({ type: "return", to: "host", ok: true, value: c.obj }),
		}),
	},
	config: txConfig([{ target: "LookingUpDevice", actions: ["begin"] }], {
		LookingUpDevice: step(
			"askLookDevice",
			[
				{ guard: "isDevice", target: "LookingUpPt" },
				{ target: "Failed", actions: ["failNoDevice"] },
			],
			[{ target: "Failed", actions: ["failNoDevice"] }],
		),
		LookingUpPt: step(
			"askLookPt",
			[
				{ guard: "isIoas", target: "Allocating", actions: ["learnObject"] },
				{ target: "Failed", actions: ["failKind"] },
			],
			[{ target: "Failed", actions: ["failNoPt"] }],
		),
		Allocating: step(
			"askAlloc",
			[{ target: "Committed", actions: ["learnHwpt"] }],
			"Failed",
		),
	}),
};
