/** AMD v1 as a driver (amd/io_pgtable.c:fetch_pte, iommu_v1_unmap_pages, iommu_v1_iova_to_phys, iommu_v1_read_and_clear_dirty; facts §2.5, §7). */
import { alignDown, offsetIn } from "../arithmetic.ts";
import type { Driver, Walkable, WriteOutcome } from "../config.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import {
	DIRTY_BIT,
	ENTRIES,
	NATURAL,
	SIZE_CODED,
	codedSize,
	entriesOfSize,
	frameIn,
	isDirty,
	isPresent,
	isTable,
	isWritable,
	nextLevel,
} from "../formats/amd-v1.ts";
import {
	gatherIsEmpty,
	gatheredSize,
	putPagesList,
	type Gather,
} from "../gather.ts";
import { wordAt, type Page } from "../page.ts";
import { findPage } from "../store.ts";
import { amdV1Map, collectTables, lastFrame, slotAt } from "./amd-v1-map.ts";

/** What `lookup` answers where 6.12 takes a table pointer for a leaf: a stray replica's first slot holds a table (VECTORS.md). */
const INSIDE_A_TABLE = -2;

/** The entry a walk ends at. `size` in frames is that of the leaf, or of the level where nothing is; 0 beyond the mode. */
interface Found {
	readonly isEntry: boolean;
	readonly size: number;
	readonly table: number;
	/** First slot of the series, and the slot the walk reached. */
	readonly slot: number;
	readonly reached: number;
}
const beyond: Found = {
	isEntry: false,
	size: 0,
	table: 0,
	slot: 0,
	reached: 0,
};

const readWord = (table: Walkable, id: number, slot: number): number => {
	const page = findPage(table.store, id);
	return page === undefined ? 0 : wordAt(page, slot);
};

/** fetch_pte. */
function fetchEntry(table: Walkable, iova: number): Found {
	if (iova > lastFrame(table.mode)) return beyond;
	let id = table.root;
	for (let level = table.mode - 1; ; level--) {
		const slot = slotAt(iova, level);
		const word = readWord(table, id, slot);
		const next = nextLevel(word);
		const isHole =
			level > 0 &&
			(!isPresent(word) ||
				(next !== level && next !== SIZE_CODED && next !== NATURAL));
		if (!isHole && next === SIZE_CODED) {
			const size = codedSize(word);
			const first = slot - (slot % entriesOfSize(size));
			return { isEntry: true, size, table: id, slot: first, reached: slot };
		}
		if (isHole || level === 0 || next === NATURAL) {
			const size = 2 ** (9 * level);
			return { isEntry: !isHole, size, table: id, slot, reached: slot };
		}
		id = frameIn(word);
	}
}

/** iommu_v1_unmap_pages: leaf by leaf, each with all its replicas. Tables stay, nothing is freed. */
function unmap(edit: Edit, iova: number, size: number, count: number): number {
	const asked = size * count;
	const known = edit.knownTable(Math.floor(iova / ENTRIES));
	let done = known === null ? 0 : clearPages(edit, known, iova, asked);
	let at = iova + done;
	while (done < asked) {
		const found = fetchEntry(edit, at);
		if (!found.isEntry) break;
		const stops = edit.config.policy.holeOnUnmap === "stop";
		if (stops && !isPresent(edit.read(found.table, found.slot))) break;
		if (found.size === 1) edit.keepTable(Math.floor(at / ENTRIES), found.table);
		// A stray replica's series may by now hold pointers to tables, which are lost here.
		if (found.size > ENTRIES) edit.walkCache?.clear();
		edit.clear(found.table, found.slot, entriesOfSize(found.size));
		at = alignDown(at, found.size) + found.size;
		done += found.size;
	}
	return done;
}

/** The common case: 4 KiB leaves in a last-level table that the walk is known to reach, up to the first slot that is anything else. */
function clearPages(
	edit: Edit,
	known: Page,
	iova: number,
	count: number,
): number {
	const slot = iova & (ENTRIES - 1);
	const limit = Math.min(count, ENTRIES - slot);
	let done = 0;
	while (done < limit) {
		const word = wordAt(known, slot + done);
		if (!isPresent(word) || nextLevel(word) !== NATURAL) break;
		done++;
	}
	edit.clear(known.id, slot, done);
	return done;
}

/** iommu_v1_iova_to_phys: the size comes from the replica reached, the address from the first one. */
function lookup(table: Walkable, iova: number): number {
	const key = Math.floor(iova / ENTRIES);
	const known = table.walkCache?.find(key, table.token);
	if (known != null) {
		const word = wordAt(known, iova & (ENTRIES - 1));
		if (!isPresent(word)) return -1;
		if (nextLevel(word) === NATURAL) return frameIn(word);
	}
	const found = fetchEntry(table, iova);
	if (!found.isEntry) return -1;
	const word = readWord(table, found.table, found.slot);
	if (found.size === 1) table.keepTable?.(key, found.table);
	if (!isPresent(word)) return -1;
	if (isTable(word)) return INSIDE_A_TABLE;
	const frame = frameIn(word);
	return alignDown(frame, found.size) + offsetIn(iova, found.size);
}

function sync(edit: Edit, gather: Gather): void {
	const isEmpty = gatherIsEmpty(gather);
	const start = isEmpty ? Number.POSITIVE_INFINITY : gather.start;
	edit.effects?.push(["SY", start, gather.last, gather.granule]);
	edit.effects?.push([
		"FL",
		isEmpty ? 0 : start,
		isEmpty ? 0 : gatheredSize(gather),
	]);
}

/** Dirty is the OR over all replicas; the address recorded is the running one, not aligned (facts §7). */
function sweep(
	edit: Edit,
	iova: number,
	size: number,
	keep: boolean,
	record: (iova: number, size: number) => void,
): number {
	const last = iova + size - 1;
	let at = iova;
	do {
		const found = fetchEntry(edit, at);
		// Beyond the mode; the code goes on page by page, and finds nothing.
		if (found.size === 0) break;
		const length = found.size;
		const isHere =
			found.isEntry && isPresent(edit.read(found.table, found.slot));
		if (isHere && takeDirty(edit, found, keep)) record(at, length);
		at += length;
	} while (at <= last);
	return 0;
}

function takeDirty(edit: Edit, found: Found, keep: boolean): boolean {
	let dirty = false;
	for (let i = 0; i < entriesOfSize(found.size); i++) {
		const word = edit.read(found.table, found.slot + i);
		if (!isDirty(word)) continue;
		dirty = true;
		if (keep) break;
		edit.write(found.table, found.slot + i, word - DIRTY_BIT);
	}
	return dirty;
}

/** The device sets the dirty bit in the one replica its walk used. */
function hardwareWrite(edit: Edit, iova: number): WriteOutcome {
	const found = fetchEntry(edit, iova);
	if (!found.isEntry) return "nomap";
	const word = edit.read(found.table, found.reached);
	if (!isPresent(word)) return "nomap";
	if (!isWritable(word)) return "ro";
	if (isDirty(word)) return "already";
	edit.write(found.table, found.reached, word + DIRTY_BIT);
	return "dirtied";
}

function destroy(edit: Edit): void {
	if (edit.root === NO_TABLE) return;
	const freelist: number[] = [];
	collectTables(edit, edit.root, edit.mode, freelist);
	putPagesList(edit, freelist);
	edit.setRoot(NO_TABLE, edit.mode);
}

/** AMD host tables. */
export const AMD_V1_DRIVER: Driver = {
	map: amdV1Map,
	unmap,
	lookup,
	sync,
	gluesGather: true,
	sweep,
	hardwareWrite,
	destroy,
};
