/**
 * attach, replace, detach of iommufd devices and their reservations (drivers/iommu/iommufd/device.c; facts/iommufd-semantics.md
 * §2.11–2.13, order of records §2.17).
 */
import type { Device, Hwpt, Igroup } from "./identity.ts";
import { IOAS_TO_IOPT } from "./identity.ts";
import type { Frame, Lane } from "./lanes.ts";
import { enter, inside, leave } from "./lanes.ts";
import { idevAt, igroupOf, ioasAt, ioptAt } from "./on-context.ts";
import { hwptAt } from "./on-objects.ts";
import { beginOp, endOp, noteFailure, SAW } from "./ops.ts";
import type { State } from "./state.ts";
import { pointerErrno } from "./state.ts";
import { K } from "./keys.ts";

/** iommufd_device_attach / _replace / _detach entry. Without a call around it, it is an operation of its own. */
export function onDeviceIn(kind: "attach" | "replace" | "detach") {
	return (state: State, lane: Lane): void => {
		const idev = idevAt(state, lane);
		const device = idev?.device ?? state.deviceAt(K.dev);
		const gid = state.line.num(K.gid);
		if (device !== undefined && gid >= 0)
			state.learnMember(lane, state.ids.group(gid), device);
		const frame = enter(lane, {
			kind: `ifd_${kind}`,
			device,
			ctx: idev?.ctx,
		});
		if (lane.op !== undefined || device === undefined) return;
		const pt = state.line.num(K.ptId);
		const args = Number.isSafeInteger(pt)
			? { dev: device.id, pt }
			: { dev: device.id };
		frame.op = beginOp(
			state,
			lane,
			state.line.t,
			kind,
			device.id,
			args,
			undefined,
		);
	};
}

/** … and return. */
export function onDeviceRet(kind: "attach" | "replace" | "detach") {
	return (state: State, lane: Lane): void => {
		const frame = leave(lane, `ifd_${kind}`);
		const ret = kind === "detach" ? 0 : state.line.num(K.ret);
		if (ret !== 0) noteFailure(lane, kind, ret);
		else if (frame?.device !== undefined) finished(state, lane, kind, frame);
		if (frame?.op !== undefined && lane.op === frame.op)
			endOp(state, lane, state.line.t, ret);
	};
}

function finished(
	state: State,
	lane: Lane,
	kind: "attach" | "replace" | "detach",
	frame: Frame,
): void {
	const { device, hwpt } = frame;
	if (device === undefined) return;
	const dev = device.id;
	if (lane.op !== undefined)
		lane.op.saw |= kind === "detach" ? SAW.detached : SAW.attached;
	if (device.idev !== undefined)
		device.idev.attached = kind === "detach" ? 0 : 1;
	if (kind === "detach")
		state.emit(lane, "dev.detached", dev, {
			dev,
			...(hwpt === undefined ? {} : { hwpt: hwpt.id }),
			last: frame.flag === true,
		});
	else if (hwpt === undefined) return;
	else if (kind === "attach")
		state.emit(lane, "dev.attached", dev, {
			dev,
			hwpt: hwpt.id,
			first: frame.flag === true,
		});
	else if (frame.old !== undefined)
		state.emit(lane, "dev.replaced", dev, {
			dev,
			from: frame.old.id,
			hwpt: hwpt.id,
		});
}

/** iommufd_hw_pagetable_attach entry. `users` counts the look-up too, except for an hwpt that is just being made. */
export function onHwptAttachIn(state: State, lane: Lane): void {
	const { line } = state;
	const idev = idevAt(state, lane);
	if (idev === undefined) return state.undecided("attach of an unknown device");
	const users = line.num(K.users);
	const hwpt = hwptAt(
		state,
		lane,
		line.pointer(K.hwpt),
		line.num(K.hwptId),
		K.dom,
		idev.ctx,
		users === 1,
	);
	if (hwpt !== undefined && users > 1 && Number.isNaN(hwpt.users))
		hwpt.users = users - 1;
	const current = line.pointer(K.igroupHwpt);
	const { group } = idev.device;
	if (group !== undefined && current !== 0) {
		const igroup = igroupOf(idev.ctx, group);
		igroup.hwpt ??= state.ids.hwpts.get(current);
	}
	enter(lane, {
		kind: "hwpt_attach",
		device: idev.device,
		ctx: idev.ctx,
		hwpt,
		flag: current === 0,
	});
}

