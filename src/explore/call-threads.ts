/**
 * Threads that make calls, one step of one transaction at a time: what Executor.run does to the end, cut into moves. A thread's
 * state is the call it is in and the stack of its transactions.
 */
import type { AnyDefinition } from "../../machines/define.ts";
import { stepCompiled } from "../../machines/compile.ts";
import type { Step } from "../../machines/steps.ts";
import type { TxContext } from "../../machines/transaction.ts";
import { attachedTo, beginCall } from "../orchestrator/begin.ts";
import type { Role } from "../orchestrator/flows.ts";
import { type CallHost, CTX, DEVS, GROUP } from "./call-host.ts";
import type { Call } from "./call-scenario.ts";
import { Cell } from "./call-cells.ts";

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
/** How a call ended. */
export type Ending = { readonly ok: boolean; readonly errno?: string };

type Event = { readonly type: string };

/** The step a thread asks for next; undefined between calls. */
export function asked(thread: ThreadState): Step | undefined {
	const top = thread.frames.at(-1);
	return top === undefined ? undefined : (top.context as TxContext).ask;
}

function begin(host: CallHost, role: Role, event: Event): Frame {
	const definition = host.executor.parts.transactions[role];
	const cell = fresh(host, definition);
	cell.send(event);
	return { role, at: cell.at, context: cell.context };
}

const fresh = (host: CallHost, definition: AnyDefinition): Cell =>
	host.executor.parts.engine.spawn(definition, undefined, "tx") as Cell;

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
			from: attached ? attachedTo(x, dev) : null,
			respFailureDetaches: true,
		} as Event),
	];
}

/** Steps that touch nothing shared: they are made together with the step before. */
const ALONE = new Set(["handle.alloc", "handle.free", "resp"]);

/** One move of a thread inside a call: performs what it asks for, and everything after it that concerns nobody else. */
export function advance(
	host: CallHost,
	frames: readonly Frame[],
): { readonly frames: readonly Frame[]; readonly ended?: Ending } {
	let stack = [...frames];
	for (let first = true; ; first = false) {
		const top = stack.at(-1);
		if (top === undefined) throw new Error("a call without a transaction");
		const step = (top.context as TxContext).ask;
		if (step.type === "return") {
			stack.pop();
			const said = step as Extract<Step<"return">, { ok: boolean }>;
			if (stack.length === 0)
				return {
					frames: stack,
					ended: said.ok ? { ok: true } : { ok: false, errno: said.errno },
				};
			stack = answer(host, stack, said as unknown as Said);
			continue;
		}
		if (!first && !ALONE.has(step.type)) return { frames: stack };
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
	const cell = fresh(host, host.executor.parts.transactions[top.role]);
	const event = said.ok
		? { type: "DONE", value: said.value }
		: { type: "FAILED", errno: said.errno, step: said.step };
	const after = stepCompiled(cell.machine, top.at, top.context, event);
	return [...stack.slice(0, -1), { role: top.role, ...after }];
}

/** The next step waits for the group's lock. */
export const wantsLock = (thread: ThreadState): boolean =>
	asked(thread)?.type === "ig.lock";

/** True while some transaction holds the group's lock. */
export const groupLocked = (host: CallHost): boolean =>
	host.executor.group(GROUP).locked;
