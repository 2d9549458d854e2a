/**
 * Runs the transactions of machines/ over plain state: the compiled definition asks for a step, answers-*.ts answer it, until it
 * returns. Steps "call.*" run another transaction. Step order, errno and undo order stay in machines/.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type { DeviceId, GroupId, HwptId } from "../../src/vocabulary/ids.ts";
import type { CompiledMachine } from "../compile.ts";
import { compileMachine, stepCompiled } from "../compile.ts";
import type { AnyDefinition } from "../define.ts";
import { attach } from "../attach.ts";
import { attachPt } from "../attach-pt.ts";
import { autoDomain } from "../auto-domain.ts";
import { bind } from "../bind.ts";
import { destroy } from "../destroy.ts";
import { detach } from "../detach.ts";
import { groupSwitch } from "../group-switch.ts";
import { hwptAlloc } from "../hwpt-alloc.ts";
import { hwptFree } from "../hwpt-free.ts";
import { hwptPut } from "../hwpt-put.ts";
import { ioasAlloc } from "../ioas-alloc.ts";
import { replace } from "../replace.ts";
import type { Answer as StepAnswer, HwptView, Step } from "../steps.ts";
import { no, YES, yes } from "../steps.ts";
import { unbind } from "../unbind.ts";
import {
	attachmentAnswers,
	boundIdev,
	deviceAnswers,
	groupView,
	idOf,
	ownershipAnswers,
} from "./answers-core.ts";
import {
	hwptAnswers,
	idAnswers,
	ioasAnswers,
	outsideAnswers,
} from "./answers-iommufd.ts";
import type { UserData } from "./driver.ts";
import { driverOf, igOf, pagingOf } from "./entities.ts";
import type { Exec, Pending } from "./exec.ts";
import { domainOf, emit, groupOf, objOf } from "./exec.ts";
import { destroyNested } from "./nested-destroy.ts";
import type { Respond } from "./ioas.ts";
import type { Answer, Idev, Ioas } from "./types.ts";

/** The transactions, compiled once. */
const MACHINES: ReadonlyMap<AnyDefinition, CompiledMachine> = new Map(
	[
		attach,
		attachPt,
		autoDomain,
		bind,
		destroy,
		detach,
		groupSwitch,
		hwptAlloc,
		hwptFree,
		hwptPut,
		ioasAlloc,
		replace,
		unbind,
	].map((d: AnyDefinition) => [d, compileMachine(d)]),
);
function machineOf(definition: AnyDefinition): CompiledMachine {
	const machine = MACHINES.get(definition);
	if (machine === undefined)
		throw new Error(`${definition.id} is not a transaction`);
	return machine;
}

const ANSWERS = {
	...ownershipAnswers,
	...attachmentAnswers,
	...deviceAnswers,
	...idAnswers,
	...hwptAnswers,
	...ioasAnswers,
	...outsideAnswers,
} as { readonly [type: string]: (x: Exec, s: Step) => StepAnswer };

type Returned = Step<"return">;

/** Runs a transaction to its end. */
function runTransaction(
	x: Exec,
	definition: AnyDefinition,
	begin: { readonly type: "BEGIN" },
): Returned {
	const machine = machineOf(definition);
	let { at, context } = stepCompiled(
		machine,
		machine.initial,
		machine.start(undefined),
		begin,
	);
	for (;;) {
		const s = (context as { readonly ask: Step }).ask;
		if (s.type === "return") return s;
		const answer = answerStep(x, s);
		emit(x, ...answer.facts);
		const event = answer.ok
			? { type: "DONE", value: answer.value }
			: { type: "FAILED", errno: answer.errno, step: answer.at ?? s.type };
		({ at, context } = stepCompiled(machine, at, context, event));
	}
}

function answerStep(x: Exec, s: Step): StepAnswer {
	if (s.type === "resp" && x.pending?.respond === undefined) return YES;
	if (s.failable !== undefined && x.env.fail?.(s.type) !== undefined)
		return no(s.failable);
	if (s.type.startsWith("call.")) return call(x, s);
	const answer = ANSWERS[s.type];
	if (answer === undefined) throw new Error(`no answer to step ${s.type}`);
	return answer(x, s);
}

