/** Answers "where does it stand in its statechart" for actors and for operations. */
import type { LogIndex } from "../model/log-index.ts";
import type { AnyDefinition } from "../../../machines/define.ts";
import {
	flowOf,
	machineOfOperation,
	machineOfSaga,
} from "../model/machines.ts";
import type { Around, Span, Spans } from "../model/spans.ts";
import {
	type StepRecord,
	TransactionTracker,
	type TransactionState,
} from "../model/transaction-state.ts";
import type { Flow } from "../../orchestrator/switches.ts";
import type { ChartPlace } from "./protocol.ts";
import { SagaSteps } from "./saga-steps.ts";
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

	/** The place at a position: of an actor, of the saga there, or of the operation there. */
	at(
		at: number,
		actor: string | undefined,
		isSaga = false,
	): ChartPlace | undefined {
		if (actor !== undefined) return this.#actor(at, actor);
		return isSaga ? this.#saga(at) : this.#operation(at);
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
		const machineOf = (name: string): AnyDefinition | undefined =>
			machineOfOperation(name, flow);
		const found = this.#spans.around(
			at,
			(name) => machineOf(name) !== undefined,
		);
		if (found === undefined) return undefined;
		return this.#placeIn(at, found, machineOf, "operation");
	}

	#saga(at: number): ChartPlace | undefined {
		const found = this.#spans.around(
			at,
			(name) => machineOfSaga(name) !== undefined,
		);
		if (found === undefined) return undefined;
		return this.#placeIn(at, { ...found, isOwn: true }, machineOfSaga, "saga");
	}

	#placeIn(
		at: number,
		{ number, isOwn }: Around,
		machineOf: (name: string) => AnyDefinition | undefined,
		kind: "operation" | "saga",
	): ChartPlace {
		const span = this.#spans.span(number);
		const definition = machineOf(span.name) as AnyDefinition;
		const { positions, states } = this.#follow(span, definition);
		const step = positions.findLastIndex((position) => position <= at);
		const { state, last, passed } = states[step] as TransactionState;
		return {
			machine: definition.id,
			flow: this.#flow,
			subject: `${kind} ${span.op}: ${span.name}`,
			states: [state],
			last:
				last?.to === undefined ? undefined : { from: last.from, to: last.to },
			since: positions[step] as number,
			passed,
			note: isOwn
				? `inferred from the ${kind}'s records`
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
		const { positions, records } =
			machineOfSaga(span.name) === definition
				? this.#commands(span)
				: this.#records(span);
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

	/** A saga's commands as steps of its statechart. */
	#commands({ op, begin, end }: Span): {
		positions: number[];
		records: StepRecord[];
	} {
		const index = this.#index;
		const records: StepRecord[] = [];
		const positions: number[] = [];
		const steps = new SagaSteps(index.header?.["topology"]);
		for (let at = begin; at <= end && records.length < FOLLOWED_MAX; at++) {
			if (!this.#spans.isOfSaga(op, at)) continue;
			const name = index.types.names[index.type[at] as number] as string;
			const step = steps.stepOf(name, index.textAt(at));
			if (step === undefined) continue;
			records.push(step);
			positions.push(at);
		}
		return { positions, records };
	}
}
