/**
 * The two engines that run one definition: XState actors (live: inspected, subscribed to) and compiled tables (fast: redecide,
 * sweeps). Both send an event, then show the context it left; nothing else in the orchestrator knows which one runs.
 */
import {
	createActor,
	type AnyActorRef,
	type AnyStateMachine,
	type InspectionEvent,
} from "xstate";
import {
	type CompiledMachine,
	compileMachine,
	configurationName,
	stateValue,
	stepCompiled,
} from "../../machines/compile.ts";
import { type AnyDefinition, toXState } from "../../machines/define.ts";
import { toTableActor } from "../../machines/table-actor.ts";

/** One running machine. */
export interface Runner {
	send(event: { readonly type: string }): void;
	readonly context: object;
	/** Active leaf states, regions joined with "|". */
	readonly state: string;
	stop(): void;
}
/** Where a machine stands: to go on from there. */
export interface Standing {
	/** Active leaf states, regions joined with "|". */
	readonly state: string;
	readonly context: object;
}
/** Something that runs definitions. `parent`: the actor above it in the tree. `at`: go on from there instead of beginning with `input`. */
export interface Engine {
	spawn(
		definition: AnyDefinition,
		input: unknown,
		id: string,
		parent?: Runner,
		at?: Standing,
	): Runner;
}
/**
 * Who runs what: "mixed" (the default) has entities as XState actors that look their transitions up in the compiled table, and transactions as
 * tables; "xstate" has everything as actors that XState's own interpreter runs, for inspection; "compiled" has everything as tables. All three
 * write the same records (test/orchestrator, test/machines). Where something inspects, the actors of "mixed" are the interpreter's too.
 */
export type EngineName = "xstate" | "mixed" | "compiled";

class ActorRunner implements Runner {
	readonly actor: AnyActorRef;
	constructor(actor: AnyActorRef) {
		this.actor = actor;
	}
	send(event: { readonly type: string }): void {
		this.actor.send(event);
	}
	get context(): object {
		return this.actor.getSnapshot().context;
	}
	get state(): string {
		return configurationName(this.actor.getSnapshot().value);
	}
	stop(): void {
		// An actor with a parent refuses to be stopped from outside; dropping every reference to it is what frees it.
		if (this.actor._parent === undefined) this.actor.stop();
	}
}

class TableRunner implements Runner {
	readonly #machine: CompiledMachine;
	#at: number;
	context: object;
	constructor(machine: CompiledMachine, input: unknown, at?: Standing) {
		this.#machine = machine;
		this.#at =
			at === undefined ? machine.initial : stateIndex(machine, at.state);
		this.context = at === undefined ? machine.start(input) : at.context;
		machine.learn(this.context);
	}
	send(event: { readonly type: string }): void {
		const after = stepCompiled(this.#machine, this.#at, this.context, event);
		this.#at = after.at;
		this.context = after.context;
	}
	get state(): string {
		return this.#machine.names[this.#at]!;
	}
	stop(): void {}
}

function stateIndex(machine: CompiledMachine, state: string): number {
	const index = machine.names.indexOf(state);
	if (index < 0) throw new Error(`${machine.id} has no state ${state}`);
	return index;
}
/** Remembers what was made of a definition. Definitions and what is made of them never change, so systems may share it. */
function memo<T>(
	make: (definition: AnyDefinition) => T,
): (definition: AnyDefinition) => T {
	const made = new WeakMap<AnyDefinition, { readonly one: T }>();
	return (definition) => {
		let entry = made.get(definition);
		if (entry === undefined) {
			entry = { one: make(definition) };
			made.set(definition, entry);
		}
		return entry.one;
	};
}
const machineOf = memo<AnyStateMachine>(toXState);
const tableActorOf = memo<AnyStateMachine>(toTableActor);
const tableOf = memo<CompiledMachine>(compileMachine);

/** Runs definitions as XState actors, by XState's interpreter. `inspect` sees every actor, event and snapshot of the system. */
export const xstateEngine = (
	inspect?: (event: InspectionEvent) => void,
): Engine => actorEngine(machineOf, inspect);
/** Runs definitions as XState actors that look their transitions up in the compiled table. */
export const tableActorEngine = (): Engine => actorEngine(tableActorOf);

function actorEngine(
	logicOf: (definition: AnyDefinition) => AnyStateMachine,
	inspect?: (event: InspectionEvent) => void,
): Engine {
	return {
		spawn(definition, input, id, parent, at) {
			const above =
				parent instanceof ActorRunner ? { parent: parent.actor } : {};
			const watch =
				inspect !== undefined && parent === undefined ? { inspect } : {};
			const machine = logicOf(definition);
			const from =
				at === undefined
					? { input }
					: {
							snapshot: machine.resolveState({
								value: stateValue(at.state),
								context: at.context,
							}),
						};
			const actor = createActor(machine, {
				...from,
				id,
				...above,
				...watch,
			});
			actor.start();
			return new ActorRunner(actor);
		},
	};
}

/** Runs definitions as compiled tables. */
export function compiledEngine(): Engine {
	return {
		spawn: (definition, input, _id, _parent, at) =>
			new TableRunner(tableOf(definition), input, at),
	};
}
