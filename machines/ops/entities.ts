/**
 * Answers the steps that the transactions of machines/ ask for, out of the plain state of types.ts. No order of steps is known here:
 * each case does one thing to one object and says which records that makes. What the entity machines (machines/iommu-group.ts, device.ts,
 * hwpt.ts, ioas.ts, domain.ts) are for the live system, this is for runs over plain state: conformance, sweeps, property tests.
 */
import type { DeviceId, DomainId, GroupId } from "../../src/vocabulary/ids.ts";
import type { DriverOps } from "./driver.ts";
import type { Exec } from "./exec.ts";
import { ctxOf, putCtx } from "./exec.ts";
import type { Dev, Hwpt, Idev, Ig } from "./types.ts";

/** A device and its driver. Throws when either is unknown: the topology names both. */
export function driverOf(
	x: Exec,
	name: DeviceId,
): { readonly dev: Dev; readonly ops: DriverOps } {
	const dev = x.host.devs.get(name);
	const ops = dev === undefined ? undefined : x.env.drivers[dev.driver];
	if (dev === undefined || ops === undefined)
		throw new Error(`${name} is not in the topology or its driver is unknown`);
	return { dev, ops };
}
/** The hwpt of this context that owns a domain. */
export function hwptOfDomain(x: Exec, dom: DomainId): Hwpt | undefined {
	for (const obj of ctxOf(x).objs.values())
		if (obj.type === "hwpt" && obj.dom === dom) return obj;
	return undefined;
}
/** The bound object of a device in this context. */
export function idevOfDevice(x: Exec, dev: DeviceId): Idev | undefined {
	for (const obj of ctxOf(x).objs.values())
		if (obj.type === "idev" && obj.dev === dev) return obj;
	return undefined;
}
/** iommufd's object for a group in this context, or undefined while nothing of it is bound. */
export const igOf = (x: Exec, group: GroupId): Ig | undefined =>
	ctxOf(x).groups.get(group);
/** Replaces or (undefined) removes it. */
export function putIg(x: Exec, group: GroupId, ig: Ig | undefined): void {
	const ctx = ctxOf(x);
	const groups = new Map(ctx.groups);
	if (ig === undefined) groups.delete(group);
	else groups.set(group, ig);
	putCtx(x, { ...ctx, groups });
}
/** A paging hwpt itself, a nested one's parent. */
export function pagingOf(x: Exec, hwpt: Hwpt): Hwpt {
	if (hwpt.kind === "paging") return hwpt;
	const parent = ctxOf(x).objs.get(hwpt.parent as number);
	if (parent?.type !== "hwpt") throw new Error(`${hwpt.name} has no parent`);
	return parent;
}
