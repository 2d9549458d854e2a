/** REF-1 … REF-8: who counts whom (facts iommufd §1.2, §3.9, §6.2). An imported log decides them only for objects whose counts it tells. */
import type {
	AccessId,
	CtxId,
	FaultQueueId,
	HwptId,
	IdevId,
	IoasId,
} from "../vocabulary/ids.ts";
import type { World } from "../world/types.ts";
import { broken, SKIP, type Invariant, type Outcome } from "./invariant.ts";

/** REF-1 for one hwpt. */
function hwptCount(world: World, id: string): Outcome {
	const hwpt = world.hwpts.map.get(id as HwptId);
	if (hwpt === undefined || hwpt.state !== "live" || hwpt.u === undefined)
		return SKIP;
	const expected = 1 + hwpt.devices + hwpt.children;
	if (hwpt.u === expected) return undefined;
	return broken(
		id,
		`${id} has ${hwpt.u} users; ${hwpt.devices} attached device(s) and ${hwpt.children} nested hwpt(s) and the id table make ${expected}`,
		[hwpt.id],
		[hwpt.liveSeq],
	);
}

/** REF-2 for one IOAS. */
function ioasCount(world: World, id: string): Outcome {
	const ioas = world.ioases.map.get(id as IoasId);
	if (ioas === undefined || ioas.gone || ioas.u === undefined) return SKIP;
	const expected = 1 + ioas.hwptsAlive + ioas.accs.length;
	if (ioas.u === expected) return undefined;
	return broken(
		id,
		`${id} has ${ioas.u} users; ${ioas.hwptsAlive} hwpt(s), ${ioas.accs.length} access(es) and the id table make ${expected}`,
		[ioas.id],
		[ioas.createdSeq],
	);
}

function idevCount(world: World, id: string): Outcome {
	const idev = world.idevs.map.get(id as IdevId);
	if (idev === undefined || idev.u === undefined) return SKIP;
	const attached = world.devices.map.get(idev.dev)?.hwpt !== undefined;
	const expected = attached ? 3 : 2;
	if (idev.u === expected) return undefined;
	return broken(
		id,
		`${id} (${idev.dev}) has ${idev.u} users; ${attached ? "attached" : "bound"} it must have ${expected}`,
		[idev.id, idev.dev],
		[idev.seq],
	);
}

function queueCount(world: World, id: string): Outcome {
	const queue = world.faultQueues.map.get(id as FaultQueueId);
	if (queue === undefined || queue.gone || queue.u === undefined) return SKIP;
	let users = 0;
	for (const hwpt of world.hwpts.map.values())
		if (hwpt.state === "live" && hwpt.fault === queue.id) users++;
	// The log does not tell whether the queue's file is open, so two values are right.
	if (queue.u === 1 + users || queue.u === 2 + users) return undefined;
	return broken(
		id,
		`${id} has ${queue.u} users with ${users} hwpt(s) on it`,
		[queue.id],
		[],
	);
}

/** REF-8 for one context: everything that lived in it. */
function leftovers(world: World, id: string): string[] {
	const prefix = `${id}/`;
	const left: string[] = [];
	for (const hwpt of world.hwpts.map.values())
		if (hwpt.state === "live" && hwpt.id.startsWith(prefix)) left.push(hwpt.id);
	for (const ioas of world.ioases.map.values())
		if (!ioas.gone && ioas.createdSeq > 0 && ioas.id.startsWith(prefix))
			left.push(ioas.id);
	for (const idev of world.idevs.map.values())
		if (idev.ctx === id) left.push(idev.id);
	for (const access of world.accesses.map.values())
		if (!access.gone && access.id.startsWith(prefix)) left.push(access.id);
	return left;
}

/** Is the object that a record names dead? Returns its id. */
function deadObject(world: World, id: string): boolean {
	const kind = id.slice(id.indexOf("/") + 1, id.lastIndexOf(":"));
	if (kind === "hwpt")
		return world.hwpts.map.get(id as HwptId)?.state === "gone";
	if (kind === "ioas") return world.ioases.map.get(id as IoasId)?.gone === true;
	if (kind === "access")
		return world.accesses.map.get(id as AccessId)?.gone === true;
	return false;
}

const afterDeath = (
	world: World,
	id: string,
	seq: number,
	what: string,
): Outcome => {
	if (!deadObject(world, id)) return undefined;
	return broken(
		`${id} ${seq}`,
		`${what} names ${id}, which is gone`,
		[id as HwptId],
		[],
	);
};

