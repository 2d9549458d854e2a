/**
 * Moves of one thread, remembered: where a thread stands and the fields it reads decide what it does, so each move is worked out once by
 * the real machines and looked up afterwards. Per position of a thread a decision tree over the fields that were read; its leaves say what
 * changes. A field that has never changed has no place yet and is in no tree; when it gets one, what read it is asked for its first value.
 */
import type { Raised } from "./system.ts";

/** A set of places: bits 0-31 and 32-63. */
export interface Places {
	readonly low: number;
	readonly high: number;
}
/** The set of these places, which count from `base`. */
export function placesOf(places: readonly number[], base: number): Places {
	let low = 0;
	let high = 0;
	for (const place of places) {
		const bit = place - base;
		if (bit < 32) low |= 1 << bit;
		else high |= 1 << (bit - 32);
	}
	return { low, high };
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
/** A node of a tree: `leaf` at its end, else the place that is asked and what follows for each number there. */
interface Node {
	readonly leaf: Leaf | undefined;
	readonly place: number;
	readonly next: (Node | undefined)[];
}
/** Where a leaf hangs, and whose move it is. */
interface Hook {
	readonly at: number;
	list: (Node | undefined)[];
	index: number;
}

/** The moves of one thread. */
export class Memo {
	readonly #roots: (Node | undefined)[] = [];
	/** Leaves by the fields without a place that they read. */
	readonly #blind = new Map<number, Hook[]>();

	find(at: number, words: Uint16Array): Leaf | undefined {
		let node = this.#roots[at];
		while (node !== undefined && node.leaf === undefined)
			node = node.next[words[node.place] as number];
		return node?.leaf;
	}

	/** Adds a leaf that was found by reading these places in this state, and these fields that have none. */
	add(
		at: number,
		places: readonly number[],
		blind: readonly number[],
		words: Uint16Array,
		leaf: Leaf,
	): void {
		const hook: Hook = { at, list: this.#roots, index: at };
		const asked: number[] = [];
		for (;;) {
			const node = hook.list[hook.index];
			if (node === undefined) break;
			asked.push(node.place);
			hook.list = node.next;
			hook.index = words[node.place] as number;
		}
		for (const place of places)
			if (!asked.includes(place)) ask(hook, place, words[place] as number);
		hook.list[hook.index] = { leaf, place: -1, next: [] };
		for (const field of blind) {
			const hooks = this.#blind.get(field);
			if (hooks === undefined) this.#blind.set(field, [hook]);
			else hooks.push(hook);
		}
	}

	/** A field has got a place: what has read it holds for its number 0 only. `tell`: the leaf as it is now. */
	placed(
		field: number,
		place: number,
		bit: Places,
		tell: (at: number, leaf: Leaf) => void,
	): void {
		for (const hook of this.#blind.get(field) ?? []) {
			const old = hook.list[hook.index]?.leaf;
			if (old === undefined) throw new Error("a leaf hangs where none is");
			const { low, high } = old.reads;
			const reads = { low: low | bit.low, high: high | bit.high };
			const leaf = { ...old, reads };
			ask(hook, place, 0);
			hook.list[hook.index] = { leaf, place: -1, next: [] };
			tell(hook.at, leaf);
		}
		this.#blind.delete(field);
	}
}

/** Hangs a question in, and goes on behind its answer. */
function ask(hook: Hook, place: number, answer: number): void {
	const next: (Node | undefined)[] = [];
	hook.list[hook.index] = { leaf: undefined, place, next };
	hook.list = next;
	hook.index = answer;
}
