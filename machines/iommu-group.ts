/**
 * An iommu_group: two parallel regions. `ownership` is the core's struct iommu_group (facts §1.8 GROUP, §4.1-4.2): who may use the
 * devices, which domain is current. `attachment` is iommufd's object for it (facts §1.8 IG, §3): who is attached, to which hwpt.
 * Hardware switches act on `members`, bookkeeping on `list`; almost every subtle effect comes from the difference (facts §3.1).
 */
import type {
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	HwptId,
} from "../src/vocabulary/ids.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Definition } from "./define.ts";
import { attachmentActions, attachmentGuards } from "./group-attachment.ts";
import type { Answer, Answering, Pasid, Step } from "./steps.ts";
import { no, refuseUnexpected, YES, yes } from "./steps.ts";

/** A member of the group; `requireDirect`: it has a mandated direct region, so it must never be blocked (facts §4.3). */
export interface Member {
	readonly dev: DeviceId;
	readonly requireDirect: boolean;
}
/** An attach handle: the device that performed the switch, and the domain (facts §2.15). */
export interface Handle {
	readonly dev: DeviceId;
	readonly dom: DomainId;
}
/** What the group knows. `ocnt` counts kernel drivers while `owner` is null, else claims of the owner (facts §4.2). */
export interface GroupContext extends Answering {
	readonly group: GroupId;
	readonly members: readonly Member[];
	readonly def: DomainId | null;
	readonly blk: DomainId | null;
	readonly dom: DomainId | null;
	readonly owner: CtxId | null;
	readonly ocnt: number;
	readonly handles: { readonly [pasid: Pasid]: Handle };
	/** The context whose object this is; others that are about to be refused ownership stand in `visitors`. */
	readonly ctx: CtxId | null;
	readonly visitors: readonly CtxId[];
	readonly ref: number;
	readonly list: readonly DeviceId[];
	readonly hwpt: HwptId | null;
	/** Start of the software MSI window, once an attach has seen one; kept until the object is freed (A12). */
	readonly msi: number | bigint | null;
	readonly locked: boolean;
}
/** What a group starts with; `kernelDrivers` of its members use the DMA API. */
export interface GroupInput {
	readonly group: GroupId;
	readonly members: readonly Member[];
	readonly kernelDrivers: number;
}

type C = GroupContext;

const ownershipGuards = {
	usedByKernel: (c: C) => c.ocnt > 0,
	/** dom is neither none nor the default, or a handle is stored (facts §4.2). */
	busyDomain: (c: C) =>
		(c.dom !== null && c.dom !== c.def) || Object.keys(c.handles).length > 0,
	ownedByAnother: (c: C, e: Step<"grp.claim">) => c.owner !== e.owner,
	moreClaims: (c: C) => c.ocnt > 1,
	noHandle: (c: C, e: Step<"grp.handle.clear">) =>
		c.handles[e.pasid] === undefined,
	handleStored: (c: C) => Object.keys(c.handles).length > 0,
	someHardwareDiffers: (_: C, e: Step<"grp.domain.set">) => e.torn,
	isUserDomain: (c: C, e: Step<"grp.domain.set">) =>
		e.dom !== c.blk && e.dom !== c.def,
};

function currentChanged(c: C, dom: DomainId): Answer {
	const tells =
		c.dom === dom
			? []
			: [
					...(c.dom === null ? [] : [{ to: c.dom, type: "dom.left" }]),
					{ to: dom, type: "dom.current" },
				];
	return yes(
		[fact("grp.domain.set", c.group, { group: c.group, dom })],
		undefined,
		tells,
	);
}

