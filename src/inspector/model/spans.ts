/**
 * Operations as spans: from `op.begin` to `op.commit`, `op.fail` or `op.unknown`; and sagas, from `saga.begun` to `saga.ended`, which
 * are numbered like operations by the record that began them. Columns again, since a large log holds hundreds of thousands.
 */
import type { LogIndex } from "./log-index.ts";

/** How an operation ended. `open`: the log ends before it; `unknown`: it ended, and nobody knows how (a lost backend). */
export const OUTCOMES = ["open", "commit", "fail", "unknown"] as const;
/** One of OUTCOMES. */
export type Outcome = (typeof OUTCOMES)[number];

/** One operation, for people. Positions count records from 0. */
export interface Span {
	readonly name: string;
	readonly op: number;
	readonly begin: number;
	readonly end: number;
	readonly outcome: Outcome;
	readonly actor: string;
	/** Which line of the drawing: operations that overlap get different ones. */
	readonly row: number;
}

/** Running operations are looked for among this many that began last. */
export const LOOK_BACK = 512;

/** An operation at a position. `isOwn`: the record there belongs to it; otherwise it was only running. */
export interface Around {
	readonly number: number;
	readonly isOwn: boolean;
}

/** Spans drawn above each other at most; what overlaps deeper shares the last row. */
export const SPAN_ROWS_MAX = 4;

/** Follows a growing index and knows its operations. */
export class Spans {
	/** Positions of `op.begin`, ascending. */
	readonly begin: number[] = [];
	/** Position of the end record, or −1 while open. */
	readonly end: number[] = [];
	readonly outcome: Outcome[] = [];
	readonly name: string[] = [];
	readonly row: number[] = [];
	/** The saga's op for an operation that is a step of one; −1 for a saga itself; 0 else. */
	readonly saga: number[] = [];
	readonly #index: LogIndex;
	/** One string per name, however many operations have it. */
	readonly #names = new Map<string, string>();
	readonly #byOp = new Map<number, number>();
	readonly #rowTakenBy: number[] = [];
	#seen = 0;

	constructor(index: LogIndex) {
		this.#index = index;
	}

	/** Reads the records that were added to the index since the last call. */
	update(): void {
		const { types, type, count } = this.#index;
		const kind = (name: string): number => types.names.indexOf(name);
		const begin = kind("op.begin");
		const commit = kind("op.commit");
		const fail = kind("op.fail");
		const unknown = kind("op.unknown");
		const sagaBegun = kind("saga.begun");
		const sagaEnded = kind("saga.ended");
		for (let at = this.#seen; at < count; at++) {
			const here = type[at];
			if (here === begin) this.#open(at);
			else if (here === commit) this.#close(at, "commit");
			else if (here === fail) this.#close(at, "fail");
			else if (here === unknown) this.#close(at, "unknown");
			else if (here === sagaBegun) this.#open(at, SAGA);
			else if (here === sagaEnded) this.#closeSaga(at);
		}
		this.#seen = count;
	}

	/** The operation whose records include position `at` by causation, or −1. */
	numberOfOp(op: number): number {
		return this.#byOp.get(op) ?? -1;
	}

	/** The span with that number. */
	span(number: number): Span {
		const index = this.#index;
		const begin = this.begin[number] as number;
		const end = this.end[number] as number;
		return {
			name: this.name[number] as string,
			op: index.seq[begin] as number,
			begin,
			end: end < 0 ? index.count - 1 : end,
			outcome: this.outcome[number] as Outcome,
			actor: index.actors.names[index.actor[begin] as number] as string,
			row: this.row[number] as number,
		};
	}

	/**
	 * The operation of the record at a position, or else one that was running when the record was written: the one begun last that
	 * is `wanted`. Undefined when there is none.
	 */
	around(
		at: number,
		wanted: (name: string) => boolean = () => true,
	): Around | undefined {
		const own = this.#own(at);
		if (own >= 0 && wanted(this.name[own] as string))
			return { number: own, isOwn: true };
		const last = this.firstFrom(at + 1) - 1;
		for (let n = last; n >= Math.max(0, last - LOOK_BACK); n--) {
			const end = this.end[n] as number;
			if ((end < 0 || end >= at) && wanted(this.name[n] as string))
				return { number: n, isOwn: false };
		}
		return undefined;
	}

