/**
 * What one tag may hold of a page table whose every entry is logged (facts pagetable-semantics.md §5.1): leaf entries, paging-structure
 * entries per level, negative entries, the device's own translations.
 *
 * Everything that a walk could cache at some moment may be cached until an invalidation that covers it has completed. What memory
 * offers now needs no storing; stored is what it no longer offers (`stale`), and from a stale pointer walks go on, through tables
 * that are unlinked or freed. An invalidation completes at its record but counts from its issue: what a walk could still have filled
 * after that survives it. So does what a device may have taken over from an IOTLB entry before that was gone.
 */
import type { Hardware } from "./hardware.ts";
import { dropsDirectory, type Reaching } from "./walk-drops.ts";
import { ANY_DEVICE } from "./state.ts";
import {
	kindOf,
	childOf,
	reachOf,
	spanOf,
	type TablePage,
	type Tables,
} from "./tables.ts";
import {
	isDirty,
	leafOf,
	visitFrom,
	visitMemory,
	type Met,
} from "./table-walk.ts";

/** An entry that memory no longer offers, or a run of equal ones: blocks of `unit` frames from `start`. */
export interface StaleEntry {
	readonly kind: "leaf" | "directory" | "negative" | "device";
	readonly level: number;
	readonly start: number;
	readonly n: number;
	readonly unit: number;
	/** Leaf, device: frame of `start`; GARBAGE for what a freed page said. */
	readonly pa: number;
	/** Directory: the table it points to. */
	readonly table: number;
	readonly rights: number;
	/** Leaf: it remembers that the dirty bit is set. */
	readonly dirty: boolean;
	/** Device: the requester that holds it; ANY_DEVICE where commands do not name them. */
	readonly sid: number;
	/** Record at which a walk could last have filled it. */
	seq: number;
	/** Record that took it out of memory. */
	readonly since: number;
}
/** What a freed page said. */
export const GARBAGE = -2;

/** The stale entries of one tag. */
export interface Walks {
	readonly entries: Map<string, StaleEntry>;
}
/** More are not kept: the oldest go (a log without any invalidation must not grow without bound). */
const ENTRIES_MAX = 16_384;

export const copyWalks = (walks: Walks): Walks => ({
	entries: new Map([...walks.entries].map(([key, e]) => [key, { ...e }])),
});

/** What a tag's walks depend on. */
export interface Walker {
	readonly tables: Tables;
	readonly walks: Walks;
	readonly hardware: Hardware;
	/** Some requester may walk from the root. */
	readonly reaches: boolean;
	/** Commands queued and not completed, oldest first, that reach this tag. */
	readonly pending: readonly Reaching[];
}

/** Keeps an entry, or notes that it could be filled again. */
export function keep(walks: Walks, entry: StaleEntry): void {
	const { kind, level, start, n, pa, table, rights, dirty, sid } = entry;
	const key = `${kind} ${level} ${start} ${n} ${pa} ${table} ${rights} ${dirty} ${sid}`;
	const known = walks.entries.get(key);
	if (known !== undefined) {
		if (entry.seq > known.seq) known.seq = entry.seq;
		return;
	}
	walks.entries.set(key, entry);
	if (walks.entries.size <= ENTRIES_MAX) return;
	const oldest = walks.entries.keys().next();
	if (oldest.done !== true) walks.entries.delete(oldest.value);
}

/** Does an entry meet [start, start+n)? */
export const meets = (
	entry: { readonly start: number; readonly n: number },
	start: number,
	n: number,
): boolean => entry.start < start + n && start < entry.start + entry.n;

/** Where hardware may be reading a table: first frame, and the last record until which it certainly may (∞: it still may). */
interface Place {
	readonly base: number;
	readonly until: number;
}

/** Every way in which hardware may come to a table page. */
export function placesOf(walker: Walker, page: TablePage): Place[] {
	const { tables, walks, reaches } = walker;
	const places: Place[] = [];
	if (page.id === tables.root && reaches)
		places.push({
			base: tables.config.geometry.iovaBase ?? 0,
			until: Number.POSITIVE_INFINITY,
		});
	for (const entry of walks.entries.values())
		if (entry.kind === "directory" && entry.table === page.id)
			places.push({ base: entry.start, until: doomOf(walker, entry) });
	for (const { table, slot } of page.from.values()) {
		const parent = tables.pages.get(table);
		if (
			parent === undefined ||
			parent.life === "freed" ||
			parent.level + tables.config.geometry.down !== page.level
		)
			continue;
		const offset = slot * spanOf(tables, parent.level);
		for (const { base, until } of placesOf(walker, parent))
			places.push({ base: base + offset, until });
	}
	return places;
}

/** A stale pointer that a queued invalidation will take: nothing could be filled through it after that was issued, at the latest. */
function doomOf(walker: Walker, entry: StaleEntry): number {
	for (const reaching of walker.pending)
		if (
			entry.seq <= reaching.command.seq &&
			dropsDirectory(walker.hardware, reaching, entry)
		)
			return reaching.command.seq;
	return Number.POSITIVE_INFINITY;
}

/** May hardware come to this table at all? */
export const mayWalk = (walker: Walker, page: TablePage): boolean =>
	placesOf(walker, page).length > 0;

