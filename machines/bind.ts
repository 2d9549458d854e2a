/**
 * Bind a device to a context (facts §2.1: device.c:iommufd_device_bind; ownership §4.2). The first bind of a group claims it for the
 * context and blocks every member; the owner is written only after that switch succeeded (iommu.c:__iommu_take_dma_ownership).
 */
import type {
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	IdevId,
} from "../src/vocabulary/ids.ts";
import type { Definition } from "./define.ts";
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

/** A bind begins. `dom`: the name a new blocking domain would have. */
export interface BindBegin {
	readonly type: "BEGIN";
	readonly dev: DeviceId;
	readonly ctx: CtxId;
	readonly group: GroupId;
	readonly dom: DomainId;
}
/** What the group says to a claim. */
export interface ClaimValue {
	readonly first: boolean;
	readonly blk: DomainId | null;
}
/** What a bind knows. */
export interface BindContext extends TxContext {
	readonly dev: DeviceId;
	readonly ctx: CtxId;
	readonly group: GroupId;
	readonly dom: DomainId;
	readonly idev: IdevId;
}
type C = BindContext;

const actions = {
	...txActions,
	begin: (_: C, e: BindBegin) => ({
		dev: e.dev,
		ctx: e.ctx,
		group: e.group,
		dom: e.dom,
		...FRESH,
	}),
	learnId: (_: C, e: Done<IdevId>) => ({ idev: e.value }),
	askCoherent: (c: C) => ({ ask: ask({ type: "bind.coherent", to: c.dev }) }),
	askGetGroup: (c: C) => ({
		ask: ask({ type: "ig.get", to: c.group, failable: "ENOMEM", ctx: c.ctx }),
	}),
	askIsolated: (c: C) => ({ ask: ask({ type: "bind.isolated", to: c.group }) }),
	askClaim: (c: C) => ({
		ask: ask({ type: "grp.claim", to: c.group, owner: c.ctx }),
	}),
	askMakeBlocking: (c: C) => ({
		ask: ask({
			type: "dom.create",
			to: c.dom,
			failable: "ENOMEM",
			kind: "blocked",
		}),
	}),
	askSetBlocking: (c: C) => ({
		ask: ask({ type: "grp.blocking.set", to: c.group, dom: c.dom }),
	}),
	askBlock: (c: C) => ({
		ask: ask({
			type: "call.switch",
			to: c.group,
			how: "block",
			dev: c.dev,
			pasid: "none",
			undo: false,
		}),
	}),
	askOwn: (c: C) => ({
		ask: ask({ type: "grp.own", to: c.group, owner: c.ctx }),
	}),
	askId: (c: C) => ({
		ask: ask({
			type: "id.reserve",
			to: c.ctx,
			failable: "ENOMEM",
			kind: "idev",
		}),
	}),
	askBind: (c: C) => ({
		ask: ask({ type: "dev.bind", to: c.dev, ctx: c.ctx, idev: c.idev }),
	}),
	askPublishId: (c: C) => ({
		ask: ask({ type: "id.publish", to: c.ctx, obj: c.idev }),
	}),
	askRelease: (c: C) => ({ ask: ask({ type: "grp.release", to: c.group }) }),
	askUnblock: (c: C) => ({
		ask: ask({
			type: "call.switch",
			to: c.group,
			how: "release",
			dev: c.dev,
			pasid: "none",
			undo: true,
		}),
	}),
	askPutGroup: (c: C) => ({
		ask: ask({ type: "ig.put", to: c.group, ctx: c.ctx }),
	}),
	askFreeId: (c: C) => ({
		ask: ask({ type: "id.free", to: c.ctx, obj: c.idev }),
	}),
	returnResult: (c: C) => ({
		ask: ask({ type: "return", to: "host", ok: true, value: c.idev }),
	}),
};

/** Bind. */
export const bind: Definition<BindContext, undefined> = {
	id: "bind",
	about:
		"Bind a device to an iommufd context (iommufd/device.c:iommufd_device_bind)",
	events: TX_EVENTS,
	start: () => ({
		dev: "device:none",
		ctx: "ctx:0",
		group: "group:0",
		dom: "domain:0",
		idev: "ctx:0/idev:0@0",
		...FRESH,
	}),
	guards: {
		firstWithoutBlocking: (_: C, e: Done<ClaimValue>) =>
			e.value.first && e.value.blk === null,
		firstClaim: (_: C, e: Done<ClaimValue>) => e.value.first,
		lastClaim: (_: C, e: Done<{ readonly last: boolean }>) => e.value.last,
	},
	actions,
	config: txConfig(
		[{ target: "CheckingCoherency", actions: ["begin"] }],
		{
			CheckingCoherency: step("askCoherent", "GettingGroup", "Failed"),
			GettingGroup: step("askGetGroup", "CheckingIsolation", "Failed"),
			CheckingIsolation: step(
				"askIsolated",
				"Claiming",
				"unwinding.PuttingGroup",
			),
			Claiming: step(
				"askClaim",
				[
					{ guard: "firstWithoutBlocking", target: "MakingBlocking" },
					{ guard: "firstClaim", target: "Blocking" },
					{ target: "ReservingId" },
				],
				"unwinding.PuttingGroup",
				"DMA ownership of the whole group for this context",
			),
			MakingBlocking: step(
				"askMakeBlocking",
				"SettingBlocking",
				"unwinding.PuttingGroup",
			),
			SettingBlocking: sure("askSetBlocking", "Blocking"),
			Blocking: step("askBlock", "Owning", "unwinding.PuttingGroup"),
			Owning: sure("askOwn", "ReservingId"),
			ReservingId: step(
				"askId",
				[{ target: "BindingDevice", actions: ["learnId"] }],
				"unwinding.Releasing",
			),
			BindingDevice: step("askBind", "PublishingId", "unwinding.FreeingId"),
			PublishingId: sure("askPublishId", "Committed"),
		},
		{
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
			PuttingGroup: sure("askPutGroup", "#bind.Failed"),
		},
	),
};
