/** Folding of iommufd's objects: contexts, groups, devices, hwpts, domains, counts (facts §1, §2.9-2.13). */
import { nest, nestable } from "../iotlb/tags.ts";
import type { U64 } from "../vocabulary/fields.ts";
import type { DeviceId, HwptId, ObjectId } from "../vocabulary/ids.ts";
import { contextOf } from "../vocabulary/ids.ts";
import {
	ctxOf,
	deviceOf,
	domainOf,
	groupOf,
	igKey,
	igOf,
	ioasOf,
	iotlbOf,
	newDomain,
	newIoas,
} from "./create.ts";
import type { Appliers } from "./handlers.ts";
import { drop, edit, put, type Owner, type Table } from "./table.ts";
import type { Hwpt, World } from "./types.ts";

/** The hwpt for writing, made when it is new. */
export function hwptOf(world: World, id: HwptId): Hwpt {
	world.moves++;
	return (
		edit(world.hwpts, world.own, id) ??
		put(world.hwpts, world.own, id, {
			own: world.own,
			id,
			state: "reserved",
			kind: "PAGING",
			dom: undefined,
			ioas: undefined,
			parent: undefined,
			auto: false,
			cc: false,
			nestParent: false,
			fault: undefined,
			linked: false,
			u: undefined,
			devices: 0,
			children: 0,
			liveSeq: 0,
		})
	);
}

const NONE: readonly HwptId[] = [];

/** Moves a device's attachment and keeps the count of the hwpts. */
function attachTo(
	world: World,
	dev: DeviceId,
	hwpt: HwptId | undefined,
	seq: number,
): void {
	const device = deviceOf(world, dev);
	if (device.hwpt === hwpt) return;
	if (device.hwpt !== undefined) {
		hwptOf(world, device.hwpt).devices--;
		world.effect.leftHwpts = [...world.effect.leftHwpts, device.hwpt];
	}
	if (hwpt !== undefined) hwptOf(world, hwpt).devices++;
	if (device.hwpt === undefined) device.attachedSeq = seq;
	device.hwpt = hwpt;
	device.since = seq;
}

/** The smallest page size in a bitmap, in bytes. */
function smallestBit(pgsizes: U64): number {
	const bits = BigInt(pgsizes);
	return bits === 0n ? 4096 : Number(bits & -bits);
}

const kindOf = (id: ObjectId): string =>
	id.slice(id.indexOf("/") + 1, id.lastIndexOf(":"));

function setCount(world: World, obj: ObjectId, u: number): void {
	switch (kindOf(obj)) {
		case "hwpt":
			hwptOf(world, obj as never).u = u;
			return;
		case "ioas":
			ioasOf(world, obj as never).u = u;
			return;
		case "idev": {
			const idev = edit(world.idevs, world.own, obj as never);
			if (idev !== undefined) idev.u = u;
			return;
		}
		case "fault-queue": {
			const queue = edit(world.faultQueues, world.own, obj as never);
			if (queue !== undefined) queue.u = u;
			return;
		}
		default:
	}
}

/** So many dead objects are remembered (a record that names one is use after free); then those older are forgotten. */
const DEAD_MAX = 2048;

function forget<K, E>(
	table: Table<K, E>,
	own: Owner,
	isDead: (entity: E) => boolean,
): void {
	for (const [id, entity] of table.map)
		if (isDead(entity)) drop(table, own, id);
}

/** Counts a death; now and then forgets the dead, so that a long log needs no more memory than what lives in it. */
function died(world: World): void {
	if (++world.dead < DEAD_MAX) return;
	world.dead = 0;
	forget(world.hwpts, world.own, (hwpt) => hwpt.state === "gone");
	forget(world.ioases, world.own, (ioas) => ioas.gone);
	forget(world.reservers, world.own, ({ held }) =>
		held.every(({ ioas }) => !world.ioases.map.has(ioas)),
	);
	forget(
		world.domains,
		world.own,
		(domain) =>
			domain.freedSeq > 0 && domain.hwCount === 0 && domain.groupCount === 0,
	);
	forget(world.accesses, world.own, (access) => access.gone);
	forget(world.faultQueues, world.own, (queue) => queue.gone);
}

function objectGone(world: World, obj: ObjectId): void {
	died(world);
	switch (kindOf(obj)) {
		case "hwpt": {
			const hwpt = hwptOf(world, obj as never);
			if (hwpt.state === "gone") return;
			hwpt.state = "gone";
			if (hwpt.parent !== undefined) hwptOf(world, hwpt.parent).children--;
			if (hwpt.ioas !== undefined) {
				unlinkHwpt(world, hwpt);
				ioasOf(world, hwpt.ioas).hwptsAlive--;
			}
			return;
		}
		case "ioas": {
			const ioas = ioasOf(world, obj as never);
			ioas.gone = true;
			const ctx = ctxOf(world, contextOf(obj));
			if (ctx.vfioIoas === obj) ctx.vfioIoas = undefined;
			return;
		}
		case "fault-queue": {
			const queue = edit(world.faultQueues, world.own, obj as never);
			if (queue !== undefined) queue.gone = true;
			return;
		}
		default:
	}
}

function unlinkHwpt(world: World, hwpt: Hwpt): void {
	hwpt.linked = false;
	if (hwpt.ioas === undefined) return;
	const ioas = ioasOf(world, hwpt.ioas);
	if (ioas.hwpts.includes(hwpt.id))
		ioas.hwpts = ioas.hwpts.filter((id) => id !== hwpt.id);
}

