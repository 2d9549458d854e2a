/**
 * Threads that make calls, one step of one transaction at a time: what Executor.run does to the end, cut into moves. A thread's
 * state is the call it is in and the stack of its transactions.
 */
import { type CompiledMachine, stepCompiled } from "../../machines/compile.ts";
import type { Step } from "../../machines/steps.ts";
import type { TxContext } from "../../machines/transaction.ts";
import { beginCall } from "../orchestrator/begin.ts";
import type { Role } from "../orchestrator/flows.ts";
import { ownsByGroup } from "../orchestrator/flows.ts";
import { type CallHost, CTX, DEVS, GROUP } from "./call-host.ts";
import type { Call } from "./call-scenario.ts";
import { tableOf } from "./call-cells.ts";
import type { FieldNumbering } from "./call-store.ts";

/** A transaction in the middle of its work. */
export interface Frame {
	readonly role: Role;
	readonly at: number;
	readonly context: object;
}
/**
 * Where a thread stands: `call` is the next or the current one; no frames = between calls; `holds`: it has the group's lock;
 * `acted`: the call has changed something already.
 */
export interface ThreadState {
	readonly call: number;
	readonly frames: readonly Frame[];
	readonly holds: boolean;
	readonly acted: boolean;
}
/** Numbers where a thread stands, and keeps of each what a search asks all the time. */
export class ThreadNumbering {
	readonly values: ThreadState[] = [];
	/** For each, whether its next step waits for the group's lock. */
	readonly waits: boolean[] = [];
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
		let key = `${thread.call} ${thread.holds} ${thread.acted}`;
		for (const { role, at, context } of thread.frames)
			key += ` ${role} ${at} ${this.#contexts.of(context)}`;
		const known = this.#numbers.get(key);
		if (known !== undefined) return known;
		const number = this.values.length;
		this.values.push(thread);
		this.waits.push(wantsLock(this.#host, thread));
		this.busy.push(thread.frames.length > 0);
		this.sets.push(this.#setOf(thread.call));
		this.#numbers.set(key, number);
		return number;
	}
}

/** How a call ended. */
export type Ending = { readonly ok: boolean; readonly errno?: string };

type Event = { readonly type: string };

/** The step a thread asks for next; undefined between calls. */
export function asked(thread: ThreadState): Step | undefined {
	const top = thread.frames.at(-1);
	return top === undefined ? undefined : (top.context as TxContext).ask;
}

const transaction = (host: CallHost, role: Role): CompiledMachine =>
	tableOf(host.executor.parts.transactions[role]);

/** The call under way is a replace, by name or because the device was attached. */
export const replaces = (thread: ThreadState): boolean =>
	(thread.frames[0]?.context as { how?: string } | undefined)?.how ===
	"replace";

function begin(host: CallHost, role: Role, event: Event): Frame {
	const table = transaction(host, role);
	const start = table.start(undefined);
	return { role, ...stepCompiled(table, table.initial, start, event) };
}

/** Starts the thread's next call. Undefined frames: the call was over at once. */
export function startCall(host: CallHost, call: Call): readonly Frame[] {
	const x = host.executor;
	const dev = DEVS[call.dev - 1] ?? DEVS[0];
	const attached = x.actors.get(dev)?.state === "Attached";
	if (call.do === "detach") {
		// VFIO's DETACH_PT says 0 also when nothing is attached (facts §2.16).
		if (!attached) return [];
		const started = beginCall(x, { type: "call.detach", to: dev, dev });
		return "role" in started ? [begin(host, started.role, started.begin)] : [];
	}
	const pt = host.hwpts[(call.to ?? 1) - 1] ?? 0;
	return [
		begin(host, "attachPt", {
			type: "BEGIN",
			ctx: CTX,
			dev,
			pt,
			how: attached ? "replace" : call.do,
			bound: true,
			// Nobody asks for it as long as a failing answer detaches (A8).
			from: null,
			respFailureDetaches: true,
		} as Event),
	];
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
			stack = answer(host, stack, said as unknown as Said);
			continue;
		}
		if (!goesOn(step)) return { frames: stack, holds };
		goesOn = looksUnderLock(host, step) ? takesLock : isAlone;
		if (step.type === "ig.lock") holds = true;
		if (step.type === "ig.unlock") holds = false;
		if (step.type.startsWith("call.")) {
			const started = beginCall(host.executor, step);
			if ("role" in started)
				stack.push(begin(host, started.role, started.begin));
			else
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

const always = (_step: Step): boolean => true;
const isAlone = (step: Step): boolean => ALONE.has(step.type);
const takesLock = (step: Step): boolean => step.type === "ig.lock";

/**
 * Replace looks at what the group is attached to under its lock (iommufd/device.c:iommufd_device_do_replace reads igroup->hwpt after
 * mutex_lock), so its beginning, which brings that view, and the lock are one move. Detach reads it before (R1).
 */
const looksUnderLock = (host: CallHost, step: Step): boolean =>
	step.type === "call.replace" && ownsByGroup(host.outside.switches.flow);

/** The next step waits for the group's lock. */
export function wantsLock(host: CallHost, thread: ThreadState): boolean {
	const step = asked(thread);
	if (step === undefined) return false;
	return step.type === "ig.lock" || looksUnderLock(host, step);
}

/** True while some transaction holds the group's lock. */
export const groupLocked = (host: CallHost): boolean =>
	host.executor.group(GROUP).locked;
