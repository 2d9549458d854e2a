/**
 * Threads that make calls, one step of one transaction at a time: what Executor.run does to the end, cut into moves. A thread's
 * state is the call it is in and the stack of its transactions.
 */
import { type CompiledMachine, stepCompiled } from "../../machines/compile.ts";
import type { Step } from "../../machines/steps.ts";
import type { TxContext } from "../../machines/transaction.ts";
import { beginCall } from "../orchestrator/begin.ts";
import type { Role } from "../orchestrator/flows.ts";
import { carryOut } from "../orchestrator/commands.ts";
import { mapArgs } from "./call-facts.ts";
import { type CallHost, CTX, deviceNumbered } from "./call-host.ts";
import { heldLocks, looksUnderLock, wantedLock } from "./call-locks.ts";
import type { Frame, ThreadState } from "./call-state.ts";
import type { HwptId } from "../vocabulary/ids.ts";
import type { Call } from "./call-scenario.ts";
import { tableOf } from "./call-cells.ts";
import type { FieldNumbering } from "./call-store.ts";

/** Numbers where a thread stands, and keeps of each what a search asks all the time. */
export class ThreadNumbering {
	readonly values: ThreadState[] = [];
	/** The lock that its next step waits for (call-locks.ts), or -1. */
	readonly waits: number[] = [];
	/** Locks that it holds, a bit each. */
	readonly held: number[] = [];
	/** Inside a call. */
	readonly busy: boolean[] = [];
	/** The device set of its next or current call; 0 when there is none. */
	readonly sets: number[] = [];
	readonly #numbers = new Map<string, number>();
	readonly #host: CallHost;
	readonly #contexts: FieldNumbering;
	readonly #setOf: (call: number) => number;

	constructor(
		host: CallHost,
		contexts: FieldNumbering,
		setOf: (call: number) => number,
	) {
		this.#host = host;
		this.#contexts = contexts;
		this.#setOf = setOf;
	}

