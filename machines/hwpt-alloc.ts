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
		ask: ask("id.reserve", c.ctx, { kind: "hwpt" }, "ENOMEM"),
	}),
	askReserve: (c: C) => ({
		ask: ask("hwpt.reserve", c.hwpt, { ctx: c.ctx, ioas: c.ioas }),
	}),
	askGetIoas: (c: C) => ({
		ask: ask("obj.get", c.ioas, { n: 1, why: "hwpt" }),
	}),
	askCreateDomain: (c: C) => ({
		ask: ask("dom.create", c.dom, { kind: "unmanaged", dev: c.dev }, "ENOMEM"),
	}),
	askCc: (c: C) => ({ ask: ask("dom.cc", c.dom, {}, "EINVAL") }),
	askBuild: (c: C) => ({
		ask: ask("hwpt.build", c.hwpt, { dom: c.dom, cc: c.cc }),
	}),
	askAttach: (c: C) => ({
		ask: ask("call.attach", c.hwpt, { dev: c.dev, hwpt: c.hwpt }),
	}),
	askReplace: (c: C) => ({
		ask: ask("call.replace", c.hwpt, { dev: c.dev, hwpt: c.hwpt }),
	}),
	askFill: (c: C) => ({
		ask: ask("iopt.add", c.ioas, { dom: c.dom, hwpt: c.hwpt }),
	}),
	askLink: (c: C) => ({
		ask: ask("hwpt.link", c.ioas, { hwpt: c.hwpt, auto: c.auto !== "no" }),
	}),
	askRespond: () => ({ ask: ask("resp", "host", {}, "EFAULT") }),
	askPublish: (c: C) => ({
		ask: ask("hwpt.publish", c.hwpt, { auto: c.auto !== "no" }),
	}),
	askPublishId: (c: C) => ({ ask: ask("id.publish", c.ctx, { obj: c.hwpt }) }),
	askUnlink: (c: C) => ({
		ask: ask("hwpt.unlink", c.ioas, { hwpt: c.hwpt, undo: true }),
	}),
	askRemove: (c: C) => ({
		ask: ask("iopt.remove", c.ioas, { dom: c.dom, hwpt: c.hwpt, undo: true }),
	}),
	askDetach: (c: C) => ({ ask: ask("call.detach", c.hwpt, { dev: c.dev }) }),
	askFreeDomain: (c: C) => ({ ask: ask("dom.free", c.dom, { undo: true }) }),
	askPutIoas: (c: C) => ({
		ask: ask("obj.put", c.ioas, { n: 1, why: "hwpt", undo: true }),
	}),
	askVanish: (c: C) => ({ ask: ask("hwpt.gone", c.hwpt, { undo: true }) }),
	askFreeId: (c: C) => ({ ask: ask("id.free", c.ctx, { obj: c.hwpt }) }),
	returnResult: (c: C) => ({
		ask: ask("return", "host", { ok: true, value: c.hwpt }),
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
