/** Reserved regions of devices: which count, where they must be reserved, and which matter to an IOAS (facts iommufd §3.3). */
import type { U64 } from "../vocabulary/fields.ts";
import type {
	Device,
	Group,
	Hwpt,
	Ioas,
	Region,
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

/** Regions of members of groups whose hardware uses a domain of this IOAS, computed again only after something moved. */
export function risksOf(world: World, ioas: Ioas): Risks {
	const known = world.risks.get(ioas.id);
	if (known !== undefined && known.moves === world.moves) return known;
	const attached: Risk[] = [];
	const unreserved: Risk[] = [];
	for (const dom of ioas.doms) {
		if ((world.domains.map.get(dom)?.groupCount ?? 0) === 0) continue;
		for (const group of world.groups.map.values())
			if (group.dom === dom) addRisks(world, ioas, group, attached, unreserved);
	}
	const risks = { moves: world.moves, attached, unreserved };
	world.risks.set(ioas.id, risks);
	return risks;
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
		const reserves = ioas.resv.some((entry) => entry.owner === dev);
		for (const region of device.regions) {
			if (!mustReserve(region)) continue;
			if (isAttached) attached.push({ region, device: dev });
			if (!reserves) unreserved.push({ region, device: dev });
		}
	}
}
