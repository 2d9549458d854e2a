/** iommufd contexts and their device objects: bind, unbind, close (drivers/iommu/iommufd/device.c, facts/iommufd-semantics.md §2.1, §2.2). */
import type { Call } from "./call.ts";
import { countOf } from "./call.ts";
import type { Ctx, Device, Group, Idev, Igroup, Ioas } from "./identity.ts";
import { IOAS_TO_IOPT } from "./identity.ts";
import type { Frame, Lane } from "./lanes.ts";
import { enter, leave } from "./lanes.ts";
import { beginOp, endBracket, endOp, noteFailure, SAW } from "./ops.ts";
import { loseIoas } from "./on-areas.ts";
import type { State } from "./state.ts";
import { pointerErrno } from "./state.ts";
import { K } from "./keys.ts";

/** The context behind a pointer; the call around it tells which of the program's files it is. */
export function ctxAt(state: State, lane: Lane, pointer: number): Ctx {
	const { op } = lane;
	const known = state.ids.contexts.get(pointer);
	if (op?.ctx !== undefined && op.ctx !== known) {
		if (Number.isNaN(op.ctx.pointer) && !Number.isNaN(pointer)) {
			op.ctx.pointer = pointer;
			state.ids.contexts.set(pointer, op.ctx);
			return op.ctx;
		}
		if (known === undefined) return op.ctx;
	}
	const ctx = known ?? state.ids.newCtx(pointer, -1);
	if (op !== undefined && op.ctx === undefined) op.ctx = ctx;
	return ctx;
}

/** The IOAS behind the key of its struct; the call around it tells its number. */
export function ioasAt(
	state: State,
	lane: Lane,
	pointer: number,
	owner?: Ctx,
): Ioas | undefined {
	const known = state.ids.ioases.get(pointer);
	if (known !== undefined || Number.isNaN(pointer)) return known;
	const named = lane.op?.ioas;
	if (named !== undefined && Number.isNaN(named.pointer)) {
		named.pointer = pointer;
		state.ids.ioases.set(pointer, named);
		return named;
	}
	const { op } = lane;
	const ctx =
		owner ??
		op?.ctx ??
		frameCtx(lane) ??
		onlyCtx(state) ??
		state.ids.newCtx(Number.NaN, -1);
	const told = op?.call === undefined ? Number.NaN : ioasNumber(op.call);
	const number = ctx.ioases.has(told) ? Number.NaN : told;
	// Markers show each IOAS_ALLOC: one more pointer than those was there before. Without markers nothing is known of it.
	if (op?.call !== undefined) {
		if (state.ids.untoldIoases > 0) state.ids.untoldIoases--;
		else state.older(lane, "an IOAS");
	}
	const ioas = state.ids.newIoas(ctx, number, pointer);
	if (op?.call !== undefined && !Number.isNaN(number)) op.ioas = ioas;
	return ioas;
}

/** The number of the IOAS that a call names; an hwpt is allocated on one. */
function ioasNumber(call: Call): number {
	const name = call.name === "IOMMU_HWPT_ALLOC" ? "pt_id" : "ioas_id";
	return countOf(call.args, name);
}

/** The IOAS behind the `iopt` field. */
export const ioptAt = (state: State, lane: Lane): Ioas | undefined =>
	ioasAt(state, lane, state.line.pointer(K.iopt) - IOAS_TO_IOPT);

function frameCtx(lane: Lane): Ctx | undefined {
	for (let at = lane.frames.length - 1; at >= 0; at--) {
		const frame = lane.frames[at] as Frame;
		if (frame.ctx !== undefined) return frame.ctx;
	}
	return undefined;
}

function onlyCtx(state: State): Ctx | undefined {
	const [first, second] = state.ids.contexts.values();
	return second === undefined ? first : undefined;
}

/** The device object of a line with `idev`, `dev_id`, `dev`; learned when its bind was not seen. */
export function idevAt(state: State, lane: Lane): Idev | undefined {
	const pointer = state.line.pointer(K.idev);
	const known = state.ids.idevs.get(pointer);
	const named = state.deviceAt(K.dev);
	// The pointer had another owner whose end was lost: the line itself names the device.
	if (known !== undefined && (named === undefined || named === known.device))
		return known;
	const device = named ?? lane.op?.device;
	if (device === undefined) return undefined;
	if (device.idev !== undefined && Number.isNaN(device.idev.pointer)) {
		device.idev.pointer = pointer;
		state.ids.idevs.set(pointer, device.idev);
		return device.idev;
	}
	state.older(lane, "a bound device");
	const gid = state.line.num(K.gid);
	if (gid >= 0) state.learnMember(lane, state.ids.group(gid), device);
	const ctx =
		device.group?.igroup?.ctx ??
		lane.op?.ctx ??
		onlyCtx(state) ??
		state.ids.newCtx(Number.NaN, -1);
	return state.ids.newIdev(ctx, state.line.num(K.devId), pointer, device);
}

