/** Begin and end of one user-space call: its operation, and the effects that no probe has told. */
import type { Json } from "../vocabulary/fields.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import type { Call } from "./call.ts";
import { countOf, textOf } from "./call.ts";
import {
	attachDone,
	bindDone,
	cdevClosed,
	detachDone,
	iommufdClosed,
	iommufdOpened,
} from "./call-devices.ts";
import { dmaDone } from "./call-dma.ts";
import {
	allowDone,
	copyBegun,
	copyDone,
	destroyDone,
	hwptDone,
	ioasAllocated,
	mapBegun,
	mapDone,
	mapOpened,
	rangesDone,
	unmapBegun,
	unmapDone,
	unmapOpened,
} from "./call-objects.ts";
import {
	containerOpened,
	setIommuDone,
	type1MapBegun,
	type1MapDone,
	type1UnmapDone,
} from "./call-type1.ts";
import type { Ctx, Device, Ioas } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import type { Op } from "./ops.ts";
import { beginOp, endOp } from "./ops.ts";
import { settle } from "./pending.ts";
import type { State } from "./state.ts";

export { mapAreaNow } from "./call-objects.ts";

/** What a handler of a call works on. */
export interface CallScope {
	readonly state: State;
	readonly lane: Lane;
	readonly call: Call;
	readonly op: Op | undefined;
	readonly ctx: Ctx | undefined;
	readonly device: Device | undefined;
}
type Handler = (scope: CallScope) => void;

/** How a call is shown: its operation ("" = none), and what it does at its begin (outcome known) and at its end. */
interface CallKind {
	readonly op: string;
	readonly begin?: Handler;
	/** At its begin when the outcome is not known yet (markers). */
	readonly open?: Handler;
	readonly end?: Handler;
}

const CALLS: { readonly [name: string]: CallKind | undefined } = {
	OPEN_IOMMUFD: { op: "", end: iommufdOpened },
	CLOSE_IOMMUFD: { op: "close", end: iommufdClosed },
	OPEN_CDEV: {
		op: "",
		end: ({ state, call }) => {
			const fd = call.ret;
			const dev = textOf(call.args, "dev");
			if (fd >= 0 && dev !== "") state.calls.deviceOfFd.set(fd, dev);
		},
	},
	CLOSE_CDEV: { op: "unbind", end: cdevClosed },
	CLOSE_DEVICE: { op: "close" },
	VFIO_DEVICE_BIND_IOMMUFD: { op: "bind", end: bindDone },
	VFIO_DEVICE_ATTACH_IOMMUFD_PT: { op: "attach", end: attachDone },
	VFIO_DEVICE_DETACH_IOMMUFD_PT: { op: "detach", end: detachDone },
	IOMMU_IOAS_ALLOC: { op: "ioas-alloc", end: ioasAllocated },
	IOMMU_IOAS_MAP: {
		op: "map",
		begin: mapBegun,
		open: mapOpened,
		end: mapDone,
	},
	IOMMU_IOAS_COPY: { op: "copy", begin: copyBegun, end: copyDone },
	IOMMU_IOAS_UNMAP: {
		op: "unmap",
		begin: unmapBegun,
		open: unmapOpened,
		end: unmapDone,
	},
	IOMMU_IOAS_IOVA_RANGES: { op: "iova-ranges", end: rangesDone },
	IOMMU_IOAS_ALLOW_IOVAS: { op: "allow-iovas", end: allowDone },
	IOMMU_HWPT_ALLOC: { op: "hwpt-alloc", end: hwptDone },
	IOMMU_HWPT_INVALIDATE: { op: "hwpt-invalidate" },
	IOMMU_DESTROY: { op: "destroy", end: destroyDone },
	IOMMU_OPTION: { op: "option" },
	IOMMU_GET_HW_INFO: { op: "get-hw-info" },
	SYSFS_WRITE: { op: "sysfs-write" },
	EDU_DMA: { op: "", end: dmaDone },
	// The device's read is not fetched: nothing is known of its outcome.
	EDU_DMA_READ: { op: "" },
	OPEN_CONTAINER: { op: "", end: containerOpened },
	VFIO_SET_IOMMU: { op: "set-iommu", end: setIommuDone },
	VFIO_GROUP_SET_CONTAINER: { op: "set-container" },
	VFIO_GROUP_UNSET_CONTAINER: { op: "unset-container" },
	VFIO_IOMMU_MAP_DMA: {
		op: "type1-map",
		begin: type1MapBegun,
		end: type1MapDone,
	},
	VFIO_IOMMU_UNMAP_DMA: { op: "type1-unmap", end: type1UnmapDone },
};

