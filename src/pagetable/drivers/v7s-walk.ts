/** Arm v7s: addressing and the small steps that map and unmap share (io-pgtable-arm-v7s.c). */
import type { Edit } from "../edit.ts";
import { SPAN, tableWord } from "../formats/arm-v7s.ts";
import type { V7sConfig } from "./v7s-config.ts";

/** Slot of `iova` at level 1 or 2 (ARM_V7S_LVL_IDX). */
export const slotAt = (
	config: V7sConfig,
	iova: number,
	level: number,
): number => {
	const bits = level === 1 ? config.geometry.rootBits : 8;
	return Math.floor(iova / (SPAN[level] as number)) & (2 ** bits - 1);
};

/** Entries that `size` frames fill at `level`; 0 when a level below is needed. */
export const entriesFor = (size: number, level: number): number =>
	Math.floor(size / (SPAN[level] as number));

/** A second-level table: 1 KiB in reality, one page in the harness's count (VECTORS.md). */
export const allocateTable = (edit: Edit): number => edit.allocate(2, 8, 1);

/** __arm_v7s_pte_sync. */
export const syncEntries = (edit: Edit, count: number): void =>
	edit.pushed(4 * count);

/** __arm_v7s_set_pte: `count` equal entries. */
export function setEntries(
	edit: Edit,
	table: number,
	slot: number,
	count: number,
	word: number,
): void {
	edit.writeRun(table, slot, count, word, 0);
	syncEntries(edit, count);
}

/** arm_v7s_install_table: returns what was there. */
export function installTable(
	edit: Edit,
	config: V7sConfig,
	table: number,
	parent: number,
	slot: number,
	expected: number,
): number {
	const word = tableWord(table, config.quirkFlags.ns);
	const old = edit.link(parent, slot, expected, word, table);
	syncEntries(edit, 1);
	return old;
}