const ownershipActions = {
	setDefault: (c: C, e: Step<"grp.default.set">) => ({
		def: e.dom,
		answer: yes([
			fact("grp.default.set", c.group, { group: c.group, dom: e.dom }),
		]),
	}),
	setBlocking: (c: C, e: Step<"grp.blocking.set">) => ({
		blk: e.dom,
		answer: yes([
			fact("grp.blocking.set", c.group, { group: c.group, dom: e.dom }),
		]),
	}),
	refuseNotYours: () => ({ answer: no("EPERM") }),
	refuseBusy: () => ({ answer: no("EBUSY") }),
	mayBecomeOwner: (c: C) => ({ answer: yes([], { first: true, blk: c.blk }) }),
	becomeOwner: (c: C, e: Step<"grp.own">) => ({
		owner: e.owner,
		ocnt: 1,
		answer: yes([
			fact("grp.owner.claimed", c.group, {
				group: c.group,
				owner: e.owner,
				ocnt: 1,
			}),
		]),
	}),
	countClaim: (c: C, e: Step<"grp.claim">) => ({
		ocnt: c.ocnt + 1,
		answer: yes(
			[
				fact("grp.owner.claimed", c.group, {
					group: c.group,
					owner: e.owner,
					ocnt: c.ocnt + 1,
				}),
			],
			{ first: false },
		),
	}),
	uncountClaim: (c: C) => ({
		ocnt: c.ocnt - 1,
		answer: yes(
			[
				fact("grp.owner.released", c.group, {
					group: c.group,
					ocnt: c.ocnt - 1,
				}),
			],
			{ last: false },
		),
	}),
	dropOwner: (c: C) => ({
		owner: null,
		ocnt: 0,
		answer: yes(
			[fact("grp.owner.released", c.group, { group: c.group, ocnt: 0 })],
			{
				last: true,
			},
		),
	}),
	setDomain: (c: C, e: Step<"grp.domain.set">) => ({
		dom: e.dom,
		answer: currentChanged(c, e.dom),
	}),
	storeHandle: (c: C, e: Step<"grp.handle.set">) => ({
		handles: { ...c.handles, [e.pasid]: { dev: e.dev, dom: e.dom } },
		answer: yes([
			fact("grp.handle.set", c.group, {
				group: c.group,
				pasid: e.pasid,
				dev: e.dev,
				dom: e.dom,
			}),
		]),
	}),
	clearHandle: (c: C, e: Step<"grp.handle.clear">) => {
		const { [e.pasid]: _gone, ...handles } = c.handles;
		return {
			handles,
			answer: yes([
				fact("grp.handle.cleared", c.group, { group: c.group, pasid: e.pasid }),
			]),
		};
	},
	addMember: (c: C, { dev, requireDirect }: Step<"grp.member.add">) => ({
		members: [...c.members, { dev, requireDirect }],
		answer: yes([fact("grp.member.added", c.group, { group: c.group, dev })]),
	}),
	removeMember: (c: C, { dev }: Step<"grp.member.remove">) => ({
		members: c.members.filter((member) => member.dev !== dev),
		answer: yes([fact("grp.member.removed", c.group, { group: c.group, dev })]),
	}),
	agree: () => ({ answer: YES }),
	refuse: refuseUnexpected,
};

const switched = [
	{
		guard: "someHardwareDiffers",
		target: "#iommu-group.ownership.Owned.Torn",
		actions: ["setDomain"],
	},
	{
		guard: "isUserDomain",
		target: "#iommu-group.ownership.Owned.OwnedUser",
		actions: ["setDomain"],
	},
	{ target: "#iommu-group.ownership.Owned.OwnedIdle", actions: ["setDomain"] },
];

