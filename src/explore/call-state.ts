/** Where a thread of calls stands. */
import type { Step } from "../../machines/steps.ts";
import type { TxContext } from "../../machines/transaction.ts";
import type { Role } from "../orchestrator/flows.ts";

/** A transaction in the middle of its work. */
export interface Frame {
	readonly role: Role;
	readonly at: number;
	readonly context: object;
}
/**
 * Where a thread stands: `call` is the next or the current one; no frames = between calls; `holds`: it has its device's group's lock;
 * `acted`: the call has changed something already; `balance`: reservations that it has made and dropped and that do not cancel out.
 */
export interface ThreadState {
	readonly call: number;
	readonly frames: readonly Frame[];
	readonly holds: boolean;
	readonly acted: boolean;
	readonly balance: string;
}
/** Before the call of this number. */
export const between = (call: number): ThreadState => ({
	call,
	frames: [],
	holds: false,
	acted: false,
	balance: "",
});
export const IDLE = between(0);
/** A thread whose call named something that is gone: it goes no further, and what would be judged between calls means nothing any more. */
export const LOST: ThreadState = { ...between(99), acted: true };
/** The step a thread asks for next; undefined between calls. */
export function asked(thread: ThreadState): Step | undefined {
	const top = thread.frames.at(-1);
	return top === undefined ? undefined : (top.context as TxContext).ask;
}

/** The call under way is a replace, by name or because the device was attached. */
export const replaces = (thread: ThreadState): boolean =>
	(thread.frames[0]?.context as { how?: string } | undefined)?.how ===
	"replace";
