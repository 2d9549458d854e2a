/** What checks of one subject begin with: the live hwpt of an id, the paging domain that a device translates through. */
import type { HwptId } from "../vocabulary/ids.ts";
import type { Device, Domain, Hwpt, World } from "../world/types.ts";

/** The hwpt, if it is live. */
export function liveHwpt(world: World, id: string): Hwpt | undefined {
	const hwpt = world.hwpts.map.get(id as HwptId);
	return hwpt?.state === "live" ? hwpt : undefined;
}

/** The domain of the paging hwpt that a device is on; for one on a nested hwpt, its parent's. */
export function pagingDomain(
	world: World,
	{ hwpt: id }: Device,
): Domain | undefined {
	const hwpt = id === undefined ? undefined : world.hwpts.map.get(id);
	const paging =
		hwpt?.parent === undefined ? hwpt : world.hwpts.map.get(hwpt.parent);
	return paging?.dom === undefined
		? undefined
		: world.domains.map.get(paging.dom);
}
