/** A sum over the entries that a walk from the root can read: two page tables that hold the same have the same (facts pagetable §8, row 49). */
import { TABLE, type FormatConfig, type Walkable } from "./config.ts";
import { wordAt } from "./page.ts";
import { findPage } from "./store.ts";

/** What was summed. */
export interface WordSum {
	/** Tables that the root leads to, itself among them. */
	readonly tables: number;
	/** Entries in them that are not empty. */
	readonly entries: number;
	/** 32 bits, in whatever order the entries come. */
	readonly sum: number;
}
/** A table page as far as a sum needs it; `frame` is where it lies. */
export interface SummedTable {
	readonly frame: number;
	readonly level: number;
	readonly words: Iterable<readonly [slot: number, word: number]>;
}

/** Sums from a table on. `tableAt`: the table in a page of memory, if one is there. */
export function sumFrom(
	{ codec, geometry }: Pick<FormatConfig, "codec" | "geometry">,
	root: SummedTable | undefined,
	tableAt: (frame: number) => SummedTable | undefined,
): WordSum {
	let entries = 0;
	let sum = 0;
	const seen = new Set<number>();
	const visit = ({ frame, level, words }: SummedTable): void => {
		if (seen.has(frame)) return;
		seen.add(frame);
		for (const [slot, word] of words) {
			if (word === 0) continue;
			entries++;
			sum = (sum + mixed(frame, slot, word)) >>> 0;
			if (level === geometry.leafLevel || codec.kind(word, level) !== TABLE)
				continue;
			const child = tableAt(codec.child(word));
			if (child?.level === level + geometry.down) visit(child);
		}
	};
	if (root !== undefined) visit(root);
	return { tables: seen.size, entries, sum };
}

/** Spreads an entry over 32 bits (multipliers of MurmurHash3's finalizer, public domain). */
function mixed(frame: number, slot: number, word: number): number {
	let hash = Math.imul(frame, 0x9e3779b1) ^ Math.imul(slot + 1, 0x85ebca6b);
	hash ^= (word % 2 ** 32) ^ Math.imul(Math.floor(word / 2 ** 32), 0xc2b2ae35);
	hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
	return (hash ^ (hash >>> 16)) >>> 0;
}

/** The sum of a page table of this folder. A table lies in the page of its own number. */
export function wordSum(table: Walkable): WordSum {
	const tableAt = (id: number): SummedTable | undefined => {
		const page = findPage(table.store, id);
		if (page === undefined) return undefined;
		const words = Array.from(
			{ length: 2 ** page.bits },
			(_, slot) => [slot, wordAt(page, slot)] as const,
		);
		return { frame: id, level: page.level, words };
	};
	return sumFrom(table.config, tableAt(table.root), tableAt);
}
