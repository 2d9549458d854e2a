/** Folding of operations and of the iommu core's records (facts §2.17, §4). */
import { deviceMoved } from "../iotlb/contexts.ts";
import type { DeviceId, DomainId, GroupId } from "../vocabulary/ids.ts";
import { keepForLater } from "../vocabulary/later.ts";
import { callOf } from "./calls.ts";
import { deviceOf, domainOf, groupOf, iotlbOf } from "./create.ts";
import type { Appliers } from "./handlers.ts";
import type { Group, World } from "./types.ts";

/** Counts the groups whose current domain a domain is. */
function countGroup(
	world: World,
	dom: DomainId | null | undefined,
	by: 1 | -1,
): void {
	if (dom !== null && dom !== undefined) domainOf(world, dom).groupCount += by;
}

function setGroupDomain(
	world: World,
	id: GroupId,
	dom: DomainId,
	seq: number,
): void {
	const group = groupOf(world, id);
	if (group.dom !== dom) {
		countGroup(world, group.dom, -1);
		group.dom = dom;
		countGroup(world, dom, 1);
	}
	group.domSeq = seq;
}

function setHardware(
	world: World,
	dev: DeviceId,
	dom: DomainId,
	seq: number,
): void {
	const device = deviceOf(world, dev);
	if (device.hw !== dom) {
		if (device.hw !== undefined) domainOf(world, device.hw).hwCount--;
		device.hw = dom;
		domainOf(world, dom).hwCount++;
	}
	device.hwSeq = seq;
	if (world.iotlb.armed) deviceMoved(iotlbOf(world), dev, dom, seq);
}

/** With its last member a group gives up its domains (facts iommufd §4.7). */
function groupDied(world: World, group: Group): void {
	countGroup(world, group.dom, -1);
	group.dom = undefined;
	group.def = undefined;
	group.blk = undefined;
	group.blkBefore = undefined;
}

export const APPLY_CORE: Appliers = {
	"op.begin": (world, r) => {
		world.ops.set(r.seq, {
			seq: r.seq,
			t: r.t,
			name: r.data.op,
			args: keepForLater(r.data, "args"),
			task: r.data.task,
			actor: r.actor,
			steps: [],
			truncated: false,
		});
		if (world.iotlb.tables.size === 0) return;
		const { op, args } = r.data;
		const call = callOf(op, args, r.actor, r.seq, (dom) =>
			iotlbOf(world).tables.get(dom),
		);
		if (call !== undefined) world.calls.set(r.seq, call);
	},
	// op.commit and op.fail are folded in apply.ts: they close the operation after its last check.
	"grp.member.added": (world, { data }) => {
		const device = deviceOf(world, data.dev);
		world.effect.formerGroup = undefined;
		if (device.group !== undefined && device.group !== data.group) {
			world.effect.formerGroup = device.group;
			const old = groupOf(world, device.group);
			old.members = old.members.filter((dev) => dev !== data.dev);
		}
		device.group = data.group;
		const group = groupOf(world, data.group);
		if (!group.members.includes(data.dev))
			group.members = [...group.members, data.dev];
	},
	"grp.member.removed": (world, { data }) => {
		const group = groupOf(world, data.group);
		group.members = group.members.filter((dev) => dev !== data.dev);
		if (group.members.length === 0) groupDied(world, group);
		const device = deviceOf(world, data.dev);
		if (device.group === data.group) device.group = undefined;
		if (device.hw !== undefined) {
			domainOf(world, device.hw).hwCount--;
			device.hw = undefined;
		}
	},
	"grp.default.set": (world, { data }) => {
		groupOf(world, data.group).def = data.dom;
	},
	"grp.blocking.set": (world, { data }) => {
		const group = groupOf(world, data.group);
		if (group.blk !== undefined && group.blk !== data.dom)
			group.blkBefore = group.blk;
		group.blk = data.dom;
	},
	"grp.owner.claimed": (world, { data, seq }) => {
		const group = groupOf(world, data.group);
		group.owner = data.owner;
		group.ocnt = data.ocnt;
		group.ownerSeq = seq;
	},
	"grp.owner.released": (world, { data, seq }) => {
		const group = groupOf(world, data.group);
		group.ocnt = data.ocnt;
		if (data.ocnt === 0) group.owner = null;
		group.ownerSeq = seq;
	},
	"grp.driver.bound": (world, { data, seq }) => {
		const group = groupOf(world, data.group);
		group.ocnt = data.ocnt;
		if (!group.kernelDrivers.includes(data.dev))
			group.kernelDrivers = [...group.kernelDrivers, data.dev];
		group.ownerSeq = seq;
	},
	"grp.driver.unbound": (world, { data, seq }) => {
		const group = groupOf(world, data.group);
		group.ocnt = data.ocnt;
		group.kernelDrivers = group.kernelDrivers.filter((dev) => dev !== data.dev);
		group.ownerSeq = seq;
	},
	"grp.domain.set": (world, { data, seq }) =>
		setGroupDomain(world, data.group, data.dom, seq),
	"grp.handle.set": (world, { data }) => {
		const group = groupOf(world, data.group);
		const others = group.handles.filter(
			(handle) => handle.pasid !== data.pasid,
		);
		group.handles = [
			...others,
			{ pasid: data.pasid, dev: data.dev, dom: data.dom },
		];
		world.seen.handles = true;
	},
	"grp.handle.cleared": (world, { data }) => {
		const group = groupOf(world, data.group);
		group.handles = group.handles.filter(
			(handle) => handle.pasid !== data.pasid,
		);
		world.seen.handles = true;
	},
	"hw.attach": (world, { data, seq }) =>
		setHardware(world, data.dev, data.dom, seq),
	"hw.attach.failed": (world, { data, seq }) => {
		// VT-d tears the old translation down before it refuses (A13): what the hardware uses then is nothing.
		if (data.blocked !== true) return;
		const device = deviceOf(world, data.dev);
		if (device.hw !== undefined) domainOf(world, device.hw).hwCount--;
		device.hw = undefined;
		device.hwSeq = seq;
	},
	"trace.lost": (world, { data, seq }) => {
		world.lostSeq = seq;
		world.lostCount += Math.max(1, data.n);
		if (data.open !== undefined) world.lostOpen = data.open;
	},
	"trace.unexplained": (world) => {
		world.unexplainedLines++;
	},
};
