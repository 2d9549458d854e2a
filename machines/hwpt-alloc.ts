/**
 * Allocate a paging hwpt on an IOAS (facts §2.9.1: hw_pagetable.c:iommufd_hwpt_paging_alloc). A manual one is filled from the IOAS before
 * anyone can attach to it. An automatic one belongs to the attach or replace that needs it: an attach goes first, to the still
 * empty domain; a replace comes after filling, so that hardware is never switched to an empty table.
 *
 * 2023 flows (`fills` false): the domain stays out of the IOAS until its first device attaches.
 */
import type {
	CtxId,
	DeviceId,
	DomainId,
	HwptId,
	IoasId,
} from "../src/vocabulary/ids.ts";
import { NO_HWPT } from "./attach.ts";
import type { Definition } from "./define.ts";
import type { Step } from "./steps.ts";
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

/** An allocation begins. `dom`: the name the new domain will have; `cc`: the device can enforce coherency. */
export interface AllocBegin {
	readonly type: "BEGIN";
	readonly ctx: CtxId;
	readonly args: Step<"call.alloc">;
	readonly dom: DomainId;
	readonly cc: boolean;
	readonly fills: boolean;
}
/** What an allocation knows. */
export interface AllocContext extends TxContext {
	readonly ctx: CtxId;
	readonly dev: DeviceId;
	readonly ioas: IoasId;
	readonly auto: "no" | "attach" | "replace";
	readonly dom: DomainId;
	readonly cc: boolean;
	readonly fills: boolean;
	readonly hwpt: HwptId;
}
type C = AllocContext;

const guards = {
	enforcesCoherency: (c: C) => c.cc,
	attachesNow: (c: C) => c.auto === "attach",
	replacesNow: (c: C) => c.auto === "replace",
	fillsNow: (c: C) => c.fills,
	isManual: (c: C) => c.auto === "no",
};
const actions = {
	...txActions,
	begin: (_: C, e: AllocBegin) => ({
		ctx: e.ctx,
		dev: e.args.dev,
		ioas: e.args.ioas,
		auto: e.args.auto,
		dom: e.dom,
		cc: e.cc,
		fills: e.fills,
		hwpt: NO_HWPT.hwpt,
		...FRESH,
	}),
	learnId: (_: C, e: Done<HwptId>) => ({ hwpt: e.value }),
	askId: (c: C) => ({
		ask: ask({
			type: "id.reserve",
			to: c.ctx,
			failable: "ENOMEM",
			kind: "hwpt",
		}),
	}),
	askReserve: (c: C) => ({
		ask: ask({ type: "hwpt.reserve", to: c.hwpt, ctx: c.ctx, ioas: c.ioas }),
	}),
	askGetIoas: (c: C) => ({
		ask: ask({ type: "obj.get", to: c.ioas, n: 1, why: "hwpt" }),
	}),
	askCreateDomain: (c: C) => ({
		ask: ask({
			type: "dom.create",
			to: c.dom,
			failable: "ENOMEM",
			kind: "unmanaged",
			dev: c.dev,
		}),
	}),
	askCc: (c: C) => ({
		ask: ask({ type: "dom.cc", to: c.dom, failable: "EINVAL" }),
	}),
	askBuild: (c: C) => ({
		ask: ask({ type: "hwpt.build", to: c.hwpt, dom: c.dom, cc: c.cc }),
	}),
	askAttach: (c: C) => ({
		ask: ask({ type: "call.attach", to: c.hwpt, dev: c.dev, hwpt: c.hwpt }),
	}),
	askReplace: (c: C) => ({
		ask: ask({ type: "call.replace", to: c.hwpt, dev: c.dev, hwpt: c.hwpt }),
	}),
	askFill: (c: C) => ({
		ask: ask({ type: "iopt.add", to: c.ioas, dom: c.dom, hwpt: c.hwpt }),
	}),
	askLink: (c: C) => ({
		ask: ask({
			type: "hwpt.link",
			to: c.ioas,
			hwpt: c.hwpt,
			auto: c.auto !== "no",
		}),
	}),
	askRespond: () => ({
		ask: ask({ type: "resp", to: "host", failable: "EFAULT" }),
	}),
	askPublish: (c: C) => ({
		ask: ask({ type: "hwpt.publish", to: c.hwpt, auto: c.auto !== "no" }),
	}),
	askPublishId: (c: C) => ({
		ask: ask({ type: "id.publish", to: c.ctx, obj: c.hwpt }),
	}),
	askUnlink: (c: C) => ({
		ask: ask({ type: "hwpt.unlink", to: c.ioas, hwpt: c.hwpt, undo: true }),
	}),
	askRemove: (c: C) => ({
		ask: ask({
			type: "iopt.remove",
			to: c.ioas,
			dom: c.dom,
			hwpt: c.hwpt,
			undo: true,
		}),
	}),
	askDetach: (c: C) => ({
		ask: ask({ type: "call.detach", to: c.hwpt, dev: c.dev }),
	}),
	askFreeDomain: (c: C) => ({
		ask: ask({ type: "dom.free", to: c.dom, undo: true }),
	}),
	askPutIoas: (c: C) => ({
		ask: ask({ type: "obj.put", to: c.ioas, n: 1, why: "hwpt", undo: true }),
	}),
	askVanish: (c: C) => ({
		ask: ask({ type: "hwpt.gone", to: c.hwpt, undo: true }),
	}),
	askFreeId: (c: C) => ({
		ask: ask({ type: "id.free", to: c.ctx, obj: c.hwpt }),
	}),
	returnResult: (c: C) => ({
		ask: ask({ type: "return", to: "host", ok: true, value: c.hwpt }),
	}),
};

