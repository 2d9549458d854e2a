/**
 * Answers to steps about groups, devices and domains (drivers/iommu/iommu.c; iommufd/device.c). See entities.ts.
 */
import type { DeviceId, DomainId, GroupId } from "../../src/vocabulary/ids.ts";
import { fact } from "../../src/vocabulary/records.ts";
import type { GroupContext } from "../iommu-group.ts";
import type { Answer, Step, StepType } from "../steps.ts";
import { no, undoing, YES, yes } from "../steps.ts";
import {
	domainOf,
	groupOf,
	objOf,
	putDomain,
	putGroup,
	putObj,
} from "./exec.ts";
import type { Exec } from "./exec.ts";
import {
	driverOf,
	hwptOfDomain,
	idevOfDevice,
	igOf,
	pagingOf,
	putIg,
} from "./entities.ts";
import type { Idev, Ig } from "./types.ts";

/** A table of answers by step type. */
export type Answers = {
	readonly [T in StepType]?: (x: Exec, s: Step<T>) => Answer;
};
const done = (...facts: Parameters<typeof yes>[0]): Answer => yes(facts);
const gave = (value: unknown): Answer => yes([], value);
const errno = (...args: Parameters<typeof no>): Answer => no(...args);

/** The bound object of a device; a step that names one is only asked while it is bound. */
export function boundIdev(x: Exec, dev: DeviceId): Idev {
	const idev = idevOfDevice(x, dev);
	if (idev === undefined) throw new Error(`${dev} is not bound to ${x.ctx}`);
	return idev;
}
function heldIg(x: Exec, group: GroupId): Ig {
	const ig = igOf(x, group);
	if (ig === undefined)
		throw new Error(`${group} has no device bound to ${x.ctx}`);
	return ig;
}

/** The view of a group that transactions decide on. */
export function groupView(x: Exec, group: GroupId): GroupContext {
	const g = groupOf(x, group);
	const ig = x.host.ctxs.has(x.ctx) ? igOf(x, group) : undefined;
	const members = g.members.map((dev) => ({
		dev,
		requireDirect: driverOf(x, dev).dev.requireDirect,
	}));
	return {
		group,
		members,
		def: g.def,
		blk: g.blk ?? null,
		dom: g.dom,
		owner: g.owner ?? null,
		ocnt: g.ocnt,
		handles: g.handles,
		ctx: ig === undefined ? null : x.ctx,
		visitors: [],
		ref: ig?.ref ?? 0,
		list: ig?.list ?? [],
		hwpt: ig?.hwpt === undefined ? null : objOf(x, ig.hwpt, "hwpt").name,
		msi: ig?.msi ?? null,
		locked: false,
		answer: YES,
	};
}

function hwAttach(x: Exec, s: Step<"hw.attach">): Answer {
	const name = s.to as DeviceId;
	const { dev, ops } = driverOf(x, name);
	if (dev.requireDirect && s.blocking) return errno("EINVAL", [], "direct");
	const refusal =
		x.env.refuse?.(name, s.dom, s) ??
		x.env.fail?.("driver.attach") ??
		ops.attachErrno(dev, domainOf(x, s.dom));
	const devs = new Map(x.host.devs);
	if (refusal !== undefined) {
		const { hw: _, ...torn } = dev;
		if (ops.refusalBlocks) x.host = { ...x.host, devs: devs.set(name, torn) };
		const blocked = ops.refusalBlocks ? { blocked: true } : {};
		const data = { dev: name, dom: s.dom, errno: refusal, ...blocked };
		const failed = undoing(s.undo, data);
		return errno(refusal, [fact("hw.attach.failed", name, failed)]);
	}
	x.host = { ...x.host, devs: devs.set(name, { ...dev, hw: s.dom }) };
	const data = undoing(s.undo, { dev: name, dom: s.dom });
	return done(fact("hw.attach", name, data));
}