/** … and return. */
export function onHwptAttachRet(state: State, lane: Lane): void {
	const frame = leave(lane, "hwpt_attach");
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "hw_pagetable_attach", ret);
	const { device, hwpt, ctx } = frame ?? {};
	const group = device?.group;
	if (
		device === undefined ||
		hwpt === undefined ||
		ctx === undefined ||
		group === undefined
	)
		return state.undecided("attach of an unknown device, hwpt or group");
	const igroup = igroupOf(ctx, group);
	if (frame?.flag === true) {
		igroup.known = true;
		igroup.list.length = 0;
		igroup.hwpt = hwpt;
		state.emit(lane, "ig.hwpt.set", ctx.id, {
			ctx: ctx.id,
			group: group.id,
			hwpt: hwpt.id,
		});
	}
	addUsers(state, lane, hwpt, 1);
	listAdd(state, lane, igroup, device, hwpt);
	const call = inside(lane, "ifd_attach");
	if (call !== undefined) {
		call.hwpt = hwpt;
		call.flag = frame?.flag;
	}
}

/** Appends to the list of attached devices. */
export function listAdd(
	state: State,
	lane: Lane,
	igroup: Igroup,
	device: Device,
	hwpt: Hwpt,
): void {
	igroup.list.push(device);
	state.emit(lane, "ig.list.add", igroup.ctx.id, {
		ctx: igroup.ctx.id,
		group: igroup.group.id,
		dev: device.id,
		hwpt: hwpt.id,
	});
}

/** Changes the long-term count of an hwpt; recorded only when the count is known. */
export function addUsers(
	state: State,
	lane: Lane,
	hwpt: Hwpt,
	by: number,
): void {
	if (!hwpt.live && Number.isNaN(hwpt.users)) hwpt.users = 1;
	hwpt.users += by;
	if (!(hwpt.users >= 0) || by === 0) return;
	state.emit(lane, "obj.ref", hwpt.id, {
		obj: hwpt.id,
		delta: by,
		u: hwpt.users,
	});
}

/** iommufd_device_do_replace entry. */
export function onReplaceIn(state: State, lane: Lane): void {
	const { line } = state;
	const idev = idevAt(state, lane);
	if (idev === undefined)
		return state.undecided("replace of an unknown device");
	const hwpt = hwptAt(
		state,
		lane,
		line.pointer(K.newHwpt),
		line.num(K.newId),
		K.newDom,
		idev.ctx,
		false,
	);
	const old = state.ids.hwpts.get(line.pointer(K.oldHwpt));
	const { group } = idev.device;
	if (group !== undefined && old !== undefined)
		igroupOf(idev.ctx, group).hwpt = old;
	enter(lane, {
		kind: "hwpt_replace",
		device: idev.device,
		ctx: idev.ctx,
		hwpt,
		old,
		order: [],
		n: 0,
	});
}

/** … and return: 0 = the group was there already, a pointer = the group moved, an error pointer = it did not. */
export function onReplaceRet(state: State, lane: Lane): void {
	const frame = leave(lane, "hwpt_replace");
	const old = state.line.pointer(K.oldHwpt);
	const { device, hwpt, ctx } = frame ?? {};
	if (pointerErrno(old) !== 0)
		return noteFailure(lane, "do_replace", pointerErrno(old));
	const group = device?.group;
	if (
		device === undefined ||
		hwpt === undefined ||
		ctx === undefined ||
		group === undefined
	)
		return state.undecided("replace of an unknown device, hwpt or group");
	const call = inside(lane, "ifd_replace");
	if (call !== undefined) call.hwpt = hwpt;
	if (old === 0) {
		state.emit(lane, "dev.replace.noop", device.id, {
			dev: device.id,
			hwpt: hwpt.id,
		});
		return;
	}
	const from = frame?.old ?? state.ids.hwpts.get(old);
	if (call !== undefined) call.old = from;
	const igroup = igroupOf(ctx, group);
	igroup.hwpt = hwpt;
	state.emit(lane, "ig.hwpt.set", ctx.id, {
		ctx: ctx.id,
		group: group.id,
		hwpt: hwpt.id,
		...(from === undefined ? {} : { from: from.id }),
	});
	if (!igroup.known)
		return state.undecided("counts of a replace: list unknown");
	const n = igroup.list.length;
	addUsers(state, lane, hwpt, n);
	if (from === undefined) return;
	addUsers(state, lane, from, 1 - n);
	addUsers(state, lane, from, -1);
}

