/**
 * Which entities a record says something about. State predicates are checked for touched entities only; the property test that compares
 * the judge with audits of the whole world (test/invariants) shows that nothing is forgotten here.
 */
import type { DeviceId, DomainId, HwptId, IoasId } from "../vocabulary/ids.ts";
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import type { U64 } from "../vocabulary/fields.ts";
import { areaAt, areaMeeting } from "../world/areas.ts";
import { igKey } from "../world/create.ts";
import type { World } from "../world/types.ts";
import type { Aspect } from "./invariant.ts";

/** Receives what is touched. */
export type Touch = (aspect: Aspect, id: string) => void;
type Touchers = {
	readonly [T in RecordType]?: (
		world: World,
		r: LogRecord<T>,
		touch: Touch,
	) => void;
};

function device(world: World, dev: DeviceId, touch: Touch): void {
	touch("device", dev);
	const entity = world.devices.map.get(dev);
	if (entity?.group !== undefined) touch("group", entity.group);
	if (entity?.idev !== undefined) touch("idev", entity.idev);
}

function hwpt(world: World, id: HwptId | undefined, touch: Touch): void {
	if (id === undefined) return;
	touch("hwpt", id);
	const ioas = world.hwpts.map.get(id)?.ioas;
	if (ioas !== undefined) touch("ioas", ioas);
}

/** An IOAS and everything whose checks look into it. */
function ioasWithUsers(world: World, id: IoasId, touch: Touch): void {
	touch("ioas", id);
	const ioas = world.ioases.map.get(id);
	if (ioas === undefined) return;
	for (const hwptId of ioas.hwpts) touch("hwpt", hwptId);
}

function groupsOn(world: World, dom: DomainId, touch: Touch): void {
	const domain = world.domains.map.get(dom);
	touch("domain", dom);
	if (domain?.hwpt !== undefined) hwpt(world, domain.hwpt, touch);
}

/** The hwpts that the record took devices from. */
function left(world: World, touch: Touch): void {
	for (const id of world.effect.leftHwpts) hwpt(world, id, touch);
}

/** Devices of a group, when their attachment changed together. */
function listed(world: World, ctx: string, group: string, touch: Touch): void {
	touch("group", group);
	for (const dev of world.igs.map.get(igKey(ctx as never, group as never))
		?.list ?? [])
		device(world, dev, touch);
}

/** Queues with unanswered faults: what handles lead to concerns them. */
function waitingQueues(world: World, touch: Touch): void {
	for (const [id, queue] of world.faultQueues.map)
		if (queue.open.length > 0) touch("faultQueue", id);
}

/** The pages that the area at `iova` shows. */
function touchPages(world: World, ioas: IoasId, iova: U64, touch: Touch): void {
	const list = world.ioases.map.get(ioas)?.areas;
	if (list === undefined) return;
	const area = areaAt(list, iova) ?? areaMeeting(list, iova, iova);
	if (area?.pages !== undefined) touch("pages", area.pages);
}

/** A domain whose page table is logged entry by entry. */
function logged(
	world: World,
	{ data }: { readonly data: { readonly dom: DomainId } },
	touch: Touch,
): void {
	if (world.iotlb.tables.has(data.dom)) touch("domain", data.dom);
}

/** An IOAS and who reserves in it. */
function reserver(
	world: World,
	{ ioas, owner }: { readonly ioas: IoasId; readonly owner: string },
	touch: Touch,
): void {
	touch("ioas", ioas);
	if (owner.startsWith("device:")) device(world, owner as DeviceId, touch);
	else if (owner.startsWith("domain:")) touch("domain", owner);
}

