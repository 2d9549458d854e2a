/**
 * The call of user space, as VFIO makes it of attach and replace (facts §2.16 ATTACH_PT: vfio/device_cdev.c:vfio_df_ioctl_attach_pt): look
 * the object up, go through a hwpt or an IOAS, copy the id back. When that copy fails the device is detached, even after
 * a replace: the old attachment is lost, not restored (anomaly A8).
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
	sure,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

/** An attach or replace by object number begins. `from`: what the device is attached to. */
export interface AttachPtBegin {
	readonly type: "BEGIN";
	readonly ctx: CtxId;
	readonly dev: DeviceId;
	readonly pt: number;
	readonly how: "attach" | "replace";
	readonly bound: boolean;
	readonly from: HwptId | null;
	readonly respFailureDetaches: boolean;
}
/** What the call knows. */
export interface AttachPtContext extends TxContext {
	readonly ctx: CtxId;
	readonly dev: DeviceId;
	readonly pt: number;
	readonly how: "attach" | "replace";
	readonly from: HwptId | null;
	readonly respFailureDetaches: boolean;
	readonly obj: ObjectId;
	readonly hwpt: HwptId;
}
type C = AttachPtContext;

/** ATTACH_PT. */
export const attachPt: Definition<AttachPtContext, undefined> = {
	id: "attach-pt",
	about:
		"VFIO_DEVICE_ATTACH_IOMMUFD_PT: attach or replace by object id (vfio/device_cdev.c)",
	events: TX_EVENTS,
	start: () => ({
		ctx: "ctx:0",
		dev: "device:none",
		pt: 0,
		how: "attach",
		from: null,
		respFailureDetaches: true,
		obj: NO_HWPT.hwpt,
		hwpt: NO_HWPT.hwpt,
		...FRESH,
	}),
	guards: {
		notBound: (_: C, e: AttachPtBegin) => !e.bound,
		isIoas: (_: C, e: Done<ObjectId>) => e.value.includes("/ioas:"),
		isHwptAttach: (c: C, e: Done<ObjectId>) =>
			e.value.includes("/hwpt:") && c.how === "attach",
		isHwpt: (_: C, e: Done<ObjectId>) => e.value.includes("/hwpt:"),
		restoresOld: (c: C) => !c.respFailureDetaches && c.from !== null,
	},
	actions: {
		...txActions,
		begin: (_: C, e: AttachPtBegin) => ({
			ctx: e.ctx,
			dev: e.dev,
			pt: e.pt,
			how: e.how,
			from: e.from,
			respFailureDetaches: e.respFailureDetaches,
			...FRESH,
		}),
		failUnbound: failWith("EINVAL", "dev.bound"),
		failKind: failWith("EINVAL", "pt.kind"),
		learnObject: (_: C, e: Done<ObjectId>) => ({ obj: e.value }),
		learnHwpt: (_: C, e: Done<HwptId>) => ({ hwpt: e.value }),
		askLook: (c: C) => ({ ask: ask({ type: "id.look", to: c.ctx, id: c.pt }) }),
		askAuto: (c: C) => ({
			ask: ask({
				type: "call.auto",
				to: c.obj,
				dev: c.dev,
				ioas: c.obj as IoasId,
				how: c.how,
			}),
		}),
		askAttach: (c: C) => ({
			ask: ask({
				type: "call.attach",
				to: c.obj,
				dev: c.dev,
				hwpt: c.obj as HwptId,
			}),
		}),
		askReplace: (c: C) => ({
			ask: ask({
				type: "call.replace",
				to: c.obj,
				dev: c.dev,
				hwpt: c.obj as HwptId,
			}),
		}),
		askRespond: () => ({
			ask: ask({ type: "resp", to: "host", failable: "EFAULT" }),
		}),
		askDetach: (c: C) => ({
			ask: ask({ type: "call.detach", to: c.dev, dev: c.dev }),
		}),
		askReplaceBack: (c: C) => ({
			ask: ask({
				type: "call.replace",
				to: c.from!,
				dev: c.dev,
				hwpt: c.from!,
			}),
		}),
		returnResult: (c: C) => ({
			ask: ask({ type: "return", to: "host", ok: true, value: c.hwpt }),
		}),
	},
	config: txConfig(
		[
			{
				guard: "notBound",
				target: "Failed",
				actions: ["begin", "failUnbound"],
			},
			{ target: "LookingUp", actions: ["begin"] },
		],
		{
			LookingUp: step(
				"askLook",
				[
					{ guard: "isIoas", target: "ThroughIoas", actions: ["learnObject"] },
					{
						guard: "isHwptAttach",
						target: "Attaching",
						actions: ["learnObject"],
					},
					{ guard: "isHwpt", target: "Replacing", actions: ["learnObject"] },
					{ target: "Failed", actions: ["failKind"] },
				],
				"Failed",
			),
			ThroughIoas: step(
				"askAuto",
				[{ target: "Responding", actions: ["learnHwpt"] }],
				"Failed",
			),
			Attaching: step(
				"askAttach",
				[{ target: "Responding", actions: ["learnHwpt"] }],
				"Failed",
			),
			Replacing: step(
				"askReplace",
				[{ target: "Responding", actions: ["learnHwpt"] }],
				"Failed",
			),
			Responding: step("askRespond", "Committed", [
				{ guard: "restoresOld", target: "unwinding.ReplacingBack" },
				{ target: "unwinding.Detaching" },
			]),
		},
		{
			ReplacingBack: sure("askReplaceBack", "#attach-pt.Failed"),
			Detaching: sure("askDetach", "#attach-pt.Failed"),
		},
	),
};
