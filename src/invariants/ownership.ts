/** OWN-1 … OWN-8: who may use a group (facts iommufd §4.2, §6.1). */
import type { ActorId, CtxId, GroupId } from "../vocabulary/ids.ts";
import type { Group, World } from "../world/types.ts";
import { broken, SKIP, type Invariant } from "./invariant.ts";

const groupIn = (world: World, id: string): Group | undefined =>
	world.groups.map.get(id as GroupId);
const isCtx = (owner: ActorId | null | undefined): owner is CtxId =>
	typeof owner === "string" && owner.startsWith("ctx:");

/** The owner, when it is an iommufd context whose whole life the log holds. */
function knownIommufdOwner(world: World, group: Group): CtxId | undefined {
	if (!isCtx(group.owner)) return undefined;
	const ctx = world.ctxs.map.get(group.owner);
	if (ctx !== undefined && (ctx.type1 !== undefined || ctx.kind === "type1"))
		return undefined;
	const seen =
		world.header.origin !== "import" ||
		(ctx !== undefined && ctx.openedSeq > 0);
	return seen ? group.owner : undefined;
}

function boundDevices(world: World, group: Group, ctx: CtxId): number {
	let count = 0;
	for (const dev of group.members) {
		const device = world.devices.map.get(dev);
		if (device?.idev !== undefined && device.ctx === ctx) count++;
	}
	return count;
}

