/**
 * An XState machine whose transitions are looked up in the compiled table. What `createActor` makes of it is an XState actor like any other:
 * it has its place in the actor system, a mailbox, subscribers, and snapshots of its machine with `value`, `context`, `matches` and `can`.
 * Only the interpreter, which works out anew on each event which states to leave and to enter, is not run: the table says the same
 * (test/machines proves it on every state and event) in a tenth of the time. Microsteps are the interpreter's, so whoever inspects them uses
 * `toXState` itself.
 */
import type { AnyMachineSnapshot, AnyStateMachine, StateValue } from "xstate";
import {
	compileMachine,
	configurationName,
	stateValue,
	stepCompiled,
} from "./compile.ts";
import { type AnyDefinition, toXState } from "./define.ts";

type Transition = AnyStateMachine["transition"];

/** The XState machine of a definition, run by its compiled table. */
export function toTableActor(definition: AnyDefinition): AnyStateMachine {
	const machine = toXState(definition);
	const table = compileMachine(definition);
	/** A snapshot a configuration, made when it is first reached; those of the same configuration share its `value`. */
	const made: (AnyMachineSnapshot | undefined)[] = [];
	const indexOf = new Map<StateValue, number>();
	const snapshotAt = (at: number, context: object): AnyMachineSnapshot => {
		let one = made[at];
		if (one === undefined) {
			const value = stateValue(table.names[at]!);
			one = machine.resolveState({ value, context }) as AnyMachineSnapshot;
			made[at] = one;
			indexOf.set(one.value, at);
		}
		const next = { ...one };
		next.context = context;
		return next;
	};
	const transition: Transition = (snapshot, event, scope) => {
		// What XState itself sends (stop, errors), and what no state answers by name.
		if (table.eventIndex[event.type] === undefined)
			return machine.transition(snapshot, event, scope);
		const { value, context } = snapshot;
		table.learn(context);
		const at =
			indexOf.get(value) ?? table.names.indexOf(configurationName(value));
		const after = stepCompiled(table, at, context, event);
		return after.at === at && after.context === context
			? snapshot
			: snapshotAt(after.at, after.context);
	};
	return Object.create(machine, {
		transition: { value: transition },
	}) as AnyStateMachine;
}
