/**
 * Moves of one thread, remembered: where a thread stands and the fields it reads decide what it does, so each move is worked out once by
 * the real machines and looked up afterwards. Per position of a thread a decision tree over the fields in the order they were read;
 * its leaves say what changes.
 */
import type { Raised } from "./system.ts";

/** A set of places: bits 0-31 and 32-63. */
export interface Places {
	readonly low: number;
	readonly high: number;
}
/** What a move does. */
export interface Leaf {
	/** Where the thread stands afterwards. */
	readonly to: number;
	/** Places and their new numbers, in pairs. */
	readonly changes: readonly number[];
	readonly reads: Places;
	readonly writes: Places;
	/**
	 * It is the first of its call to change something, or ends a call that did. States without such a call under way are judged, so that
	 * beginnings and ends must not change places.
	 */
	readonly begins: boolean;
	readonly ends: boolean;
	/** Locks of device sets (a bit each) that it takes; the call's end gives them back. */
	readonly takes: number;
	readonly raised: readonly Raised[];
}
interface Branch {
	readonly place: number;
	readonly next: (Branch | Leaf | undefined)[];
}
const isLeaf = (node: Branch | Leaf): node is Leaf => "changes" in node;

/** The moves of one thread. */
export class Memo {
	#roots: (Branch | Leaf | undefined)[] = [];

	forget(): void {
		this.#roots = [];
	}

	find(at: number, words: Uint16Array): Leaf | undefined {
		let node = this.#roots[at];
		while (node !== undefined && !isLeaf(node))
			node = node.next[words[node.place] as number];
		return node;
	}

	/** Adds a leaf that was found by reading these places, in this order, in this state. */
	add(
		at: number,
		places: readonly number[],
		words: Uint16Array,
		leaf: Leaf,
	): void {
		let list = this.#roots;
		let index = at;
		for (const place of places) {
			let node = list[index];
			if (node === undefined) {
				node = { place, next: [] };
				list[index] = node;
			}
			if (isLeaf(node) || node.place !== place)
				throw new Error("a move read other fields than before");
			list = node.next;
			index = words[place] as number;
		}
		list[index] = leaf;
	}
}
