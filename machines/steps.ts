/**
 * The language between machines. A step is a plain-data request that a transaction makes of the entity named in `to`; the
 * entity decides and leaves its `Answer`, whose facts become the step's records. Steps of type "call.*" are not sent to an
 * entity: the executor runs the transaction of that name to its end and answers with its outcome.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type {
	ActorId,
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	HwptId,
	IdevId,
	IoasId,
	ObjectId,
} from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";

/** A process address space id of an attachment; "none" is the plain one (DESIGN §3). */
export type Pasid = string;
/** What transactions must know of a hwpt that its life long stays the same (facts §0.3). */
export interface HwptView {
	readonly hwpt: HwptId;
	readonly dom: DomainId;
	readonly ioas: IoasId;
	readonly auto: boolean;
	/** Carries a fault queue, so attaching enables page requests. */
	readonly fault: boolean;
}

/** Arguments of each step, by type. */
export interface StepArgs {
	// iommu-group, ownership region (iommu core)
	"grp.member.add": { readonly dev: DeviceId; readonly requireDirect: boolean };
	"grp.member.remove": { readonly dev: DeviceId };
	"grp.default.set": { readonly dom: DomainId };
	"grp.blocking.set": { readonly dom: DomainId };
	"grp.claim": { readonly owner: CtxId };
	"grp.own": { readonly owner: CtxId };
	"grp.release": object;
	"grp.domain.set": { readonly dom: DomainId; readonly torn: boolean };
	"grp.torn": object;
	"grp.handle.set": {
		readonly pasid: Pasid;
		readonly dev: DeviceId;
		readonly dom: DomainId;
	};
	"grp.handle.clear": { readonly pasid: Pasid };
	// iommu-group, attachment region (iommufd's group)
	"ig.get": { readonly ctx: CtxId };
	"ig.put": { readonly ctx: CtxId };
	"ig.lock": object;
	"ig.unlock": object;
	"ig.msi.set": { readonly start: number | bigint };
	"ig.hwpt.set": { readonly hwpt: HwptId };
	"ig.hwpt.clear": object;
	"ig.list.add": { readonly dev: DeviceId; readonly hwpt: HwptId };
	"ig.list.remove": { readonly dev: DeviceId };
	// device
	"hw.attach": {
		readonly dom: DomainId;
		readonly blocking: boolean;
		readonly undo: boolean;
	};
	"dev.bind": { readonly ctx: CtxId; readonly idev: IdevId };
	"dev.check.detached": object;
	"dev.unbind": object;
	"dev.attach": { readonly hwpt: HwptId; readonly first: boolean };
	"dev.detach": { readonly hwpt: HwptId; readonly last: boolean };
	"dev.replaced": { readonly from: HwptId; readonly hwpt: HwptId };
	"dev.replace.noop": { readonly hwpt: HwptId };
	"idev.hwpt.set": { readonly hwpt: HwptId | null; readonly undo: boolean };
	"fault.iopf.on": object;
	"fault.iopf.off": object;
	// hwpt
	"hwpt.reserve": { readonly ctx: CtxId; readonly ioas: IoasId };
	"hwpt.build": {
		readonly dom: DomainId;
		readonly cc: boolean;
	};
	"hwpt.publish": { readonly auto: boolean };
	"hwpt.destroy": { readonly auto: boolean };
	"hwpt.gone": { readonly undo: boolean };
	"fault.answer": object;
	"hwpt.devices.look": { readonly group: GroupId };
	"hwpt.devices.add": {
		readonly group: GroupId;
		readonly dev: DeviceId;
		readonly undo: boolean;
	};
	"hwpt.devices.remove": {
		readonly group: GroupId;
		readonly dev: DeviceId;
		readonly undo: boolean;
	};
	// counts, of a hwpt or an IOAS
	"obj.get": {
		readonly n: number;
		readonly why: string;
		readonly undo?: boolean;
	};
	"obj.put": {
		readonly n: number;
		readonly why: string;
		readonly undo?: boolean;
	};
	// domain
	"dom.create": { readonly kind: string; readonly dev?: DeviceId };
	"dom.cc": object;
	"dom.msi.cookie": object;
	"dom.free": { readonly undo: boolean };
	// ioas
	"ioas.create": object;
	"ioas.destroy": object;
	"ioas.gone": { readonly undo: boolean };
	"resv.add": {
		readonly dev: DeviceId;
		readonly attaching: boolean;
		readonly undo?: boolean;
	};
	"resv.drop": { readonly owner: ActorId; readonly undo: boolean };
	"iopt.add": {
		readonly dom: DomainId;
		readonly hwpt: HwptId;
		readonly undo?: boolean;
	};
	"iopt.remove": {
		readonly dom: DomainId;
		readonly hwpt: HwptId;
		readonly undo: boolean;
	};
	"hwpt.link": { readonly hwpt: HwptId; readonly auto: boolean };
	"hwpt.unlink": { readonly hwpt: HwptId; readonly undo: boolean };
	"ioas.candidates": object;
	// context (id table)
	"ctx.open": object;
	"ctx.close": object;
	"id.reserve": { readonly kind: "hwpt" | "ioas" | "idev" };
	"id.publish": { readonly obj: ObjectId };
	"id.free": { readonly obj: ObjectId };
	"id.look": { readonly id: number };
	"id.list": object;
	"destroy.refused": {
		readonly id: number;
		readonly errno: ErrnoName;
		readonly obj?: ObjectId;
	};
	// the outside: memory for a handle, the copy of the answer to user space, the platform's word on a device
	"handle.alloc": object;
	"handle.free": object;
	resp: object;
	"bind.coherent": object;
	"bind.isolated": object;
	// other transactions
	"call.switch": {
		readonly how: "attach" | "replace" | "detach" | "block" | "release";
		readonly dev: DeviceId;
		readonly pasid: Pasid;
		/** What to switch to; absent for detach, block and release, which know it. */
		readonly dom?: DomainId;
		readonly undo: boolean;
	};
	"call.attach": { readonly dev: DeviceId; readonly hwpt: HwptId };
	"call.replace": { readonly dev: DeviceId; readonly hwpt: HwptId };
	"call.detach": { readonly dev: DeviceId };
	"call.auto": {
		readonly dev: DeviceId;
		readonly ioas: IoasId;
		readonly how: "attach" | "replace";
	};
	"call.alloc": {
		readonly dev: DeviceId;
		readonly ioas: IoasId;
		readonly auto: "no" | "attach" | "replace";
	};
	"call.free": { readonly hwpt: HwptId; readonly auto: boolean };
	"call.put": { readonly hwpt: HwptId };
	"call.destroy": { readonly id: number };
	// sagas: the n-th command of the plan; one command of the way back, which answers whether it was the last of its phase
	"saga.do": { readonly n: number };
	"saga.back": {
		readonly phase: "bind" | "switch" | "attach" | "unmap" | "tidy";
	};
	/** The end of the transaction itself. */
	return:
		| { readonly ok: true; readonly value?: unknown }
		| { readonly ok: false; readonly errno: ErrnoName; readonly step: string };
}
/** The name of a step. */
export type StepType = keyof StepArgs;
/** A step: an event for the entity `to`. `failable`: what a failing allocation or copy here would say (fail-nth). */
export type Step<T extends StepType = StepType> = T extends StepType
	? {
			readonly type: T;
			readonly to: ActorId;
			readonly failable?: ErrnoName;
		} & StepArgs[T]
	: never;