const filled = [
	{ guard: "replacesNow", target: "Replacing" },
	{ guard: "isManual", target: "Responding" },
	{ target: "Publishing" },
];

/** Allocate a hwpt. */
export const hwptAlloc: Definition<AllocContext, undefined> = {
	id: "hwpt-alloc",
	about:
		"Allocate a paging hwpt (iommufd/hw_pagetable.c:iommufd_hwpt_paging_alloc)",
	events: TX_EVENTS,
	start: () => ({
		ctx: "ctx:0",
		dev: "device:none",
		ioas: NO_HWPT.ioas,
		auto: "no",
		dom: "domain:0",
		cc: false,
		fills: true,
		hwpt: NO_HWPT.hwpt,
		...FRESH,
	}),
	guards,
	actions,
	config: txConfig(
		[{ target: "ReservingId", actions: ["begin"] }],
		{
			ReservingId: step(
				"askId",
				[{ target: "ReservingHwpt", actions: ["learnId"] }],
				"Failed",
			),
			ReservingHwpt: sure("askReserve", "GettingIoas"),
			GettingIoas: sure("askGetIoas", "CreatingDomain"),
			CreatingDomain: step(
				"askCreateDomain",
				[
					{ guard: "enforcesCoherency", target: "EnforcingCoherency" },
					{ target: "Building" },
				],
				"unwinding.PuttingIoas",
			),
			EnforcingCoherency: step("askCc", "Building", "unwinding.FreeingDomain"),
			Building: sure("askBuild", [
				{ guard: "attachesNow", target: "Attaching" },
				{ guard: "fillsNow", target: "Filling" },
				...filled,
			]),
			Attaching: step(
				"askAttach",
				[{ guard: "fillsNow", target: "Filling" }, { target: "Publishing" }],
				"unwinding.FreeingDomain",
				"Automatic, for an attach: to the empty domain",
			),
			Filling: step(
				"askFill",
				"Linking",
				[
					{ guard: "attachesNow", target: "unwinding.Detaching" },
					{ target: "unwinding.FreeingDomain" },
				],
				"Every live area of the IOAS is mapped into the domain",
			),
			Linking: sure("askLink", filled),
			Replacing: step(
				"askReplace",
				"Publishing",
				[
					{ guard: "fillsNow", target: "unwinding.Unlinking" },
					{ target: "unwinding.FreeingDomain" },
				],
				"Automatic, for a replace: filled first, switched to afterwards",
			),
			Responding: step("askRespond", "Publishing", [
				{ guard: "fillsNow", target: "unwinding.Unlinking" },
				{ target: "unwinding.FreeingDomain" },
			]),
			Publishing: sure("askPublish", "PublishingId"),
			PublishingId: sure("askPublishId", "Committed"),
		},
		{
			Unlinking: sure("askUnlink", "Removing"),
			Removing: sure("askRemove", "FreeingDomain"),
			Detaching: sure("askDetach", "FreeingDomain"),
			FreeingDomain: sure("askFreeDomain", "PuttingIoas"),
			PuttingIoas: sure("askPutIoas", "Vanishing"),
			Vanishing: sure("askVanish", "FreeingId"),
			FreeingId: sure("askFreeId", "#hwpt-alloc.Failed"),
		},
	),
};
