/** Arm v7s: unmap and split (io-pgtable-arm-v7s.c:arm_v7s_unmap_pages, __arm_v7s_unmap, arm_v7s_split_cont, arm_v7s_split_blk_unmap; facts §2.4). */
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import {
	CONT_ENTRIES,
	SPAN,
	addressBits,
	attributes,
	fromCont,
	isCont,
	isTable,
	isValid,
	leafBase,
	protOf,
	tableIn,
	toCont,
} from "../formats/arm-v7s.ts";
import type { Gather } from "../gather.ts";
import { addLeafPages } from "./lpae-walk.ts";
import type { V7sConfig } from "./v7s-config.ts";
import {
	allocateTable,
	entriesFor,
	installTable,
	setEntries,
	slotAt,
	syncEntries,
} from "./v7s-walk.ts";

/** arm_v7s_unmap_pages: page by page, ends at the first that cannot be unmapped. */
export function v7sUnmap(
	edit: Edit,
	iova: number,
	size: number,
	count: number,
	gather: Gather | null,
): number {
	const config = edit.config as V7sConfig;
	if (iova >= 2 ** (config.ias - 12)) {
		edit.warn("arm_v7s_unmap_pages");
		return 0;
	}
	let done = 0;
	for (let i = 0; i < count; i++) {
		if (unmapOne(edit, config, gather, iova + done, size, 1, edit.root) === 0)
			break;
		done += size;
	}
	return done;
}

/** __arm_v7s_unmap. */
export function unmapOne(
	edit: Edit,
	config: V7sConfig,
	gather: Gather | null,
	iova: number,
	size: number,
	level: number,
	table: number,
): number {
	if (level > 2) {
		edit.warn("__arm_v7s_unmap");
		return 0;
	}
	const entries = entriesFor(size, level);
	const slot = slotAt(config, iova, level);
	const words: number[] = [];
	do {
		const word = edit.readOnce(table, slot + words.length);
		if (!isValid(word)) {
			edit.warn("__arm_v7s_unmap");
			return 0;
		}
		words.push(word);
	} while (words.length < entries);
	let first = words[0] as number;
	if (entries <= 1 && isCont(first, level)) {
		if (config.policy.partialUnmap === "refuse") {
			edit.warn("__arm_v7s_unmap");
			return 0;
		}
		first = splitCont(edit, iova, slot, level, table);
		words[0] = first;
	}
	if (entries > 0) {
		clearRun(edit, gather, iova, level, table, slot, words);
		return size;
	}
	if (level === 1 && !isTable(first, level))
		return splitSection(edit, config, gather, iova, size, first, table, slot);
	return unmapOne(
		edit,
		config,
		gather,
		iova,
		size,
		level + 1,
		edit.follow(tableIn(first)),
	);
}

/** The entries go; a table is freed after a walk invalidation, without a leaf invalidation of its own — unlike LPAE. */
function clearRun(
	edit: Edit,
	gather: Gather | null,
	iova: number,
	level: number,
	table: number,
	slot: number,
	words: readonly number[],
): void {
	const span = SPAN[level] as number;
	setEntries(edit, table, slot, words.length, 0);
	words.forEach((word, i) => {
		const at = iova + i * span;
		if (isTable(word, level)) {
			edit.effects?.push(["W", at, span, SPAN[level + 1] as number]);
			const child = edit.follow(tableIn(word));
			edit.unlinked(child);
			edit.free(child);
		} else if (gather === null || !gather.queued)
			addLeafPages(edit, gather, at, span, 1);
	});
}

/**
 * arm_v7s_split_cont: rewrites 16 copies as 16 ordinary entries, one after the other. Returns the FIRST of them, whatever slot was asked
 * for: a partial unmap of a supersection beyond its first section then loses its compare-and-swap and returns 0.
 */
function splitCont(
	edit: Edit,
	iova: number,
	slot: number,
	level: number,
	table: number,
): number {
	const found = edit.read(table, slot);
	// Someone else had the lock before.
	if (!isCont(found, level)) return found;
	const word = fromCont(found, level);
	const span = SPAN[level] as number;
	const start = slot - (slot % CONT_ENTRIES);
	edit.writeRun(table, start, CONT_ENTRIES, word, span * 4096);
	syncEntries(edit, CONT_ENTRIES);
	const size = span * CONT_ENTRIES;
	edit.effects?.push(["W", iova, size, size]);
	return word;
}

/**
 * arm_v7s_split_blk_unmap: a table of the rest replaces the section. 6.12 builds the new entries from the attributes alone, so the
 * remaining pages lose the section's physical base (v7sSplitBase=lost; removed with the split in 6.13, fd50651636fb).
 */
function splitSection(
	edit: Edit,
	config: V7sConfig,
	gather: Gather | null,
	iova: number,
	size: number,
	section: number,
	parent: number,
	parentSlot: number,
): number {
	if (config.policy.partialUnmap === "refuse") {
		edit.warn("__arm_v7s_unmap");
		return 0;
	}
	const table = allocateTable(edit);
	if (table === NO_TABLE) return 0;
	fillSplitTable(edit, config, table, section, size, slotAt(config, iova, 2));
	const old = installTable(edit, config, table, parent, parentSlot, section);
	if (old !== section) {
		edit.free(table);
		if (!isTable(old, 1)) return 0;
		return unmapOne(
			edit,
			config,
			gather,
			iova,
			size,
			2,
			edit.follow(tableIn(old)),
		);
	}
	addLeafPages(edit, gather, iova, size, 1);
	return size;
}

function fillSplitTable(
	edit: Edit,
	config: V7sConfig,
	table: number,
	section: number,
	size: number,
	skip: number,
): void {
	const { mtk } = config.quirkFlags;
	const entries = entriesFor(size, 2);
	const single = attributes(protOf(section, 1), 2, config.quirkFlags);
	const attr = entries > 1 ? toCont(single, 2) : single;
	const base =
		config.policy.v7sSplitBase === "kept" ? leafBase(section, 1, mtk) : 0;
	for (let slot = 0; slot < SPAN_ENTRIES; slot += entries)
		if (slot !== skip)
			setEntries(
				edit,
				table,
				slot,
				entries,
				attr + addressBits(base + slot, 2, mtk),
			);
}
/** Pages in a section. */
const SPAN_ENTRIES = 256;
