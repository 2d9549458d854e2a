/** Arm LPAE: addressing of entries, run limits, and the small steps map and unmap share (io-pgtable-arm.c; facts §2.1–2.2). */
import { FRAME_LIMIT } from "../../vocabulary/address.ts";
import type { Edit } from "../edit.ts";
import { FRAME_STEP, addressField, tableWord } from "../formats/arm-lpae.ts";
import { addPage, type Gather } from "../gather.ts";
import type { Page } from "../page.ts";
import type { LpaeConfig } from "./lpae-config.ts";

/** The level whose entries are pages. */
export const LAST_LEVEL = 3;

/** Frames one entry of `level` covers. */
export const spanOf = (config: LpaeConfig, level: number): number =>
	config.geometry.span[level] as number;

/** Slot of `iova` in its table of `level` (ARM_LPAE_LVL_IDX). Bits above the root's are ignored: an address beyond IAS aliases. */
export function slotAt(
	config: LpaeConfig,
	iova: number,
	level: number,
): number {
	const mask = config.geometry.slotMask[level] as number;
	// Below the two upper levels the index lies within the 32 bits that a shift keeps.
	return level >= 2
		? (iova >>> (config.geometry.shift[level] as number)) & mask
		: Math.floor(iova / (config.geometry.span[level] as number)) & mask;
}

/** The number of the last-level table that covers `iova`, as if all existed. */
export const tableKey = (config: LpaeConfig, iova: number): number =>
	Math.floor(iova * config.tablesPerFrame);

/** Entries left in this table page (arm_lpae_max_entries): 2^b pages count, also inside a concatenated root. */
export const entriesLeft = (config: LpaeConfig, slot: number): number => {
	const entries = 1 << config.bitsPerLevel;
	return entries - (slot & (entries - 1));
};

/**
 * Entries from `slot` on for which the table has memory. The end of a run is not checked against IAS (arm_lpae_map_pages), so in a root
 * of less than a table page it can go on behind the root: within its 4 KiB unnoticed, beyond them into somebody else's memory.
 */
export const entriesInMemory = (
	config: LpaeConfig,
	level: number,
	slot: number,
): number =>
	level === config.startLevel
		? config.geometry.rootPages * 512 - slot
		: Number.POSITIVE_INFINITY;

/** Is the address within IAS, or with TTBR1 above the hole? */
export const isInRange = (config: LpaeConfig, iova: number): boolean =>
	config.quirkFlags.ttbr1
		? iova >= FRAME_LIMIT - config.iovaLimit
		: iova < config.iovaLimit;

/** The last-level table that covers `iova`, when the edit knows it. */
export const knownTable = (
	edit: Edit,
	config: LpaeConfig,
	iova: number,
): Page | null => edit.knownTable(tableKey(config, iova));

/** Remembers where a walk to `iova` found its last-level table. */
export const keepTable = (
	edit: Edit,
	config: LpaeConfig,
	iova: number,
	table: number,
): void => edit.keepTable(tableKey(config, iova), table);

/** The table a table entry points to; a freed one is noted (iopte_deref). */
export const deref = (edit: Edit, config: LpaeConfig, word: number): number =>
	edit.follow(Math.floor(word / FRAME_STEP) / config.granule);

/** Allocates a table of `level`. */
export const allocateTable = (
	edit: Edit,
	config: LpaeConfig,
	level: number,
): number => edit.allocate(level, config.bitsPerLevel, config.granule);

/** __arm_lpae_sync_pte: bytes pushed to memory. */
export const syncEntries = (edit: Edit, count: number): void =>
	edit.pushed(8 * count);

/** __arm_lpae_init_pte: `count` leaves with flags, then one push. `page`: the table as it is now. */
export function writeLeaves(
	edit: Edit,
	config: LpaeConfig,
	page: Page,
	slot: number,
	count: number,
	pa: number,
	level: number,
	flags: number,
): void {
	const span = spanOf(config, level);
	const kept = Math.min(count, entriesInMemory(config, level, slot));
	if (kept < count) edit.hazard = true;
	if (pa + kept * span <= 2 ** 36)
		edit.fill(page, slot, kept, pa * FRAME_STEP + flags, span * FRAME_STEP);
	else
		for (let i = 0; i < kept; i++)
			edit.write(
				page.id,
				slot + i,
				addressField(pa + i * span) * FRAME_STEP + flags,
			);
	syncEntries(edit, count);
}

/** __arm_lpae_clear_pte. */
export function clearEntries(
	edit: Edit,
	table: number,
	slot: number,
	count: number,
): void {
	edit.clear(table, slot, count);
	if (count > 0) syncEntries(edit, count);
}

/**
 * arm_lpae_install_table: compare-and-swap of `expected` by a pointer to `table`. Returns what was there. For a walker that does not
 * snoop the entry is pushed, and the winner then marks it as visible (software bit 55).
 */
export function installTable(
	edit: Edit,
	config: LpaeConfig,
	table: number,
	parent: number,
	slot: number,
	expected: number,
): number {
	const word = tableWord(table, config.granule, config.quirkFlags.ns);
	const old = edit.link(parent, slot, expected, word, table);
	if (config.coherent || (old & SW_SYNC_FLAG) !== 0) return old;
	syncEntries(edit, 1);
	if (old === expected) edit.write(parent, slot, word + SW_SYNC_FLAG);
	return old;
}
const SW_SYNC_FLAG = 1 << 15;

/** io_pgtable_tlb_add_page: queues the leaf invalidation of `count` pages from `iova`, one by one; runs are one effect. */
export function addLeafPages(
	edit: Edit,
	gather: Gather | null,
	iova: number,
	size: number,
	count: number,
): void {
	for (let i = 0; i < count; i++) {
		const at = iova + i * size;
		notePage(edit, at, size);
		if (gather !== null) addPage(edit, gather, at, size);
	}
}

function notePage(edit: Edit, iova: number, size: number): void {
	const effects = edit.effects;
	if (effects === null) return;
	const previous = effects[effects.length - 1];
	if (
		previous !== undefined &&
		previous[0] === "P" &&
		previous[2] === size &&
		previous[1] + previous[2] * previous[3] === iova
	)
		effects[effects.length - 1] = ["P", previous[1], size, previous[3] + 1];
	else effects.push(["P", iova, size, 1]);
}
