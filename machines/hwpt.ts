/**
 * A hardware page table object (facts §1.8 HWPT, §1.4): reserved, built, filled from its IOAS, published, destroyed. `u` counts
 * its users: the id table's 1, one an attached device (facts §3.9).
 *
 * `devices` is the 2023 kernel's hwpt->devices list (seed mail 3); the kernel that was merged has none, and it stays empty in
 * the group-owned flow. In the 2023 flows a hwpt is Live before it is filled: its domain enters the IOAS with the first device.
 */
import type {
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	HwptId,
	IoasId,
} from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Definition } from "./define.ts";
import type { Answering, Step } from "./steps.ts";
import { no, refuseUnexpected, undoing, YES, yes } from "./steps.ts";

/** A device of the 2023 list, with its group: iommufd_hw_pagetable_has_group() looks through it. */
export interface ListedDevice {
	readonly dev: DeviceId;
	readonly group: GroupId;
}
/** What a hwpt knows. */
export interface HwptContext extends Answering {
	readonly hwpt: HwptId;
	readonly ctx: CtxId | null;
	readonly ioas: IoasId | null;
	readonly dom: DomainId | null;
	readonly cc: boolean;
	readonly auto: boolean;
	readonly fault: boolean;
	readonly nestParent: boolean;
	readonly u: number;
	readonly devices: readonly ListedDevice[];
}
/** What the 2023 flows learn from the list: who of the group is on it, and whether anyone at all is. */
export interface DeviceListView {
	readonly ofGroup: readonly DeviceId[];
	readonly empty: boolean;
}

type C = HwptContext;
const view = (
	devices: readonly ListedDevice[],
	group: GroupId,
): DeviceListView => ({
	ofGroup: devices.filter((d) => d.group === group).map((d) => d.dev),
	empty: devices.length === 0,
});
const ref = (c: C, delta: number, e: Step<"obj.get" | "obj.put">): Fact =>
	fact(
		"obj.ref",
		c.hwpt,
		undoing(e.undo, {
			obj: c.hwpt,
			delta,
			u: c.u + delta,
			why: e.why,
		}),
	);

const guards = {
	inUse: (c: C) => c.u > 1,
	byLastPut: (_: C, e: Step<"hwpt.destroy">) => e.auto,
};

const actions = {
	reserve: (c: C, e: Step<"hwpt.reserve">) => ({
		ctx: e.ctx,
		ioas: e.ioas,
		u: 1,
		answer: yes([fact("hwpt.reserved", c.hwpt, { hwpt: c.hwpt })]),
	}),
	/** `fault` and `nestParent` come with what user space asked for. */
	build: (
		_: C,
		e: Step<"hwpt.build"> & {
			readonly fault?: boolean;
			readonly nestParent?: boolean;
		},
	) => ({
		dom: e.dom,
		cc: e.cc,
		fault: e.fault === true,
		nestParent: e.nestParent === true,
		answer: YES,
	}),
	agree: () => ({ answer: YES }),
	publish: (c: C, e: Step<"hwpt.publish">) => ({
		auto: e.auto,
		answer: yes(
			[
				fact("hwpt.live", c.hwpt, {
					hwpt: c.hwpt,
					kind: "paging",
					dom: c.dom!,
					ioas: c.ioas!,
					auto: e.auto,
					cc: c.cc,
					...(c.nestParent ? { nestParent: true } : {}),
				}),
			],
			undefined,
			e.auto ? [{ to: c.ioas!, type: "hwpt.automatic", hwpt: c.hwpt }] : [],
		),
	}),
	get: (c: C, e: Step<"obj.get">) => ({
		u: c.u + e.n,
		answer: yes([ref(c, e.n, e)]),
	}),
	put: (c: C, e: Step<"obj.put">) => ({
		u: c.u - e.n,
		answer: yes([ref(c, -e.n, e)], { unused: c.u - e.n === 1 && c.auto }),
	}),
	refuseInUse: () => ({ answer: no("EBUSY") }),
	announceAutomatic: (c: C) => ({
		answer: yes([fact("hwpt.autodestroyed", c.hwpt, { hwpt: c.hwpt })]),
	}),
	vanish: (c: C, e: Step<"hwpt.gone">) => ({
		u: 0,
		answer: yes([fact("obj.gone", c.hwpt, undoing(e.undo, { obj: c.hwpt }))]),
	}),
	lookAtDevices: (c: C, e: Step<"hwpt.devices.look">) => ({
		answer: yes([], view(c.devices, e.group)),
	}),
	addDevice: (c: C, e: Step<"hwpt.devices.add">) => ({
		devices: [...c.devices, { dev: e.dev, group: e.group }],
		answer: yes([
			fact(
				"ig.list.add",
				e.group,
				undoing(e.undo, {
					ctx: c.ctx!,
					group: e.group,
					dev: e.dev,
					hwpt: c.hwpt,
				}),
			),
		]),
	}),
	removeDevice: (c: C, e: Step<"hwpt.devices.remove">) => {
		const devices = c.devices.filter((d) => d.dev !== e.dev);
		return {
			devices,
			answer: yes(
				[
					fact(
						"ig.list.remove",
						e.group,
						undoing(e.undo, {
							ctx: c.ctx!,
							group: e.group,
							dev: e.dev,
						}),
					),
				],
				view(devices, e.group),
			),
		};
	},
	refuse: refuseUnexpected,
};