/** Ownership and current domain (the core's half of a group). */
export const ownershipAnswers: Answers = {
	"grp.blocking.set": (x, s) => {
		const g = groupOf(x, s.to as GroupId);
		putGroup(x, { ...g, blk: s.dom });
		return done(
			fact("grp.blocking.set", g.group, { group: g.group, dom: s.dom }),
		);
	},
	"grp.claim": (x, s) => {
		const g = groupOf(x, s.to as GroupId);
		const { group } = g;
		if (g.owner === undefined) {
			if (g.ocnt > 0) return errno("EPERM");
			if (g.dom !== g.def || Object.keys(g.handles).length > 0)
				return errno("EBUSY");
			return gave({ first: true, blk: g.blk ?? null });
		}
		if (g.owner !== s.owner) return errno("EPERM");
		const ocnt = g.ocnt + 1;
		putGroup(x, { ...g, ocnt });
		const claimed = fact("grp.owner.claimed", group, {
			group,
			owner: s.owner,
			ocnt,
		});
		return yes([claimed], { first: false });
	},
	"grp.own": (x, s) => {
		const g = groupOf(x, s.to as GroupId);
		const { group } = g;
		putGroup(x, { ...g, owner: s.owner, ocnt: 1 });
		return done(
			fact("grp.owner.claimed", group, { group, owner: s.owner, ocnt: 1 }),
		);
	},
	"grp.release": (x, s) => {
		const g = groupOf(x, s.to as GroupId);
		const { group } = g;
		const ocnt = g.ocnt - 1;
		if (ocnt === 0 && Object.keys(g.handles).length > 0) return errno("EBUSY");
		const { owner: _, ...rest } = g;
		putGroup(x, ocnt === 0 ? { ...rest, ocnt } : { ...g, ocnt });
		const released = fact("grp.owner.released", group, { group, ocnt });
		return yes([released], { last: ocnt === 0 });
	},
	"grp.domain.set": (x, s) => {
		const g = groupOf(x, s.to as GroupId);
		putGroup(x, { ...g, dom: s.dom });
		return done(
			fact("grp.domain.set", g.group, { group: g.group, dom: s.dom }),
		);
	},
	"grp.torn": () => YES,
	/** Legacy containers attach without a handle (iommu_attach_group). */
	"grp.handle.set": (x, s) => {
		if (x.host.containers.has(x.ctx)) return YES;
		const g = groupOf(x, s.to as GroupId);
		const { pasid, dev, dom } = s;
		putGroup(x, { ...g, handles: { ...g.handles, [pasid]: { dev, dom } } });
		const { group } = g;
		return done(fact("grp.handle.set", group, { group, pasid, dev, dom }));
	},
	"grp.handle.clear": (x, s) => {
		const g = groupOf(x, s.to as GroupId);
		const { [s.pasid]: gone, ...handles } = g.handles;
		if (gone === undefined) return YES;
		putGroup(x, { ...g, handles });
		const { group } = g;
		return done(fact("grp.handle.cleared", group, { group, pasid: s.pasid }));
	},
};

/** The list of attached devices (iommufd's half of a group). */
export const attachmentAnswers: Answers = {
	"ig.get": (x, s) => {
		const group = s.to as GroupId;
		const ig = igOf(x, group);
		const ctx = x.ctx;
		if (ig === undefined) {
			putIg(x, group, { group, list: [], ref: 1 });
			return done(fact("ig.created", group, { ctx, group }));
		}
		const ref = ig.ref + 1;
		putIg(x, group, { ...ig, ref });
		return done(fact("ig.ref", group, { ctx, group, ref }));
	},
	"ig.put": (x, s) => {
		const group = s.to as GroupId;
		const ref = heldIg(x, group).ref - 1;
		putIg(x, group, ref === 0 ? undefined : { ...heldIg(x, group), ref });
		const ctx = x.ctx;
		return ref === 0
			? done(fact("ig.freed", group, { ctx, group }))
			: done(fact("ig.ref", group, { ctx, group, ref }));
	},
	"ig.lock": (x, s) => gave(groupView(x, s.to as GroupId)),
	"ig.unlock": () => YES,
	"ig.msi.set": (x, s) => {
		const group = s.to as GroupId;
		putIg(x, group, { ...heldIg(x, group), msi: BigInt(s.start) });
		return done(
			fact("ig.msi.set", group, { ctx: x.ctx, group, start: s.start }),
		);
	},
	"ig.hwpt.set": (x, s) => {
		const group = s.to as GroupId;
		const { hwpt: old, ...ig } = heldIg(x, group);
		const from = old === undefined ? {} : { from: objOf(x, old, "hwpt").name };
		putIg(x, group, { ...ig, hwpt: idOf(s.hwpt) });
		const data = { ctx: x.ctx, group, hwpt: s.hwpt, ...from };
		return done(fact("ig.hwpt.set", group, data));
	},
	"ig.hwpt.clear": (x, s) => {
		const group = s.to as GroupId;
		const { hwpt: _, ...ig } = heldIg(x, group);
		putIg(x, group, ig);
		return done(fact("ig.hwpt.cleared", group, { ctx: x.ctx, group }));
	},
	"ig.list.add": (x, s) => {
		const group = s.to as GroupId;
		const ig = heldIg(x, group);
		const { dev, hwpt } = s;
		putIg(x, group, { ...ig, list: [...ig.list, dev] });
		return done(fact("ig.list.add", group, { ctx: x.ctx, group, dev, hwpt }));
	},
	"ig.list.remove": (x, s) => {
		const group = s.to as GroupId;
		const ig = heldIg(x, group);
		const list = ig.list.filter((dev) => dev !== s.dev);
		putIg(x, group, { ...ig, list });
		const removed = fact("ig.list.remove", group, {
			ctx: x.ctx,
			group,
			dev: s.dev,
		});
		return yes([removed], { last: list.length === 0 });
	},
};

