/** Answers "where does it stand in its statechart" for actors and for operations. */
import type { LogIndex } from "../model/log-index.ts";
import type { AnyDefinition } from "../../../machines/define.ts";
import { flowOf, machineOfOperation } from "../model/machines.ts";
import type { Span, Spans } from "../model/spans.ts";
import {
	type StepRecord,
	TransactionTracker,
	type TransactionState,
} from "../model/transaction-state.ts";
import type { Flow } from "../../orchestrator/switches.ts";
import type { ChartPlace } from "./protocol.ts";
import type { StateHistory } from "./state-history.ts";

/** More records of one operation are not followed: a statechart has some dozens of steps. */
const FOLLOWED_MAX = 20_000;

/** An operation's records and where each of them stands. */
interface Followed {
	readonly key: string;
	readonly positions: readonly number[];
	readonly states: readonly TransactionState[];
}

/** Looks places up. */
export class ChartPlaces {
	readonly #index: LogIndex;
	readonly #spans: Spans;
	readonly #history: StateHistory;
	readonly #trackers = new Map<object, TransactionTracker>();
	#followed: Followed | undefined;

	constructor(index: LogIndex, spans: Spans, history: StateHistory) {
		this.#index = index;
		this.#spans = spans;
		this.#history = history;
	}

	/** The place at a position; without an actor, that of the operation there. */
	at(at: number, actor: string | undefined): ChartPlace | undefined {
		return actor === undefined ? this.#operation(at) : this.#actor(at, actor);
	}

	get #flow(): Flow {
		const switches = this.#index.header?.["switches"] as
			| { flow?: unknown }
			| undefined;
		return flowOf(switches?.flow);
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
		const flow = this.#flow;
		const found = this.#spans.around(
			at,
			(name) => machineOfOperation(name, flow) !== undefined,
		);
		if (found === undefined) return undefined;
		const span = this.#spans.span(found.number);
		const definition = machineOfOperation(span.name, flow) as AnyDefinition;
		const { positions, states } = this.#follow(span, definition);
		const step = positions.findLastIndex((position) => position <= at);
		const { state, last, passed } = states[step] as TransactionState;
		return {
			machine: definition.id,
			flow,
			subject: `operation ${span.op}: ${span.name}`,
			states: [state],
			last:
				last?.to === undefined ? undefined : { from: last.from, to: last.to },
			since: positions[step] as number,
			passed,
			note: found.isOwn
				? "inferred from the operation's records"
				: "inferred; running here, the record is of another",
		};
	}

	/** All of an operation that is in the log, explained; kept while the cursor moves inside it. */
	#follow(span: Span, definition: AnyDefinition): Followed {
		const key = `${span.op} ${span.end}`;
		if (this.#followed?.key === key) return this.#followed;
		let tracker = this.#trackers.get(definition);
		if (tracker === undefined) {
			tracker = new TransactionTracker(definition, this.#flow);
			this.#trackers.set(definition, tracker);
		}
		const { positions, records } = this.#records(span);
		this.#followed = { key, positions, states: tracker.follow(records) };
		return this.#followed;
	}

	#records({ op, begin, end }: Span): {
		positions: number[];
		records: StepRecord[];
	} {
		const index = this.#index;
		const records: StepRecord[] = [];
		const positions: number[] = [];
		for (let at = begin; at <= end && records.length < FOLLOWED_MAX; at++) {
			if (index.op[at] !== op && index.seq[at] !== op) continue;
			const name = index.types.names[index.type[at] as number] as string;
			const text = index.textAt(at);
			const sign = text.includes('"delta":-') ? "-" : "+";
			const type = name === "obj.ref" ? name + sign : name;
			records.push({ type, undo: text.includes('"undo":true') });
			positions.push(at);
		}
		return { positions, records };
	}
}