/** The words in `n` slots are about to be replaced: what they said may stay cached. `next`: the new word of a slot. */
export function noteOld(
	walker: Walker,
	page: TablePage,
	slot: number,
	n: number,
	next: (slot: number) => number,
	seq: number,
): void {
	if (page.life === "freed") return;
	for (const { base, until } of placesOf(walker, page))
		noteWords(walker, page, base, slot, n, next, Math.min(seq, until), seq);
}

/** A table page is about to be freed: what it said may stay cached. */
export function noteFreed(walker: Walker, page: TablePage, seq: number): void {
	const slots =
		reachOf(walker.tables, page) / spanOf(walker.tables, page.level);
	noteOld(walker, page, 0, slots, () => -1, seq);
}

function noteWords(
	walker: Walker,
	page: TablePage,
	base: number,
	slot: number,
	n: number,
	next: (slot: number) => number,
	seq: number,
	since: number,
): void {
	const { tables, hardware } = walker;
	const slots = hardware.negative
		? Array.from({ length: n }, (_, i) => slot + i)
		: [...page.words.keys()]
				.filter((at) => at >= slot && at < slot + n)
				.sort((a, b) => a - b);
	let run: StaleEntry | undefined;
	for (const at of slots) {
		const word = page.words.get(at) ?? 0;
		if (next(at) === word) continue;
		const entry = entryOf(tables, page, base, at, word, seq, since);
		if (entry === undefined) continue;
		if (run !== undefined && joins(run, entry)) {
			run = { ...run, n: run.n + entry.n };
			continue;
		}
		if (run !== undefined) keepStale(walker, run);
		run = entry;
	}
	if (run !== undefined) keepStale(walker, run);
}

const joins = (a: StaleEntry, b: StaleEntry): boolean =>
	a.kind === b.kind &&
	a.kind !== "directory" &&
	a.start + a.n === b.start &&
	(a.kind === "negative" || a.pa + a.n === b.pa) &&
	a.rights === b.rights &&
	a.dirty === b.dirty;

/** What a word says to a walk that reads it. */
export function entryOf(
	tables: Tables,
	page: TablePage,
	base: number,
	slot: number,
	word: number,
	seq: number,
	since: number,
): StaleEntry | undefined {
	const { level } = page;
	const span = spanOf(tables, level);
	const common = {
		level,
		start: base + slot * span,
		n: span,
		unit: span,
		seq,
		since,
		table: 0,
		pa: -1,
		rights: 0,
		dirty: false,
		sid: ANY_DEVICE,
	};
	switch (kindOf(tables, word, level)) {
		case "leaf":
			return {
				...common,
				kind: "leaf",
				...leafOf(tables, level, slot, word),
				dirty: isDirty(tables, word),
			};
		case "table": {
			const child = childOf(tables, word);
			return child === undefined
				? { ...common, kind: "leaf", pa: GARBAGE }
				: { ...common, kind: "directory", table: child.id };
		}
		default:
			return { ...common, kind: "negative" };
	}
}

/** Keeps an entry if hardware of this kind would. */
export function keepStale(walker: Walker, entry: StaleEntry): void {
	const { hardware, walks } = walker;
	if (entry.kind === "directory") keep(walks, entry);
	else if (entry.kind === "negative") {
		if (hardware.negative && hardware.leaf) keep(walks, entry);
	} else if (hardware.leaf) keep(walks, entry);
	else if (hardware.device) keep(walks, { ...entry, kind: "device" });
}

/** A translation that a DMA may use although memory alone does not give it, or memory's own. */
export interface Possible {
	readonly what: "leaf" | "garbage" | "fault";
	readonly start: number;
	readonly n: number;
	/** Frames of one entry: its size. */
	readonly size: number;
	readonly pa: number;
	readonly rights: number;
	readonly dirty: boolean;
	readonly device: boolean;
	/** Record that took it out of memory; 0: a walk finds it now. */
	readonly since: number;
}

/** Visits what may translate [start, start+n): stale entries, walks through stale pointers, and memory itself unless left out. */
export function visitPossible(
	walker: Walker,
	start: number,
	n: number,
	how: { readonly memory: boolean; readonly holes: boolean },
	visit: (possible: Possible) => void,
): void {
	const { tables, walks, reaches } = walker;
	const met = (found: Met): void => visit(possibleOf(tables, found));
	for (const entry of walks.entries.values()) {
		if (!meets(entry, start, n)) continue;
		if (entry.kind === "directory") {
			const page = tables.pages.get(entry.table);
			if (page !== undefined)
				visitFrom(tables, page, entry.start, start, n, how.holes, met);
			continue;
		}
		const what =
			entry.kind === "negative"
				? "fault"
				: entry.pa === GARBAGE
					? "garbage"
					: "leaf";
		if (what === "fault" && !how.holes) continue;
		visit({
			what,
			start: entry.start,
			n: entry.n,
			size: entry.unit,
			pa: entry.pa,
			rights: entry.rights,
			dirty: entry.dirty,
			device: entry.kind === "device",
			since: entry.since,
		});
	}
	if (how.memory && reaches) visitMemory(tables, start, n, how.holes, met);
}

const possibleOf = (tables: Tables, met: Met): Possible => ({
	what: met.what === "hole" ? "fault" : met.what,
	start: met.start,
	n: met.n,
	size: met.what === "garbage" ? spanOf(tables, met.level) : met.n,
	pa: met.pa,
	rights: met.rights,
	dirty: met.what === "leaf" && isDirty(tables, met.word),
	device: false,
	since: 0,
});
