/**
 * Machines as plain values for the explorer: an engine whose runners are cells (configuration, context) that can be read and set, and a
 * table that numbers equal cells. The definitions are those of machines/, run through compile.ts, as everywhere.
 */
import {
	type CompiledMachine,
	compileMachine,
	stepCompiled,
} from "../../machines/compile.ts";
import type { AnyDefinition } from "../../machines/define.ts";
import type { Engine, Runner } from "../orchestrator/engine.ts";
import { YES } from "../../machines/steps.ts";

/** A running machine whose state can be taken out and put back. */
export class Cell implements Runner {
	readonly machine: CompiledMachine;
	at: number;
	context: object;

	constructor(machine: CompiledMachine, input: unknown) {
		this.machine = machine;
		this.at = machine.initial;
		this.context = machine.start(input);
	}
	send(event: { readonly type: string }): void {
		const after = stepCompiled(this.machine, this.at, this.context, event);
		this.at = after.at;
		this.context = after.context;
	}
	get state(): string {
		return this.machine.names[this.at] ?? "?";
	}
	stop(): void {}
}

/** Runs definitions as cells; each definition is compiled once. */
export function cellEngine(): Engine {
	const machines = new Map<AnyDefinition, CompiledMachine>();
	return {
		spawn(definition, input) {
			const machine = machines.get(definition) ?? compileMachine(definition);
			machines.set(definition, machine);
			return new Cell(machine, input);
		},
	};
}

/** Text that is equal for equal values: bigints, maps and sets included, keys in the order they were made. */
function textOf(value: unknown): string {
	return JSON.stringify(value, (_key, inner: unknown) => {
		if (typeof inner === "bigint") return `${inner}n`;
		if (inner instanceof Map) return { map: [...inner] };
		if (inner instanceof Set) return { set: [...inner] };
		return inner;
	});
}

/** Numbers values: equal values have equal numbers. */
export class Numbering<T> {
	readonly values: T[] = [];
	readonly #numbers = new Map<string, number>();

	of(value: T): number {
		const text = textOf(value);
		const known = this.#numbers.get(text);
		if (known !== undefined) return known;
		const number = this.values.length;
		this.values.push(value);
		this.#numbers.set(text, number);
		return number;
	}
}

/** What is kept of a cell: an entity's last answer is no part of its state. */
export interface Kept {
	readonly at: number;
	readonly context: object;
}
export const keep = ({ at, context }: Cell): Kept => ({
	at,
	context: "answer" in context ? { ...context, answer: YES } : context,
});