export const REFERENCES: readonly Invariant[] = [
	{
		id: "REF-1",
		when: "Q",
		severity: "error",
		aspect: "hwpt",
		test: hwptCount,
		sentence:
			"A hwpt is counted once by the id table, once per attached device and once per nested hwpt.",
		harm: "it is freed under its users, or never",
		source: ["drivers/iommu/iommufd/device.c:iommufd_device_do_replace"],
	},
	{
		id: "REF-2",
		when: "Q",
		severity: "error",
		aspect: "ioas",
		test: ioasCount,
		sentence:
			"An IOAS is counted once by the id table, once per hwpt on it and once per attached access.",
		harm: "the address space goes while a page table still points into it",
		source: ["drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_paging_alloc"],
	},
	{
		id: "REF-3",
		when: "Q",
		severity: "error",
		aspect: "idev",
		test: idevCount,
		sentence:
			"A bound device has two users, and a third one while it is attached.",
		harm: "it could be unbound while attached",
		source: ["drivers/iommu/iommufd/device.c:iommufd_device_attach"],
	},
	{
		id: "REF-4",
		when: "Q",
		severity: "error",
		aspect: "faultQueue",
		test: queueCount,
		sentence:
			"A fault queue is counted by the id table, its open file and each hwpt that uses it.",
		harm: "faults are delivered to freed memory",
		source: ["drivers/iommu/iommufd/fault.c:iommufd_fault_alloc"],
	},
	{
		id: "REF-5",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence: "The group object of iommufd is counted once per bound device.",
		harm: "it goes while a device of it is bound, or never",
		source: ["drivers/iommu/iommufd/device.c:iommufd_put_group"],
		test: (world, id) => {
			const group = world.groups.map.get(id as never);
			if (group === undefined || group.ctxs.length === 0) return SKIP;
			for (const ctx of group.ctxs) {
				const ig = world.igs.map.get(`${ctx} ${group.id}`);
				if (ig === undefined || ig.ref === 0) continue;
				let bound = 0;
				for (const dev of group.members) {
					const device = world.devices.map.get(dev);
					if (device?.ctx === ctx && device.idev !== undefined) bound++;
				}
				if (bound !== ig.ref)
					return broken(
						id,
						`iommufd's object of ${id} in ${ctx} is counted ${ig.ref} times with ${bound} bound device(s)`,
						[group.id, ctx],
						[ig.hwptSeq],
					);
			}
			return undefined;
		},
	},
	{
		id: "REF-6",
		when: "S",
		severity: "error",
		sentence: "Nothing names an object after it is gone.",
		harm: "use after free; ids are reused at once, so the log names generations",
		source: [
			"drivers/iommu/iommufd/main.c:iommufd_object_remove, _iommufd_object_alloc",
		],
		on: {
			"ig.hwpt.set": ({ world }, { data, seq }) =>
				afterDeath(world, data.hwpt, seq, "ig.hwpt.set"),
			"ig.list.add": ({ world }, { data, seq }) =>
				afterDeath(world, data.hwpt, seq, "ig.list.add"),
			"obj.ref": ({ world }, { data, seq }) =>
				afterDeath(world, data.obj, seq, "obj.ref"),
			"area.claimed": ({ world }, { data, seq }) =>
				world.effect.ioas?.gone === true
					? afterDeath(world, data.ioas, seq, "area.claimed")
					: undefined,
			"resv.added": ({ world }, { data, seq }) =>
				afterDeath(world, data.ioas, seq, "resv.added"),
			"iopt.dom.added": ({ world }, { data, seq }) =>
				afterDeath(world, data.ioas, seq, "iopt.dom.added"),
		},
	},
	{
		id: "REF-7",
		when: "O",
		severity: "error",
		sentence: "Only an object that nothing holds can be destroyed.",
		harm: "a user loses it while it works",
		source: ["drivers/iommu/iommufd/main.c:iommufd_destroy"],
		on: {
			"obj.gone": ({ world }, { data, seq }) => {
				if (data.undo === true) return SKIP;
				const hwpt = world.hwpts.map.get(data.obj as HwptId);
				const ioas = world.ioases.map.get(data.obj as IoasId);
				if (hwpt !== undefined) {
					if (hwpt.devices === 0 && hwpt.children === 0) return undefined;
					return broken(
						`${data.obj} ${seq}`,
						`${data.obj} is gone with ${hwpt.devices} device(s) attached and ${hwpt.children} nested hwpt(s)`,
						[hwpt.id],
						[hwpt.liveSeq],
					);
				}
				if (ioas === undefined) return SKIP;
				if (ioas.hwpts.length === 0 && ioas.accs.length === 0) return undefined;
				return broken(
					`${data.obj} ${seq}`,
					`${data.obj} is gone with ${ioas.hwpts.join(", ") || "no hwpt"} and ${ioas.accs.length} access(es) on it`,
					[ioas.id],
					[ioas.createdSeq],
				);
			},
		},
	},
	{
		id: "REF-8",
		when: "S",
		severity: "error",
		sentence: "When a context closes, no object of it is left.",
		harm: "a leak: page tables and pinned memory stay for ever",
		source: ["drivers/iommu/iommufd/main.c:iommufd_fops_release"],
		on: {
			"ctx.closed": ({ world }, { data, seq }) => {
				const ctx = world.ctxs.map.get(data.ctx);
				if (ctx === undefined || ctx.type1 !== undefined || ctx.openedSeq === 0)
					return SKIP;
				const left = leftovers(world, data.ctx);
				if (left.length === 0) return undefined;
				return broken(
					`${data.ctx} ${seq}`,
					`${data.ctx} closed and left ${left.slice(0, 4).join(", ")}${left.length > 4 ? ` and ${left.length - 4} more` : ""}`,
					[data.ctx as CtxId],
					[ctx.openedSeq],
				);
			},
		},
	},
];