/** What transactions know of a hwpt. */
export function hwptView(x: Exec, name: HwptId): HwptView {
	const h = objOf(x, idOf(name), "hwpt");
	const paging = pagingOf(x, h);
	return {
		hwpt: h.name,
		dom: h.dom,
		ioas: objOf(x, paging.ioas as number, "ioas").name,
		auto: h.auto,
		fault: h.fault !== undefined,
	};
}

const groupOfDevice = (x: Exec, dev: DeviceId): GroupId =>
	driverOf(x, dev).dev.group;

/** The hwpt a device's group is attached to, as detach and replace read it before the lock. */
function currentHwpt(x: Exec, dev: DeviceId): HwptView | null {
	const id = igOf(x, groupOfDevice(x, dev))?.hwpt;
	return id === undefined ? null : hwptView(x, objOf(x, id, "hwpt").name);
}

function attachBegin(x: Exec, dev: DeviceId, to: HwptView) {
	const group = groupOfDevice(x, dev);
	return { type: "BEGIN", dev, ctx: x.ctx, group, pasid: "none", to } as const;
}

function call(x: Exec, s: Step): StepAnswer {
	const returned = callTransaction(x, s);
	return returned.ok
		? yes([], returned.value)
		: no(returned.errno, [], returned.step);
}

function callTransaction(x: Exec, s: Step): Returned {
	const { ctx } = x;
	switch (s.type) {
		case "call.switch":
			return callSwitch(x, s);
		case "call.attach":
			return runTransaction(
				x,
				attach,
				attachBegin(x, s.dev, hwptView(x, s.hwpt)),
			);
		case "call.replace":
			return callReplace(x, s);
		case "call.detach": {
			const from = currentHwpt(x, s.dev);
			if (from === null) throw new Error(`${s.dev} is not attached`);
			return runTransaction(x, detach, attachBegin(x, s.dev, from));
		}
		case "call.auto":
			return runTransaction(x, autoDomain, {
				type: "BEGIN",
				ctx,
				args: s,
			} as never);
		case "call.alloc":
			return callAlloc(x, s);
		case "call.free":
			return callFree(x, s);
		case "call.put":
			return runTransaction(x, hwptPut, { type: "BEGIN", args: s } as never);
		default:
			throw new Error(`no transaction for ${s.type}`);
	}
}

function callSwitch(x: Exec, s: Step<"call.switch">): Returned {
	const group = s.to as GroupId;
	const head = groupOf(x, group).members[0];
	const foreign =
		s.dom !== undefined &&
		head !== undefined &&
		domainOf(x, s.dom).driver !== driverOf(x, head).ops.name;
	return runTransaction(x, groupSwitch, {
		type: "BEGIN",
		args: s,
		view: groupView(x, group),
		foreign,
		checkReplace: false,
	} as never);
}

function callReplace(x: Exec, s: Step<"call.replace">): Returned {
	return runTransaction(x, replace, {
		...attachBegin(x, s.dev, hwptView(x, s.hwpt)),
		from: currentHwpt(x, s.dev),
		sameIoasUnreserve: x.env.switches?.sameIoasUnreserve ?? true,
		msiLearnedOnAttachOnly: true,
		replaceByUnattached: false,
	} as never);
}

function callAlloc(x: Exec, s: Step<"call.alloc">): Returned {
	const outer = x.pending;
	if (s.auto !== "no") x.pending = { flags: 0, data: NO_DATA, dev: s.dev };
	const returned = runTransaction(x, hwptAlloc, {
		type: "BEGIN",
		ctx: x.ctx,
		args: s,
		dom: `domain:${x.host.nextDomain}`,
		cc: boundIdev(x, s.dev).cc,
		fills: true,
	} as never);
	x.pending = outer;
	return returned;
}

function callFree(x: Exec, s: Step<"call.free">): Returned {
	const h = objOf(x, idOf(s.hwpt), "hwpt");
	if (h.kind === "nested") {
		if (h.u > 1)
			return {
				type: "return",
				to: "host",
				ok: false,
				errno: "EBUSY",
				step: "hwpt.destroy",
			};
		destroyNested(x, h.id);
		return { type: "return", to: "host", ok: true };
	}
	const of = hwptView(x, h.name);
	return runTransaction(x, hwptFree, {
		type: "BEGIN",
		ctx: x.ctx,
		args: s,
		of,
	} as never);
}

