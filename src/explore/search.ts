/**
 * The search: breadth first over every state of a system, so that the first path to a violation is a shortest one. With
 * `reduce`, a state is expanded by one process alone where that is sound for safety (ample sets: Clarke, Grumberg, Peled, Model
 * Checking, ch. 10; for breadth-first search: Bošnački and Holzmann, SPIN 2005):
 *   - the process has a move, and all it can do next is independent of all that the others may still do;
 *   - every successor is new, or the system has no cycles (no cycle is closed by a reduced expansion, so no process is ignored for
 *     ever).
 * Of what is expanded, moves whose other order is covered are left out (sleep sets, expansions.ts), where there are no cycles and no
 * symmetry. A system may learn on its way what is independent: then states whose reduction was too bold are expanded fully at the end.
 * Violations are raised by moves from what the move itself touches, and states without moves are kept by the reduction, so the
 * reduced search finds the same violations (test/explore/soundness.test.ts, call-soundness.test.ts).
 */
import { Expansions } from "./expansions.ts";
import type { System } from "./system.ts";
import { Visited } from "./visited.ts";

/** Limits of a search; whichever is met first ends it with `complete: false`. */
export interface Limits {
	readonly maxStates: number;
	/** Moves from the start. */
	readonly maxDepth: number;
	readonly maxSeconds: number;
	/** Bytes of the visited set. */
	readonly maxMemoryBytes: number;
}

/** What a violation looked like when it was first found. */
export interface Found {
	readonly id: string;
	readonly message: string;
	readonly witness: number;
	/** The moves that lead to it; the last one raised it. */
	readonly moves: readonly number[];
}

/** How a search ended. */
export interface SearchResult {
	readonly states: number;
	readonly transitions: number;
	/** Length of the longest shortest path. */
	readonly depth: number;
	readonly seconds: number;
	readonly complete: boolean;
	/** The limit that ended it. */
	readonly stoppedBy?: keyof Limits;
	/** First (shortest) occurrence of each invariant, in order of discovery. */
	readonly found: readonly Found[];
	readonly memoryBytes: number;
}

/** Options of a search. `until`: end as soon as all of these ids were found. */
export interface SearchOptions {
	readonly reduce: boolean;
	readonly limits: Limits;
	/** A monotonic clock in milliseconds. */
	readonly now: () => number;
	/** Told now and then how many states there are. */
	readonly onProgress?: ((states: number) => void) | undefined;
	readonly until?: ReadonlySet<string>;
}

/** The clock is asked once in so many states. */
const CLOCK_EVERY = 1024;
/** More enabled moves of one process than this would be a defect of the system. */
const MAX_MOVES = 4096;

/** Runs the search. */
export function search(system: System, options: SearchOptions): SearchResult {
	return new Search(system, options).run();
}

class Search {
	readonly #system: System;
	readonly #options: SearchOptions;
	readonly #visited: Visited;
	/** Of a reduced search. */
	readonly #expansions: Expansions | undefined;
	/** Sleep sets are used: nobody can be ignored for ever, and processes keep their names. */
	readonly #sleeps: boolean;
	readonly #found = new Map<string, Found>();
	readonly #current: Uint8Array;
	readonly #currentWords: Uint32Array;
	readonly #next: Uint8Array;
	readonly #nextWords: Uint32Array;
	readonly #moves = new Int32Array(MAX_MOVES);
	#transitions = 0;
	/** The state whose turn it is. */
	#head = 0;

	constructor(system: System, options: SearchOptions) {
		this.#system = system;
		this.#options = options;
		this.#visited = new Visited(system.bytes);
		this.#expansions = options.reduce ? new Expansions() : undefined;
		this.#sleeps =
			options.reduce &&
			system.acyclic === true &&
			system.commute !== undefined &&
			system.canonicalize === undefined;
		this.#current = new Uint8Array(system.bytes);
		this.#currentWords = new Uint32Array(this.#current.buffer);
		this.#next = new Uint8Array(system.bytes);
		this.#nextWords = new Uint32Array(this.#next.buffer);
	}