/** The iommu_group statechart. */
export const iommuGroup: Definition<GroupContext, GroupInput> = {
	id: "iommu-group",
	about:
		"struct iommu_group of the core and struct iommufd_group of iommufd (drivers/iommu/iommu.c, iommufd/device.c)",
	events: [
		"grp.member.add",
		"grp.member.remove",
		"grp.default.set",
		"grp.blocking.set",
		"grp.claim",
		"grp.own",
		"grp.release",
		"grp.domain.set",
		"grp.torn",
		"grp.handle.set",
		"grp.handle.clear",
		"ig.get",
		"ig.put",
		"ig.lock",
		"ig.unlock",
		"ig.msi.set",
		"ig.hwpt.set",
		"ig.hwpt.clear",
		"ig.list.add",
		"ig.list.remove",
	],
	start: ({ group, members, kernelDrivers }) => ({
		group,
		members,
		def: null,
		blk: null,
		dom: null,
		owner: null,
		ocnt: kernelDrivers,
		handles: {},
		ctx: null,
		visitors: [],
		ref: 0,
		list: [],
		hwpt: null,
		msi: null,
		locked: false,
		answer: YES,
	}),
	guards: { ...ownershipGuards, ...attachmentGuards },
	actions: { ...ownershipActions, ...attachmentActions },
	config: {
		type: "parallel",
		on: { "*": { actions: ["refuse"] } },
		states: {
			ownership: {
				initial: "Default",
				on: {
					"grp.member.add": { actions: ["addMember"] },
					"grp.member.remove": { actions: ["removeMember"] },
					"grp.blocking.set": { actions: ["setBlocking"] },
					"grp.handle.set": { actions: ["storeHandle"] },
					"grp.handle.clear": [
						{ guard: "noHandle", actions: ["agree"] },
						{ actions: ["clearHandle"] },
					],
				},
				states: {
					Default: {
						description:
							"No owner; kernel drivers may use the DMA API through the default domain",
						on: {
							"grp.default.set": { actions: ["setDefault"] },
							"grp.claim": [
								{ guard: "usedByKernel", actions: ["refuseNotYours"] },
								{ guard: "busyDomain", actions: ["refuseBusy"] },
								{ actions: ["mayBecomeOwner"] },
							],
							"grp.own": { target: "Owned", actions: ["becomeOwner"] },
							"grp.domain.set": { actions: ["setDomain"] },
						},
					},
					Owned: {
						initial: "OwnedIdle",
						on: {
							"grp.claim": [
								{ guard: "ownedByAnother", actions: ["refuseNotYours"] },
								{ actions: ["countClaim"] },
							],
							"grp.release": [
								{ guard: "moreClaims", actions: ["uncountClaim"] },
								{ guard: "handleStored", actions: ["refuseBusy"] },
								{ target: "Default", actions: ["dropOwner"] },
							],
							"grp.domain.set": switched,
							"grp.torn": {
								target: "#iommu-group.ownership.Owned.Torn",
								actions: ["agree"],
							},
						},
						states: {
							OwnedIdle: { description: "Owned by user space, blocked" },
							OwnedUser: { description: "Translating through a user's domain" },
							Torn: {
								description:
									"Some member's hardware is not on the group's domain: an unwinding failed",
							},
						},
					},
				},
			},
			attachment: {
				initial: "Empty",
				states: {
					Empty: { on: { "ig.get": { target: "Held", actions: ["create"] } } },
					Held: {
						initial: "Idle",
						on: {
							"ig.get": [
								{ guard: "otherContext", actions: ["admitVisitor"] },
								{ actions: ["countBound"] },
							],
							"ig.put": [
								{ guard: "otherContext", actions: ["dismissVisitor"] },
								{ guard: "lastReference", target: "Gone", actions: ["free"] },
								{ actions: ["uncountBound"] },
							],
							"ig.lock": [
								{ guard: "isLocked", actions: ["mustWait"] },
								{ actions: ["lock"] },
							],
							"ig.unlock": { actions: ["unlock"] },
							"ig.msi.set": { actions: ["learnMsi"] },
							"ig.hwpt.set": { actions: ["setHwpt"] },
						},
						states: {
							Idle: {
								on: {
									"ig.list.add": {
										target: "Attached",
										actions: ["listDevice"],
									},
									"ig.hwpt.clear": { actions: ["clearHwpt"] },
								},
							},
							Attached: {
								on: {
									"ig.list.add": [
										{ guard: "alreadyListed", actions: ["refuse"] },
										{ actions: ["listDevice"] },
									],
									"ig.list.remove": [
										{ guard: "notListed", actions: ["refuse"] },
										{
											guard: "lastListed",
											target: "Idle",
											actions: ["unlistDevice"],
										},
										{ actions: ["unlistDevice"] },
									],
								},
							},
						},
					},
					Gone: { on: { "ig.get": { target: "Held", actions: ["create"] } } },
				},
			},
		},
	},
};