/** The name of an operation that has no row: IOMMU_BADNR → "iommu-badnr". */
const plainName = (name: string): string =>
	name.toLowerCase().replaceAll("_", "-").slice(0, 40);

/** The call begins. */
export function beginCall(state: State, call: Call): void {
	const kind = CALLS[call.name];
	const lane = state.lanes.of(call.tid, 0, 0);
	const kept = state.line.t;
	state.line.t = call.t;
	if (lane.open) settle(state, lane, 0);
	lane.frames.length = 0;
	if (kind?.op !== "") {
		const ctx = ctxOf(state, call);
		const device = deviceOf(state, call);
		const name = operationName(kind?.op ?? plainName(call.name), device);
		const actor: ActorId = device?.id ?? ctx?.id ?? "host";
		const op = beginOp(
			state,
			lane,
			call.t,
			name,
			actor,
			argsOf(call.args, device),
			call,
		);
		op.ctx = ctx;
		op.device = device;
		const asked = countOf(call.args, "ioas_id");
		op.ioas =
			ctx === undefined
				? onlyIoas(state, asked)
				: (ctx.ioases.get(asked) ??
					ctx.ioases.get(countOf(call.args, "pt_id")));
		const scope = { state, lane, call, op, ctx, device };
		if (!call.known) kind?.open?.(scope);
		else if (call.errno === 0) kind?.begin?.(scope);
	}
	state.line.t = kept;
}

/** VFIO has one call for both: an attached device is replaced (facts/trace-formats.md §4.5). */
function operationName(name: string, device: Device | undefined): string {
	return name === "attach" && device?.idev?.attached === 1 ? "replace" : name;
}

/** The call ends, at its own time or at that of its marker. */
export function endCall(state: State, call: Call, t = call.tEnd): void {
	const kind = CALLS[call.name];
	const lane = state.lanes.of(call.tid, 0, 0);
	const kept = state.line.t;
	state.line.t = t;
	if (lane.open) settle(state, lane, 0);
	lane.frames.length = 0;
	lane.destroying = undefined;
	const { op } = lane;
	const ctx = op?.ctx ?? ctxOf(state, call);
	const device = op?.device ?? deviceOf(state, call);
	kind?.end?.({ state, lane, call, op, ctx, device });
	if (op !== undefined && op.call === call)
		endOp(state, lane, t, call.errno, resultOf(call.out));
	state.line.t = kept;
}

function ctxOf(state: State, call: Call): Ctx | undefined {
	const { ids } = state;
	const own = call.name === "CLOSE_IOMMUFD" ? "fd" : "iommufd";
	const fd = countOf(call.args, own);
	const container = countOf(call.args, "container");
	const named = ids.contextsByFd.get(Number.isNaN(fd) ? container : fd);
	if (named !== undefined || !Number.isNaN(fd)) return named;
	const idev = deviceOf(state, call)?.idev;
	if (idev !== undefined) return idev.ctx;
	// Markers do not name the file: with one open there is no doubt.
	const [only, more] = ids.contextsByFd.values();
	return more === undefined ? only : undefined;
}

/** The IOAS with this number, when only one context has one (markers do not name the context). */
function onlyIoas(state: State, number: number): Ioas | undefined {
	const found: Ioas[] = [];
	for (const ioas of state.ids.ioases.values())
		if (ioas.number === number) found.push(ioas);
	return found.length === 1 ? found[0] : undefined;
}

function deviceOf(state: State, call: Call): Device | undefined {
	const name =
		textOf(call.args, "dev") ||
		state.calls.deviceOfFd.get(countOf(call.args, "fd"));
	return name === undefined || name === "" || name.length > 100
		? undefined
		: state.ids.device(name);
}

/** Arguments for the log: as they came, without what is written for people; the device in the log's own spelling. */
function argsOf(args: Call["args"], device: Device | undefined): Json {
	const { why: _why, ...rest } = args;
	return (device === undefined ? rest : { ...rest, dev: device.id }) as Json;
}

function resultOf(out: Call["out"]): Json | undefined {
	return Object.keys(out).length === 0 ? undefined : (out as Json);
}
