/** GRP-1, 3, 4, 5, 9, 10, 11, 12: what must be true of a group between operations (facts iommufd §3, §6.1). */
import type { DeviceId, GroupId, HwptId } from "../vocabulary/ids.ts";
import { igKey } from "../world/create.ts";
import type { Device, Group, Hwpt, Ig, World } from "../world/types.ts";
import { broken, SKIP, type Invariant } from "./invariant.ts";

const groupIn = (world: World, id: string): Group | undefined =>
	world.groups.map.get(id as GroupId);

/** iommufd's objects of a group (one, unless OWN-3 is broken). */
function igsOf(world: World, group: Group): Ig[] {
	const list: Ig[] = [];
	for (const ctx of group.ctxs) {
		const ig = world.igs.map.get(igKey(ctx, group.id));
		if (ig !== undefined) list.push(ig);
	}
	return list;
}

/** Attached members, with their hwpts. */
function attached(
	world: World,
	group: Group,
): { readonly device: Device; readonly hwpt: Hwpt }[] {
	const list: { device: Device; hwpt: Hwpt }[] = [];
	for (const dev of group.members) {
		const device = world.devices.map.get(dev);
		if (device?.hwpt === undefined) continue;
		const hwpt = world.hwpts.map.get(device.hwpt);
		if (hwpt !== undefined) list.push({ device, hwpt });
	}
	return list;
}

const seqOf = (world: World, hwpt: HwptId): number =>
	world.hwpts.map.get(hwpt)?.liveSeq ?? 0;

