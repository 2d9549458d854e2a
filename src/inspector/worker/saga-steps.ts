/** A saga's records as steps of its statechart: which command stands for which state. */
import type { StepRecord } from "../model/transaction-state.ts";

/** Phases of the way back by the command that is given in it. */
const PHASES: Readonly<Record<string, string>> = {
	replace: "switch",
	attach: "attach",
	bind: "bind",
};
/** States of the way forward by the command. */
const FORWARD: Readonly<Record<string, string>> = {
	detach: "Detaching",
	unbind: "Unbinding",
};

interface Member {
	readonly dev?: unknown;
}
interface Group {
	readonly group?: unknown;
	readonly members?: readonly Member[];
}

/** Reads the records of one saga in order. */
export class SagaSteps {
	readonly #groups: readonly Group[];
	/** Groups that a replace has moved already. */
	readonly #moved = new Set<unknown>();

	constructor(topology: unknown) {
		this.#groups =
			(topology as { groups?: readonly Group[] } | undefined)?.groups ?? [];
	}

	/** What a record is to the statechart; undefined for what moves nothing. */
	stepOf(type: string, text: string): StepRecord | undefined {
		if (type === "saga.begun") return { type: "op.begin", undo: false };
		if (type === "saga.ended") return { type: endOf(text), undo: false };
		if (type !== "op.begin") return undefined;
		const op = /"data":\{"op":"([^"]*)"/.exec(text)?.[1] ?? "";
		if (text.includes('"undo":true'))
			return { type: `saga.back ${PHASES[op] ?? "tidy"}`, undo: true };
		const hint = op === "replace" ? this.#replaceIn(text) : FORWARD[op];
		return {
			type: "saga.do",
			undo: false,
			...(hint === undefined ? {} : { hint }),
		};
	}

	/** The first replace in a group moves its hardware; the others follow. */
	#replaceIn(text: string): string {
		const dev = /"dev":"([^"]*)"/.exec(text)?.[1];
		const group = this.#groups.find(({ members }) =>
			members?.some((member) => member.dev === dev),
		);
		const isFirst = !this.#moved.has(group);
		this.#moved.add(group);
		return isFirst ? "Switching" : "Following";
	}
}

function endOf(text: string): string {
	if (text.includes('"outcome":"done"')) return "op.commit";
	return text.includes('"outcome":"stuck"') ? "saga.stuck" : "op.fail";
}
