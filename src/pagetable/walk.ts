/**
 * Reading a page table as hardware does: from the root, by entry words alone, whatever the driver would answer.
 */
import { LEAF, TABLE, type Walkable } from "./config.ts";
import { lineIsBlank, wordAt, type Page } from "./page.ts";
import { findPage } from "./store.ts";

/** One leaf entry (one slot; replicated entries give one per slot). Frames. */
export interface Leaf {
	/** First frame of the slot. */
	readonly iova: number;
	/** Frames the slot covers. */
	readonly slotSize: number;
	/** Physical frame of `iova`. */
	readonly pa: number;
	/** Frames the leaf as encoded covers: more than slotSize for replicated entries. */
	readonly leafSize: number;
	/** 1 read, 2 write. */
	readonly rights: number;
	readonly level: number;
	/** The entry as the format keeps it. */
	readonly word: number;
	readonly table: number;
	readonly slot: number;
}

/** Called per leaf; return false to stop. */
export type LeafVisitor = (leaf: Leaf) => boolean | undefined | void;

/** The level a walk starts at. AMD v1 grows, so its root level follows the mode. */
export const rootLevelOf = (table: Walkable): number =>
	table.config.format === "amd_v1"
		? table.mode - 1
		: table.config.geometry.rootLevel;

/** Visits leaves whose slots meet [iova, iova+size), in address order. Freed tables are not followed. */
export function visitLeaves(
	table: Walkable,
	iova: number,
	size: number,
	visit: LeafVisitor,
): void {
	const root = findPage(table.store, table.root);
	if (root === undefined) return;
	const base = table.config.geometry.iovaBase ?? 0;
	visitTable(
		table,
		root,
		rootLevelOf(table),
		base,
		iova,
		iova + size - 1,
		visit,
	);
}

function visitTable(
	table: Walkable,
	page: Page,
	level: number,
	start: number,
	from: number,
	last: number,
	visit: LeafVisitor,
): boolean {
	const { geometry, codec } = table.config;
	const span = 2 ** (geometry.shift[level] as number);
	const entries = 2 ** page.bits;
	let slot = from > start ? Math.floor((from - start) / span) : 0;
	for (; slot < entries; slot++) {
		const iova = start + slot * span;
		if (iova > last) break;
		if (
			(slot & page.lineMask) === 0 &&
			lineIsBlank(page, slot >> page.lineShift)
		) {
			slot += page.lineMask;
			continue;
		}
		const word = wordAt(page, slot);
		if (word === 0) continue;
		const kind = codec.kind(word, level);
		if (kind === LEAF) {
			const leaf: Leaf = {
				iova,
				slotSize: span,
				pa: codec.leafPa(word, level, slot),
				leafSize: codec.leafSize(word, level),
				rights: codec.rights(word, level),
				level,
				word,
				table: page.id,
				slot,
			};
			if (visit(leaf) === false) return false;
		} else if (kind === TABLE && level !== geometry.leafLevel) {
			const child = findPage(table.store, codec.child(word));
			if (child === undefined) continue;
			const below = level + geometry.down;
			if (!visitTable(table, child, below, iova, from, last, visit))
				return false;
		}
	}
	return true;
}

/** All leaves whose slots meet [iova, iova+size). */
export function leavesIn(table: Walkable, iova: number, size: number): Leaf[] {
	const list: Leaf[] = [];
	visitLeaves(table, iova, size, (leaf) => void list.push(leaf));
	return list;
}

/** What a DMA to `iova` reaches by memory alone, or undefined. */
export function translate(table: Walkable, iova: number): Leaf | undefined {
	let found: Leaf | undefined;
	visitLeaves(table, iova, 1, (leaf) => {
		found = leaf;
		return false;
	});
	return found;
}
