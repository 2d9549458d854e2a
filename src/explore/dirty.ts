/**
 * Dirty tracking (facts pagetable-semantics.md §7): writes by devices, which set the dirty bit of the leaf they walk to unless
 * a cached entry remembers that it is set; sweeps that collect and clear; and the report after which collected pages are copied.
 * A page that was written, is in no report and has no dirty bit anywhere is lost to migration.
 */
import { type Caches, hasBit, setBit } from "./caches.ts";
import type { Raise } from "./memory.ts";
import {
	GARBAGE,
	LEAF,
	type Model,
	STATUS,
	TABLE,
	cover,
	isLeaf,
	isTable,
	mask32,
	setMask32,
} from "./model.ts";
import type { Placements } from "./placements.ts";

export interface DirtyHardware {
	/** In how many ways a device can write a page now. */
	options(s: Uint8Array, page: number): number;
	/** A device writes the page, in the given way; nothing when it faults. */
	write(s: Uint8Array, page: number, choice: number): void;
	/** Software reads (and clears) the dirty bit of one entry. */
	sweep(
		s: Uint8Array,
		table: number,
		index: number,
		value: number,
		clear: boolean,
	): void;
	/** Software sets the dirty bit of an entry. */
	mark(s: Uint8Array, table: number, index: number): void;
	/** What was collected is reported and copied now. */
	report(s: Uint8Array): void;
	/** Raises `id` if a written page is lost. */
	lost(s: Uint8Array, id: string): void;
	readonly enabled: boolean;
}

interface Way {
	readonly table: number;
	readonly index: number;
	readonly level: number;
	readonly prefix: number;
}

export function buildDirty(
	model: Model,
	caches: Caches,
	placements: Placements,
	raise: Raise,
): DirtyHardware {
	const enabled = model.scenario.hardware.includes("dirty");
	const { tables } = model;
	const known = caches.entries
		.map((entry, bit) => ({ ...entry, bit }))
		.filter((entry) => entry.kind === "leaf" && entry.dirty);
	const walks = caches.entries
		.map((entry, bit) => ({ ...entry, bit }))
		.filter((entry) => entry.kind === "walk");
	const keepLeaf = model.scenario.hardware.includes("cacheLeaf");

	function descend(
		s: Uint8Array,
		from: number,
		page: number,
		ways: Way[],
	): void {
		let number = from;
		for (let level = tables[from]?.level ?? 0; level > 0; level--) {
			const table = tables[number];
			if (table === undefined || (s[table.status] as number) >= STATUS.freed)
				return;
			const prefix = Math.floor(page / model.fanout ** (level - 1));
			const index = number === 0 ? prefix : prefix % model.fanout;
			const value = s[table.slots + index] as number;
			if (
				isLeaf(value) &&
				!ways.some((w) => w.table === number && w.index === index)
			)
				ways.push({ table: number, index, level, prefix });
			if (!isTable(value)) return;
			number = value - TABLE;
		}
	}

	/** A write through an entry that knows the bit is set counts as the last way. */
	function waysOf(s: Uint8Array, page: number): [Way[], boolean] {
		const ways: Way[] = [];
		if (!enabled || s[model.dma] !== 0) return [ways, false];
		descend(s, 0, page, ways);
		for (const walk of walks)
			if (walk.pages & (1 << page) && hasBit(s, caches.at, walk.bit))
				descend(s, walk.to, page, ways);
		const silent = known.some(
			(e) => e.pages & (1 << page) && hasBit(s, caches.at, e.bit),
		);
		return [ways, silent];
	}

	/** Pages that an entry translates; a table that is linked nowhere counts where it will be. */
	function pagesOf(table: number, index: number): number {
		const level = tables[table]?.level ?? 1;
		if (table === 0) return cover(model, level, index);
		const at = placements[table]?.[0];
		return at === undefined
			? 0
			: cover(model, level, at * model.fanout + index);
	}

	function dirtyAnywhere(s: Uint8Array): number {
		let pages = 0;
		tables.forEach((table, number) => {
			const status = s[table.status] as number;
			if (status === STATUS.private || status >= STATUS.freed) return;
			for (let i = 0; i < table.size; i++) {
				const value = s[table.slots + i] as number;
				if (isLeaf(value) && (value - LEAF) & 1) pages |= pagesOf(number, i);
			}
		});
		return pages;
	}

	return {
		enabled,
		options(s, page) {
			const [ways, silent] = waysOf(s, page);
			return ways.length + (silent ? 1 : 0);
		},
		write(s, page, choice) {
			const [ways, silent] = waysOf(s, page);
			const way = ways[choice];
			if (way === undefined && !silent) return;
			setMask32(s, model.wrote, mask32(s, model.wrote) | (1 << page));
			if (way === undefined) return;
			const at = (tables[way.table]?.slots ?? 0) + way.index;
			const value = (s[at] as number) | 0;
			s[at] = LEAF + ((value - LEAF) | 1);
			if (!keepLeaf) return;
			const bit = caches.leafBit(
				way.level,
				way.prefix,
				(value - LEAF) >> 1,
				true,
			);
			if (bit >= 0) setBit(s, caches.at, bit);
		},
		sweep(s, table, index, value, clear) {
			const t = tables[table];
			if (t === undefined) return;
			if (value === GARBAGE || !isLeaf(value)) {
				if (value === GARBAGE && clear)
					raise(
						"PT-28",
						() => `a sweep clears bits in ${t.name}, which is freed`,
					);
				return;
			}
			if (((value - LEAF) & 1) === 0) return;
			setMask32(
				s,
				model.collected,
				mask32(s, model.collected) | pagesOf(table, index),
			);
			if (clear) s[t.slots + index] = LEAF + ((value - LEAF) & ~1);
		},
		mark(s, table, index) {
			const at = (tables[table]?.slots ?? 0) + index;
			s[at] = LEAF + (((s[at] as number) - LEAF) | 1);
		},
		report(s) {
			const collected = mask32(s, model.collected);
			const dirty = dirtyAnywhere(s);
			for (const e of known)
				if (e.pages & collected & ~dirty && hasBit(s, caches.at, e.bit))
					raise(
						"PT-46",
						() =>
							`reported while an entry of pages ${pageList(e.pages & collected)} remembers the dirty bit that was cleared`,
						() => e.bit,
					);
			setMask32(s, model.wrote, mask32(s, model.wrote) & ~collected);
			setMask32(s, model.collected, 0);
		},
		lost(s, id) {
			if (!enabled) return;
			const open = mask32(s, model.wrote) & ~mask32(s, model.collected);
			if (open === 0) return;
			const gone = open & ~dirtyAnywhere(s);
			if (gone !== 0)
				raise(
					id,
					() =>
						`page ${pageList(gone)} was written, is in no report, and no entry says dirty: lost`,
				);
		},
	};
}

const pageList = (mask: number): string =>
	[...Array(32).keys()].filter((p) => mask & (1 << p)).join(", ");
