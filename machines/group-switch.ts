/**
 * The core's switch of a whole group to another domain, member by member (facts §4.3-4.4:
 * iommu.c:__iommu_group_set_domain_internal). A refusal sends the members reached so far, the refusing one included, back to the old
 * domain; what cannot go back is blocked, and the group is Torn. Detach and release must succeed: they block what refuses.
 */
import type { DeviceId, DomainId, GroupId } from "../src/vocabulary/ids.ts";
import type { Definition } from "./define.ts";
import type { GroupContext, Handle, Member } from "./iommu-group.ts";
import type { Pasid, Step } from "./steps.ts";
import { ask } from "./steps.ts";
import type { TxContext } from "./transaction.ts";
import {
	failWith,
	FRESH,
	must,
	step,
	sure,
	TX_EVENTS,
	txActions,
	txConfig,
} from "./transaction.ts";

type How = Step<"call.switch">["how"];
/** A switch begins. `foreign`: the first member's driver did not make the domain. `checkReplace`: A5 is mended. */
export interface SwitchBegin {
	readonly type: "BEGIN";
	readonly args: Step<"call.switch">;
	readonly view: GroupContext;
	readonly foreign: boolean;
	readonly checkReplace: boolean;
	/** False before Linux had a slot for the attach handle of a whole group (2023 flows): then only the domain decides. */
	readonly slots?: boolean;
}
/** What the switch knows. `i` counts members forward, then backward steps; `from` null = the group never had a domain. */
export interface SwitchContext extends TxContext {
	readonly how: How;
	readonly group: GroupId;
	readonly members: readonly Member[];
	readonly from: DomainId | null;
	readonly to: DomainId;
	readonly blk: DomainId | null;
	readonly handle: Handle | undefined;
	readonly pasid: Pasid;
	readonly dev: DeviceId;
	readonly undo: boolean;
	readonly i: number;
	readonly reached: number;
	readonly torn: boolean;
}

type C = SwitchContext;
const targetOf = ({ args, view }: SwitchBegin): DomainId => {
	if (args.how === "block") return view.blk!;
	if (args.how === "release") return view.def!;
	if (args.how === "detach") return view.owner === null ? view.def! : view.blk!;
	return args.dom!;
};
const attachTo = (c: C, dom: DomainId, undo: boolean) => ({
	ask: ask({
		type: "hw.attach",
		to: c.members[c.i]!.dev,
		dom,
		blocking: dom === c.blk,
		undo,
	}),
});

const guards = {
	foreignDomain: (_: C, e: SwitchBegin) =>
		e.foreign &&
		(e.args.how === "attach" || (e.args.how === "replace" && e.checkReplace)),
	slotTaken: (_: C, e: SwitchBegin) =>
		e.args.how === "attach" &&
		e.slots !== false &&
		e.view.handles[e.args.pasid] !== undefined,
	/** Attach wants the default or the blocking domain to be current (facts §4.4). */
	overUserDomain: (_: C, e: SwitchBegin) =>
		e.args.how === "attach" &&
		e.view.dom !== null &&
		e.view.dom !== e.view.def &&
		e.view.dom !== e.view.blk,
	alreadyThere: (_: C, e: SwitchBegin) =>
		e.view.dom === targetOf(e) && e.args.how !== "detach",
	alreadyDetached: (_: C, e: SwitchBegin) =>
		e.view.dom === targetOf(e) && e.args.how === "detach",
	beginsAttach: (_: C, e: SwitchBegin) => e.args.how === "attach",
	beginsReplace: (_: C, e: SwitchBegin) => e.args.how === "replace",
	isReplace: (c: C) => c.how === "replace",
	dropsHandle: (c: C) => c.how === "detach",
	moreMembers: (c: C) => c.i + 1 < c.members.length,
	mustSucceedCanBlock: (c: C) =>
		(c.how === "detach" || c.how === "release") &&
		c.blk !== null &&
		c.blk !== c.to,
	mustSucceedMore: (c: C) =>
		(c.how === "detach" || c.how === "release") && c.i + 1 < c.members.length,
	mustSucceed: (c: C) => c.how === "detach" || c.how === "release",
	nothingToRevertTo: (c: C) => c.from === null,
	moreToRevert: (c: C) => c.i < c.reached,
	canBlock: (c: C) => c.blk !== null && c.blk !== c.from,
	storedHandle: (c: C) => c.how === "attach",
	isTorn: (c: C) => c.torn,
};

