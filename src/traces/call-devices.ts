/** Effects of calls on contexts and devices, when no probe has told them: open, close, bind, attach, detach. */
import { countOf } from "./call.ts";
import type { CallScope } from "./call-ops.ts";
import type { Ctx, Device, Hwpt } from "./identity.ts";
import { addUsers, listAdd } from "./on-attach.ts";
import {
	bound,
	CLOSED_FD,
	closeIfDone,
	forgetIdev,
	igroupOf,
} from "./on-context.ts";
import { hwptLive } from "./on-objects.ts";
import { claimed, released } from "./on-owner.ts";
import { SAW } from "./ops.ts";

/** open("/dev/iommu"). */
export function iommufdOpened({ state, lane, call }: CallScope): void {
	if (call.errno !== 0 || call.ret < 0) return;
	const old = state.ids.contextsByFd.get(call.ret);
	if (old !== undefined) old.fd = -1;
	const ctx = state.ids.newCtx(Number.NaN, call.ret);
	state.emit(lane, "ctx.opened", ctx.id, { ctx: ctx.id, kind: "iommufd" });
}

/** close of an iommufd file: devices still bound keep the context (facts/trace-formats.md §5, E30). */
export function iommufdClosed({ state, lane, call }: CallScope): void {
	const fd = countOf(call.args, "fd");
	const ctx = state.ids.contextsByFd.get(fd);
	if (ctx === undefined) return;
	state.ids.contextsByFd.delete(fd);
	ctx.fd = CLOSED_FD;
	closeIfDone(state, lane, ctx);
}

/** close of a device file: an unbind, and the end of a context whose own file was closed before. */
export function cdevClosed(scope: CallScope): void {
	unbindUntold(scope);
	const { state, lane, ctx } = scope;
	if (ctx !== undefined) closeIfDone(state, lane, ctx);
}

function unbindUntold({ state, lane, call, op, device }: CallScope): void {
	state.calls.deviceOfFd.delete(countOf(call.args, "fd"));
	const idev = device?.idev;
	if (idev === undefined || op === undefined || idev.probed) return;
	if ((op.saw & SAW.unbound) !== 0) return;
	if (idev.fd !== countOf(call.args, "fd")) return;
	state.attributed("unbind: from the call's result");
	const { group } = idev.device;
	const traced = state.report.lines > 0;
	if (group !== undefined && traced && (op.saw & SAW.released) === 0)
		released(state, lane, group, Math.max(0, group.ownerCount - 1));
	forgetIdev(state, lane, idev);
}

/** VFIO_DEVICE_BIND_IOMMUFD. */
export function bindDone(scope: CallScope): void {
	const { state, lane, call, op, device } = scope;
	if (call.errno !== 0 || op === undefined) return;
	const fd = countOf(call.args, "iommufd");
	if (op.ctx !== undefined && !Number.isNaN(fd)) {
		op.ctx.fd = fd;
		state.ids.contextsByFd.set(fd, op.ctx);
	}
	const fileOfDevice = countOf(call.args, "fd");
	if (device?.idev !== undefined && (op.saw & SAW.bound) !== 0)
		device.idev.fd = fileOfDevice;
	if ((op.saw & SAW.bound) !== 0 || device === undefined) return;
	const ctx: Ctx = op.ctx ?? state.ids.newCtx(Number.NaN, fd);
	op.ctx = ctx;
	learnGroup(scope, device);
	state.attributed("bind: from the call's result");
	const { group } = device;
	const traced = state.report.lines > 0;
	if (group !== undefined && traced && (op.saw & SAW.claimed) === 0)
		claimed(state, lane, group, ctx);
	const id = countOf(call.out, "dev_id");
	bound(state, lane, ctx, device, id, Number.NaN).fd = fileOfDevice;
}

/** Calls may name the group's number. */
function learnGroup({ state, lane, call }: CallScope, device: Device): void {
	const group = countOf(call.args, "group");
	if (device.group === undefined && !Number.isNaN(group))
		state.learnMember(lane, state.ids.group(group), device);
}