/** The object id in an object's name. */
export const idOf = (name: string): number =>
	Number(name.slice(name.lastIndexOf(":") + 1, name.lastIndexOf("@")));

function countIdev(x: Exec, dev: DeviceId, delta: number, why: string) {
	const idev = boundIdev(x, dev);
	const u = idev.u + delta;
	putObj(x, { ...idev, u });
	return fact("obj.ref", idev.name, { obj: idev.name, delta, u, why });
}

/** Devices and what they report. */
export const deviceAnswers: Answers = {
	"hw.attach": hwAttach,
	"dev.attach": (x, s) => {
		const dev = s.to as DeviceId;
		const ref = countIdev(x, dev, 1, "attach");
		const { hwpt, first } = s;
		return done(ref, fact("dev.attached", dev, { dev, hwpt, first }));
	},
	"dev.detach": (x, s) => {
		const dev = s.to as DeviceId;
		const ref = countIdev(x, dev, -1, "detach");
		const { hwpt, last } = s;
		return done(ref, fact("dev.detached", dev, { dev, hwpt, last }));
	},
	"dev.replaced": (_, s) => {
		const dev = s.to as DeviceId;
		const { from, hwpt } = s;
		return done(fact("dev.replaced", dev, { dev, from, hwpt }));
	},
	"dev.replace.noop": (_, s) => {
		const dev = s.to as DeviceId;
		return done(fact("dev.replace.noop", dev, { dev, hwpt: s.hwpt }));
	},
	"fault.iopf.on": (x, s) => {
		const dev = s.to as DeviceId;
		const { ops, dev: d } = driverOf(x, dev);
		const refusal = ops.enablePageRequests(d);
		if (refusal !== undefined) return errno(refusal);
		const idev = boundIdev(x, dev);
		putObj(x, { ...idev, iopf: idev.iopf + 1 });
		return done(fact("fault.iopf.on", dev, { dev }));
	},
	"fault.iopf.off": (x, s) => {
		const dev = s.to as DeviceId;
		const idev = boundIdev(x, dev);
		putObj(x, { ...idev, iopf: idev.iopf - 1 });
		return done(fact("fault.iopf.off", dev, { dev }));
	},
	"dom.msi.cookie": (x, s) => {
		const dom = s.to as DomainId;
		const owner = hwptOfDomain(x, dom);
		if (owner === undefined) throw new Error(`${dom} belongs to no hwpt`);
		const paging = pagingOf(x, owner);
		if (paging.msiCookie) return YES;
		putObj(x, { ...paging, msiCookie: true });
		return done(fact("dom.msi.cookie", paging.dom, { dom: paging.dom }));
	},
	"dom.cc": (x, s) => {
		const d = domainOf(x, s.to as DomainId);
		putDomain(x, { ...d, cc: true });
		return done(fact("dom.cc.set", d.dom, { dom: d.dom }));
	},
};
