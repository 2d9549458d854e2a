/**
 * Machines as plain values for the explorer. Before the threads start, entities are ordinary compiled machines (Cell). Then their fields move
 * into a store (call-store.ts), and a TrackedCell shows them to the executor: every field that a move reads or writes is noted, which is
 * what call-memo.ts builds its tables from. The definitions are those of machines/, run by the table of compile.ts, as everywhere.
 */
import {
	type CompiledMachine,
	compileMachine,
	stepCompiled,
} from "../../machines/compile.ts";
import type { AnyDefinition } from "../../machines/define.ts";
import { YES } from "../../machines/steps.ts";
import type { Engine, Runner } from "../orchestrator/engine.ts";
import type { Store } from "./call-store.ts";

/** A running machine. */
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

/** An entity whose fields stand in a store. Its last answer is no part of its state. */
export class TrackedCell implements Runner {
	readonly machine: CompiledMachine;
	readonly context: object;
	readonly #first: Cell;
	readonly #store: Store;
	readonly #fields: ReadonlyMap<string, number>;
	readonly #at: number;
	#answer: unknown = YES;

	constructor(store: Store, id: string, cell: Cell) {
		this.machine = cell.machine;
		this.#first = cell;
		this.#store = store;
		this.#at = store.add(`${id} state`, cell.at);
		const fields = new Map<string, number>();
		const view = {};
		for (const [name, value] of Object.entries(cell.context)) {
			if (name === "answer") {
				const get = () => this.#answer;
				Object.defineProperty(view, name, { get, enumerable: true });
				continue;
			}
			const field = store.add(`${id} ${name}`, value);
			fields.set(name, field);
			const get = () => store.read(field);
			Object.defineProperty(view, name, { get, enumerable: true });
		}
		this.#fields = fields;
		this.context = view;
	}

	/** As stepCompiled, but what an action changes goes to the store, field by field. */
	send(event: { readonly type: string }): void {
		const { machine, context } = this;
		const e = machine.eventIndex[event.type] ?? 0;
		const everywhere = sameEverywhere(machine, e);
		const at = everywhere ? 0 : (this.#store.read(this.#at) as number);
		for (const rule of machine.rows[at * machine.events.length + e] ?? []) {
			if (rule.guard !== undefined && !rule.guard(context, event)) continue;
			for (const action of rule.actions) this.#change(action(context, event));
			if (rule.next !== at) this.#store.write(this.#at, rule.next);
			return;
		}
	}

	/** As it was at first: it begins anew, or it is gone and what it was is forgotten. */
	reset(): void {
		this.#store.write(this.#at, this.#first.at);
		this.#change(this.#first.context);
	}

	#change(changes: object): void {
		for (const [name, value] of Object.entries(changes)) {
			if (name === "answer") {
				this.#answer = value;
				continue;
			}
			const field = this.#fields.get(name);
			if (field === undefined)
				throw new Error(`${this.machine.id} has no field ${name}`);
			this.#store.write(field, value);
		}
	}

	get state(): string {
		return this.machine.names[this.#store.read(this.#at) as number] ?? "?";
	}
	stop(): void {}
}

const EVERYWHERE = new WeakMap<CompiledMachine, (boolean | undefined)[]>();

/** An event that is answered alike in every configuration, and leaves it: which one it is in need not be known. */
function sameEverywhere(machine: CompiledMachine, e: number): boolean {
	const known = EVERYWHERE.get(machine) ?? [];
	EVERYWHERE.set(machine, known);
	const first = machine.rows[e] ?? [];
	known[e] ??= machine.names.every((_, at) => {
		const row = machine.rows[at * machine.events.length + e] ?? [];
		return (
			row.length === first.length &&
			row.every(
				(rule, i) =>
					rule.next === at &&
					rule.guard === first[i]?.guard &&
					rule.actions.length === first[i]?.actions.length &&
					rule.actions.every((action, n) => action === first[i]?.actions[n]),
			)
		);
	});
	return known[e];
}

const TABLES = new WeakMap<AnyDefinition, CompiledMachine>();

/** The table of a definition. Neither ever changes, so systems share it. */
export function tableOf(definition: AnyDefinition): CompiledMachine {
	const table = TABLES.get(definition) ?? compileMachine(definition);
	TABLES.set(definition, table);
	return table;
}

/** An engine whose cells may come from a store, once there is one. */
export interface SwitchableEngine extends Engine {
	spawn(definition: AnyDefinition, input: unknown, id: string): Runner;
	/** Makes an entity of the host that comes into being; undefined before the threads start. */
	make: ((id: string, cell: Cell) => Runner) | undefined;
}

/** Runs definitions as cells. */
export function cellEngine(): SwitchableEngine {
	const engine: SwitchableEngine = {
		make: undefined,
		spawn(definition, input, id) {
			const cell = new Cell(tableOf(definition), input);
			return engine.make?.(id, cell) ?? cell;
		},
	};
	return engine;
}