	#own(at: number): number {
		const index = this.#index;
		if (at < 0 || at >= index.count) return -1;
		const number = this.numberOfOp(index.op[at] as number);
		if (number >= 0) return number;
		const type = index.types.names[index.type[at] as number] as string;
		const saga = type.startsWith("saga.") ? sagaIn(index.textAt(at)) : 0;
		return this.numberOfOp(saga || (index.seq[at] as number));
	}

	/** The number of the first span that begins at or after position `at`. */
	firstFrom(at: number): number {
		let low = 0;
		let high = this.begin.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.begin[middle] as number) < at) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	/** A saga's records and those that begin and end its steps: what a person wants to see of it. */
	isOfSaga(saga: number, at: number): boolean {
		const index = this.#index;
		if (index.seq[at] === saga) return true;
		const type = index.types.names[index.type[at] as number] as string;
		if (type.startsWith("saga.")) return sagaIn(index.textAt(at)) === saga;
		if (!/^op\.(?:begin|commit|fail|unknown)$/.test(type)) return false;
		const number = this.numberOfOp(index.op[at] as number);
		return number >= 0 && this.saga[number] === saga;
	}

	#open(at: number, kind = 0): void {
		const number = this.begin.length;
		this.begin.push(at);
		this.end.push(-1);
		this.outcome.push("open");
		const text = this.#index.textAt(at);
		const name = kind === SAGA ? sagaName(text) : operationName(text);
		this.saga.push(kind === SAGA ? SAGA : sagaIn(text));
		this.name.push(this.#names.get(name) ?? name);
		this.#names.set(name, this.name[number] as string);
		this.row.push(this.#freeRow(number));
		this.#byOp.set(this.#index.seq[at] as number, number);
	}

	#closeSaga(at: number): void {
		const text = this.#index.textAt(at);
		const isDone = text.includes('"outcome":"done"');
		this.#close(at, isDone ? "commit" : "fail", sagaIn(text));
	}

	#close(
		at: number,
		outcome: Outcome,
		op = this.#index.op[at] as number,
	): void {
		const number = this.#byOp.get(op);
		if (number === undefined || (this.end[number] as number) >= 0) return;
		this.end[number] = at;
		this.outcome[number] = outcome;
		const row = this.row[number] as number;
		if (this.#rowTakenBy[row] === number) this.#rowTakenBy[row] = -1;
	}

	#freeRow(number: number): number {
		for (let row = 0; row < SPAN_ROWS_MAX; row++) {
			const taken = this.#rowTakenBy[row] ?? -1;
			if (taken >= 0) continue;
			this.#rowTakenBy[row] = number;
			return row;
		}
		return SPAN_ROWS_MAX - 1;
	}
}

const SAGA = -1;

/** The saga that a record names as its own; 0 when it names none. */
function sagaIn(text: string): number {
	if (!text.includes('"saga":')) return 0;
	try {
		const { data } = JSON.parse(text) as { data?: { saga?: unknown } };
		return typeof data?.saga === "number" ? data.saga : 0;
	} catch {
		return 0;
	}
}

/** The name in a `saga.begun`. */
function sagaName(text: string): string {
	try {
		const { data } = JSON.parse(text) as { data?: { saga?: unknown } };
		return typeof data?.saga === "string" ? data.saga : "?";
	} catch {
		return "?";
	}
}

const NAME_MARK = '"data":{"op":"';

/** The name in an `op.begin`; canonical lines have it first in their data. */
function operationName(line: string): string {
	const from = line.indexOf(NAME_MARK) + NAME_MARK.length;
	const to = line.indexOf('"', from);
	const name = line.slice(from, to);
	if (from >= NAME_MARK.length && to > from && !name.includes("\\"))
		return name;
	try {
		const { data } = JSON.parse(line) as { data?: { op?: unknown } };
		return typeof data?.op === "string" ? data.op : "?";
	} catch {
		return "?";
	}
}