	of(thread: ThreadState): number {
		let key = `${thread.call} ${thread.holds} ${thread.acted} ${thread.balance}`;
		for (const { role, at, context } of thread.frames)
			key += ` ${role} ${at} ${this.#contexts.of(context)}`;
		const known = this.#numbers.get(key);
		if (known !== undefined) return known;
		const number = this.values.length;
		this.values.push(thread);
		this.waits.push(wantedLock(this.#host, thread));
		this.held.push(heldLocks(this.#host, thread));
		this.busy.push(thread.frames.length > 0);
		this.sets.push(this.#setOf(thread.call));
		this.#numbers.set(key, number);
		return number;
	}
}

/** How a call ended. */
export type Ending = { readonly ok: boolean; readonly errno?: string };

type Event = { readonly type: string };

const transaction = (host: CallHost, role: Role): CompiledMachine =>
	tableOf(host.executor.parts.transactions[role]);

function begin(host: CallHost, role: Role, event: Event): Frame {
	const table = transaction(host, role);
	const start = table.start(undefined);
	return { role, ...stepCompiled(table, table.initial, start, event) };
}

/** Starts the thread's next call. No frames: the call was over at once, and this is how it ended. */
export function startCall(
	host: CallHost,
	call: Call,
): { readonly frames: readonly Frame[]; readonly ended: Ending } {
	const x = host.executor;
	const over = (ended: Ending) => ({ frames: [], ended });
	if (call.do === "map") return over(mapOver(host, call));
	const dev = deviceNumbered(call.dev);
	const attached = x.actors.get(dev)?.state === "Attached";
	if (call.do === "detach") {
		// VFIO's DETACH_PT says 0 also when nothing is attached (facts §2.16).
		if (!attached) return over({ ok: true });
		const started = beginCall(x, { type: "call.detach", to: dev, dev });
		if (!("role" in started)) return over(started);
		return {
			frames: [begin(host, started.role, started.begin)],
			ended: { ok: true },
		};
	}
	const frame = begin(host, "attachPt", {
		type: "BEGIN",
		ctx: CTX,
		dev,
		pt: host.ids[call.to],
		how: attached ? "replace" : call.do,
		bound: true,
		// Nobody asks for it as long as a failing answer detaches (A8).
		from: null,
		respFailureDetaches: true,
	} as Event);
	return { frames: [frame], ended: { ok: true } };
}

/** IOAS_MAP over a device's window: one move, under iopt->iova_rwsem (facts §2.4). */
function mapOver(host: CallHost, call: Extract<Call, { do: "map" }>): Ending {
	const outcome = carryOut(host.executor, {
		op: "map",
		args: mapArgs(host, call),
	});
	return outcome.ok ? { ok: true } : { ok: false, errno: outcome.errno };
}

/** Steps that touch nothing shared: they are made together with the step before. */
const ALONE = new Set(["handle.alloc", "handle.free", "resp"]);

/** What a move of a thread made of its call. */
export interface Advanced {
	readonly frames: readonly Frame[];
	readonly holds: boolean;
	readonly ended?: Ending;
}

/** One move of a thread inside a call: performs what it asks for, and everything after it that concerns nobody else. */
export function advance(host: CallHost, thread: ThreadState): Advanced {
	let stack = [...thread.frames];
	let { holds } = thread;
	let goesOn = always;
	for (;;) {
		const top = stack.at(-1);
		if (top === undefined) throw new Error("a call without a transaction");
		const step = (top.context as TxContext).ask;
		if (step.type === "return") {
			stack.pop();
			const said = step as Extract<Step<"return">, { ok: boolean }>;
			if (stack.length === 0)
				return {
					frames: stack,
					holds,
					ended: said.ok ? { ok: true } : { ok: false, errno: said.errno },
				};
			letGo(host, stack.at(-1) as Frame);
			stack = answer(host, stack, said as unknown as Said);
			continue;
		}
		if (!goesOn(step)) return { frames: stack, holds };
		if (isDying(host, top, step)) {
			// The scan leaves out a hwpt whose last user is just taking it down (device.c:iommufd_device_auto_get_domain).
			stack = answer(host, stack, {
				ok: false,
				errno: "EINVAL",
				step: step.type,
			});
			continue;
		}
		goesOn = goesOnAfter(host, top, step);
		if (step.type === "ig.lock") holds = true;
		if (step.type === "ig.unlock") holds = false;
		if (step.type.startsWith("call.")) {
			const started = beginCall(host.executor, step);
			if ("role" in started) {
				lookUp(host, top);
				stack.push(begin(host, started.role, started.begin));
			} else
				stack = answer(host, stack, {
					ok: false,
					errno: started.errno,
					step: step.type,
				});
			continue;
		}
		stack = answer(host, stack, host.executor.perform(step) as unknown as Said);
	}
}

interface Said {
	readonly ok: boolean;
	readonly value?: unknown;
	readonly errno?: string;
	readonly step?: string;
}

/** Tells the topmost transaction how its step went. */
function answer(host: CallHost, stack: readonly Frame[], said: Said): Frame[] {
	const top = stack.at(-1) as Frame;
	const table = transaction(host, top.role);
	const event = said.ok
		? { type: "DONE", value: said.value }
		: { type: "FAILED", errno: said.errno, step: said.step };
	const after = stepCompiled(table, top.at, top.context, event);
	return [...stack.slice(0, -1), { role: top.role, ...after }];
}

/** The hwpt that a scan of automatic ones is trying. */
function tried({ role, context }: Frame): HwptId | undefined {
	const step = (context as TxContext).ask;
	return role === "auto" && "hwpt" in step ? (step.hwpt as HwptId) : undefined;
}

/**
 * A scan holds what it tries by a count of its own (iommufd_private.h:iommufd_lock_obj), so that nobody can take it down meanwhile. Who
 * drops the last count of a user then leaves it behind (R3): letting go destroys nothing.
 */
function lookUp(host: CallHost, frame: Frame): void {
	const to = tried(frame);
	if (to !== undefined)
		host.executor.tell({ type: "obj.get", to, n: 1, why: "look" });
}
function letGo(host: CallHost, frame: Frame): void {
	const to = tried(frame);
	if (to !== undefined)
		host.executor.tell({ type: "obj.put", to, n: 1, why: "look" });
}

function isDying(host: CallHost, { role }: Frame, step: Step): boolean {
	if (role !== "auto" || !("hwpt" in step)) return false;
	return host.executor.actors.get(step.hwpt as HwptId)?.state === "Destroying";
}

/** Which steps belong to the same move as the one that comes now. */
function goesOnAfter(
	host: CallHost,
	{ role }: Frame,
	step: Step,
): (next: Step) => boolean {
	if (role === "put" || step.type === "call.free") return takesDown;
	return looksUnderLock(host, step) ? takesLock : isAlone;
}

const always = (_step: Step): boolean => true;
const isAlone = (step: Step): boolean => ALONE.has(step.type);
/** The last put and the removal from the table of objects are one section of xa_lock (iommufd/main.c:iommufd_object_remove). */
const takesDown = (step: Step): boolean =>
	step.type === "call.free" || step.type === "hwpt.destroy";
const takesLock = (step: Step): boolean => step.type === "ig.lock";
