/**
 * What the saga statecharts share. A saga is a list of commands of user space that belong together; the kernel knows nothing of it. Forward
 * it walks the commands of its plan. When one fails, the way back leads from phase to phase, each asking for single commands until the
 * books say what they said before: so a saga that was cut off finds its place again from the state alone.
 */
import type { StateNode } from "./define.ts";
import { ask, type Step } from "./steps.ts";
import type { Done, TxContext } from "./transaction.ts";
import { FRESH, txActions } from "./transaction.ts";

/** A saga begins. `counts`: how many commands each part has, in order. */
export interface SagaBegin {
	readonly type: "BEGIN";
	readonly counts: readonly number[];
}
/** What a saga knows: it is at command `n`, the `k`-th of `counts[part]`. */
export interface SagaContext extends TxContext {
	readonly counts: readonly number[];
	readonly part: number;
	readonly k: number;
	readonly n: number;
}
type C = SagaContext;

/** Before its first BEGIN. */
export const SAGA_START: SagaContext = {
	...FRESH,
	counts: [],
	part: 0,
	k: 0,
	n: 0,
};

/** The answer of a command of the way back: is there more of its phase? */
type Back = Done<{ readonly more: boolean }>;

/** Guards of every saga. */
export const sagaGuards = {
	moreBack: (_: C, e: Back) => e.value.more,
};
/** The saga has nothing to do. */
export const nothingToDo = (_: C, e: SagaBegin): boolean =>
	e.counts.every((count) => count === 0);
/** The part that is under way has more commands. */
export const moreOfPart = (c: C): boolean => c.k + 1 < c.counts[c.part]!;
/** A later part has commands. */
export const laterPart = (c: C): boolean =>
	c.counts.slice(c.part + 1).some((count) => count > 0);

/** Skips parts without commands. */
function firstPart(counts: readonly number[], from: number): number {
	let part = from;
	while (part < counts.length && counts[part] === 0) part++;
	return part;
}

const back = (phase: Step<"saga.back">["phase"]) => () => ({
	ask: ask({ type: "saga.back", to: "host", phase }),
});
/** Asks of the way back, by phase. */
export const askBack = {
	bind: back("bind"),
	switch: back("switch"),
	attach: back("attach"),
	unmap: back("unmap"),
	tidy: back("tidy"),
};
/** Actions of every saga. */
export const sagaActions = {
	...txActions,
	begin: (_: C, e: SagaBegin) => ({
		...FRESH,
		counts: e.counts,
		part: firstPart(e.counts, 0),
		k: 0,
		n: 0,
	}),
	nextCommand: (c: C) => ({ k: c.k + 1, n: c.n + 1 }),
	askCommand: (c: C) => ({ ask: ask({ type: "saga.do", to: "host", n: c.n }) }),
	askAttachBack: askBack.attach,
	askTidy: askBack.tidy,
	returnStuck: (c: C) => ({
		ask: ask({
			type: "return",
			to: "host",
			ok: false,
			errno: c.failure!.errno,
			step: "stuck",
		}),
	}),
	returnResult: () => ({ ask: ask({ type: "return", to: "host", ok: true }) }),
};
/** Goes on with the next part that has commands. */
export const nextPart = (c: C) => ({
	part: firstPart(c.counts, c.part + 1),
	k: 0,
	n: c.n + 1,
});

/** A phase of the way back: asks again while there is more of it. A command that fails here leaves the saga stuck. */
export function backPhase(
	id: string,
	name: string,
	entry: string,
	next: string,
	description: string,
): StateNode {
	return {
		description,
		entry: [entry],
		on: {
			DONE: [
				{ guard: "moreBack", target: name, reenter: true },
				{ target: next },
			],
			FAILED: [{ target: `#${id}.Stuck` }],
		},
	};
}
/** Where a failed way back ends: some of the former state is restored, and the operator must look. */
export const STUCK: StateNode = {
	description: "A command of the way back failed: neither old nor new",
	entry: ["returnStuck"],
};
