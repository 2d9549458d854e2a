/**
 * The visited set: every state exactly (no fingerprints, so no state is ever missed by collision), packed one after the other in
 * one byte array in order of discovery, found through an open-addressing table of state numbers.
 */

/** First capacity in states; doubles when full. */
const FIRST_CAPACITY = 1 << 10;

/** An exact set of fixed-size states, numbered from 0 in order of insertion; for each, its parent and the move that led to it. */
export class Visited {
	readonly #words: number;
	#capacity = FIRST_CAPACITY;
	#states: Uint32Array;
	#parents: Int32Array;
	#moves: Int32Array;
	#hashes: Int32Array;
	/** State number + 1, 0 for free; length is a power of two, at most half full. */
	#table: Int32Array;
	#size = 0;
	/** Number of the state that the last `add` found or made. */
	last = -1;

	constructor(bytes: number) {
		this.#words = bytes >> 2;
		this.#states = new Uint32Array(this.#capacity * this.#words);
		this.#parents = new Int32Array(this.#capacity);
		this.#moves = new Int32Array(this.#capacity);
		this.#hashes = new Int32Array(this.#capacity);
		this.#table = new Int32Array(this.#capacity * 2);
	}

	get size(): number {
		return this.#size;
	}

	/** Bytes held by the set's arrays. */
	get memoryBytes(): number {
		return (
			this.#states.byteLength +
			this.#parents.byteLength +
			this.#moves.byteLength +
			this.#hashes.byteLength +
			this.#table.byteLength
		);
	}

	/** Adds the state in `words` (its 32-bit view). Returns true when it is new; `last` is its number either way. */
	add(words: Uint32Array, parent: number, move: number): boolean {
		if (this.#size === this.#capacity) this.#grow();
		const table = this.#table;
		const states = this.#states;
		const hashes = this.#hashes;
		const mask = table.length - 1;
		const n = this.#words;
		const h = hash(words, n);
		let at = h & mask;
		for (;;) {
			const found = (table[at] as number) - 1;
			if (found < 0) break;
			if (hashes[found] === h) {
				let i = 0;
				const base = found * n;
				while (i < n && states[base + i] === words[i]) i++;
				if (i === n) {
					this.last = found;
					return false;
				}
			}
			at = (at + 1) & mask;
		}
		const number = this.#size++;
		const base = number * n;
		for (let i = 0; i < n; i++) states[base + i] = words[i] as number;
		hashes[number] = h;
		this.#parents[number] = parent;
		this.#moves[number] = move;
		this.#table[at] = number + 1;
		this.last = number;
		return true;
	}

	/** Copies state `number` into `words`. */
	load(number: number, words: Uint32Array): void {
		const states = this.#states;
		const n = this.#words;
		const base = number * n;
		for (let i = 0; i < n; i++) words[i] = states[base + i] as number;
	}

	/** The moves from the start to state `number`, in order. */
	path(number: number): number[] {
		const moves: number[] = [];
		for (let at = number; at > 0; at = this.#parents[at] as number)
			moves.push(this.#moves[at] as number);
		return moves.reverse();
	}

	#grow(): void {
		const n = this.#words;
		this.#capacity *= 2;
		const states = new Uint32Array(this.#capacity * n);
		states.set(this.#states);
		this.#states = states;
		const parents = new Int32Array(this.#capacity);
		parents.set(this.#parents);
		this.#parents = parents;
		const moves = new Int32Array(this.#capacity);
		moves.set(this.#moves);
		this.#moves = moves;
		const hashes = new Int32Array(this.#capacity);
		hashes.set(this.#hashes);
		this.#hashes = hashes;
		const table = new Int32Array(this.#capacity * 2);
		const mask = table.length - 1;
		for (let number = 0; number < this.#size; number++) {
			let at = (hashes[number] as number) & mask;
			while (table[at] !== 0) at = (at + 1) & mask;
			table[at] = number + 1;
		}
		this.#table = table;
	}
}

/** FNV-like mixing of 32-bit words with a final avalanche (constants of MurmurHash3's finalizer, public domain). */
function hash(words: Uint32Array, n: number): number {
	let h = 0x9747b28c ^ n;
	for (let i = 0; i < n; i++) {
		h = Math.imul(h ^ (words[i] as number), 0x9e3779b1);
		h ^= h >>> 15;
	}
	h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
	h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
	return h ^ (h >>> 16);
}
