/** Reserved regions of devices: which count, where they must be reserved, and which matter to an IOAS (facts iommufd §3.3). */
import type { U64 } from "../vocabulary/fields.ts";
import type { ActorId, DomainId, IoasId } from "../vocabulary/ids.ts";
import type {
	Device,
	Group,
	Hwpt,
	Ioas,
	Region,
	Reservation,
	Reserver,
	Risk,
	Risks,
	World,
} from "../world/types.ts";

/** Regions that an attach must reserve: all but "direct, relaxable". */
export const mustReserve = (region: Region): boolean =>
	region.kind !== "direct-relaxable";

export const hex = (value: U64): string => `0x${value.toString(16)}`;

/** The IOAS that a hwpt's devices reserve in: its own, or its parent's. */
function ioasOf(world: World, hwpt: Hwpt | undefined): Ioas | undefined {
	const paging =
		hwpt?.parent === undefined ? hwpt : world.hwpts.map.get(hwpt.parent);
	return paging?.ioas === undefined
		? undefined
		: world.ioases.map.get(paging.ioas);
}

export function attachedIoas(world: World, device: Device): Ioas | undefined {
	return device.hwpt === undefined
		? undefined
		: ioasOf(world, world.hwpts.map.get(device.hwpt));
}

/** What an owner has reserved in IOASes that are there. */
export const heldBy = (world: World, owner: string): Reserver["held"] =>
	(world.reservers.map.get(owner as ActorId)?.held ?? []).filter(
		({ ioas }) => world.ioases.map.get(ioas)?.gone === false,
	);
/** The same in one of them. */
export const heldIn = (
	world: World,
	owner: ActorId,
	ioas: IoasId,
): Reservation[] =>
	(world.reservers.map.get(owner)?.held ?? [])
		.filter((one) => one.ioas === ioas)
		.map(({ entry }) => entry);

/** Regions of members of groups whose hardware uses a domain of this IOAS, computed again only after something moved. */
export function risksOf(world: World, ioas: Ioas): Risks {
	const known = world.risks.get(ioas.id);
	if (known !== undefined && known.moves === world.moves) return known;
	const attached: Risk[] = [];
	const unreserved: Risk[] = [];
	const used = new Set(
		ioas.doms.filter(
			(dom) => (world.domains.map.get(dom)?.groupCount ?? 0) > 0,
		),
	);
	if (used.size > 0)
		for (const group of world.groups.map.values())
			if (used.has(group.dom as DomainId))
				addRisks(world, ioas, group, attached, unreserved);
	const risks = { moves: world.moves, attached, unreserved };
	world.risks.set(ioas.id, risks);
	return risks;
}

/** The same for one group on the IOAS: all that an attach or a detach in it can change. */
export function risksOfGroup(world: World, ioas: Ioas, group: Group): Risk[] {
	const unreserved: Risk[] = [];
	addRisks(world, ioas, group, [], unreserved);
	return unreserved;
}

function addRisks(
	world: World,
	ioas: Ioas,
	group: Group,
	attached: Risk[],
	unreserved: Risk[],
): void {
	for (const dev of group.members) {
		const device = world.devices.map.get(dev);
		if (device?.regions === undefined) continue;
		const isAttached = attachedIoas(world, device)?.id === ioas.id;
		const reserves =
			world.reservers.map.get(dev)?.held.some((one) => one.ioas === ioas.id) ===
			true;
		for (const region of device.regions) {
			if (!mustReserve(region)) continue;
			if (isAttached) attached.push({ region, device: dev });
			if (!reserves) unreserved.push({ region, device: dev });
		}
	}
}
