/**
 * How a transaction that another one calls for begins: who runs it, and what it is told. Views are read here, at the moment of the call,
 * as the kernel's callers look objects up before they take the group's lock.
 */
import type { HwptView, Step } from "../../machines/steps.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type {
	ActorId,
	CtxId,
	DeviceId,
	GroupId,
	HwptId,
} from "../vocabulary/ids.ts";
import { contextOf } from "../vocabulary/ids.ts";
import type { Executor } from "./executor.ts";
import type { Role } from "./flows.ts";
import { ownsByGroup } from "./flows.ts";

/** A call that can begin. */
export interface Call {
	readonly role: Role;
	readonly owner: ActorId;
	readonly begin: { readonly type: "BEGIN" };
}
/** A call that cannot: what it names does not exist. */
export interface NoCall {
	readonly ok: false;
	readonly errno: ErrnoName;
}

/** A call and its BEGIN, written as one literal: adding fields to an object that began with a spread takes V8 microseconds. */
const call = (
	role: Role,
	owner: ActorId,
	begin: { readonly type: "BEGIN"; readonly [field: string]: unknown },
): Call => ({ role, owner, begin });
const MISSING: NoCall = { ok: false, errno: "ENOENT" };
/** The only pasid user space can name in 6.12 (facts §2.0). */
const PASID = "none";

/** What a device translates through by the books: the group's hwpt, or in the 2023 flows the device's own pointer. */
export function attachedTo(x: Executor, dev: DeviceId): HwptId | null {
	const { switches } = x.parts.outside;
	if (!ownsByGroup(switches.flow)) return x.device(dev).hwpt;
	return x.group(x.parts.outside.groupOf(dev)).hwpt;
}

const contextFor = (x: Executor, dev: DeviceId, to: HwptView): CtxId =>
	x.device(dev).ctx ?? contextOf(to.hwpt);

function beginSwitch(x: Executor, step: Step<"call.switch">): Call {
	const { outside } = x.parts;
	const group = step.to as GroupId;
	const made = step.dom === undefined ? null : x.domainOf(step.dom).shape;
	const first = x.group(group).members[0];
	const own =
		first === undefined ? undefined : outside.device(first.dev).ops.name;
	return call("switch", group, {
		type: "BEGIN",
		args: step,
		view: x.group(group),
		foreign: made !== null && made.driver !== own,
		checkReplace: outside.switches.replaceChecksOwner,
		slots: ownsByGroup(outside.switches.flow),
	});
}

function beginReplace(x: Executor, step: Step<"call.replace">): Call | NoCall {
	const to = x.hwptView(step.hwpt);
	if (to === undefined) return MISSING;
	const from = attachedTo(x, step.dev);
	const { sameIoasUnreserve, msiLearnedOnAttachOnly, replaceByUnattached } =
		x.parts.outside.switches;
	const group = x.parts.outside.groupOf(step.dev);
	return call("replace", group, {
		type: "BEGIN",
		dev: step.dev,
		ctx: contextFor(x, step.dev, to),
		group,
		pasid: PASID,
		to,
		from: from === null ? null : (x.hwptView(from) ?? null),
		sameIoasUnreserve,
		msiLearnedOnAttachOnly,
		replaceByUnattached,
	});
}

function beginDetach(x: Executor, dev: DeviceId): Call | NoCall {
	const from = attachedTo(x, dev);
	const to = from === null ? undefined : x.hwptView(from);
	if (to === undefined) return MISSING;
	const group = x.parts.outside.groupOf(dev);
	return call("detach", group, {
		type: "BEGIN",
		dev,
		ctx: contextFor(x, dev, to),
		group,
		pasid: PASID,
		to,
	});
}

/** Says how a called transaction begins. */
export function beginCall(x: Executor, step: Step): Call | NoCall {
	switch (step.type) {
		case "call.switch":
			return beginSwitch(x, step);
		case "call.attach": {
			const to = x.hwptView(step.hwpt);
			if (to === undefined) return MISSING;
			const group = x.parts.outside.groupOf(step.dev);
			return call("attach", group, {
				type: "BEGIN",
				dev: step.dev,
				ctx: contextFor(x, step.dev, to),
				group,
				pasid: PASID,
				to,
				laterCookie: !x.parts.outside.switches.msiLearnedOnAttachOnly,
			});
		}
		case "call.replace":
			return beginReplace(x, step);
		case "call.detach":
			return beginDetach(x, step.dev);
		case "call.put":
			return call("put", contextOf(step.hwpt), { type: "BEGIN", args: step });
		case "call.free": {
			const of = x.hwptView(step.hwpt);
			if (of === undefined) return MISSING;
			return call("free", contextOf(step.hwpt), {
				type: "BEGIN",
				ctx: contextOf(step.hwpt),
				args: step,
				of,
			});
		}
		case "call.auto":
			return call("auto", contextOf(step.ioas), { type: "BEGIN", args: step });
		case "call.alloc":
			return call("alloc", contextOf(step.ioas), {
				type: "BEGIN",
				ctx: contextOf(step.ioas),
				args: step,
				dom: x.parts.outside.nextDomain,
				cc: x.device(step.dev).cc,
				fills: ownsByGroup(x.parts.outside.switches.flow),
			});
		case "call.destroy":
			return call("destroy", step.to, {
				type: "BEGIN",
				ctx: step.to as CtxId,
				id: step.id,
			});
		default:
			throw new Error(`${step.type} is not a call`);
	}
}