export const GROUP_STATE: readonly Invariant[] = [
	{
		id: "GRP-1",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence:
			"Every member's hardware translates through the group's current domain.",
		harm: "the group is torn: a device does DMA through a table that its owner no longer controls",
		source: ["drivers/iommu/iommu.c:__iommu_group_set_domain_internal"],
		brokenBy: "scenario torn-group; a trace with one member's attach removed",
		test: (world, id) => {
			const group = groupIn(world, id);
			if (
				group === undefined ||
				group.dom === undefined ||
				group.dom === null ||
				group.domSeq === 0
			)
				return SKIP;
			let known = false;
			for (const dev of group.members) {
				const device = world.devices.map.get(dev);
				if (device?.hw === undefined) {
					if (device !== undefined && device.hwSeq > group.domSeq)
						return broken(
							`${id} ${dev}`,
							`${dev} translates through nothing (its driver refused at #${device.hwSeq}) while ${id} uses ${group.dom}`,
							[group.id, dev],
							[group.domSeq, device.hwSeq],
						);
					continue;
				}
				known = true;
				if (device.hw !== group.dom)
					return broken(
						`${id} ${dev}`,
						`${dev} translates through ${device.hw} while its group ${id} uses ${group.dom}`,
						[group.id, dev, device.hw, group.dom],
						[device.hwSeq, group.domSeq],
					);
			}
			return known ? undefined : SKIP;
		},
	},
	{
		id: "GRP-3",
		when: "O",
		severity: "error",
		aspect: "group",
		kernels: "6.6+",
		sentence:
			"A group has a current hwpt exactly while some device of it is attached.",
		harm: "one pointer for the group is the whole design: hardware and list would disagree",
		source: ["drivers/iommu/iommufd/device.c:iommufd_group_release"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined || world.perDevice) return SKIP;
			let checked = false;
			for (const ig of igsOf(world, group)) {
				checked = true;
				if (ig.list.length > 0 !== (ig.hwpt !== null))
					return broken(
						id,
						`${id} has ${ig.list.length} attached devices and ${ig.hwpt === null ? "no current hwpt" : `the current hwpt ${ig.hwpt}`}`,
						[group.id],
						[ig.hwptSeq],
					);
			}
			return checked ? undefined : SKIP;
		},
	},
	{
		id: "GRP-9",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence: "All attached devices of a group are attached to the same hwpt.",
		harm: "per-device pointers for hardware that only moves as a group (the 2023 design)",
		source: [
			"seed mail 3",
			"drivers/iommu/iommufd/iommufd_private.h:struct iommufd_group",
		],
		brokenBy: "scenario replace-1 under posted-v2 and device-lagging",
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined) return SKIP;
			const devices = attached(world, group);
			const first = devices[0];
			if (first === undefined) return SKIP;
			for (const { device, hwpt } of devices)
				if (hwpt.id !== first.hwpt.id)
					return broken(
						id,
						`${first.device.id} is attached to ${first.hwpt.id}, ${device.id} of the same ${id} to ${hwpt.id}`,
						[group.id, first.device.id, device.id],
						[first.device.since, device.since],
					);
			return undefined;
		},
	},
	{
		id: "GRP-4",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence:
			"What an attached device's hwpt maps is what its group's hardware uses.",
		harm: "bookkeeping and hardware disagree: unmap, reservations and counts act on the wrong address space",
		source: [
			"seed mail 3 (W1)",
			"drivers/iommu/iommufd/device.c:iommufd_device_do_replace",
		],
		brokenBy:
			"scenarios replace-1 and unfinished under posted-v2 and device-lagging",
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined || group.dom === undefined) return SKIP;
			const devices = attached(world, group);
			if (devices.length === 0) return SKIP;
			for (const { device, hwpt } of devices)
				if (hwpt.dom !== undefined && hwpt.dom !== group.dom)
					return broken(
						`${id} ${device.id}`,
						`${device.id} is attached to ${hwpt.id} (${hwpt.dom}) but ${id} uses ${group.dom ?? "no domain"}`,
						[group.id, device.id, hwpt.id],
						[seqOf(world, hwpt.id), device.since, group.domSeq],
					);
			return undefined;
		},
	},
	{
		id: "GRP-5",
		when: "S",
		severity: "error",
		aspect: "group",
		sentence:
			"The list of attached devices has no duplicates and holds only bound devices of the group.",
		harm: "a double attach corrupts the list",
		source: ["drivers/iommu/iommufd/device.c:iommufd_hw_pagetable_attach"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined) return SKIP;
			let checked = false;
			for (const ig of igsOf(world, group)) {
				for (const dev of ig.list) {
					checked = true;
					const problem = listProblem(world, ig, dev);
					if (problem !== undefined)
						return broken(
							`${id} ${dev}`,
							`${dev} in the list of ${id} ${problem}`,
							[group.id, dev],
							[world.devices.map.get(dev)?.since ?? 0],
						);
				}
			}
			return checked ? undefined : SKIP;
		},
	},
	{
		id: "GRP-10",
		when: "O",
		severity: "error",
		aspect: "group",
		kernels: "6.12",
		sentence:
			"An attach handle is stored exactly while devices are attached, and it names the group's domain.",
		harm: "page faults are routed to the wrong queue",
		source: ["drivers/iommu/iommu.c:iommu_attach_group_handle"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined || !world.seen.handles || world.perDevice)
				return SKIP;
			const igs = igsOf(world, group);
			if (igs.length === 0) return SKIP;
			const any = igs.some((ig) => ig.list.length > 0);
			const handle = group.handles.find((entry) => entry.pasid === "none");
			if ((handle !== undefined) !== any)
				return broken(
					id,
					`${id} has ${any ? "attached devices but no attach handle" : "an attach handle but no attached device"}`,
					[group.id],
					[group.domSeq],
				);
			if (handle !== undefined && handle.dom !== group.dom)
				return broken(
					id,
					`the attach handle of ${id} names ${handle.dom}, the group uses ${group.dom}`,
					[group.id, handle.dom],
					[group.domSeq],
				);
			return undefined;
		},
	},
	{
		id: "GRP-11",
		when: "O",
		severity: "error",
		aspect: "group",
		kernels: "6.12",
		sentence: "The device named in the attach handle is attached.",
		harm: "faults are reported for a device that may be freed (A4)",
		source: ["drivers/iommu/iommufd/fault.c:iommufd_fault_fops_read"],
		test: (world, id) => {
			const group = groupIn(world, id);
			const handle = group?.handles.find((entry) => entry.pasid === "none");
			if (group === undefined || handle === undefined) return SKIP;
			const device = world.devices.map.get(handle.dev);
			const hwpt =
				device?.hwpt === undefined
					? undefined
					: world.hwpts.map.get(device.hwpt);
			// Only a hwpt with a fault queue reads the handle's device.
			const reading = group.members.some((dev) => faultHwpt(world, dev));
			if (!reading) return SKIP;
			if (hwpt !== undefined) return undefined;
			return broken(
				id,
				`the attach handle of ${id} names ${handle.dev}, which is not attached`,
				[group.id, handle.dev],
				[group.domSeq],
			);
		},
	},
	{
		id: "GRP-12",
		when: "S",
		severity: "error",
		needs: "L0",
		sentence: "Every device is a member of exactly one group.",
		harm: "isolation cannot be decided",
		source: ["drivers/iommu/iommu.c:iommu_init_device"],
		on: {
			"grp.member.added": ({ world }, { data, seq }) => {
				const { formerGroup } = world.effect;
				if (formerGroup === undefined) return undefined;
				return broken(
					`${data.dev} ${seq}`,
					`${data.dev} joined ${data.group} without having left ${formerGroup}`,
					[data.dev, data.group, formerGroup],
					[],
				);
			},
		},
	},
];

function listProblem(world: World, ig: Ig, dev: DeviceId): string | undefined {
	if (ig.list.indexOf(dev) !== ig.list.lastIndexOf(dev))
		return "is listed twice";
	const device = world.devices.map.get(dev);
	if (device?.group !== undefined && device.group !== ig.group)
		return `belongs to ${device.group}`;
	// Where the log never told of a bind (a recording that starts later) nothing follows.
	const ctx = world.ctxs.map.get(ig.ctx);
	const told =
		world.header.origin !== "import" ||
		(ctx !== undefined && ctx.openedSeq > 0);
	if (told && device?.idev === undefined) return "is not bound";
	return undefined;
}

function faultHwpt(world: World, dev: DeviceId): boolean {
	const hwpt = world.devices.map.get(dev)?.hwpt;
	return hwpt !== undefined && world.hwpts.map.get(hwpt)?.fault !== undefined;
}
