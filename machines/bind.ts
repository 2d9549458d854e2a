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
	askCoherent: (c: C) => ({ ask: ask("bind.coherent", c.dev, {}) }),
	askGetGroup: (c: C) => ({
		ask: ask("ig.get", c.group, { ctx: c.ctx }, "ENOMEM"),
	}),
	askIsolated: (c: C) => ({ ask: ask("bind.isolated", c.group, {}) }),
	askClaim: (c: C) => ({ ask: ask("grp.claim", c.group, { owner: c.ctx }) }),
	askMakeBlocking: (c: C) => ({
		ask: ask("dom.create", c.dom, { kind: "blocked" }, "ENOMEM"),
	}),
	askSetBlocking: (c: C) => ({
		ask: ask("grp.blocking.set", c.group, { dom: c.dom }),
	}),
	askBlock: (c: C) => ({
		ask: ask("call.switch", c.group, {
			how: "block",
			dev: c.dev,
			pasid: "none",
			undo: false,
		}),
	}),
	askOwn: (c: C) => ({ ask: ask("grp.own", c.group, { owner: c.ctx }) }),
	askId: (c: C) => ({
		ask: ask("id.reserve", c.ctx, { kind: "idev" }, "ENOMEM"),
	}),
	askBind: (c: C) => ({
		ask: ask("dev.bind", c.dev, { ctx: c.ctx, idev: c.idev }),
	}),
	askPublishId: (c: C) => ({ ask: ask("id.publish", c.ctx, { obj: c.idev }) }),
	askRelease: (c: C) => ({ ask: ask("grp.release", c.group, {}) }),
	askUnblock: (c: C) => ({
		ask: ask("call.switch", c.group, {
			how: "release",
			dev: c.dev,
			pasid: "none",
			undo: true,
		}),
	}),
	askPutGroup: (c: C) => ({ ask: ask("ig.put", c.group, { ctx: c.ctx }) }),
	askFreeId: (c: C) => ({ ask: ask("id.free", c.ctx, { obj: c.idev }) }),
	returnResult: (c: C) => ({
		ask: ask("return", "host", { ok: true, value: c.idev }),
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