const NO_DATA: UserData = { type: 0, length: 0 };

function withPending(x: Exec, pending: Pending, run: () => Returned): Returned {
	x.pending = pending;
	const returned = run();
	x.pending = undefined;
	return returned;
}
const failed = (r: Returned & { readonly ok: false }): Answer => ({
	errno: r.errno,
	step: r.step,
});

/** The switch of a whole group, for callers that have no hwpt. */
export const runSwitch = (x: Exec, s: Step<"call.switch">): Returned =>
	callSwitch(x, s);

/** IOAS_ALLOC. */
export function allocIoas(x: Exec, flags: number, respond: Respond): Answer {
	if (flags !== 0) return { errno: "EOPNOTSUPP", step: "flags" };
	const r = withPending(x, { flags: 0, data: NO_DATA, respond }, () =>
		runTransaction(x, ioasAlloc, { type: "BEGIN", ctx: x.ctx } as never),
	);
	return r.ok ? { out: { out_ioas_id: idOf(r.value as string) } } : failed(r);
}

/** The paging half of HWPT_ALLOC; flags and data have been checked. */
export function allocPaging(
	x: Exec,
	idev: Idev,
	ioas: Ioas,
	flags: number,
	data: UserData,
	respond: Respond,
): Answer {
	const nestParent = (flags & 1) !== 0;
	const pending = { dev: idev.dev, flags, data, nestParent, respond };
	const r = withPending(x, pending, () =>
		callAlloc(x, {
			type: "call.alloc",
			to: ioas.name,
			dev: idev.dev,
			ioas: ioas.name,
			auto: "no",
		}),
	);
	return r.ok ? { out: { out_hwpt_id: idOf(r.value as string) } } : failed(r);
}

/** Bind a device to the context; the id of its object. */
export function bindDevice(
	x: Exec,
	dev: DeviceId,
): { readonly id: number } | (Answer & { errno: ErrnoName }) {
	const r = runTransaction(x, bind, {
		type: "BEGIN",
		dev,
		ctx: x.ctx,
		group: groupOfDevice(x, dev),
		dom: `domain:${x.host.nextDomain}`,
	} as never);
	return r.ok
		? { id: idOf(r.value as string) }
		: { errno: r.errno, step: r.step };
}

/** Unbind a detached device. */
export function unbindDevice(x: Exec, dev: DeviceId): Answer {
	const idev = driverOf(x, dev).dev.idev ?? null;
	const group = groupOfDevice(x, dev);
	const r = runTransaction(x, unbind, {
		type: "BEGIN",
		dev,
		ctx: x.ctx,
		group,
		idev,
	} as never);
	return r.ok ? {} : failed(r);
}

/** Attach or replace by object number; the id of the hwpt in use. Without `respond` the copy of the answer is the caller's own step. */
export function attachByPt(
	x: Exec,
	dev: DeviceId,
	pt: number,
	how: "attach" | "replace",
	respond?: Respond,
): { readonly hwpt: number } | (Answer & { errno: ErrnoName }) {
	const r = withPending(x, { flags: 0, data: NO_DATA, respond }, () =>
		runTransaction(x, attachPt, {
			type: "BEGIN",
			ctx: x.ctx,
			dev,
			pt,
			how,
			bound: driverOf(x, dev).dev.idev !== undefined,
			from: currentHwpt(x, dev)?.hwpt ?? null,
			respFailureDetaches: true,
		} as never),
	);
	return r.ok
		? { hwpt: idOf(r.value as string) }
		: { errno: r.errno, step: r.step };
}

/** Detach an attached device. Cannot fail. */
export function detachDevice(x: Exec, dev: DeviceId): void {
	callTransaction(x, { type: "call.detach", to: dev, dev });
}

/** IOMMU_DESTROY of IOASes, hwpts and everything that is always refused. */
export function destroyById(x: Exec, id: number): Answer {
	const r = runTransaction(x, destroy, {
		type: "BEGIN",
		ctx: x.ctx,
		id,
	} as never);
	return r.ok ? {} : failed(r);
}
