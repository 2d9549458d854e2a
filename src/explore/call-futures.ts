/**
 * What a thread may still touch, learned from the moves seen so far: the local graph of each thread (positions, and the moves between them with
 * the places they read and write), and for each position everything reachable from it.
 *
 * A reduced search uses what is known at each moment. When it learns something on the way, what it left out before may have been wrong, and it is
 * made again (explore-calls.ts); moves are remembered, so that costs little. One that learns nothing is sound: suppose it wrongly
 * moved thread p alone in a state; take the shortest way of the others from there to a move m that conflicts with p's. After p's move
 * the others can still go that way up to m, and m's thread reads the same up to the first place that p wrote; so either m or a move that
 * begins by reading that place was met, from the same position, and the conflict was known. (The graphs have no cycles: every move
 * brings its thread closer to the end of its calls.)
 */
import type { Leaf } from "./call-memo.ts";

/** What may be touched from a position on. */
export interface Future {
	readLow: number;
	readHigh: number;
	writeLow: number;
	writeHigh: number;
	begins: boolean;
	ends: boolean;
	takes: number;
}
const nothing = (): Future => ({
	readLow: 0,
	readHigh: 0,
	writeLow: 0,
	writeHigh: 0,
	begins: false,
	ends: false,
	takes: 0,
});

/** True when two of them may not change places. */
export function conflicts(leaf: Leaf, future: Future): boolean {
	const { reads, writes } = leaf;
	return (
		(writes.low & (future.readLow | future.writeLow)) !== 0 ||
		(writes.high & (future.readHigh | future.writeHigh)) !== 0 ||
		(reads.low & future.writeLow) !== 0 ||
		(reads.high & future.writeHigh) !== 0 ||
		(leaf.begins && future.ends) ||
		(leaf.takes & future.takes) !== 0
	);
}

/** True when two moves that are possible at one time may not change places. */
export const clash = (a: Leaf, b: Leaf): boolean =>
	(a.writes.low & (b.reads.low | b.writes.low)) !== 0 ||
	(a.writes.high & (b.reads.high | b.writes.high)) !== 0 ||
	(b.writes.low & a.reads.low) !== 0 ||
	(b.writes.high & a.reads.high) !== 0 ||
	(a.begins && b.ends) ||
	(a.ends && b.begins) ||
	(a.takes & b.takes) !== 0;

/** Adds `b` to `a`; true when that changed it. */
function grow(a: Future, b: Future): boolean {
	const begins = b.begins && !a.begins;
	const ends = b.ends && !a.ends;
	const more =
		(b.readLow & ~a.readLow) |
		(b.readHigh & ~a.readHigh) |
		(b.writeLow & ~a.writeLow) |
		(b.writeHigh & ~a.writeHigh) |
		(b.takes & ~a.takes);
	if (more === 0 && !begins && !ends) return false;
	a.readLow |= b.readLow;
	a.readHigh |= b.readHigh;
	a.writeLow |= b.writeLow;
	a.writeHigh |= b.writeHigh;
	a.takes |= b.takes;
	if (begins) a.begins = true;
	if (ends) a.ends = true;
	return true;
}

/** A position of a thread. */
interface Position {
	/** Positions from which a move leads here. */
	readonly from: Set<number>;
	/** It waits here for the group's lock. */
	readonly waits: boolean;
	readonly whole: Future;
	/** Only up to the lock. */
	readonly toLock: Future;
}

/** The local graph of one thread. */
export class Futures {
	readonly #positions: (Position | undefined)[] = [];
	readonly #waits: (position: number) => boolean;
	readonly #takes: (position: number) => number;
	/** Number of times that something was learned. */
	learned = 0;

	constructor(
		waits: (position: number) => boolean,
		takes: (position: number) => number,
	) {
		this.#waits = waits;
		this.#takes = takes;
	}

	#position(at: number): Position {
		let position = this.#positions[at];
		if (position === undefined) {
			position = {
				from: new Set(),
				waits: this.#waits(at),
				whole: nothing(),
				toLock: nothing(),
			};
			// Known before the move is: who waits for a lock that nobody gives back never makes it.
			position.whole.takes = this.#takes(at);
			if (!position.waits) position.toLock.takes = this.#takes(at);
			this.#positions[at] = position;
		}
		return position;
	}

	/** A move was met. */
	add(from: number, leaf: Leaf): void {
		const { reads, writes, begins, ends, takes } = leaf;
		this.#position(leaf.to).from.add(from);
		const own: Future = {
			readLow: reads.low,
			readHigh: reads.high,
			writeLow: writes.low,
			writeHigh: writes.high,
			begins,
			ends,
			takes,
		};
		const position = this.#position(from);
		let changed = grow(position.whole, own);
		if (!position.waits && grow(position.toLock, own)) changed = true;
		if (changed) this.learned++;
		this.#pull(from, leaf.to);
		if (changed) this.#spread(from);
	}

	/** What is known of `to` belongs to the future of `from`. */
	#pull(from: number, to: number): void {
		const a = this.#position(from);
		const b = this.#position(to);
		let changed = grow(a.whole, b.whole);
		if (!a.waits && grow(a.toLock, b.toLock)) changed = true;
		if (!changed) return;
		this.learned++;
		this.#spread(from);
	}

	#spread(at: number): void {
		for (const before of this.#position(at).from) this.#pull(before, at);
	}

	/** What is known of a position; `stopAtLock`: only up to where the thread must wait for the group's lock. */
	of(position: number, stopAtLock: boolean): Future {
		const { whole, toLock } = this.#position(position);
		return stopAtLock ? toLock : whole;
	}
}
