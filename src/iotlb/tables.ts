/**
 * The page table of one domain as hardware reads it: table pages, the words in them, and which of them can still be reached (facts
 * pagetable-semantics.md §4, §9). Folded from micro records (table.*, slot.*), whatever wrote them: nothing here trusts a driver.
 *
 * A table is linked while an entry of a linked table (or being the root) leads to it, and unlinked as soon as none does; what records
 * call linked or unlinked is only compared with that. Freed pages are kept: pointers to them are what this is about. All addresses
 * are frames of 4 KiB. Walks are in table-walk.ts, caches in walks.ts.
 */
import {
	LEAF,
	TABLE,
	type FormatConfig,
	type TableRequest,
} from "../pagetable/config.ts";
import type { ActorId } from "../vocabulary/ids.ts";

/** Where a table page stands in its life. */
export type TableLife = "private" | "linked" | "unlinked" | "freed";
/** What a slot holds. */
export type SlotKind = "empty" | "leaf" | "table";

/** A table page. */
export interface TablePage {
	readonly id: number;
	/** As the format counts levels; of its entries. */
	readonly level: number;
	/** Page number of its memory. */
	readonly frame: number;
	/** Number of its entries. */
	readonly slots: number;
	life: TableLife;
	/** Entry words as the format's codec keeps them; what is absent is 0. */
	readonly words: Map<number, number>;
	/** Entries that point here: key of (table, slot) → both. */
	readonly from: Map<number, Pointer>;
	/** First frames that it covers, or covered when it was last linked. */
	bases: readonly number[];
	/** Since it was unlinked, a walk-cache invalidation that covers it has completed. */
	flushed: boolean;
	/** Tasks whose own walk-cache invalidation completed since without covering it. */
	missed: ReadonlySet<ActorId>;
	unlinkedSeq: number;
	freedSeq: number;
	/** A record said that the driver knows it is unlinked, or queued it for freeing. */
	claimed: boolean;
	/** Readers that were inside a section when it was unlinked. */
	readers: readonly number[];
}
/** An entry that points to a table. */
export interface Pointer {
	readonly table: number;
	readonly slot: number;
}
/** The page table of a domain. */
export interface Tables {
	config: FormatConfig;
	/** What `config` was settled from: plain data. */
	readonly request: TableRequest;
	root: number;
	/** Levels in use (AMD v1 grows). */
	levels: number;
	readonly pages: Map<number, TablePage>;
	readonly byFrame: Map<number, number>;
	/** Depth of open reader sections. */
	readonly readers: Map<number, number>;
	/** Tables that are unlinked and not freed. */
	readonly waiting: Set<TablePage>;
	/** Tables freed lately, oldest first. */
	readonly freed: Set<TablePage>;
	/** Dirty tracking (facts §7): frames written and in no report yet; of these, found by a sweep. */
	readonly wrote: Set<number>;
	readonly collected: Set<number>;
}

const NOBODY: ReadonlySet<ActorId> = new Set();
/** Freed tables that are remembered: use after free is found for these. */
const FREED_MAX = 256;
/** More slots than any table has (a root of concatenated tables: 16 · 8192). */
const SLOT_LIMIT = 2 ** 17;

/** A page table without any table yet. */
export const newTables = (
	request: TableRequest,
	config: FormatConfig,
): Tables => ({
	config,
	request,
	root: 0,
	levels: config.geometry.mode,
	pages: new Map(),
	byFrame: new Map(),
	readers: new Map(),
	waiting: new Set(),
	freed: new Set(),
	wrote: new Set(),
	collected: new Set(),
});

/** A copy that shares nothing which changes. */
export function copyTables(tables: Tables): Tables {
	const pages = new Map<number, TablePage>();
	const waiting = new Set<TablePage>();
	const freed = new Set<TablePage>();
	for (const [id, page] of tables.pages) {
		const copy = {
			...page,
			words: new Map(page.words),
			from: new Map(page.from),
		};
		pages.set(id, copy);
		if (tables.waiting.has(page)) waiting.add(copy);
		if (tables.freed.has(page)) freed.add(copy);
	}
	return {
		...tables,
		pages,
		byFrame: new Map(tables.byFrame),
		readers: new Map(tables.readers),
		waiting,
		freed,
		wrote: new Set(tables.wrote),
		collected: new Set(tables.collected),
	};
}

/** A table page came to life. A number that is used again is a new page. */
export function addTable(
	tables: Tables,
	id: number,
	level: number,
	frame: number,
	slots = (tables.config.geometry.slotMask[level] ?? 511) + 1,
): TablePage {
	const page: TablePage = {
		id,
		level,
		frame,
		slots: Math.min(slots, SLOT_LIMIT),
		life: "private",
		words: new Map(),
		from: new Map(),
		bases: [],
		flushed: false,
		missed: NOBODY,
		unlinkedSeq: 0,
		freedSeq: 0,
		claimed: false,
		readers: [],
	};
	tables.pages.set(id, page);
	tables.byFrame.set(frame, id);
	if (id === tables.root) link(tables, page);
	return page;
}

/** Frames that one entry of a table covers. */
export const spanOf = (tables: Tables, level: number): number =>
	tables.config.geometry.span[level] ?? 1;
/** Frames that a table covers. */
export const reachOf = (tables: Tables, page: TablePage): number =>
	spanOf(tables, page.level) * page.slots;