export const OWNERSHIP: readonly Invariant[] = [
	{
		id: "OWN-1",
		when: "S",
		severity: "error",
		aspect: "group",
		sentence:
			"A group that has an owner counts at least one claim, and one that counts none has no owner.",
		harm: "a claim is leaked or given back twice",
		source: ["drivers/iommu/iommu.c:__iommu_release_dma_ownership"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (
				group === undefined ||
				group.ocnt === undefined ||
				group.owner === undefined ||
				group.ownerSeq === 0
			)
				return SKIP;
			if (group.owner !== null ? group.ocnt >= 1 : true) return undefined;
			return broken(
				id,
				`${id} is owned by ${group.owner} with a claim count of ${group.ocnt}`,
				[group.id],
				[group.ownerSeq],
			);
		},
	},
	{
		id: "OWN-2",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence:
			"A group owned by a context counts as many claims as the context has devices of it bound.",
		harm: "the group stays owned after its last unbind, or is given back while a device is still bound",
		source: ["drivers/iommu/iommufd/device.c:iommufd_device_bind"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined || group.ocnt === undefined) return SKIP;
			const ctx = knownIommufdOwner(world, group);
			if (ctx === undefined) return SKIP;
			const bound = boundDevices(world, group, ctx);
			if (bound === group.ocnt) return undefined;
			return broken(
				id,
				`${id} counts ${group.ocnt} claims of ${ctx}, which has ${bound} of its devices bound`,
				[group.id, ctx],
				[group.ownerSeq],
			);
		},
	},
	{
		id: "OWN-3",
		when: "S",
		severity: "error",
		aspect: "group",
		sentence: "Bound devices of one group belong to one context.",
		harm: "two processes share an isolation unit",
		source: ["drivers/iommu/iommu.c:iommu_device_claim_dma_owner"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined) return SKIP;
			let first:
				| { readonly dev: ActorId; readonly ctx: CtxId; readonly seq: number }
				| undefined;
			for (const dev of group.members) {
				const device = world.devices.map.get(dev);
				if (device?.ctx === undefined || device.idev === undefined) continue;
				const seq = world.idevs.map.get(device.idev)?.seq ?? 0;
				if (first === undefined) first = { dev, ctx: device.ctx, seq };
				else if (first.ctx !== device.ctx)
					return broken(
						id,
						`${first.dev} and ${dev} of ${id} are bound to ${first.ctx} and ${device.ctx}`,
						[group.id, first.dev, dev],
						[first.seq, seq],
					);
			}
			return first === undefined ? SKIP : undefined;
		},
	},
	{
		id: "OWN-4",
		when: "S",
		severity: "error",
		aspect: "group",
		sentence:
			"While user space owns a group no kernel driver of a member uses the DMA API.",
		harm: "the driver's DMA would hit user memory",
		source: ["drivers/iommu/iommu.c:iommu_device_use_default_domain"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group === undefined || !isCtx(group.owner)) return SKIP;
			if (group.kernelDrivers.length === 0) return undefined;
			if (group.ownerSeq === 0) return SKIP;
			return broken(
				id,
				`${id} is owned by ${group.owner} while ${group.kernelDrivers.join(", ")} has a kernel driver that uses the DMA API`,
				[group.id, ...group.kernelDrivers],
				[group.ownerSeq],
			);
		},
	},
	{
		id: "OWN-5",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence: "A group without owner uses its default domain, or none yet.",
		harm: "a user's page table outlives its ownership",
		source: ["drivers/iommu/iommu.c:__iommu_release_dma_ownership"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (
				group === undefined ||
				group.owner !== null ||
				group.dom === undefined
			)
				return SKIP;
			if (group.dom === null || group.def === undefined)
				return group.dom === null ? undefined : SKIP;
			if (group.dom === group.def) return undefined;
			return broken(
				id,
				`${id} has no owner but still uses ${group.dom}; its default domain is ${group.def}`,
				[group.id, group.dom],
				[group.ownerSeq, group.domSeq],
			);
		},
	},
	{
		id: "OWN-6",
		when: "O",
		severity: "error",
		aspect: "group",
		sentence:
			"A group that is owned by a context and has nothing attached uses its blocking domain.",
		harm: "bound but idle devices could do DMA",
		source: ["drivers/iommu/iommu.c:__iommu_group_set_core_domain"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (
				group === undefined ||
				group.blk === undefined ||
				group.dom === undefined ||
				group.dom === null
			)
				return SKIP;
			const ctx = knownIommufdOwner(world, group);
			if (
				ctx === undefined ||
				group.handles.some((handle) => handle.pasid !== "none")
			)
				return SKIP;
			if (
				group.members.some(
					(dev) => world.devices.map.get(dev)?.hwpt !== undefined,
				)
			)
				return SKIP;
			if (group.dom === group.blk) return undefined;
			return broken(
				id,
				`${id} is owned by ${ctx} with nothing attached but uses ${group.dom} instead of its blocking domain ${group.blk}`,
				[group.id, group.dom],
				[group.ownerSeq, group.domSeq],
			);
		},
	},
	{
		id: "OWN-7",
		when: "S",
		severity: "error",
		sentence: "When ownership is given back no attach handle is stored.",
		harm: "the kernel refuses silently and the ownership leaks",
		source: ["drivers/iommu/iommu.c:__iommu_release_dma_ownership"],
		on: {
			"grp.owner.released": ({ world }, { data, seq }) => {
				const group = groupIn(world, data.group);
				if (group === undefined || data.ocnt > 0 || !world.seen.handles)
					return SKIP;
				const handle = group.handles[0];
				if (handle === undefined) return undefined;
				return broken(
					`${data.group} ${seq}`,
					`ownership of ${data.group} was given back while the handle of pasid ${handle.pasid} (${handle.dev}) is stored`,
					[data.group, handle.dev],
					[group.ownerSeq],
				);
			},
		},
	},
	{
		id: "OWN-8",
		when: "S",
		severity: "error",
		aspect: "group",
		sentence:
			"A group's blocking domain, once made, stays the same until the group dies.",
		harm: "whoever replays would create it twice",
		source: ["drivers/iommu/iommu.c:__iommu_group_alloc_blocking_domain"],
		test: (world, id) => {
			const group = groupIn(world, id);
			if (group?.blk === undefined) return SKIP;
			if (group.blkBefore === undefined) return undefined;
			return broken(
				id,
				`the blocking domain of ${id} changed from ${group.blkBefore} to ${group.blk}`,
				[group.id, group.blk],
				[],
			);
		},
	},
];
