/**
 * Operations: `op.begin` … `op.commit` or `op.fail` around what one task did in one call. They come from the user-space calls
 * (calls.ndjson), from `lab: B` / `lab: E` markers, or, where neither exists, from the probes' own brackets
 * (ifd_attach_in … ifd_attach_ret). The outermost one wins: brackets inside a call open no operation of their own.
 */
import type { ErrnoName } from "../vocabulary/errno.ts";
import { errnoName } from "../vocabulary/errno.ts";
import type { Json, U64 } from "../vocabulary/fields.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import type { Call } from "./call.ts";
import type { Ctx, Device, Ioas } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import type { OpRef, Place } from "./output.ts";
import type { State } from "./state.ts";

/** What the probes have already recorded inside an operation, so that the call's own effects are not recorded twice. */
export const SAW = {
	bound: 1,
	unbound: 2,
	attached: 4,
	detached: 8,
	hwpt: 16,
	areaLive: 32,
	areaGone: 64,
	gone: 128,
	type1: 256,
	claimed: 512,
	released: 1024,
} as const;

/** An operation under way. */
export interface Op extends OpRef {
	readonly name: string;
	readonly actor: ActorId;
	readonly call: Call | undefined;
	/** Bits of SAW. */
	saw: number;
	/** The innermost probed function that returned an error last. */
	failedStep: string | undefined;
	failedErrno: ErrnoName | undefined;
	/** The objects that the call names, when known. */
	ctx: Ctx | undefined;
	ioas: Ioas | undefined;
	device: Device | undefined;
	/** The place of an area whose map has not answered yet (markers). */
	area: Place | undefined;
	/** Where the first map inside the call went. */
	firstMap: U64 | undefined;
	/** Places of areas whose unmap has not answered yet (markers). */
	readonly draining: { readonly iova: U64; readonly place: Place }[];
}

/** Starts an operation on the lane and writes its op.begin. */
export function beginOp(
	state: State,
	lane: Lane,
	t: number,
	name: string,
	actor: ActorId,
	args: Json,
	call: Call | undefined,
): Op {
	const op: Op = {
		seq: 0,
		name,
		actor,
		call,
		saw: 0,
		failedStep: undefined,
		failedErrno: undefined,
		ctx: undefined,
		ioas: undefined,
		device: undefined,
		area: undefined,
		firstMap: undefined,
		draining: [],
	};
	lane.op = op;
	state.out.begin(t, actor, { op: name, args, task: String(lane.pid) }, op);
	return op;
}

/** Ends the lane's operation. `errno` 0 is success. */
export function endOp(
	state: State,
	lane: Lane,
	t: number,
	errno: number,
	result?: Json,
): void {
	const { op } = lane;
	if (op === undefined) return;
	lane.op = undefined;
	if (errno === 0) {
		const data = result === undefined ? {} : { result };
		state.out.emit(t, "op.commit", op.actor, data, op);
		return;
	}
	const name = errnoName(errno);
	if (name === undefined) state.unexplained(`errno ${errno} is not known`);
	state.out.emit(
		t,
		"op.fail",
		op.actor,
		{
			errno: name ?? "EIO",
			step: op.failedStep ?? "unknown",
			...(result === undefined ? {} : { result }),
		},
		op,
	);
}

/** Notes that a probed function inside the lane's operation returned an error. */
export function noteFailure(lane: Lane, step: string, ret: number): void {
	const { op } = lane;
	if (op === undefined) return;
	op.failedStep = step;
	op.failedErrno = errnoName(ret);
}

/** Ends an operation that the probes' own bracket began; one of a call goes on to the call's end. */
export function endBracket(
	state: State,
	lane: Lane,
	name: string,
	errno: number,
): void {
	const { op } = lane;
	if (op !== undefined && op.call === undefined && op.name === name)
		endOp(state, lane, state.line.t, errno);
}
