/** AMD v1: map and growth (amd/io_pgtable.c:iommu_v1_map_pages, alloc_pte, increase_address_space, free_clear_pte; facts §1.1, §2.5). */
import { ERRNO } from "../../vocabulary/errno.ts";
import { alignDown } from "../arithmetic.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import {
	ENTRIES,
	FRAME_STEP,
	MAX_MODE,
	NATURAL,
	SIZE_CODED,
	codedSize,
	entriesOfSize,
	frameIn,
	isPresent,
	isTable,
	leafWord,
	levelOfSize,
	nextLevel,
	tableWord,
} from "../formats/amd-v1.ts";
import { putPagesList } from "../gather.ts";
import { wordAt } from "../page.ts";

/** Frames one entry of a level covers. */
export const SPAN: readonly number[] = [0, 1, 2, 3, 4, 5, 6].map(
	(level) => 2 ** (9 * level),
);

/** Slot of `iova` in a table of `level` (PM_LEVEL_INDEX). */
export const slotAt = (iova: number, level: number): number =>
	Math.floor(iova / (SPAN[level] as number)) & (ENTRIES - 1);

/** Last frame that a table of `mode` levels reaches (PM_LEVEL_SIZE). */
export const lastFrame = (mode: number): number =>
	mode < MAX_MODE ? (SPAN[mode] as number) - 1 : 2 ** 52 - 1;

/** What one map call collects: must it flush, and which tables go after the flush. */
interface MapCall {
	updated: boolean;
	readonly freelist: number[];
}
const NO_SLOT = -1;

/** iommu_v1_map_pages: whatever is mapped there is replaced. A leaf of the same level goes without a flush (facts §2.5). */
export function amdV1Map(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	count: number,
	prot: number,
): number {
	edit.mapped = 0;
	if ((prot & 3) === 0) return -ERRNO.EINVAL;
	const call: MapCall = { updated: false, freelist: [] };
	let ret = 0;
	for (let i = 0; i < count && ret === 0; ) {
		const at = iova + i * size;
		const run = size === 1 ? fillPages(edit, at, pa + i, count - i, prot) : 0;
		if (run === 0) ret = mapOne(edit, at, pa + i * size, size, prot, call);
		const pages = Math.max(run, 1);
		if (ret === 0) edit.mapped += pages * size;
		i += pages;
	}
	if (call.updated) edit.effects?.push(["FL", iova, size * count]);
	putPagesList(edit, call.freelist);
	return ret;
}

/** The common case: 4 KiB pages into empty slots of a last-level table that the walk is known to reach. Returns how many it did. */
function fillPages(
	edit: Edit,
	iova: number,
	pa: number,
	count: number,
	prot: number,
): number {
	const known = edit.knownTable(Math.floor(iova / ENTRIES));
	if (known === null) return 0;
	const slot = iova & (ENTRIES - 1);
	const limit = Math.min(count, ENTRIES - slot);
	let run = 0;
	while (run < limit && wordAt(known, slot + run) === 0) run++;
	if (run > 0) edit.fill(known, slot, run, leafWord(pa, 1, prot), FRAME_STEP);
	return run;
}

function mapOne(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	prot: number,
	call: MapCall,
): number {
	const { policy } = edit.config;
	const level = levelOfSize(size);
	const table = tableFor(edit, iova, size, level, call);
	if (table === NO_TABLE) return -ERRNO.ENOMEM;
	if (level === 0) edit.keepTable(Math.floor(iova / ENTRIES), table);
	const slot = slotAt(alignDown(iova, size), level);
	const entries = entriesOfSize(size);
	for (let i = 0; i < entries; i++) {
		const word = edit.read(table, slot + i);
		if (word !== 0 && isPresent(word) && !isTable(word)) {
			if (policy.mapOverLeaf === "eexist") return -ERRNO.EEXIST;
			if (policy.mapOverLeaf === "replaceFlush") call.updated = true;
		}
		clearEntry(edit, table, slot + i, word, call);
	}
	edit.writeRun(table, slot, entries, leafWord(pa, size, prot), 0);
	return 0;
}