export const APPLY_OBJECTS: Appliers = {
	"ctx.opened": (world, { data, seq }) =>
		void ctxOf(world, data.ctx, seq, data.kind),
	"ctx.closed": (world, { data }) => {
		ctxOf(world, data.ctx).closed = true;
	},
	"ctx.acct.set": (world, { data }) => {
		ctxOf(world, data.ctx).acct = data.mode;
	},
	"ctx.vfio.ioas.set": (world, { data }) => {
		ctxOf(world, data.ctx).vfioIoas = data.ioas;
	},

	"ig.created": (world, { data }) => {
		igOf(world, data.ctx, data.group).ref = 1;
	},
	"ig.ref": (world, { data }) => {
		igOf(world, data.ctx, data.group).ref = data.ref;
	},
	"ig.freed": (world, { data }) => {
		drop(world.igs, world.own, igKey(data.ctx, data.group));
		const group = groupOf(world, data.group);
		group.ctxs = group.ctxs.filter((ctx) => ctx !== data.ctx);
	},
	"ig.hwpt.set": (world, { data, seq }) => {
		world.effect.leftHwpts = NONE;
		const ig = igOf(world, data.ctx, data.group);
		ig.hwpt = data.hwpt;
		ig.hwptSeq = seq;
		for (const dev of ig.list) attachTo(world, dev, data.hwpt, seq);
	},
	"ig.hwpt.cleared": (world, { data, seq }) => {
		const ig = igOf(world, data.ctx, data.group);
		ig.hwpt = null;
		ig.hwptSeq = seq;
	},
	"ig.list.add": (world, { data, seq }) => {
		world.effect.leftHwpts = NONE;
		const ig = igOf(world, data.ctx, data.group);
		ig.list = [...ig.list, data.dev];
		attachTo(world, data.dev, data.hwpt, seq);
	},
	"ig.list.remove": (world, { data, seq }) => {
		world.effect.leftHwpts = NONE;
		const ig = igOf(world, data.ctx, data.group);
		const at = ig.list.indexOf(data.dev);
		if (at >= 0) ig.list = ig.list.filter((_, i) => i !== at);
		attachTo(world, data.dev, undefined, seq);
	},
	"idev.hwpt.set": (world, { data, seq }) => {
		world.effect.leftHwpts = NONE;
		world.perDevice = true;
		const device = deviceOf(world, data.dev);
		device.idevHwpt = data.hwpt;
		if (data.hwpt !== undefined && device.hwpt !== undefined)
			attachTo(world, data.dev, data.hwpt, seq);
	},

	"dev.bound": (world, { data, seq }) => {
		const device = deviceOf(world, data.dev);
		device.idev = data.idev;
		device.ctx = data.ctx;
		device.dirty = data.dirty;
		put(world.idevs, world.own, data.idev, {
			own: world.own,
			id: data.idev,
			dev: data.dev,
			ctx: data.ctx,
			cc: data.cc,
			u: world.header.origin === "import" ? undefined : 2,
			seq,
		});
	},
	"dev.unbound": (world, { data }) => {
		const device = deviceOf(world, data.dev);
		device.idev = undefined;
		device.ctx = undefined;
		drop(world.idevs, world.own, data.idev);
	},

	"obj.ref": (world, { data }) => {
		setCount(world, data.obj, data.u);
		if (data.why === "access")
			ioasOf(world, data.obj as never).accRefs += data.delta;
	},
	"obj.gone": (world, { data }) => objectGone(world, data.obj),

	"ioas.created": (world, { data, seq }) => void newIoas(world, data.ioas, seq),

	"dom.created": (world, { data, seq }) => {
		const domain = newDomain(world, data.dom, data.kind, seq, data.driver);
		domain.apertureLast = data.apertureLast;
		if (data.pgsizes !== undefined) domain.pageMin = smallestBit(data.pgsizes);
		domain.dirtyOps = data.dirty === true;
		domain.pgsizes = data.pgsizes;
		if (data.nest === true) nestable(iotlbOf(world), data.dom);
		if (data.parent !== undefined) nest(iotlbOf(world), data.dom, data.parent);
	},
	"dom.cc.set": (world, { data }) => {
		domainOf(world, data.dom).cc = true;
	},
	"dom.msi.cookie": (world, { data }) => {
		domainOf(world, data.dom).cookie = true;
	},
	"dom.freed": (world, { data, seq }) => {
		died(world);
		const domain = domainOf(world, data.dom);
		domain.freedSeq = seq;
		domain.memory = null;
	},

	"hwpt.reserved": (world, { data }) => {
		if (world.header.origin !== "import") hwptOf(world, data.hwpt).u = 1;
		else hwptOf(world, data.hwpt);
	},
	"hwpt.live": (world, { data, seq }) => {
		const hwpt = hwptOf(world, data.hwpt);
		const born = hwpt.state !== "live";
		hwpt.state = "live";
		hwpt.kind = data.kind.toUpperCase();
		hwpt.dom = data.dom;
		hwpt.ioas = data.ioas;
		hwpt.parent = data.parent;
		hwpt.auto = data.auto;
		hwpt.cc = data.cc === true;
		hwpt.nestParent = data.nestParent === true;
		hwpt.fault = data.fault;
		hwpt.liveSeq = seq;
		domainOf(world, data.dom).hwpt = data.hwpt;
		if (data.parent !== undefined) {
			const parent = hwptOf(world, data.parent);
			if (born) parent.children++;
			if (parent.dom !== undefined) nest(iotlbOf(world), data.dom, parent.dom);
		}
		if (data.ioas === undefined) return;
		hwpt.linked = true;
		if (born) ioasOf(world, data.ioas).hwptsAlive++;
		const ioas = ioasOf(world, data.ioas);
		if (!ioas.hwpts.includes(data.hwpt))
			ioas.hwpts = [...ioas.hwpts, data.hwpt];
	},
	"hwpt.unlinked": (world, { data }) =>
		unlinkHwpt(world, hwptOf(world, data.hwpt)),
};
