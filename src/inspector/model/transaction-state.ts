/**
 * Where an operation stands in its statechart. Records name facts, not states; which state asks for which step is read off the
 * definition itself (step-records.ts).
 *
 * All records of the operation are explained together, up to its end where the log has it: of all ways through the chart the one is
 * taken that contradicts the fewest records, and of those the shortest. So an operation that commits was never unwinding, and
 * states that leave no record are passed silently.
 */
import type { AnyDefinition } from "../../../machines/define.ts";
import type { Chart, ChartEdge } from "./chart.ts";
import { chartOfDefinition } from "./chart.ts";
import { ChartWays } from "./chart-ways.ts";
import type { Flow } from "../../orchestrator/switches.ts";
import { recordsByState } from "./step-records.ts";

/** One record of the operation, as far as it matters here. */
export interface StepRecord {
	/** The record's type; `obj.ref+` and `obj.ref-` for counts going up and down. */
	readonly type: string;
	readonly undo: boolean;
	/** The state that this record speaks for among those that leave such a record. */
	readonly hint?: string;
}
/** The place reached. */
export interface TransactionState {
	readonly state: string;
	/** The last transition taken; undefined before the first. */
	readonly last: ChartEdge | undefined;
	/** All states passed, in order. */
	readonly passed: readonly string[];
}

/** What it costs to assume that a record was left in a state, next to 1 for each transition. */
const CONTRADICTED = 60;
const WRONG_DIRECTION = 8;
/** Two counts changed, or two commands given, in one state: most steps do one only. */
const TWICE = 3;

/** Another state than the record speaks for. */
const NOT_HINTED = 2;

const UNWINDING = "unwinding";
/** Repeated records of one kind that are followed one by one; the rest of a long run stands where its last one stands. */
const RUN_FOLLOWED_MAX = 8;

/** The best explanation that ends in a state. */
interface Guess {
	readonly cost: number;
	/** The state before, in the column before; and how it was left. */
	readonly from: string;
	readonly way: readonly ChartEdge[];
}

/** Follows one machine. */
export class TransactionTracker {
	readonly chart: Chart;
	readonly #states: ReadonlyMap<string, readonly string[]>;
	readonly #known: ReadonlySet<string>;
	readonly #ways: ChartWays;

	constructor(definition: AnyDefinition, flow: Flow) {
		this.chart = chartOfDefinition(definition);
		this.#ways = new ChartWays(this.chart);
		this.#states = recordsByState(definition, flow);
		this.#known = new Set([...this.#states.values()].flat());
	}

	/** The state after each of these records of one operation (`op.begin` first). */
	follow(records: readonly StepRecord[]): TransactionState[] {
		const start = this.chart.states[0]?.initial ?? "";
		let column = new Map<string, Guess>([
			[start, { cost: 0, from: start, way: [] }],
		]);
		const columns: Map<string, Guess>[] = [];
		let run = 0;
		for (const [i, record] of records.entries()) {
			const before = records[i - 1];
			const isSame =
				before?.type === record.type && before.undo === record.undo;
			run = isSame ? run + 1 : 0;
			if (run < RUN_FOLLOWED_MAX) column = this.#next(column, record, before);
			columns.push(column);
		}
		return this.#readBack(start, columns);
	}

	/** The best explanations after one more record. */
	#next(
		column: ReadonlyMap<string, Guess>,
		record: StepRecord,
		before: StepRecord | undefined,
	): Map<string, Guess> {
		const next = new Map<string, Guess>();
		for (const [from, { cost }] of column)
			for (const [to, way] of this.#waysFor(from, record, before)) {
				const total =
					cost +
					way.length +
					this.#price(to, record) +
					(way.length === 0 && isCountedAgain(record, before) ? TWICE : 0);
				const known = next.get(to);
				if (known === undefined || total < known.cost)
					next.set(to, { cost: total, from, way });
			}
		return next;
	}

	#waysFor(
		from: string,
		record: StepRecord,
		before: StepRecord | undefined,
	): ReadonlyMap<string, readonly ChartEdge[]> {
		const ways = this.#ways.from(from);
		const loop = this.#ways.loop(from);
		if (loop === undefined || before?.type !== record.type) return ways;
		return new Map([...ways, [from, [loop]]]);
	}

	/** What speaks against a record having been left in a state. */
	#price(path: string, { type, undo, hint }: StepRecord): number {
		if (type === "op.begin")
			return path === "" || path === "Idle" || isEnd(path) ? CONTRADICTED : 0;
		if (type === "op.commit") return path === "Committed" ? 0 : CONTRADICTED;
		if (type === "op.fail") return path === "Failed" ? 0 : CONTRADICTED;
		if (type === "saga.stuck") return path === "Stuck" ? 0 : CONTRADICTED;
		if (isEnd(path)) return CONTRADICTED;
		if (!this.#known.has(type)) return 0;
		if (!(this.#states.get(path) ?? []).includes(type)) return CONTRADICTED;
		if (undo !== path.startsWith(UNWINDING)) return WRONG_DIRECTION;
		return hint === undefined || hint === path ? 0 : NOT_HINTED;
	}

	#readBack(
		start: string,
		columns: readonly Map<string, Guess>[],
	): TransactionState[] {
		const states: { state: string; way: readonly ChartEdge[] }[] = [];
		let state = cheapest(columns.at(-1)) ?? start;
		for (let i = columns.length - 1; i >= 0; i--) {
			const isRun = i > 0 && columns[i] === columns[i - 1];
			const guess = (columns[i] as Map<string, Guess>).get(state) as Guess;
			states.unshift({ state, way: isRun ? [] : guess.way });
			if (!isRun) state = guess.from;
		}
		const passed = [start];
		let last: ChartEdge | undefined;
		return states.map(({ state: here, way }) => {
			for (const edge of way) passed.push(edge.to as string);
			last = way.at(-1) ?? last;
			return { state: here, last, passed: passed.slice() };
		});
	}
}

const isEnd = (path: string): boolean =>
	path === "Committed" || path === "Failed" || path === "Stuck";

/** Records of which a state leaves one each time it is entered. */
const ONE_EACH = ["obj.ref", "saga.do", "saga.back"] as const;

const isCountedAgain = (
	record: StepRecord,
	before: StepRecord | undefined,
): boolean =>
	ONE_EACH.some(
		(kind) => record.type.startsWith(kind) && before?.type.startsWith(kind),
	);

function cheapest(
	column: ReadonlyMap<string, Guess> | undefined,
): string | undefined {
	let best: string | undefined;
	let least = Number.POSITIVE_INFINITY;
	for (const [state, { cost }] of column ?? [])
		if (cost < least) {
			least = cost;
			best = state;
		}
	return best;
}