/** iommufd_hw_pagetable_detach entry: the device leaves the list first. */
export function onHwptDetachIn(state: State, lane: Lane): void {
	const idev = idevAt(state, lane);
	if (idev === undefined) return state.undecided("detach of an unknown device");
	const { device, ctx } = idev;
	const hwpt =
		state.ids.hwpts.get(state.line.pointer(K.hwpt)) ??
		device.group?.igroup?.hwpt;
	const undo = inside(lane, "ifd_attach") !== undefined;
	enter(lane, { kind: "hwpt_detach", device, ctx, hwpt });
	const call = inside(lane, "ifd_detach");
	if (call !== undefined) call.hwpt = hwpt;
	if (device.group === undefined) return;
	const igroup = igroupOf(ctx, device.group);
	if (!igroup.known) state.older(lane, "the list of attached devices");
	const at = igroup.list.indexOf(device);
	if (at >= 0) igroup.list.splice(at, 1);
	state.emit(lane, "ig.list.remove", ctx.id, {
		ctx: ctx.id,
		group: device.group.id,
		dev: device.id,
		...(undo ? { undo } : {}),
	});
}

/** The core let go of the group inside a detach: it was the last device. */
export function groupDetached(state: State, lane: Lane): void {
	const frame = inside(lane, "hwpt_detach");
	const group = frame?.device?.group;
	if (frame?.ctx === undefined || group === undefined) return;
	frame.flag = true;
	const call = inside(lane, "ifd_detach");
	if (call !== undefined) call.flag = true;
	const igroup = igroupOf(frame.ctx, group);
	igroup.hwpt = undefined;
	igroup.list.length = 0;
	igroup.known = true;
	state.emit(lane, "ig.hwpt.cleared", frame.ctx.id, {
		ctx: frame.ctx.id,
		group: group.id,
	});
}

/** … and return: the hwpt loses its count. */
export function onHwptDetachRet(state: State, lane: Lane): void {
	const frame = leave(lane, "hwpt_detach");
	if (frame?.hwpt !== undefined) addUsers(state, lane, frame.hwpt, -1);
}

/** iopt_table_enforce_dev_resv_regions entry. */
export function onEnforceIn(state: State, lane: Lane): void {
	const device = state.deviceAt(K.dev);
	const ioas = ioasAt(
		state,
		lane,
		state.line.pointer(K.iopt) - IOAS_TO_IOPT,
		inside(lane, "hwpt_attach")?.ctx ?? inside(lane, "hwpt_replace")?.ctx,
	);
	enter(lane, { kind: "resv_enforce", device, ioas });
	const replace = inside(lane, "hwpt_replace");
	if (device !== undefined) replace?.order?.push(device);
}

/** … and return: the device's regions are reserved, all or none. Empty `ranges`: the recording does not tell them. */
export function onEnforceRet(state: State, lane: Lane): void {
	const frame = leave(lane, "resv_enforce");
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "enforce_resv_regions", ret);
	const { device, ioas } = frame ?? {};
	if (device === undefined || ioas === undefined)
		return state.undecided("reservation of an unknown device");
	state.emit(lane, "resv.added", ioas.id, {
		ioas: ioas.id,
		owner: device.id,
		ranges: device.reserved,
	});
}

/** iopt_remove_reserved_iova: the owner is a struct device pointer; which device, says the call around it. */
export function onResvRemove(state: State, lane: Lane): void {
	const ioas = ioptAt(state, lane);
	const pointer = state.line.pointer(K.owner);
	const detach = inside(lane, "hwpt_detach");
	const attach = inside(lane, "hwpt_attach");
	const replace = inside(lane, "hwpt_replace");
	let device: Device | undefined;
	let undo = false;
	if (replace !== undefined) {
		device = state.ids.owners.get(pointer) ?? nextListed(replace);
		replace.n = (replace.n ?? 0) + 1;
		undo = replace.flag !== true;
	} else {
		device = detach?.device ?? attach?.device ?? state.ids.owners.get(pointer);
		undo = attach !== undefined;
	}
	if (device === undefined || ioas === undefined)
		return state.undecided("reservation dropped by an unknown owner");
	state.ids.owners.set(pointer, device);
	state.emit(lane, "resv.dropped", ioas.id, {
		ioas: ioas.id,
		owner: device.id,
		...(undo ? { undo } : {}),
	});
}

/** A replace drops the reservations of all attached devices in the order of the list. */
function nextListed(replace: Frame): Device | undefined {
	const igroup = replace.device?.group?.igroup;
	const list = igroup?.known === true ? igroup.list : replace.order;
	return list?.[(replace.n ?? 0) % Math.max(1, list.length)];
}
