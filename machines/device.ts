/**
 * A device: bound to a context or not, attached or not (facts §1.8 DEVICE), and the domain its hardware really uses (`hw`, the
 * ghost of facts §0.3). `idev` is iommufd's object for it, `u` that object's users (facts §3.9: 2 when bound, 3 when attached).
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type {
	CtxId,
	DeviceId,
	DomainId,
	HwptId,
	IdevId,
} from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Definition } from "./define.ts";
import type { Answering, Step } from "./steps.ts";
import { no, refuseUnexpected, undoing, YES, yes } from "./steps.ts";

/** What the driver says to an attach: null = done. `blocked`: it had torn the old translation down before it refused (A13). */
export type Verdict = {
	readonly errno: ErrnoName;
	readonly blocked: boolean;
} | null;
/** What a device knows. `hw` null = the driver left it without any translation. */
export interface DeviceContext extends Answering {
	readonly dev: DeviceId;
	readonly requireDirect: boolean;
	readonly cc: boolean;
	readonly dirty: boolean;
	readonly hw: DomainId | null;
	readonly ctx: CtxId | null;
	readonly idev: IdevId | null;
	readonly u: number;
	/** 2023 flows only: idev->hwpt. */
	readonly hwpt: HwptId | null;
}
/** What a device starts with; `cc`: it can enforce cache coherency; `dirty`: its IOMMU can track dirty pages. */
export interface DeviceInput {
	readonly dev: DeviceId;
	readonly requireDirect: boolean;
	readonly cc: boolean;
	readonly dirty: boolean;
}

type C = DeviceContext;
type HwAttach = Step<"hw.attach"> & { readonly verdict: Verdict };

const ref = (c: C, delta: number, why: string): Fact =>
	fact("obj.ref", c.idev!, { obj: c.idev!, delta, u: c.u + delta, why });

const guards = {
	/** A mandated direct region would be cut off (iommu.c:__iommu_device_set_domain). */
	mustStayDirect: (c: C, e: HwAttach) => c.requireDirect && e.blocking,
	driverRefuses: (_: C, e: HwAttach) => e.verdict !== null,
};

const actions = {
	refuseBlocking: () => ({ answer: no("EINVAL", [], "direct") }),
	driverRefused: (c: C, e: HwAttach) => ({
		...(e.verdict!.blocked ? { hw: null } : {}),
		answer: no(e.verdict!.errno, [
			fact(
				"hw.attach.failed",
				c.dev,
				undoing(e.undo, {
					dev: c.dev,
					dom: e.dom,
					errno: e.verdict!.errno,
					...(e.verdict!.blocked ? { blocked: true } : {}),
				}),
			),
		]),
	}),
	useDomain: (c: C, e: HwAttach) => ({
		hw: e.dom,
		answer: yes([
			fact("hw.attach", c.dev, undoing(e.undo, { dev: c.dev, dom: e.dom })),
		]),
	}),
	bind: (c: C, e: Step<"dev.bind">) => ({
		ctx: e.ctx,
		idev: e.idev,
		u: 2,
		answer: yes([
			fact("dev.bound", c.dev, {
				dev: c.dev,
				ctx: e.ctx,
				idev: e.idev,
				cc: c.cc,
				dirty: c.dirty,
			}),
		]),
	}),
	unbind: (c: C) => ({
		ctx: null,
		idev: null,
		u: 0,
		answer: yes([fact("dev.unbound", c.dev, { dev: c.dev, idev: c.idev! })]),
	}),
	agree: () => ({ answer: YES }),
	refuseAttached: () => ({ answer: no("EBUSY", [], "attached") }),
	attach: (c: C, e: Step<"dev.attach">) => ({
		u: c.u + 1,
		answer: yes([
			ref(c, 1, "attach"),
			fact("dev.attached", c.dev, { dev: c.dev, hwpt: e.hwpt, first: e.first }),
		]),
	}),
	detach: (c: C, e: Step<"dev.detach">) => ({
		u: c.u - 1,
		answer: yes([
			ref(c, -1, "detach"),
			fact("dev.detached", c.dev, { dev: c.dev, hwpt: e.hwpt, last: e.last }),
		]),
	}),
	replaced: (c: C, e: Step<"dev.replaced">) => ({
		answer: yes([
			fact("dev.replaced", c.dev, { dev: c.dev, from: e.from, hwpt: e.hwpt }),
		]),
	}),
	replacedByItself: (c: C, e: Step<"dev.replace.noop">) => ({
		answer: yes([
			fact("dev.replace.noop", c.dev, { dev: c.dev, hwpt: e.hwpt }),
		]),
	}),
	pointAt: (c: C, e: Step<"idev.hwpt.set">) => ({
		hwpt: e.hwpt,
		answer: yes([
			fact(
				"idev.hwpt.set",
				c.dev,
				undoing(e.undo, {
					dev: c.dev,
					...(e.hwpt === null ? {} : { hwpt: e.hwpt }),
				}),
			),
		]),
	}),
	pageRequestsOn: (c: C) => ({
		answer: yes([fact("fault.iopf.on", c.dev, { dev: c.dev })]),
	}),
	pageRequestsOff: (c: C) => ({
		answer: yes([fact("fault.iopf.off", c.dev, { dev: c.dev })]),
	}),
	refuse: refuseUnexpected,
};

/** The device statechart. */
export const device: Definition<DeviceContext, DeviceInput> = {
	id: "device",
	about: "struct iommufd_device and the hardware behind it (iommufd/device.c)",
	events: [
		"hw.attach",
		"dev.bind",
		"dev.check.detached",
		"dev.unbind",
		"dev.attach",
		"dev.detach",
		"dev.replaced",
		"dev.replace.noop",
		"idev.hwpt.set",
		"fault.iopf.on",
		"fault.iopf.off",
	],
	start: ({ dev, requireDirect, cc, dirty }) => ({
		dev,
		requireDirect,
		cc,
		dirty,
		hw: null,
		ctx: null,
		idev: null,
		u: 0,
		hwpt: null,
		answer: YES,
	}),
	guards,
	actions,
	config: {
		initial: "Unbound",
		on: {
			"hw.attach": [
				{ guard: "mustStayDirect", actions: ["refuseBlocking"] },
				{ guard: "driverRefuses", actions: ["driverRefused"] },
				{ actions: ["useDomain"] },
			],
			"*": { actions: ["refuse"] },
		},
		states: {
			Unbound: { on: { "dev.bind": { target: "Bound", actions: ["bind"] } } },
			Bound: {
				on: {
					"dev.check.detached": { actions: ["agree"] },
					"dev.unbind": { target: "Unbound", actions: ["unbind"] },
					"dev.attach": { target: "Attached", actions: ["attach"] },
					"idev.hwpt.set": { actions: ["pointAt"] },
					"fault.iopf.on": { actions: ["pageRequestsOn"] },
					"fault.iopf.off": { actions: ["pageRequestsOff"] },
				},
			},
			Attached: {
				description:
					"In the list of attached devices; one count on the hwpt, one more on itself",
				on: {
					"dev.check.detached": { actions: ["refuseAttached"] },
					"dev.detach": { target: "Bound", actions: ["detach"] },
					"dev.replaced": { actions: ["replaced"] },
					"dev.replace.noop": { actions: ["replacedByItself"] },
					"idev.hwpt.set": { actions: ["pointAt"] },
					"fault.iopf.on": { actions: ["pageRequestsOn"] },
					"fault.iopf.off": { actions: ["pageRequestsOff"] },
				},
			},
		},
	},
};
