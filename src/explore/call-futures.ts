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

/** Adds `b` to `a`; true when that changed it. */
function grow(a: Future, b: Future): boolean {
	const readLow = a.readLow | b.readLow;
	const readHigh = a.readHigh | b.readHigh;
	const writeLow = a.writeLow | b.writeLow;
	const writeHigh = a.writeHigh | b.writeHigh;
	const begins = a.begins || b.begins;
	const ends = a.ends || b.ends;
	const takes = a.takes | b.takes;
	const changed =
		readLow !== a.readLow ||
		readHigh !== a.readHigh ||
		writeLow !== a.writeLow ||
		writeHigh !== a.writeHigh ||
		begins !== a.begins ||
		ends !== a.ends ||
		takes !== a.takes;
	Object.assign(a, { readLow, readHigh, writeLow, writeHigh });
	Object.assign(a, { begins, ends, takes });
	return changed;
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
	/** Number of times that something was learned. */
	learned = 0;

	constructor(waits: (position: number) => boolean) {
		this.#waits = waits;
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
