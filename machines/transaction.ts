/**
 * What all transaction statecharts share. A transaction is the ordered step list of one operation: entering a step's state asks
 * for the step (`ask`), DONE leads on, FAILED leads to the state of `unwinding` that undoes what has been done so far, in the
 * documented order. Nothing else in the project knows an order of steps.
 *
 * One machine serves many operations, one after the other: BEGIN is taken in Idle, Committed and Failed only. That is the lock.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type { Edge, StateNode } from "./define.ts";
import type { Step } from "./steps.ts";
import { ask } from "./steps.ts";

/** What every transaction's context carries. */
export interface TxContext {
	/** The step that is asked for now. */
	readonly ask: Step;
	/** The first failure; what fails while unwinding does not change it. */
	readonly failure: { readonly errno: ErrnoName; readonly step: string } | null;
	/** Events that came at the wrong time. */
	readonly refused: number;
}
/** A step went well. */
export interface Done<V = unknown> {
	readonly type: "DONE";
	readonly value: V;
}
/** A step failed. */
export interface Failed {
	readonly type: "FAILED";
	readonly errno: ErrnoName;
	readonly step: string;
}

/** The events of every transaction. */
export const TX_EVENTS = ["BEGIN", "DONE", "FAILED"] as const;
const IDLE: Step = ask({ type: "return", to: "host", ok: true });
/**
 * A transaction's context before its first BEGIN, and the reset at each BEGIN. It is spread last: V8 takes a hundred times as long to add fields to an
 * object that began with a spread.
 */
export const FRESH: TxContext = { ask: IDLE, failure: null, refused: 0 };

/** Actions of every transaction. */
export const txActions = {
	noteFailure: (c: TxContext, e: Failed) =>
		c.failure === null ? { failure: { errno: e.errno, step: e.step } } : {},
	returnFailure: (c: TxContext) => ({
		ask: ask({ type: "return", to: "host", ok: false, ...c.failure! }),
	}),
	countRefusal: (c: TxContext) => ({ refused: c.refused + 1 }),
};
/** An action that fails the transaction at a check of its own. */
export const failWith =
	(errno: ErrnoName, step: string) => (): Pick<TxContext, "failure"> => ({
		failure: { errno, step },
	});

/** A step's state: asks on entry, then goes `done` or `failed`; a failure is noted before anything else. */
export function step(
	entry: string,
	done: readonly Edge[] | string,
	failed: readonly Edge[] | string,
	description?: string,
): StateNode {
	const edges = (to: readonly Edge[] | string): readonly Edge[] =>
		typeof to === "string" ? [{ target: to }] : to;
	return {
		...(description === undefined ? {} : { description }),
		entry: [entry],
		on: {
			DONE: edges(done),
			FAILED: edges(failed).map((edge) => ({
				...edge,
				actions: ["noteFailure", ...(edge.actions ?? [])],
			})),
		},
	};
}
/**
 * A step that cannot fail in the kernel. Guards of `next` may read what it answers; should it fail all the same (a defect), the way leads on
 * by the last edge, which has no guard.
 */
export function sure(entry: string, next: readonly Edge[] | string): StateNode {
	const edges = typeof next === "string" ? [{ target: next }] : next;
	return { entry: [entry], on: { DONE: edges, FAILED: edges.slice(-1) } };
}
/** A step that must succeed but may be refused: the way leads on alike, the state of the hardware does not. */
export const must = (entry: string, next: readonly Edge[]): StateNode => ({
	entry: [entry],
	on: { DONE: next, FAILED: next },
});

/** The frame around the steps. `begin` are the edges of BEGIN; `returnResult` must be among the machine's actions. */
export function txConfig(
	begin: readonly Edge[],
	states: { readonly [name: string]: StateNode },
	unwinding?: { readonly [name: string]: StateNode },
): StateNode {
	// Re-entered, or a transaction that fails at once twice in a row would not run its entry the second time.
	const on = {
		BEGIN: begin.map((edge) => ({ ...edge, reenter: true as const })),
	};
	return {
		initial: "Idle",
		on: { "*": { actions: ["countRefusal"] } },
		states: {
			Idle: { on },
			...states,
			...(unwinding === undefined
				? {}
				: {
						unwinding: {
							initial: Object.keys(unwinding)[0]!,
							states: unwinding,
						},
					}),
			Committed: { entry: ["returnResult"], on },
			...(canFail(begin, states, unwinding)
				? { Failed: { entry: ["returnFailure"], on } }
				: {}),
		},
	};
}

function canFail(
	begin: readonly Edge[],
	states: { readonly [name: string]: StateNode },
	unwinding: { readonly [name: string]: StateNode } | undefined,
): boolean {
	const all = [...Object.values(states), ...Object.values(unwinding ?? {})];
	const edges = all.flatMap((node) => Object.values(node.on ?? {}).flat());
	return [...begin, ...edges].some((edge) => edge.target?.endsWith("Failed"));
}
