/** What a saga reads of the live system: who is attached where. It is written into saga.begun, so that the way back is known after a crash. */
import { attachedTo } from "../begin.ts";
import type { FormerFree } from "./copies.ts";
import type { Executor } from "../executor.ts";
import { idGet, idNumbers } from "../../../machines/id-table.ts";
import type { CtxContext } from "../../../machines/iommufd-ctx.ts";
import type { CtxId, DeviceId, GroupId, HwptId } from "../../vocabulary/ids.ts";
import { kernelNumber } from "../../vocabulary/ids.ts";

/** What a device was attached to. */
export interface FormerHwpt {
	/** Its name in the log, and the kernel's ids of it and of its IOAS. */
	readonly name: string;
	readonly hwpt: number;
	readonly ioas: number;
	readonly auto: boolean;
}
/** A device of the saga as it was. */
export interface FormerDevice {
	readonly dev: DeviceId;
	/** Its object's id. */
	readonly idev: number;
	readonly at?: FormerHwpt;
}
/** Everything the way back must restore. */
export interface Former {
	readonly ctx: CtxId;
	/** In the order of their object ids. */
	readonly devices: readonly FormerDevice[];
	/** Object ids that were taken. */
	readonly ids: readonly number[];
	/** Where there was nothing and copies go. */
	readonly free?: FormerFree;
}

/** The hwpt that a device of this context is attached to now; undefined when it is not. */
export function attachmentOf(
	x: Executor,
	ctx: CtxId,
	dev: DeviceId,
): FormerHwpt | undefined {
	if (x.actors.get(dev)?.state !== "Attached" || x.device(dev).ctx !== ctx)
		return undefined;
	const name = attachedTo(x, dev);
	const view = name === null ? undefined : x.hwptView(name);
	if (name === null || view === undefined) return undefined;
	return {
		name,
		hwpt: kernelNumber(name),
		ioas: kernelNumber(view.ioas),
		auto: view.auto,
	};
}

/** Object ids of a context that are taken, ascending. */
export const takenIds = (x: Executor, ctx: CtxId): number[] =>
	idNumbers(x.context<CtxContext>(ctx).ids);

/** Members of a group that are bound to a context. */
export const boundMembers = (
	x: Executor,
	ctx: CtxId,
	group: GroupId,
): DeviceId[] =>
	x
		.group(group)
		.members.map(({ dev }) => dev)
		.filter((dev) => x.device(dev).ctx === ctx);

/** How things are with some devices now. */
export function formerOf(
	x: Executor,
	ctx: CtxId,
	devices: readonly DeviceId[],
): Former {
	const all = devices.flatMap((dev): FormerDevice[] => {
		const { idev } = x.device(dev);
		if (idev === null || x.device(dev).ctx !== ctx) return [];
		const at = attachmentOf(x, ctx, dev);
		return [
			{
				dev,
				idev: kernelNumber(idev),
				...(at === undefined ? {} : { at }),
			},
		];
	});
	return {
		ctx,
		devices: all.sort((a, b) => a.idev - b.idev),
		ids: takenIds(x, ctx),
	};
}

/** The name of a hwpt that has this id now. */
export function hwptNamed(
	x: Executor,
	ctx: CtxId,
	id: number,
): HwptId | undefined {
	const name = idGet(x.context<CtxContext>(ctx).ids, id);
	return name?.includes("/hwpt:") ? (name as HwptId) : undefined;
}