/** Is this a number of a slot? */
export const isSlot = (slot: number): boolean =>
	Number.isSafeInteger(slot) && slot >= 0 && slot < SLOT_LIMIT;

/** What an entry word of a level is. */
export function kindOf(tables: Tables, word: number, level: number): SlotKind {
	if (word === 0) return "empty";
	const { codec, geometry } = tables.config;
	const kind = codec.kind(word, level);
	if (kind === LEAF) return "leaf";
	return kind === TABLE && level !== geometry.leafLevel ? "table" : "empty";
}

/** The table that a pointer leads to; undefined when no table was ever there. */
export function childOf(tables: Tables, word: number): TablePage | undefined {
	const id = tables.byFrame.get(tables.config.codec.child(word));
	return id === undefined ? undefined : tables.pages.get(id);
}

/** What a store did to the tree. */
export interface Stored {
	/** Tables that the root no longer leads to, parents first. */
	readonly unlinked: readonly TablePage[];
	/** The table it now points to, and how that stood before. */
	readonly child: TablePage | undefined;
	readonly childWas: TableLife | undefined;
}

/** Writes one word; tables are linked and unlinked by that. A freed page keeps what it held. */
export function store(
	tables: Tables,
	page: TablePage,
	slot: number,
	word: number,
	seq: number,
): Stored {
	const old = page.words.get(slot) ?? 0;
	const unlinked: TablePage[] = [];
	if (page.life === "freed" || old === word)
		return { unlinked, child: undefined, childWas: undefined };
	const key = page.id * SLOT_LIMIT + slot;
	if (kindOf(tables, old, page.level) === "table") {
		const child = childOf(tables, old);
		child?.from.delete(key);
		if (word === 0) page.words.delete(slot);
		else page.words.set(slot, word);
		if (child !== undefined && page.life === "linked" && !isHeld(tables, child))
			unlink(tables, child, seq, unlinked);
	} else if (word === 0) page.words.delete(slot);
	else page.words.set(slot, word);
	if (kindOf(tables, word, page.level) !== "table")
		return { unlinked, child: undefined, childWas: undefined };
	const child = childOf(tables, word);
	if (child === undefined)
		return { unlinked, child: undefined, childWas: undefined };
	const childWas = child.life;
	child.from.set(key, { table: page.id, slot });
	if (page.life === "linked") link(tables, child);
	return { unlinked, child, childWas };
}

/** Does a linked table, or being the root, keep it linked? */
function isHeld(tables: Tables, page: TablePage): boolean {
	if (page.id === tables.root) return true;
	for (const { table } of page.from.values())
		if (tables.pages.get(table)?.life === "linked") return true;
	return false;
}

/** Tables that the entries of a page lead to. */
function* childrenOf(tables: Tables, page: TablePage): Generator<TablePage> {
	for (const word of page.words.values()) {
		if (kindOf(tables, word, page.level) !== "table") continue;
		const child = childOf(tables, word);
		if (child !== undefined && child !== page) yield child;
	}
}

function link(tables: Tables, page: TablePage): void {
	if (page.life === "freed") return;
	page.bases = basesOf(tables, page);
	if (page.life === "linked") return;
	page.life = "linked";
	tables.waiting.delete(page);
	page.flushed = false;
	page.missed = NOBODY;
	page.readers = [];
	page.claimed = false;
	for (const child of childrenOf(tables, page)) link(tables, child);
}

function unlink(
	tables: Tables,
	page: TablePage,
	seq: number,
	list: TablePage[],
): void {
	if (page.life !== "linked") return;
	page.life = "unlinked";
	tables.waiting.add(page);
	page.unlinkedSeq = seq;
	page.flushed = false;
	page.missed = NOBODY;
	page.readers = [...tables.readers.keys()];
	list.push(page);
	for (const child of childrenOf(tables, page))
		unlink(tables, child, seq, list);
}

/** First frames that linked entries give a table. */
function basesOf(tables: Tables, page: TablePage): readonly number[] {
	if (page.id === tables.root) return [tables.config.geometry.iovaBase ?? 0];
	const bases: number[] = [];
	for (const { table, slot } of page.from.values()) {
		const parent = tables.pages.get(table);
		if (parent === undefined || parent.life !== "linked") continue;
		for (const base of parent.bases)
			bases.push(base + slot * spanOf(tables, parent.level));
	}
	return bases.length > 0 ? bases : page.bases;
}

/** Hardware starts at this table from now on. Returns the table that was the root before. */
export function setRoot(
	tables: Tables,
	id: number,
	levels: number,
	seq: number,
): TablePage | undefined {
	const old = tables.pages.get(tables.root);
	tables.root = id;
	tables.levels = levels;
	const page = tables.pages.get(id);
	if (page !== undefined) link(tables, page);
	if (old !== undefined && old.id !== id && !isHeld(tables, old))
		unlink(tables, old, seq, []);
	return old;
}

/** Gives a table page back. What pointed to it still does. */
export function freeTable(tables: Tables, page: TablePage, seq: number): void {
	tables.waiting.delete(page);
	page.life = "freed";
	page.freedSeq = seq;
	tables.freed.add(page);
	if (tables.freed.size <= FREED_MAX) return;
	const [oldest] = tables.freed;
	if (oldest === undefined) return;
	tables.freed.delete(oldest);
	if (tables.pages.get(oldest.id) === oldest) tables.pages.delete(oldest.id);
	if (tables.byFrame.get(oldest.frame) === oldest.id)
		tables.byFrame.delete(oldest.frame);
}