/** A step as it is written down in a machine; exists for its type inference. Whole literals, since spreading arguments into one costs V8 four times as much. */
export const ask = (step: Step): Step => step;

/** A message that an entity wants another one to get. */
export interface Tell {
	readonly to: ActorId;
	readonly type: string;
	readonly [field: string]: unknown;
}
/** What an entity says to a step. `facts` become records in both cases; `tells` are delivered before anything else happens. */
export type Answer =
	| {
			readonly ok: true;
			readonly value?: unknown;
			readonly facts: readonly Fact[];
			readonly tells?: readonly Tell[];
	  }
	| {
			readonly ok: false;
			readonly errno: ErrnoName;
			/** Where inside the step it failed, when that is known more exactly than by the step's name. */
			readonly at?: string;
			readonly value?: unknown;
			readonly facts: readonly Fact[];
			readonly tells?: readonly Tell[];
	  };
/** What every entity's context carries. */
export interface Answering {
	readonly answer: Answer;
}

const NOTHING: readonly Fact[] = [];
/** A plain yes. */
export const YES: Answer = { ok: true, facts: NOTHING };
/** A yes with facts, and perhaps a value. */
export const yes = (
	facts: readonly Fact[],
	value?: unknown,
	tells?: readonly Tell[],
): Answer =>
	tells === undefined
		? { ok: true, facts, value }
		: { ok: true, facts, value, tells };
/** A refusal. */
export const no = (
	errno: ErrnoName,
	facts: readonly Fact[] = NOTHING,
	at?: string,
	tells?: readonly Tell[],
): Answer => ({
	ok: false,
	errno,
	facts,
	...(at === undefined ? {} : { at }),
	...(tells ? { tells } : {}),
});
/** The answer to what a machine in this state cannot be asked: recorded, never dropped. The kernel has no such call. */
export const refuseUnexpected = (): { readonly answer: Answer } => ({
	answer: no("EINVAL", NOTHING, "unexpected"),
});

/** A record's data, with `undo: true` when it is one: records carry the flag only when set. */
export const undoing = <D extends object>(
	undo: boolean | undefined,
	data: D,
): D & { readonly undo?: true } =>
	undo === true ? { ...data, undo: true } : data;
