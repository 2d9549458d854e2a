/** Answers "where does it stand in its statechart" for actors and for operations. */
import type { LogIndex } from "../model/log-index.ts";
import { machineOfOperation } from "../model/machines.ts";
import type { Spans } from "../model/spans.ts";
import {
	type StepRecord,
	TransactionTracker,
} from "../model/transaction-state.ts";
import type { ChartPlace } from "./protocol.ts";
import type { StateHistory } from "./state-history.ts";

/** More records of one operation are not followed: a statechart has some dozens of steps. */
const FOLLOWED_MAX = 20_000;

/** Looks places up. */
export class ChartPlaces {
	readonly #index: LogIndex;
	readonly #spans: Spans;
	readonly #history: StateHistory;
	readonly #trackers = new Map<object, TransactionTracker>();

	constructor(index: LogIndex, spans: Spans, history: StateHistory) {
		this.#index = index;
		this.#spans = spans;
		this.#history = history;
	}

	/** The place at a position; without an actor, that of the operation there. */
	at(at: number, actor: string | undefined): ChartPlace | undefined {
		return actor === undefined ? this.#operation(at) : this.#actor(at, actor);
	}

	get #flow(): string {
		const switches = this.#index.header?.["switches"] as
			| { flow?: unknown }
			| undefined;
		return typeof switches?.flow === "string" ? switches.flow : "group-owned";
	}

	#actor(at: number, actor: string): ChartPlace | undefined {
		const found = this.#history.at(actor, at);
		if (found === undefined) return undefined;
		const { now, before } = found;
		const changed = now.state.states.findIndex(
			(path, i) => path !== before?.state.states[i],
		);
		const from = before?.state.states[changed];
		const to = now.state.states[changed];
		return {
			machine: now.state.machine,
			flow: this.#flow,
			subject: actor,
			states: now.state.states,
			last: from === undefined || to === undefined ? undefined : { from, to },
			since: now.since,
			passed: [],
			note: now.state.note,
		};
	}

	#operation(at: number): ChartPlace | undefined {
		const index = this.#index;
		if (at < 0) return undefined;
		const op = index.op[at] || (index.seq[at] as number);
		const number = this.#spans.numberOfOp(op);
		if (number < 0) return undefined;
		const span = this.#spans.span(number);
		const definition = machineOfOperation(span.name, this.#flow);
		if (definition === undefined) return undefined;
		let tracker = this.#trackers.get(definition);
		if (tracker === undefined) {
			tracker = new TransactionTracker(definition);
			this.#trackers.set(definition, tracker);
		}
		const records = this.#records(op, span.begin, at);
		const { state, last, passed } = tracker.after(records);
		return {
			machine: definition.id,
			flow: this.#flow,
			subject: `operation ${op}: ${span.name}`,
			states: [state],
			last:
				last?.to === undefined ? undefined : { from: last.from, to: last.to },
			since: at,
			passed,
			note: "inferred from the operation's records",
		};
	}

	#records(op: number, begin: number, end: number): StepRecord[] {
		const index = this.#index;
		const records: StepRecord[] = [];
		for (let at = begin; at <= end && records.length < FOLLOWED_MAX; at++) {
			if (index.op[at] !== op && index.seq[at] !== op) continue;
			const name = index.types.names[index.type[at] as number] as string;
			const text = index.textAt(at);
			const sign = text.includes('"delta":-') ? "-" : "+";
			const type = name === "obj.ref" ? name + sign : name;
			records.push({ type, undo: text.includes('"undo":true') });
		}
		return records;
	}
}
