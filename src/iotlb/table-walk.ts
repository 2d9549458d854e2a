/** Reading a page table as hardware does, from any of its tables (facts pagetable-semantics.md §1, §5). */
import {
	sumFrom,
	type SummedTable,
	type WordSum,
} from "../pagetable/word-sum.ts";
import {
	childOf,
	kindOf,
	reachOf,
	spanOf,
	type TablePage,
	type Tables,
} from "./tables.ts";

/** A leaf, a hole or freed memory that a walk meets. */
export interface Met {
	readonly what: "leaf" | "hole" | "garbage";
	/** First frame of the slot, and frames it covers. */
	readonly start: number;
	readonly n: number;
	readonly level: number;
	/** Physical frame of `start`; -1 for holes and garbage. */
	readonly pa: number;
	/** 1 read, 2 write. */
	readonly rights: number;
	readonly word: number;
	readonly table: TablePage;
	readonly slot: number;
}
/** Called for what a walk meets. Return false to stop. */
export type Visit = (met: Met) => boolean | void;

/** Everything that walks from a table page (covering from `base`) meet in [start, start+n), in order of address; holes only when asked. */
export function visitFrom(
	tables: Tables,
	page: TablePage,
	base: number,
	start: number,
	n: number,
	holes: boolean,
	visit: Visit,
): boolean {
	const span = spanOf(tables, page.level);
	const size = reachOf(tables, page) / span;
	if (page.life === "freed")
		return visit(garbageIn(page, base, size * span)) !== false;
	const first = Math.max(0, Math.floor((start - base) / span));
	const last = Math.min(size - 1, Math.floor((start + n - 1 - base) / span));
	if (first > last) return true;
	const slots =
		holes || last - first < page.words.size
			? count(first, last)
			: [...page.words.keys()]
					.filter((slot) => slot >= first && slot <= last)
					.sort((a, b) => a - b);
	for (const slot of slots)
		if (!visitSlot(tables, page, base, slot, start, n, holes, visit))
			return false;
	return true;
}

const garbageIn = (page: TablePage, base: number, n: number): Met => ({
	what: "garbage",
	start: base,
	n,
	level: page.level,
	pa: -1,
	rights: 0,
	word: 0,
	table: page,
	slot: 0,
});

function* count(first: number, last: number): Generator<number> {
	for (let slot = first; slot <= last; slot++) yield slot;
}

function visitSlot(
	tables: Tables,
	page: TablePage,
	base: number,
	slot: number,
	start: number,
	n: number,
	holes: boolean,
	visit: Visit,
): boolean {
	const span = spanOf(tables, page.level);
	const word = page.words.get(slot) ?? 0;
	const kind = kindOf(tables, word, page.level);
	const at = base + slot * span;
	const place = {
		start: at,
		n: span,
		level: page.level,
		word,
		table: page,
		slot,
	};
	if (kind === "leaf")
		return (
			visit({
				...place,
				what: "leaf",
				...leafOf(tables, page.level, slot, word),
			}) !== false
		);
	if (kind === "empty")
		return (
			!holes || visit({ ...place, what: "hole", pa: -1, rights: 0 }) !== false
		);
	const child = childOf(tables, word);
	const below = page.level + tables.config.geometry.down;
	// An entry that leads to no table of the level below leads anywhere.
	if (child === undefined || child.level !== below)
		return visit({ ...place, what: "garbage", pa: -1, rights: 0 }) !== false;
	return visitFrom(tables, child, at, start, n, holes, visit);
}

/** Target and rights of a leaf. */
export const leafOf = (
	tables: Tables,
	level: number,
	slot: number,
	word: number,
): { readonly pa: number; readonly rights: number } => ({
	pa: tables.config.codec.leafPa(word, level, slot),
	rights: tables.config.codec.rights(word, level),
});

/** What memory alone says, from the root. */
export function visitMemory(
	tables: Tables,
	start: number,
	n: number,
	holes: boolean,
	visit: Visit,
): void {
	const root = tables.pages.get(tables.root);
	if (root === undefined) return;
	visitFrom(
		tables,
		root,
		tables.config.geometry.iovaBase ?? 0,
		start,
		n,
		holes,
		visit,
	);
}

/** The leaf that memory alone finds for a frame; undefined when it finds none. */
export function leafAt(tables: Tables, frame: number): Met | undefined {
	let found: Met | undefined;
	visitMemory(tables, frame, 1, false, (met) => {
		if (met.what === "leaf") found = met;
		return false;
	});
	return found;
}

/** The sum of what is folded, to be compared with what the writer of the log held. */
export function sumOf(tables: Tables): WordSum {
	const tableAt = (frame: number): SummedTable | undefined => {
		const page = tables.pages.get(tables.byFrame.get(frame) ?? -1);
		return page === undefined || page.life === "freed" ? undefined : page;
	};
	const root = tables.pages.get(tables.root);
	return sumFrom(tables.config, root, tableAt);
}

/** Does the word of a leaf say that the page is dirty (facts §7)? */
export function isDirty(tables: Tables, word: number): boolean {
	switch (tables.config.format) {
		case "vtd":
			return (word & (1 << 9)) !== 0;
		case "amd_v1":
			return (word & (1 << 6)) !== 0;
		case "arm64_s1":
			return (word & (1 << 12)) !== 0 && (word & (1 << 7)) === 0;
		default:
			return false;
	}
}
/** The bits of a leaf's word that dirty state is kept in. */
export function dirtyBits(tables: Tables): number {
	switch (tables.config.format) {
		case "vtd":
			return 1 << 9;
		case "amd_v1":
			return 1 << 6;
		case "arm64_s1":
			return 1 << 7;
		default:
			return 0;
	}
}
