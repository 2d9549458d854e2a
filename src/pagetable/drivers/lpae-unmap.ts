/** Arm LPAE: unmap, split and table free (io-pgtable-arm.c:__arm_lpae_unmap, arm_lpae_split_blk_unmap, __arm_lpae_free_pgtable; facts §2.2). */
import { LEAF, TABLE } from "../config.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import {
	TYPE_TABLE,
	leafType,
	lpaeKind,
	splitFlags,
} from "../formats/arm-lpae.ts";
import type { Gather } from "../gather.ts";
import { wordAt, type Page } from "../page.ts";
import type { LpaeConfig } from "./lpae-config.ts";
import {
	LAST_LEVEL,
	addLeafPages,
	allocateTable,
	clearEntries,
	deref,
	entriesInMemory,
	entriesLeft,
	installTable,
	isInRange,
	keepTable,
	knownTable,
	slotAt,
	spanOf,
	writeLeaves,
} from "./lpae-walk.ts";

/** arm_lpae_unmap_pages: frames unmapped, at most one table page's worth. */
export function lpaeUnmap(
	edit: Edit,
	iova: number,
	size: number,
	count: number,
	gather: Gather | null,
): number {
	const config = edit.config as LpaeConfig;
	if (
		!config.pageSizes.includes(size) ||
		count === 0 ||
		!isInRange(config, iova)
	) {
		edit.warn("arm_lpae_unmap_pages");
		return 0;
	}
	const known = size === config.granule ? knownTable(edit, config, iova) : null;
	if (known !== null) {
		const done = clearPages(edit, config, gather, iova, count, known);
		if (done > 0) return done;
	}
	const { startLevel } = config;
	return unmapAt(
		edit,
		config,
		gather,
		iova,
		size,
		count,
		startLevel,
		edit.root,
	);
}

/** The common case: a run of pages in a last-level table that the walk is known to reach. 0 when a slot is empty: then the full steps run. */
function clearPages(
	edit: Edit,
	config: LpaeConfig,
	gather: Gather | null,
	iova: number,
	count: number,
	known: Page,
): number {
	const slot = slotAt(config, iova, LAST_LEVEL);
	const run = Math.min(
		count,
		entriesLeft(config, slot),
		entriesInMemory(config, LAST_LEVEL, slot),
	);
	for (let i = 0; i < run; i++) if (wordAt(known, slot + i) === 0) return 0;
	clearEntries(edit, known.id, slot, run);
	if (gather !== null && !gather.queued)
		addLeafPages(edit, gather, iova, config.granule, run);
	return run * config.granule;
}

/** __arm_lpae_unmap from `table` at `startLevel`. */
export function unmapAt(
	edit: Edit,
	config: LpaeConfig,
	gather: Gather | null,
	iova: number,
	size: number,
	count: number,
	startLevel: number,
	startTable: number,
): number {
	let table = startTable;
	for (let level = startLevel; level <= LAST_LEVEL; level++) {
		const slot = slotAt(config, iova, level);
		const word = edit.readOnce(table, slot);
		if (word === 0) {
			edit.warn("__arm_lpae_unmap");
			return 0;
		}
		if (size === spanOf(config, level)) {
			if (level === LAST_LEVEL) keepTable(edit, config, iova, table);
			return clearRun(
				edit,
				config,
				gather,
				iova,
				size,
				count,
				level,
				table,
				slot,
			);
		}

		if (lpaeKind(config.dialect, word, level) === LEAF)
			return unmapPart(
				edit,
				config,
				gather,
				iova,
				size,
				count,
				word,
				level,
				table,
				slot,
			);
		table = deref(edit, config, word);
	}
	edit.warn("__arm_lpae_unmap");
	return 0;
}

/** The level of the size asked for: tables in the run go at once (case 3 of seed 1), then all slots are cleared, then the leaves are queued. */
function clearRun(
	edit: Edit,
	config: LpaeConfig,
	gather: Gather | null,
	iova: number,
	size: number,
	count: number,
	level: number,
	table: number,
	slot: number,
): number {
	const limit = Math.min(count, entriesLeft(config, slot));
	const inMemory = entriesInMemory(config, level, slot);
	let done = 0;
	const page = edit.racing ? null : edit.page(table);
	for (; done < limit; done++) {
		const word =
			done >= inMemory
				? 0
				: page === null
					? edit.readOnce(table, slot + done)
					: wordAt(page, slot + done);
		if (word === 0) {
			edit.warn("__arm_lpae_unmap");
			break;
		}
		if (lpaeKind(config.dialect, word, level) === LEAF) continue;
		clearEntries(edit, table, slot + done, 1);
		edit.effects?.push(["W", iova + done * size, size, config.granule]);
		freeTables(edit, config, level + 1, deref(edit, config, word), gather);
	}
	clearEntries(edit, table, slot, done);
	if (gather !== null && !gather.queued)
		addLeafPages(edit, gather, iova, size, done);
	return done * size;
}

