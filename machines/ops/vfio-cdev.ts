/**
 * VFIO device files on top of bind, attach, replace and detach (drivers/vfio/device_cdev.c, iommufd.c). Facts: iommufd-semantics.md §2.16.
 * Which file is bound is the caller's to keep (struct vfio_device_file); here is what each call does once that is known.
 */
import type { DeviceId } from "../../src/vocabulary/ids.ts";
import { driverOf, igOf } from "./entities.ts";
import type { Exec } from "./exec.ts";
import { refused } from "./exec.ts";
import type { Respond } from "./ioas.ts";
import {
	attachByPt,
	bindDevice,
	detachDevice,
	unbindDevice,
} from "./transact.ts";
import type { Answer } from "./types.ts";

/** Attached through this context (the flag VFIO keeps, vdev->iommufd_attached). */
export function isAttached(x: Exec, dev: DeviceId): boolean {
	const { group, idev } = driverOf(x, dev).dev;
	return idev !== undefined && igOf(x, group)?.list.includes(dev) === true;
}

/** VFIO_DEVICE_BIND_IOMMUFD; `bound`: this file or another open file of the device is bound already. */
export function bindCdev(
	x: Exec,
	dev: DeviceId,
	bound: boolean,
	respond: Respond,
): Answer {
	if (bound) return refused("EINVAL", "vfio.open");
	const done = bindDevice(x, dev);
	if (!("id" in done)) return done;
	const errno = x.env.fail?.("resp") ?? respond();
	if (errno === undefined) return { out: { dev_id: done.id } };
	unbindDevice(x, dev);
	return refused(errno, "resp");
}

/** VFIO_DEVICE_ATTACH_IOMMUFD_PT: replace when attached already. A failing copy of the id detaches (A8). */
export function attachCdev(
	x: Exec,
	dev: DeviceId,
	pt: number,
	respond: Respond,
): Answer {
	if (driverOf(x, dev).dev.idev === undefined)
		return refused("EINVAL", "vfio.bound");
	const copied = x.env.fail?.("args.copy");
	if (copied !== undefined) return refused("EFAULT", "args.copy");
	const how = isAttached(x, dev) ? "replace" : "attach";
	const done = attachByPt(x, dev, pt, how, respond);
	return "hwpt" in done ? { out: { pt_id: done.hwpt } } : done;
}

/** VFIO_DEVICE_DETACH_IOMMUFD_PT: always succeeds. */
export function detachCdev(x: Exec, dev: DeviceId): Answer {
	if (driverOf(x, dev).dev.idev === undefined)
		return refused("EINVAL", "vfio.bound");
	if (isAttached(x, dev)) detachDevice(x, dev);
	return {};
}

/** The last close of a bound device file: detach if attached, unbind. */
export function closeCdev(x: Exec, dev: DeviceId): void {
	if (isAttached(x, dev)) detachDevice(x, dev);
	if (driverOf(x, dev).dev.idev !== undefined) unbindDevice(x, dev);
}
