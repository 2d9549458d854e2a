/**
 * What a search did with each state, for reduction: which process it let move alone, and which processes it left out since another order of
 * the same moves covers them (sleep sets: Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, ch. 5 and 6).
 *
 * A state may be reached again by a way on which fewer processes may be left out; then those are made up for. Why that is sound in any order
 * of search: let w be a run from a state whose first moves (in any equivalent order) are not all asleep there. Of those that were made,
 * take one of the latest round, and in that round the first: what it put to sleep behind it and could begin the rest of w would begin w too,
 * so it was asleep here for good (w would not have to be made) or it was made in a later round, or earlier in the same one; neither is so.
 */

/** Every state was expanded by all processes that are awake, unless one moved alone. */
const ALL = -1;
const FIRST_CAPACITY = 1 << 10;

export class Expansions {
	#alone = new Int8Array(FIRST_CAPACITY).fill(ALL);
	#asleep = new Uint16Array(FIRST_CAPACITY);
	#todo = new Uint16Array(FIRST_CAPACITY);
	/** States that have something to make up for. */
	readonly again: number[] = [];

	/** Bytes held. */
	get memoryBytes(): number {
		return (
			this.#alone.byteLength + this.#asleep.byteLength + this.#todo.byteLength
		);
	}

	/** A state was found with these processes asleep. */
	found(state: number, asleep: number): void {
		if (state >= this.#alone.length) this.#grow();
		this.#asleep[state] = asleep;
	}

	/** A known state was reached again; `expanded`: it has had its turn. */
	reached(state: number, asleep: number, expanded: boolean): void {
		const before = this.#asleep[state] as number;
		const awake = before & ~asleep;
		if (awake === 0) return;
		this.#asleep[state] = before & asleep;
		if (!expanded) return;
		const alone = this.#alone[state] as number;
		this.wake(state, alone === ALL ? awake : awake & (1 << alone));
	}

	/** These processes are to move from this state after all. */
	wake(state: number, processes: number): void {
		if (processes === 0) return;
		if (this.#todo[state] === 0) this.again.push(state);
		this.#todo[state] = (this.#todo[state] as number) | processes;
	}

	asleep(state: number): number {
		return this.#asleep[state] as number;
	}
	/** The process that moved alone, or -1. */
	alone(state: number): number {
		return this.#alone[state] as number;
	}
	setAlone(state: number, process: number): void {
		this.#alone[state] = process;
	}
	/** The processes to make up for, which are done with now. */
	take(state: number): number {
		const todo = this.#todo[state] as number;
		this.#todo[state] = 0;
		return todo;
	}

	#grow(): void {
		const size = this.#alone.length;
		const alone = new Int8Array(size * 2).fill(ALL, size);
		alone.set(this.#alone);
		const asleep = new Uint16Array(size * 2);
		asleep.set(this.#asleep);
		const todo = new Uint16Array(size * 2);
		todo.set(this.#todo);
		this.#alone = alone;
		this.#asleep = asleep;
		this.#todo = todo;
	}
}