/** A block is larger than what is to be unmapped: three answers (facts §9, partialUnmap). */
function unmapPart(
	edit: Edit,
	config: LpaeConfig,
	gather: Gather | null,
	iova: number,
	size: number,
	count: number,
	word: number,
	level: number,
	table: number,
	slot: number,
): number {
	switch (config.policy.partialUnmap) {
		case "split":
			return splitBlock(
				edit,
				config,
				gather,
				iova,
				size,
				count,
				word,
				level + 1,
				table,
				slot,
			);
		case "refuse":
			// 6.13+ (33729a5fc0ca, seed 5): a warning, once per boot there; here each time, since a model has no boot.
			edit.warn("__arm_lpae_unmap");
			return 0;
		case "larger": {
			const span = spanOf(config, level);
			clearEntries(edit, table, slot, 1);
			const base = Math.floor(iova / span) * span;
			if (gather !== null && !gather.queued)
				addLeafPages(edit, gather, base, span, 1);
			return span;
		}
	}
}

/**
 * arm_lpae_split_blk_unmap: a table with the rest of the block takes the block's place in one compare-and-swap; `level` is the new
 * table's. Nothing is invalidated but the unmapped run, and that unconditionally.
 */
function splitBlock(
	edit: Edit,
	config: LpaeConfig,
	gather: Gather | null,
	iova: number,
	size: number,
	count: number,
	block: number,
	level: number,
	parent: number,
	parentSlot: number,
): number {
	if (level > LAST_LEVEL) {
		edit.warn("arm_lpae_split_blk_unmap");
		return 0;
	}
	const table = allocateTable(edit, config, level);
	if (table === NO_TABLE) return 0;
	const span = spanOf(config, level);
	const isFinal = size === span;
	const slot = isFinal ? slotAt(config, iova, level) : -1;
	const run = isFinal ? Math.min(count, entriesLeft(config, slot)) : 0;
	fillSplitTable(edit, config, table, level, block, slot, run);
	const old = installTable(edit, config, table, parent, parentSlot, block);
	let next = table;
	if (old !== block) {
		edit.free(table);
		// Someone split another part of this block; anything else would be a concurrent unmap of the same range.
		if ((old & 3) !== TYPE_TABLE) return 0;
		next = deref(edit, config, old);
	} else if (isFinal) {
		addLeafPages(edit, gather, iova, size, run);
		return run * size;
	}
	return unmapAt(edit, config, gather, iova, size, count, level, next);
}

/** Every entry of the new table but the unmapped run, each pushed on its own. */
function fillSplitTable(
	edit: Edit,
	config: LpaeConfig,
	table: number,
	level: number,
	block: number,
	skipSlot: number,
	skipCount: number,
): void {
	const base = config.codec.leafPa(block, level - 1, 0);
	const flags = splitFlags(block) | leafType(config.dialect, level);
	const entries = 2 ** config.bitsPerLevel;
	const span = spanOf(config, level);
	const fill = (from: number, to: number): void => {
		if (from >= to) return;
		const count = to - from;
		// writeLeaves pushes once per call; the code pushes once per entry.
		if (config.coherent)
			writeLeaves(
				edit,
				config,
				edit.page(table),
				from,
				count,
				base + from * span,
				level,
				flags,
			);
		else
			for (let i = from; i < to; i++)
				writeLeaves(
					edit,
					config,
					edit.page(table),
					i,
					1,
					base + i * span,
					level,
					flags,
				);
	};
	if (skipSlot < 0) fill(0, entries);
	else {
		fill(0, skipSlot);
		fill(skipSlot + skipCount, entries);
	}
}

/** __arm_lpae_free_pgtable: children first; last-level tables are not looked into. With a deferring policy the tables are listed instead. */
export function freeTables(
	edit: Edit,
	config: LpaeConfig,
	level: number,
	table: number,
	gather: Gather | null,
): void {
	edit.unlinked(table);
	if (level < LAST_LEVEL) {
		const entries =
			2 **
			(level === config.startLevel
				? config.geometry.rootBits
				: config.bitsPerLevel);
		const page = edit.page(table);
		for (let slot = 0; slot < entries; slot++) {
			const word = wordAt(page, slot);
			if (word === 0 || lpaeKind(config.dialect, word, level) !== TABLE)
				continue;
			freeTables(edit, config, level + 1, deref(edit, config, word), gather);
		}
	}
	if (config.policy.tableFree === "direct" || gather === null) edit.free(table);
	else {
		edit.quarantined(table);
		gather.freelist.push(table);
	}
}