/** The hwpt a successful attach ended on: the number it returned. */
function target({ state, lane, call, op }: CallScope): Hwpt | undefined {
	const ctx = op?.ctx;
	if (ctx === undefined) return undefined;
	const asked = countOf(call.args, "pt_id");
	const told = countOf(call.out, "pt_id");
	const number = Number.isNaN(told) ? asked : told;
	const known = ctx.hwpts.get(number);
	if (known !== undefined || Number.isNaN(number)) return known;
	const ioas = ctx.ioases.get(asked);
	if (ioas === undefined || number === asked) return undefined;
	// An automatic hwpt made inside the call.
	const domain = state.ids.newDomain(Number.NaN);
	state.emit(lane, "dom.created", domain.id, {
		dom: domain.id,
		kind: "unmanaged",
	});
	const hwpt = state.ids.newHwpt(ctx, number, Number.NaN, domain);
	hwpt.auto = true;
	hwpt.live = true;
	hwpt.ioas = ioas;
	hwpt.users = 1;
	hwptLive(state, lane, hwpt, ioas);
	return hwpt;
}

/** What the attach reserved is in no line of a trace without those probes: their absence proves nothing. */
function noReservations({ state, lane }: CallScope): void {
	if (state.report.lines === 0) return;
	state.undecided("reservations: no probe");
	state.emit(lane, "trace.lost", "host", {
		n: 0,
		why: "reservations are not in this trace (no probe)",
	});
}

/** VFIO_DEVICE_ATTACH_IOMMUFD_PT: attach, or replace when already attached. */
export function attachDone(scope: CallScope): void {
	const { state, lane, call, op, device } = scope;
	if (call.errno !== 0 || op === undefined || device === undefined) return;
	if ((op.saw & SAW.attached) !== 0) return;
	const hwpt = target(scope);
	if (hwpt === undefined || op.ctx === undefined)
		return state.undecided("attach to an object not seen before");
	learnGroup(scope, device);
	const { group, idev } = device;
	if (group === undefined) return state.undecided("attach in an unknown group");
	state.attributed("attach: from the call's result");
	noReservations(scope);
	const again = idev?.attached === 1;
	if (idev !== undefined) idev.attached = 1;
	const igroup = igroupOf(op.ctx, group);
	const from = igroup.hwpt;
	const dev = device.id;
	if (again && from === hwpt) {
		state.emit(lane, "dev.replace.noop", dev, { dev, hwpt: hwpt.id });
		return;
	}
	if (from !== hwpt) {
		igroup.hwpt = hwpt;
		state.emit(lane, "ig.hwpt.set", op.ctx.id, {
			ctx: op.ctx.id,
			group: group.id,
			hwpt: hwpt.id,
			...(from === undefined ? {} : { from: from.id }),
		});
	}
	if (again) {
		const n = igroup.list.length;
		if (igroup.known) {
			addUsers(state, lane, hwpt, n);
			if (from !== undefined) addUsers(state, lane, from, -n);
		}
		if (from !== undefined)
			state.emit(lane, "dev.replaced", dev, {
				dev,
				from: from.id,
				hwpt: hwpt.id,
			});
		return;
	}
	addUsers(state, lane, hwpt, 1);
	listAdd(state, lane, igroup, device, hwpt);
	const first = from === undefined;
	state.emit(lane, "dev.attached", dev, { dev, hwpt: hwpt.id, first });
}

/** VFIO_DEVICE_DETACH_IOMMUFD_PT: 0 also when nothing was attached (facts §5, E10). */
export function detachDone(scope: CallScope): void {
	const { state, lane, call, op, device } = scope;
	if (call.errno !== 0 || op === undefined || device === undefined) return;
	if ((op.saw & SAW.detached) !== 0) return;
	const { group, idev } = device;
	if (idev?.attached !== 1 || group?.igroup === undefined) return;
	const { igroup } = group;
	idev.attached = 0;
	state.attributed("detach: from the call's result");
	const { hwpt, ctx } = igroup;
	const at = igroup.list.indexOf(device);
	if (at >= 0) igroup.list.splice(at, 1);
	const common = { ctx: ctx.id, group: group.id };
	state.emit(lane, "ig.list.remove", ctx.id, { ...common, dev: device.id });
	const last = igroup.known && igroup.list.length === 0;
	if (last) {
		igroup.hwpt = undefined;
		state.emit(lane, "ig.hwpt.cleared", ctx.id, common);
	}
	if (hwpt !== undefined) addUsers(state, lane, hwpt, -1);
	state.emit(lane, "dev.detached", device.id, {
		dev: device.id,
		...(hwpt === undefined ? {} : { hwpt: hwpt.id }),
		last,
	});
}
