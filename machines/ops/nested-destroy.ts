/** What ends a nested hwpt (drivers/iommu/iommufd/hw_pagetable.c). Facts: iommufd-semantics.md §1.4. */
import { freeDomain } from "./domains.ts";
import type { Exec } from "./exec.ts";
import { addUsers, freeId, objOf } from "./exec.ts";

/** Ends a nested hwpt whose last user is the id table (iommufd_hwpt_nested_destroy). */
export function destroyNested(x: Exec, id: number): void {
	const h = objOf(x, id, "hwpt");
	freeDomain(x, h.dom, false);
	if (h.fault !== undefined) addUsers(x, h.fault, -1, "hwpt");
	addUsers(x, h.parent as number, -1, "nested");
	freeId(x, id);
}