export const TOUCHES: Touchers = {
	"grp.member.added": (_, { data }, touch) => touch("group", data.group),
	"grp.member.removed": (_, { data }, touch) => touch("group", data.group),
	"grp.default.set": (_, { data }, touch) => touch("group", data.group),
	"grp.blocking.set": (_, { data }, touch) => touch("group", data.group),
	"grp.owner.claimed": (_, { data }, touch) => touch("group", data.group),
	"grp.owner.released": (_, { data }, touch) => touch("group", data.group),
	"grp.driver.bound": (_, { data }, touch) => touch("group", data.group),
	"grp.driver.unbound": (_, { data }, touch) => touch("group", data.group),
	"grp.domain.set": (_, { data }, touch) => touch("group", data.group),
	"grp.handle.set": (world, { data }, touch) => {
		touch("group", data.group);
		waitingQueues(world, touch);
	},
	"grp.handle.cleared": (world, { data }, touch) => {
		touch("group", data.group);
		waitingQueues(world, touch);
	},
	"hw.attach": (world, { data }, touch) => device(world, data.dev, touch),
	"hw.attach.failed": (world, { data }, touch) =>
		device(world, data.dev, touch),

	"ig.created": (_, { data }, touch) => touch("group", data.group),
	"ig.ref": (_, { data }, touch) => touch("group", data.group),
	"ig.freed": (_, { data }, touch) => touch("group", data.group),
	"ig.hwpt.set": (world, { data }, touch) => {
		left(world, touch);
		listed(world, data.ctx, data.group, touch);
		hwpt(world, data.hwpt, touch);
		hwpt(world, data.from, touch);
	},
	"ig.hwpt.cleared": (_, { data }, touch) => touch("group", data.group),
	"ig.list.add": (world, { data }, touch) => {
		left(world, touch);
		device(world, data.dev, touch);
		touch("group", data.group);
		hwpt(world, data.hwpt, touch);
	},
	"ig.list.remove": (world, { data }, touch) => {
		left(world, touch);
		device(world, data.dev, touch);
		touch("group", data.group);
		// Its reservations go later in the same operation.
		const ig = world.igs.map.get(igKey(data.ctx, data.group));
		hwpt(world, ig?.hwpt ?? undefined, touch);
	},
	"idev.hwpt.set": (world, { data }, touch) => {
		left(world, touch);
		device(world, data.dev, touch);
		hwpt(world, data.hwpt, touch);
	},
	"dev.bound": (world, { data }, touch) => device(world, data.dev, touch),
	"dev.unbound": (world, { data }, touch) => {
		device(world, data.dev, touch);
		touch("idev", data.idev);
	},
	"dev.attached": (world, { data }, touch) => {
		device(world, data.dev, touch);
		hwpt(world, data.hwpt, touch);
	},
	"dev.replaced": (world, { data }, touch) => {
		device(world, data.dev, touch);
		hwpt(world, data.hwpt, touch);
		hwpt(world, data.from, touch);
	},
	"dev.detached": (world, { data }, touch) => {
		device(world, data.dev, touch);
		hwpt(world, data.hwpt, touch);
	},

	"obj.ref": (_, { data }, touch) => touchObject(data.obj, touch),
	"obj.gone": (_, { data }, touch) => touchObject(data.obj, touch),
	"ioas.created": (_, { data }, touch) => touch("ioas", data.ioas),
	"ioas.allowed.set": (_, { data }, touch) => touch("ioas", data.ioas),
	"ioas.align.set": (_, { data }, touch) => touch("ioas", data.ioas),
	"ioas.hugepages.set": (_, { data }, touch) => touch("ioas", data.ioas),
	"resv.added": (world, { data }, touch) => reserver(world, data, touch),
	"resv.dropped": (world, { data }, touch) => reserver(world, data, touch),
	"iopt.dom.added": (world, { data }, touch) => {
		ioasWithUsers(world, data.ioas, touch);
		groupsOn(world, data.dom, touch);
	},
	"iopt.dom.removed": (world, { data }, touch) => {
		ioasWithUsers(world, data.ioas, touch);
		groupsOn(world, data.dom, touch);
	},
	"dom.created": (_, { data }, touch) => touch("domain", data.dom),
	"dom.freed": (_, { data }, touch) => touch("domain", data.dom),
	"dirty.set": (_, { data }, touch) => touch("domain", data.dom),
	"slot.written": logged,
	"slot.cleared": logged,
	"table.rooted": logged,
	"table.freed": logged,
	"inv.completed": (world, _, touch) => {
		for (const dom of world.iotlb.tables.keys()) touch("domain", dom);
	},
	"hwpt.reserved": (world, { data }, touch) => hwpt(world, data.hwpt, touch),
	"hwpt.live": (world, { data }, touch) => {
		hwpt(world, data.hwpt, touch);
		hwpt(world, data.parent, touch);
		if (data.fault !== undefined) touch("faultQueue", data.fault);
	},
	"hwpt.unlinked": (world, { data }, touch) => hwpt(world, data.hwpt, touch),
	"area.claimed": (_, { data }, touch) => {
		if (data.pages !== undefined) touch("pages", data.pages);
	},
	"area.live": (world, { data }, touch) =>
		touchPages(world, data.ioas, data.iova, touch),
	"area.sdom.set": (world, { data }, touch) =>
		touchPages(world, data.ioas, data.iova, touch),
	"area.split": (world, { data }, touch) =>
		touchPages(world, data.ioas, data.iova, touch),
	"area.draining": (world, { data }, touch) =>
		touchPages(world, data.ioas, data.iova, touch),
	"pages.pinned": (_, { data }, touch) => touch("pages", data.pages),
	"pages.unpinned": (_, { data }, touch) => touch("pages", data.pages),
	"acct.charged": (_, { data }, touch) => {
		if (data.pages !== undefined) touch("pages", data.pages);
	},
	"acct.uncharged": (_, { data }, touch) => {
		if (data.pages !== undefined) touch("pages", data.pages);
	},
	"access.attached": (_, { data }, touch) => {
		touch("access", data.access);
		touch("ioas", data.ioas);
	},
	"access.switching": (_, { data }, touch) => {
		touch("access", data.access);
		if (data.from !== undefined) touch("ioas", data.from);
	},
	"access.pinned": (world, { data }, touch) => {
		touch("access", data.access);
		touchPages(world, data.ioas, data.iova, touch);
	},
	"access.unpinned": (world, { data }, touch) => {
		touch("access", data.access);
		touchPages(world, data.ioas, data.iova, touch);
	},
	"access.gone": (_, { data }, touch) => {
		touch("access", data.access);
	},
	"fault.iopf.on": (world, { data }, touch) => device(world, data.dev, touch),
	"fault.iopf.off": (world, { data }, touch) => device(world, data.dev, touch),
	"fault.queued": (_, { data }, touch) => touch("faultQueue", data.fq),
	"fault.answered": (_, { data }, touch) => touch("faultQueue", data.fq),
	"type1.entry.added": (_, { data }, touch) => touch("ctx", data.ctx),
	"ctx.closed": (_, { data }, touch) => touch("ctx", data.ctx),
};

const ASPECTS: { readonly [kind: string]: Aspect } = {
	hwpt: "hwpt",
	ioas: "ioas",
	idev: "idev",
	access: "access",
	"fault-queue": "faultQueue",
};

function touchObject(obj: string, touch: Touch): void {
	const aspect = ASPECTS[obj.slice(obj.indexOf("/") + 1, obj.lastIndexOf(":"))];
	if (aspect !== undefined) touch(aspect, obj);
}