/** iommufd's group object; learned (with an unknown list) when its first bind was not seen. */
export function igroupOf(ctx: Ctx, group: Group): Igroup {
	if (group.igroup !== undefined && group.igroup.ctx === ctx)
		return group.igroup;
	group.igroup = {
		ctx,
		group,
		ref: Number.NaN,
		hwpt: undefined,
		list: [],
		known: false,
	};
	return group.igroup;
}

/** iommufd_device_bind returned. */
export function onBindRet(state: State, lane: Lane): void {
	const { line } = state;
	const pointer = line.pointer(K.ret);
	const device = state.deviceAt(K.dev) ?? lane.op?.device;
	const errno = pointerErrno(pointer);
	if (errno !== 0) {
		noteFailure(lane, "bind", errno);
		endBracket(state, lane, "bind", errno);
		return;
	}
	if (device === undefined) return state.unexplained("dev is missing");
	const ctx = ctxAt(state, lane, line.pointer(K.ictx));
	bound(state, lane, ctx, device, line.num(K.devId), pointer).probed = true;
	endBracket(state, lane, "bind", 0);
}

/** Records a bind. */
export function bound(
	state: State,
	lane: Lane,
	ctx: Ctx,
	device: Device,
	number: number,
	pointer: number,
): Idev {
	if (lane.op !== undefined) lane.op.saw |= SAW.bound;
	ctx.bound++;
	const { group } = device;
	if (group !== undefined) {
		// The first claim in this trace made the group object too: its list is known from here on.
		if (group.igroup?.ctx !== ctx && group.ownerCount <= 1) {
			const igroup = igroupOf(ctx, group);
			igroup.ref = 1;
			igroup.known = true;
			state.emit(lane, "ig.created", ctx.id, {
				ctx: ctx.id,
				group: group.id,
			});
		} else refer(state, lane, igroupOf(ctx, group), 1);
	}
	const idev = state.ids.newIdev(ctx, number, pointer, device);
	idev.attached = 0;
	state.emit(lane, "dev.bound", device.id, {
		dev: device.id,
		ctx: ctx.id,
		idev: idev.id,
		// No probe tells whether the device can enforce coherency; docs/traces.md says so.
		cc: false,
	});
	return idev;
}

function refer(state: State, lane: Lane, igroup: Igroup, by: number): void {
	igroup.ref += by;
	const { ctx, group, ref } = igroup;
	if (ref === 0) {
		group.igroup = undefined;
		state.emit(lane, "ig.freed", ctx.id, { ctx: ctx.id, group: group.id });
	} else if (ref > 0)
		state.emit(lane, "ig.ref", ctx.id, { ctx: ctx.id, group: group.id, ref });
}

/** iommufd_device_unbind entry. */
export function onUnbindIn(state: State, lane: Lane): void {
	const idev = idevAt(state, lane);
	const frame = enter(lane, {
		kind: "ifd_unbind",
		device: idev?.device,
		ctx: idev?.ctx,
	});
	if (lane.op === undefined && idev !== undefined) {
		const { device } = idev;
		frame.op = beginOp(
			state,
			lane,
			state.line.t,
			"unbind",
			device.id,
			{ dev: device.id },
			undefined,
		);
	}
}

/** The unbind is complete: the object's id is free again. */
export function unbound(state: State, lane: Lane): void {
	const frame = leave(lane, "ifd_unbind");
	const device = frame?.device;
	const idev = device?.idev;
	if (device === undefined || idev === undefined) return;
	forgetIdev(state, lane, idev);
	if (frame?.op !== undefined) endOp(state, lane, state.line.t, 0);
}

/** Records an unbind. */
export function forgetIdev(state: State, lane: Lane, idev: Idev): void {
	const { ctx, device } = idev;
	if (lane.op !== undefined) lane.op.saw |= SAW.unbound;
	state.ids.idevs.delete(idev.pointer);
	ctx.idevs.delete(idev.number);
	device.idev = undefined;
	const igroup = device.group?.igroup;
	if (igroup?.ctx === ctx) {
		const at = igroup.list.indexOf(device);
		if (at >= 0) igroup.list.splice(at, 1);
		refer(state, lane, igroup, -1);
	}
	state.emit(lane, "dev.unbound", device.id, { dev: device.id, idev: idev.id });
	ctx.bound = Math.max(0, ctx.bound - 1);
}

/** `fd` of a context whose file was closed. */
export const CLOSED_FD = -2;

/** A closed file whose last device is gone: everything left in the context goes (facts §1.6). */
export function closeIfDone(state: State, lane: Lane, ctx: Ctx): void {
	if (ctx.fd !== CLOSED_FD || ctx.bound > 0 || ctx.closed) return;
	ctx.closed = true;
	for (const ioas of ctx.ioases.values()) loseIoas(state, lane, ioas);
	if (state.ids.contexts.get(ctx.pointer) === ctx)
		state.ids.contexts.delete(ctx.pointer);
	state.emit(lane, "ctx.closed", ctx.id, { ctx: ctx.id });
}