const actions = {
	...txActions,
	begin: (_: C, e: SwitchBegin) => ({
		how: e.args.how,
		group: e.view.group,
		members: e.view.members,
		from: e.view.dom,
		to: targetOf(e),
		blk: e.view.blk,
		handle: e.view.handles[e.args.pasid],
		pasid: e.args.pasid,
		dev: e.args.dev,
		undo: e.args.undo,
		i: 0,
		reached: 0,
		torn: false,
		...FRESH,
	}),
	failForeign: failWith("EINVAL", "core.owner"),
	failSlot: failWith("EBUSY", "core.slot"),
	failUserDomain: failWith("EBUSY", "core.domain"),
	askStoreHandle: (c: C) => ({
		ask: ask({
			type: "grp.handle.set",
			to: c.group,
			failable: "ENOMEM",
			pasid: c.pasid,
			dev: c.dev,
			dom: c.to,
		}),
	}),
	askReserveSlot: () => ({
		ask: ask({ type: "handle.alloc", to: "host", failable: "ENOMEM" }),
	}),
	askAttach: (c: C) => attachTo(c, c.to, c.undo),
	askBlock: (c: C) => attachTo(c, c.blk!, c.undo),
	askRevert: (c: C) => attachTo(c, c.from!, true),
	askBlockBack: (c: C) => attachTo(c, c.blk!, true),
	askSetDomain: (c: C) => ({
		ask: ask({ type: "grp.domain.set", to: c.group, dom: c.to, torn: c.torn }),
	}),
	askReplaceHandle: (c: C) => ({
		ask: ask({
			type: "grp.handle.set",
			to: c.group,
			pasid: c.pasid,
			dev: c.dev,
			dom: c.to,
		}),
	}),
	askClearHandle: (c: C) => ({
		ask: ask({ type: "grp.handle.clear", to: c.group, pasid: c.pasid }),
	}),
	askMarkTorn: (c: C) => ({ ask: ask({ type: "grp.torn", to: c.group }) }),
	nextMember: (c: C) => ({ i: c.i + 1 }),
	tear: () => ({ torn: true }),
	turnBack: (c: C) => ({ i: 0, reached: c.i }),
	returnResult: () => ({ ask: ask({ type: "return", to: "host", ok: true }) }),
};

const onward = [
	{
		guard: "moreMembers",
		target: "Attaching",
		actions: ["tear", "nextMember"],
	},
	{ target: "Settling", actions: ["tear"] },
];
const reverted = [
	{
		guard: "moreToRevert",
		target: "Reverting",
		reenter: true as const,
		actions: ["nextMember"],
	},
	{ guard: "storedHandle", target: "ErasingHandle" },
	{ guard: "isTorn", target: "MarkingTorn" },
	{ target: "#group-switch.Failed" },
];
const blockedBack = reverted.map((edge) => ({
	...edge,
	actions: ["tear", ...(edge.actions ?? [])],
}));

/** The switch of a group. */
export const groupSwitch: Definition<SwitchContext, undefined> = {
	id: "group-switch",
	about:
		"Switch every member of an iommu_group to a domain (iommu.c:__iommu_group_set_domain_internal, iommu_attach_group_handle, iommu_replace_group_handle, iommu_detach_group_handle)",
	events: TX_EVENTS,
	start: () => ({
		how: "block",
		group: "group:0",
		members: [],
		from: null,
		to: "domain:0",
		blk: null,
		handle: undefined,
		pasid: "none",
		dev: "device:none",
		undo: false,
		i: 0,
		reached: 0,
		torn: false,
		...FRESH,
	}),
	guards,
	actions,
	config: txConfig(
		[
			{
				guard: "foreignDomain",
				target: "Failed",
				actions: ["begin", "failForeign"],
			},
			{ guard: "slotTaken", target: "Failed", actions: ["begin", "failSlot"] },
			{
				guard: "overUserDomain",
				target: "Failed",
				actions: ["begin", "failUserDomain"],
			},
			{ guard: "alreadyThere", target: "Committed", actions: ["begin"] },
			{
				guard: "alreadyDetached",
				target: "ClearingHandle",
				actions: ["begin"],
			},
			{ guard: "beginsAttach", target: "StoringHandle", actions: ["begin"] },
			{ guard: "beginsReplace", target: "ReservingSlot", actions: ["begin"] },
			{ target: "Attaching", actions: ["begin"] },
		],
		{
			StoringHandle: step(
				"askStoreHandle",
				"Attaching",
				"Failed",
				"attach fills the slot before the switch",
			),
			ReservingSlot: step("askReserveSlot", "Attaching", "Failed"),
			Attaching: step(
				"askAttach",
				[
					{
						guard: "moreMembers",
						target: "Attaching",
						reenter: true,
						actions: ["nextMember"],
					},
					{ target: "Settling" },
				],
				[
					{ guard: "mustSucceedCanBlock", target: "Blocking" },
					{
						guard: "mustSucceedMore",
						target: "Attaching",
						reenter: true,
						actions: ["tear", "nextMember"],
					},
					{ guard: "mustSucceed", target: "Settling", actions: ["tear"] },
					{ guard: "nothingToRevertTo", target: "Failed" },
					{ target: "unwinding.Reverting", actions: ["turnBack"] },
				],
				"One driver attach a member, in the group's order",
			),
			Blocking: must("askBlock", onward),
			Settling: sure("askSetDomain", [
				{ guard: "isReplace", target: "ReplacingHandle" },
				{ guard: "dropsHandle", target: "ClearingHandle" },
				{ target: "Committed" },
			]),
			ReplacingHandle: sure("askReplaceHandle", "Committed"),
			ClearingHandle: sure("askClearHandle", "Committed"),
		},
		{
			Reverting: step(
				"askRevert",
				reverted,
				[{ guard: "canBlock", target: "BlockingBack" }, ...blockedBack],
				"Back to the old domain, the refusing member included",
			),
			BlockingBack: must("askBlockBack", blockedBack),
			ErasingHandle: sure("askClearHandle", [
				{ guard: "isTorn", target: "MarkingTorn" },
				{ target: "#group-switch.Failed" },
			]),
			MarkingTorn: sure("askMarkTorn", "#group-switch.Failed"),
		},
	),
};
