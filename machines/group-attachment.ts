/**
 * The attachment region of iommu-group.ts: iommufd's struct iommufd_group, its guards and actions (facts §1.8 IG, §2.11-2.13, §3.1).
 */
import { fact } from "../src/vocabulary/records.ts";
import type { GroupContext } from "./iommu-group.ts";
import type { Step } from "./steps.ts";
import { no, YES, yes } from "./steps.ts";

type C = GroupContext;

/** Guards of the region. */
export const attachmentGuards = {
	otherContext: (c: C, e: Step<"ig.get" | "ig.put">) => c.ctx !== e.ctx,
	lastReference: (c: C) => c.ref === 1,
	isLocked: (c: C) => c.locked,
	alreadyListed: (c: C, e: Step<"ig.list.add">) => c.list.includes(e.dev),
	notListed: (c: C, e: Step<"ig.list.remove">) => !c.list.includes(e.dev),
	lastListed: (c: C) => c.list.length === 1,
};

/** Actions of the region. */
export const attachmentActions = {
	create: (c: C, e: Step<"ig.get">) => ({
		ctx: e.ctx,
		ref: 1,
		list: [],
		hwpt: null,
		msi: null,
		answer: yes([fact("ig.created", c.group, { ctx: e.ctx, group: c.group })]),
	}),
	countBound: (c: C, e: Step<"ig.get">) => ({
		ref: c.ref + 1,
		answer: yes([
			fact("ig.ref", c.group, { ctx: e.ctx, group: c.group, ref: c.ref + 1 }),
		]),
	}),
	admitVisitor: (c: C, e: Step<"ig.get">) => ({
		visitors: [...c.visitors, e.ctx],
		answer: yes([fact("ig.created", c.group, { ctx: e.ctx, group: c.group })]),
	}),
	dismissVisitor: (c: C, e: Step<"ig.put">) => ({
		visitors: c.visitors.filter((ctx) => ctx !== e.ctx),
		answer: yes([fact("ig.freed", c.group, { ctx: e.ctx, group: c.group })]),
	}),
	uncountBound: (c: C, e: Step<"ig.put">) => ({
		ref: c.ref - 1,
		answer: yes([
			fact("ig.ref", c.group, { ctx: e.ctx, group: c.group, ref: c.ref - 1 }),
		]),
	}),
	free: (c: C, e: Step<"ig.put">) => ({
		ctx: null,
		ref: 0,
		msi: null,
		answer: yes([fact("ig.freed", c.group, { ctx: e.ctx, group: c.group })]),
	}),
	lock: (c: C) => ({ locked: true, answer: yes([], c) }),
	unlock: () => ({ locked: false, answer: YES }),
	mustWait: () => ({ answer: no("EBUSY", [], "locked") }),
	learnMsi: (c: C, e: Step<"ig.msi.set">) => ({
		msi: e.start,
		answer: yes([
			fact("ig.msi.set", c.group, {
				ctx: c.ctx!,
				group: c.group,
				start: e.start,
			}),
		]),
	}),
	setHwpt: (c: C, e: Step<"ig.hwpt.set">) => ({
		hwpt: e.hwpt,
		answer: yes([
			fact("ig.hwpt.set", c.group, {
				ctx: c.ctx!,
				group: c.group,
				hwpt: e.hwpt,
				...(c.hwpt === null ? {} : { from: c.hwpt }),
			}),
		]),
	}),
	clearHwpt: (c: C) => ({
		hwpt: null,
		answer: yes([
			fact("ig.hwpt.cleared", c.group, { ctx: c.ctx!, group: c.group }),
		]),
	}),
	listDevice: (c: C, e: Step<"ig.list.add">) => ({
		list: [...c.list, e.dev],
		answer: yes([
			fact("ig.list.add", c.group, {
				ctx: c.ctx!,
				group: c.group,
				dev: e.dev,
				hwpt: e.hwpt,
			}),
		]),
	}),
	unlistDevice: (c: C, e: Step<"ig.list.remove">) => ({
		list: c.list.filter((dev) => dev !== e.dev),
		answer: yes(
			[
				fact("ig.list.remove", c.group, {
					ctx: c.ctx!,
					group: c.group,
					dev: e.dev,
				}),
			],
			{ last: c.list.length === 1 },
		),
	}),
};