	run(): SearchResult {
		const { limits, now, until, onProgress } = this.#options;
		const start = now();
		const visited = this.#visited;
		this.#next.fill(0);
		this.#system.initial(this.#next);
		this.#arrive(-1, 0, 0);
		let depth = 0;
		let levelEnd = 1;
		let stoppedBy: keyof Limits | undefined;
		let learned = this.#system.learned?.() ?? 0;
		for (;;) {
			if (this.#head === visited.size) {
				if (this.#makeUp()) continue;
				const known = learned;
				learned = this.#system.learned?.() ?? 0;
				if (known === learned || !this.#review()) break;
				continue;
			}
			if (this.#head === levelEnd) {
				levelEnd = visited.size;
				depth++;
				if (depth >= limits.maxDepth) stoppedBy = "maxDepth";
			}
			if (visited.size >= limits.maxStates) stoppedBy ??= "maxStates";
			if (this.#head % CLOCK_EVERY === CLOCK_EVERY - 1) {
				if (this.#memoryBytes > limits.maxMemoryBytes)
					stoppedBy ??= "maxMemoryBytes";
				if (now() - start > limits.maxSeconds * 1000)
					stoppedBy ??= "maxSeconds";
				onProgress?.(visited.size);
			}
			if (stoppedBy !== undefined) break;
			if (until !== undefined && this.#hasAll(until)) break;
			this.#expand(this.#head);
			this.#head++;
		}
		return {
			states: visited.size,
			transitions: this.#transitions,
			depth,
			seconds: (now() - start) / 1000,
			complete: stoppedBy === undefined && this.#head === visited.size,
			...(stoppedBy === undefined ? {} : { stoppedBy }),
			found: [...this.#found.values()],
			memoryBytes: this.#memoryBytes,
		};
	}

	get #memoryBytes(): number {
		return this.#visited.memoryBytes + (this.#expansions?.memoryBytes ?? 0);
	}

	#hasAll(ids: ReadonlySet<string>): boolean {
		for (const id of ids) if (!this.#found.has(id)) return false;
		return true;
	}

	/** Lets the processes move that are awake after all; true when there were such. */
	#makeUp(): boolean {
		const expansions = this.#expansions;
		const head = expansions?.again.pop();
		if (expansions === undefined || head === undefined) return false;
		const todo = expansions.take(head);
		this.#visited.load(head, this.#currentWords);
		let done = expansions.asleep(head);
		for (let p = 0; p < this.#system.processes; p++) {
			if ((todo & (1 << p)) === 0) continue;
			const n = this.#system.moves(this.#current, p, this.#moves);
			this.#take(head, n, p, done);
			if (n > 0) done |= 1 << p;
		}
		return true;
	}

	/**
	 * The system knows more of the futures than when it said who may move alone. Where that was too early, the others move as well.
	 * True when there was such a state.
	 */
	#review(): boolean {
		const expansions = this.#expansions;
		if (expansions === undefined) return false;
		const system = this.#system;
		for (let head = 0; head < this.#head; head++) {
			const alone = expansions.alone(head);
			if (alone < 0) continue;
			this.#visited.load(head, this.#currentWords);
			if (system.independent(this.#current, alone)) continue;
			expansions.setAlone(head, -1);
			const others = (1 << system.processes) - 1 - (1 << alone);
			expansions.wake(head, others & ~expansions.asleep(head));
		}
		return expansions.again.length > 0;
	}

	#expand(head: number): void {
		const system = this.#system;
		this.#visited.load(head, this.#currentWords);
		let alone = -1;
		const asleep = this.#expansions?.asleep(head) ?? 0;
		if (this.#options.reduce)
			for (let p = 0; p < system.processes; p++) {
				if (!system.independent(this.#current, p)) continue;
				const n = system.moves(this.#current, p, this.#moves);
				if (n === 0) continue;
				alone = p;
				const isAsleep = (asleep & (1 << p)) !== 0;
				if (
					isAsleep ||
					this.#take(head, n, p, asleep) ||
					system.acyclic === true
				)
					return this.#expansions?.setAlone(head, p);
				break;
			}
		let any = alone >= 0;
		let done = asleep;
		for (let p = 0; p < system.processes; p++) {
			if (p === alone) continue;
			const n = system.moves(this.#current, p, this.#moves);
			if (n === 0) continue;
			if (p < system.processes - system.environment) any = true;
			if ((asleep & (1 << p)) !== 0) continue;
			this.#take(head, n, p, done);
			done |= 1 << p;
		}
		if (any) return;
		system.ended(this.#current);
		this.#collect(head, undefined);
	}

	/** Those of the processes `done` whose moves commute with all that `process` can do: they need not move after it. */
	#sleepers(process: number, done: number): number {
		if (!this.#sleeps) return 0;
		let asleep = 0;
		for (let q = 0, rest = done; rest !== 0; q++, rest >>>= 1)
			if (
				(rest & 1) !== 0 &&
				this.#system.commute?.(this.#current, process, q) === true
			)
				asleep |= 1 << q;
		return asleep;
	}

	/**
	 * Makes the first `n` moves of the buffer, which are moves of `process`; `done`: those that have moved before or are asleep. True when every
	 * successor was new.
	 */
	#take(head: number, n: number, process: number, done: number): boolean {
		const asleep = done === 0 ? 0 : this.#sleepers(process, done);
		let allNew = true;
		for (let i = 0; i < n; i++) {
			const move = this.#moves[i] as number;
			const from = this.#currentWords;
			const to = this.#nextWords;
			for (let w = 0; w < from.length; w++) to[w] = from[w] as number;
			this.#system.apply(this.#next, move);
			this.#transitions++;
			if (!this.#arrive(head, move, asleep)) allNew = false;
		}
		return allNew;
	}

	#arrive(parent: number, move: number, asleep: number): boolean {
		const system = this.#system;
		if (system.raised.length > 0) this.#collect(parent, move);
		system.visit?.(this.#next);
		system.canonicalize?.(this.#next);
		const isNew = this.#visited.add(this.#nextWords, parent, move);
		const { last } = this.#visited;
		if (isNew) this.#expansions?.found(last, asleep);
		else this.#expansions?.reached(last, asleep, last < this.#head);
		return isNew;
	}

	#collect(parent: number, move: number | undefined): void {
		for (const raised of this.#system.raised) {
			if (this.#found.has(raised.id)) continue;
			const moves = parent < 0 ? [] : this.#visited.path(parent);
			if (parent >= 0 && move !== undefined) moves.push(move);
			this.#found.set(raised.id, { ...raised, moves });
		}
		this.#system.raised.length = 0;
	}
}