/** free_clear_pte: swaps out whatever is there; a table's subtree is collected. */
function clearEntry(
	edit: Edit,
	table: number,
	slot: number,
	seen: number,
	call: MapCall,
): void {
	let expected = seen;
	for (;;) {
		const old = edit.cas(table, slot, expected, 0);
		if (old === expected) break;
		edit.warn("free_clear_pte");
		expected = old;
	}
	if (!isTable(expected)) return;
	call.updated = true;
	const below = edit.follow(frameIn(expected));
	collectTables(edit, below, nextLevel(expected), call.freelist);
}

/** free_sub_pt / free_pt_lvl: children first, tables of the lowest level are not looked into. `levels`: of the subtree. */
export function collectTables(
	edit: Edit,
	table: number,
	levels: number,
	freelist: number[],
): void {
	edit.unlinked(table);
	if (levels > 1)
		for (let slot = 0; slot < ENTRIES; slot++) {
			const word = edit.read(table, slot);
			if (isTable(word))
				collectTables(edit, edit.follow(frameIn(word)), levels - 1, freelist);
		}
	edit.quarantined(table);
	freelist.push(table);
	if (edit.config.policy.tableFree === "direct") {
		freelist.pop();
		edit.free(table);
	}
}

/** alloc_pte: the table of `target` level for this page, growing and building as needed. NO_TABLE without memory or on a wrong level tag. */
function tableFor(
	edit: Edit,
	iova: number,
	size: number,
	target: number,
	call: MapCall,
): number {
	while (iova + size - 1 > lastFrame(edit.mode) || edit.mode - 1 < target)
		if (!grow(edit)) return NO_TABLE;
	const aligned = alignDown(iova, size);
	let table = edit.root;
	// increase_address_space is given the address as asked, the walk begins with it too; only below is it aligned.
	let slot = slotAt(iova, edit.mode - 1);
	for (let level = edit.mode - 1; level > target; ) {
		const word = edit.read(table, slot);
		if (isPresent(word) && nextLevel(word) === SIZE_CODED) {
			tearDownSeries(edit, table, slot, word);
			call.updated = true;
			continue;
		}
		if (!isPresent(word) || nextLevel(word) === NATURAL) {
			const replaced = addTable(edit, table, slot, level, word);
			if (replaced === NO_SLOT) return NO_TABLE;
			if (replaced === 1) call.updated = true;
			continue;
		}
		if (nextLevel(word) !== level) return NO_TABLE;
		level--;
		table = edit.follow(frameIn(word));
		slot = slotAt(aligned, level);
	}
	return table;
}

/** Every replica that still equals the one seen is swapped out. A replica whose dirty bit differs survives (facts §2.5). */
function tearDownSeries(
	edit: Edit,
	table: number,
	slot: number,
	word: number,
): void {
	const entries = entriesOfSize(codedSize(word));
	const first = slot - (slot % entries);
	for (let i = 0; i < entries; i++) edit.cas(table, first + i, word, 0);
}

/** Puts a table in place of `seen`. Returns 1 when a leaf was replaced, 0 when not, -1 without memory. */
function addTable(
	edit: Edit,
	parent: number,
	slot: number,
	level: number,
	seen: number,
): number {
	const table = edit.allocate(level - 1, 9, 1);
	if (table === NO_TABLE) return NO_SLOT;
	const old = edit.link(parent, slot, seen, tableWord(table, level), table);
	if (old === seen) return isPresent(seen) ? 1 : 0;
	edit.free(table);
	return 0;
}

/** increase_address_space: a new root whose entry 0 is the old root; the device table is rewritten and flushed. Never shrinks. */
function grow(edit: Edit): boolean {
	const table = edit.allocate(edit.mode, 9, 1);
	if (table === NO_TABLE) return false;
	if (edit.mode === MAX_MODE) {
		edit.warn("increase_address_space");
		edit.free(table);
		return false;
	}
	edit.write(table, 0, tableWord(edit.root, edit.mode));
	edit.linked(table);
	edit.setRoot(table, edit.mode + 1);
	edit.effects?.push(["DTE"]);
	return true;
}