const counting = {
	"obj.get": { actions: ["get"] },
	"obj.put": { actions: ["put"] },
	"hwpt.devices.look": { actions: ["lookAtDevices"] },
	"hwpt.devices.add": { actions: ["addDevice"] },
	"hwpt.devices.remove": { actions: ["removeDevice"] },
};

/** The hwpt statechart. */
export const hwpt: Definition<HwptContext, { readonly hwpt: HwptId }> = {
	id: "hwpt",
	about: "struct iommufd_hwpt_paging (iommufd/hw_pagetable.c)",
	events: [
		"hwpt.reserve",
		"hwpt.build",
		"hwpt.filled",
		"hwpt.emptied",
		"hwpt.publish",
		"hwpt.destroy",
		"hwpt.gone",
		"obj.get",
		"obj.put",
		"hwpt.devices.look",
		"hwpt.devices.add",
		"hwpt.devices.remove",
		"fault.answer",
	],
	start: (input) => ({
		hwpt: input.hwpt,
		ctx: null,
		ioas: null,
		dom: null,
		cc: false,
		auto: false,
		fault: false,
		nestParent: false,
		u: 0,
		devices: [],
		answer: YES,
	}),
	guards,
	actions,
	config: {
		initial: "Absent",
		on: { "*": { actions: ["refuse"] } },
		states: {
			Absent: {
				on: { "hwpt.reserve": { target: "Reserved", actions: ["reserve"] } },
			},
			Reserved: {
				description: "The id is taken, the slot empty: look-ups say ENOENT",
				on: {
					"hwpt.build": { target: "Built", actions: ["build"] },
					"hwpt.gone": { target: "Gone", actions: ["vanish"] },
				},
			},
			Built: {
				description: "Has its domain, still empty",
				on: {
					...counting,
					"hwpt.filled": { target: "InIopt", actions: ["agree"] },
					"hwpt.publish": { target: "Live.Empty", actions: ["publish"] },
					"hwpt.gone": { target: "Gone", actions: ["vanish"] },
				},
			},
			InIopt: {
				description: "Filled from the IOAS and kept so",
				on: {
					...counting,
					"hwpt.emptied": { target: "Built", actions: ["agree"] },
					"hwpt.publish": { target: "Live.Filled", actions: ["publish"] },
				},
			},
			Live: {
				initial: "Empty",
				on: {
					...counting,
					"hwpt.destroy": [
						{ guard: "inUse", actions: ["refuseInUse"] },
						{
							guard: "byLastPut",
							target: "Destroying",
							actions: ["announceAutomatic"],
						},
						{ target: "Destroying", actions: ["agree"] },
					],
					"fault.answer": { actions: ["agree"] },
				},
				states: {
					Empty: {
						description:
							"2023 flows: published, no device yet, not in the IOAS",
						on: { "hwpt.filled": { target: "Filled", actions: ["agree"] } },
					},
					Filled: {
						on: { "hwpt.emptied": { target: "Empty", actions: ["agree"] } },
					},
				},
			},
			Destroying: {
				on: {
					"hwpt.emptied": { actions: ["agree"] },
					"hwpt.gone": { target: "Gone", actions: ["vanish"] },
				},
			},
			Gone: {},
		},
	},
};
