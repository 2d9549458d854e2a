/**
 * VT-d: clearing a range and what becomes of the tables below (intel/iommu.c:dma_pte_clear_range, dma_pte_free_level,
 * dma_pte_clear_level, dma_pte_list_pagetables; facts §2.7, §4.1).
 */
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import { frameIn, isLarge, isPresent } from "../formats/vtd.ts";
import type { VtdConfig } from "./vtd-config.ts";
import {
	ENTRIES,
	SPAN,
	alignDown,
	firstStop,
	slotAt,
	stepInto,
} from "./vtd-walk.ts";

/** dma_pte_free_pagetable: clears every leaf in [start, last], then frees all tables below `retainLevel` that the range covers — before any flush. */
export function freeTablesBelow(
	edit: Edit,
	config: VtdConfig,
	start: number,
	last: number,
	retainLevel: number,
): void {
	clearLeaves(edit, config, start, last);
	freeLevel(edit, config.levels, retainLevel, edit.root, 0, start, last);
	if (start === 0 && last === 2 ** (config.gaw - 12) - 1) {
		edit.free(edit.root);
		edit.setRoot(NO_TABLE, edit.mode);
	}
}

/**
 * dma_pte_clear_range: zero to every leaf slot, run by run. A hole at level L skips to the next multiple of the span of level L+1, so
 * the rest of its table is left as it is; that table is freed next, only the pushes to a walker that does not snoop tell.
 */
function clearLeaves(
	edit: Edit,
	config: VtdConfig,
	start: number,
	last: number,
): void {
	let pfn = start;
	while (pfn <= last) {
		const stop = firstStop(edit, config, pfn);
		const span = SPAN[stop.level] as number;
		if (stop.level > 1 && !isPresent(stop.word)) {
			pfn = alignDown(pfn, stop.level + 1) + (SPAN[stop.level + 1] as number);
			continue;
		}
		const slot = slotAt(pfn, stop.level);
		const count = Math.min(ENTRIES - slot, Math.floor((last - pfn) / span) + 1);
		edit.clear(stop.table, slot, count);
		edit.pushed(count);
		pfn += count * span;
	}
}

/** dma_pte_free_level. */
function freeLevel(
	edit: Edit,
	level: number,
	retainLevel: number,
	table: number,
	tableStart: number,
	start: number,
	last: number,
): void {
	const span = SPAN[level] as number;
	let pfn = Math.max(start, tableStart);
	for (let slot = slotAt(pfn, level); slot < ENTRIES && pfn <= last; slot++) {
		const word = edit.read(table, slot);
		if (isPresent(word) && !isLarge(word)) {
			const child = frameIn(word);
			const childStart = alignDown(pfn, level);
			if (level > 2)
				freeLevel(edit, level - 1, retainLevel, child, childStart, start, last);
			const covered = start <= childStart && last >= childStart + span - 1;
			if (level < retainLevel && covered) {
				edit.clear(table, slot, 1);
				edit.unlinked(child);
				edit.pushed(1);
				edit.free(child);
			}
		}
		pfn += span;
	}
}

/**
 * dma_pte_clear_level: an entry that the range covers entirely goes with the whole subtree under it, whose tables are listed and not
 * cleared; a partly covered entry is descended into WITHOUT testing the page-size bit.
 */
export function clearLevel(
	edit: Edit,
	level: number,
	table: number,
	tableStart: number,
	start: number,
	last: number,
	freelist: number[],
): void {
	const span = SPAN[level] as number;
	let pfn = Math.max(start, tableStart);
	let first = -1;
	let final = -1;
	for (let slot = slotAt(pfn, level); slot < ENTRIES && pfn <= last; slot++) {
		const slotStart = alignDown(pfn, level);
		const word = edit.read(table, slot);
		if (isPresent(word)) {
			if (start <= slotStart && last >= slotStart + span - 1) {
				edit.clear(table, slot, 1);
				if (level > 1 && !isLarge(word))
					listTables(edit, level - 1, frameIn(word), freelist);
				if (first < 0) first = slot;
				final = slot;
			} else if (level > 1) {
				const child = stepInto(edit, word);
				clearLevel(edit, level - 1, child, slotStart, start, last, freelist);
			}
		}
		pfn = slotStart + span;
	}
	if (first >= 0) edit.pushed(final - first + 1);
}

/** dma_pte_list_pagetables: the table and all tables below it, parents first, onto the caller's list. */
function listTables(
	edit: Edit,
	level: number,
	table: number,
	freelist: number[],
): void {
	freelist.push(table);
	edit.unlinked(table);
	edit.quarantined(table);
	if (level === 1) return;
	for (let slot = 0; slot < ENTRIES; slot++) {
		const word = edit.read(table, slot);
		if (isPresent(word) && !isLarge(word))
			listTables(edit, level - 1, frameIn(word), freelist);
	}
}
