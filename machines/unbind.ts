/**
 * Unbind a detached device (facts §2.2: device.c:iommufd_device_unbind, iommufd_device_destroy). The last claim hands the group back to
 * its default domain. Of an attached device the kernel says EBUSY inside, warns, and leaks it with its ownership.
 */
import type {
	CtxId,
	DeviceId,
	GroupId,
	IdevId,
} from "../src/vocabulary/ids.ts";
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

/** An unbind begins; `idev` null = the device is not bound to this context. */
export interface UnbindBegin {
	readonly type: "BEGIN";
	readonly dev: DeviceId;
	readonly ctx: CtxId;
	readonly group: GroupId;
	readonly idev: IdevId | null;
}
/** What an unbind knows. */
export interface UnbindContext extends TxContext {
	readonly dev: DeviceId;
	readonly ctx: CtxId;
	readonly group: GroupId;
	readonly idev: IdevId;
}
type C = UnbindContext;

/** Unbind. */
export const unbind: Definition<UnbindContext, undefined> = {
	id: "unbind",
	about:
		"Unbind a device from its iommufd context (iommufd/device.c:iommufd_device_unbind)",
	events: TX_EVENTS,
	start: () => ({
		dev: "device:none",
		ctx: "ctx:0",
		group: "group:0",
		idev: "ctx:0/idev:0@0",
		...FRESH,
	}),
	guards: {
		notBound: (_: C, e: UnbindBegin) => e.idev === null,
		lastClaim: (_: C, e: Done<{ readonly last: boolean }>) => e.value.last,
	},
	actions: {
		...txActions,
		begin: (_: C, e: UnbindBegin) => ({
			dev: e.dev,
			ctx: e.ctx,
			group: e.group,
			...(e.idev === null ? {} : { idev: e.idev }),
			...FRESH,
		}),
		failUnbound: failWith("EINVAL", "dev.bound"),
		askDetached: (c: C) => ({
			ask: ask({ type: "dev.check.detached", to: c.dev }),
		}),
		askFreeId: (c: C) => ({
			ask: ask({ type: "id.free", to: c.ctx, obj: c.idev }),
		}),
		askRelease: (c: C) => ({ ask: ask({ type: "grp.release", to: c.group }) }),
		askUnblock: (c: C) => ({
			ask: ask({
				type: "call.switch",
				to: c.group,
				how: "release",
				dev: c.dev,
				pasid: "none",
				undo: false,
			}),
		}),
		askPutGroup: (c: C) => ({
			ask: ask({ type: "ig.put", to: c.group, ctx: c.ctx }),
		}),
		askUnbind: (c: C) => ({ ask: ask({ type: "dev.unbind", to: c.dev }) }),
		returnResult: () => ({
			ask: ask({ type: "return", to: "host", ok: true }),
		}),
	},
	config: txConfig(
		[
			{
				guard: "notBound",
				target: "Failed",
				actions: ["begin", "failUnbound"],
			},
			{ target: "CheckingDetached", actions: ["begin"] },
		],
		{
			CheckingDetached: step("askDetached", "FreeingId", "Failed"),
			FreeingId: sure("askFreeId", "Releasing"),
			Releasing: {
				entry: ["askRelease"],
				on: {
					DONE: [
						{ guard: "lastClaim", target: "Unblocking" },
						{ target: "PuttingGroup" },
					],
					FAILED: { target: "PuttingGroup" },
				},
			},
			Unblocking: sure("askUnblock", "PuttingGroup"),
			PuttingGroup: sure("askPutGroup", "Unbinding"),
			Unbinding: sure("askUnbind", "Committed"),
		},
	),
};
