/**
 * The core's switch of a group for callers without an iommufd context: legacy containers attach and detach without a handle
 * (iommu.c:iommu_attach_group, iommu_detach_group). The order of steps is machines/group-switch.ts.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type { DomainId, GroupId } from "../../src/vocabulary/ids.ts";
import type { Exec } from "./exec.ts";
import { groupOf } from "./exec.ts";
import { runSwitch } from "./transact.ts";

/** What to do with the group. */
export interface SwitchWish {
	readonly how: "attach" | "detach" | "block" | "release";
	readonly dom?: DomainId;
}

/** Switches every member; the errno when the driver refused one, everything as before. */
export function switchGroup(
	x: Exec,
	group: GroupId,
	wish: SwitchWish,
): ErrnoName | undefined {
	const dev = groupOf(x, group).members[0];
	if (dev === undefined) return "ENODEV";
	const returned = runSwitch(x, {
		type: "call.switch",
		to: group,
		how: wish.how,
		dev,
		pasid: "none",
		...(wish.dom === undefined ? {} : { dom: wish.dom }),
		undo: false,
	});
	return returned.ok ? undefined : returned.errno;
}
