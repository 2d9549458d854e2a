/** VT-d: finding an entry (intel/iommu.c:pfn_to_dma_pte, dma_pfn_level_pte). */
import type { Walkable } from "../config.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import { frameIn, isLarge, isPresent, tableWord } from "../formats/vtd.ts";
import { wordAt } from "../page.ts";
import { findPage } from "../store.ts";
import type { VtdConfig } from "./vtd-config.ts";

/** Entries of a table. */
export const ENTRIES = 512;
/** Frames covered by one entry of each level. */
export const SPAN: readonly number[] = [
	1,
	1,
	2 ** 9,
	2 ** 18,
	2 ** 27,
	2 ** 36,
	2 ** 45,
	2 ** 54,
];

/** Slot of `pfn` in a table of `level` (pfn_level_offset). */
export const slotAt = (pfn: number, level: number): number =>
	Math.floor(pfn / (SPAN[level] as number)) & (ENTRIES - 1);
/** `pfn` rounded down to the span of one entry of `level` (pfn & level_mask). */
export const alignDown = (pfn: number, level: number): number => {
	const span = SPAN[level] as number;
	return Math.floor(pfn / span) * span;
};
/** Can a walk of this many levels reach `pfn` at all (domain_pfn_supported)? */
export const isReachable = (config: VtdConfig, pfn: number): boolean =>
	pfn < (SPAN[config.levels + 1] as number) && pfn < 2 ** 52;

/** An entry in memory: table number and slot in one number; 0 is none. */
export type EntryRef = number;
export const NO_ENTRY = 0;
export const entryRef = (table: number, slot: number): EntryRef =>
	table * ENTRIES + slot;
export const refTable = (ref: EntryRef): number => Math.floor(ref / ENTRIES);
export const refSlot = (ref: EntryRef): number => ref & (ENTRIES - 1);

/** The table behind an entry above level 1. The walk does not test the page-size bit: a leaf is followed into the data it maps. */
export const stepInto = (edit: Edit, word: number): number =>
	isLarge(word) ? edit.followData(frameIn(word)) : edit.follow(frameIn(word));

/**
 * The entry for `pfn` at `target`, building missing tables on the way. NO_ENTRY when the allocator fails or `pfn` is out of reach.
 * PRESENT ENTRIES ARE FOLLOWED WITHOUT TESTING THE PAGE-SIZE BIT, as 6.12 does when a target level is given (facts §2.7).
 */
export function entryAtLevel(
	edit: Edit,
	config: VtdConfig,
	pfn: number,
	target: number,
): EntryRef {
	if (!isReachable(config, pfn)) return NO_ENTRY;
	// Without a root (after an unmap of the whole space) the kernel follows a null pointer.
	if (edit.root === NO_TABLE) {
		edit.hazard = true;
		return NO_ENTRY;
	}
	let table = edit.root;
	for (let level = config.levels; level > target; level--) {
		const slot = slotAt(pfn, level);
		let word = edit.read(table, slot);
		if (!isPresent(word)) {
			if (!installTable(edit, config, table, slot, level)) return NO_ENTRY;
			word = edit.read(table, slot);
		}
		table = stepInto(edit, word);
	}
	return entryRef(table, slotAt(pfn, target));
}

/** Allocates a table and swaps it in; the loser of a race frees its own and uses the winner's (facts §2.3 case 1). */
function installTable(
	edit: Edit,
	config: VtdConfig,
	parent: number,
	slot: number,
	level: number,
): boolean {
	const table = edit.allocate(level - 1, 9, 1);
	if (table === NO_TABLE) return false;
	edit.pushed(ENTRIES);
	const word = tableWord(table, config.firstStage);
	if (edit.link(parent, slot, 0, word, table) !== 0) edit.free(table);
	else edit.pushed(1);
	return true;
}

/** Level of the first leaf or hole on the way to `pfn` and the word there; level 0 when out of reach. Never allocates. */
export function firstStop(
	table: Walkable,
	config: VtdConfig,
	pfn: number,
): { readonly level: number; readonly word: number; readonly table: number } {
	if (table.root === NO_TABLE || !isReachable(config, pfn))
		return { level: 0, word: 0, table: NO_TABLE };
	let id = table.root;
	for (let level = config.levels; ; level--) {
		const page = findPage(table.store, id);
		const word = page === undefined ? 0 : wordAt(page, slotAt(pfn, level));
		if (level === 1 || !isPresent(word) || isLarge(word))
			return { level, word, table: id };
		id = frameIn(word);
	}
}
