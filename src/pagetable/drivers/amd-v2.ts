/** AMD v2 as a driver (amd/io_pgtable_v2.c; facts §2.6). No dirty tracking: the dirty bit is set from the start. */
import { ERRNO } from "../../vocabulary/errno.ts";
import { alignDown, offsetIn } from "../arithmetic.ts";
import type { Driver, Walkable } from "../config.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import {
	ENTRIES,
	frameIn,
	isLarge,
	isPresent,
	leafWord,
	tableWord,
} from "../formats/amd-v2.ts";
import {
	gatherIsEmpty,
	gatheredSize,
	putPagesList,
	type Gather,
} from "../gather.ts";
import { wordAt } from "../page.ts";
import { findPage } from "../store.ts";
import { slotAt } from "./amd-v1-map.ts";

const LARGE_2M = 512;
const LARGE_1G = 262144;
const levelOfSize = (size: number): number =>
	size === LARGE_1G ? 2 : size === LARGE_2M ? 1 : 0;

interface MapCall {
	updated: boolean;
	/** Tables that wait for the flush (policy tableFree=localList; 6.12 frees at once). */
	readonly freelist: number[];
}

/** iommu_v2_map_pages. */
function map(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	count: number,
	prot: number,
): number {
	edit.mapped = 0;
	if (!edit.config.pageSizes.includes(size) || count === 0) {
		edit.warn("iommu_v2_map_pages");
		return -ERRNO.EINVAL;
	}
	if ((prot & 3) === 0) return -ERRNO.EINVAL;
	const call: MapCall = { updated: false, freelist: [] };
	const level = levelOfSize(size);
	let ret = 0;
	for (let i = 0; i < count; i++) {
		const at = iova + i * size;
		const table = tableFor(edit, at, level, call);
		ret =
			table === NO_TABLE
				? -ERRNO.ENOMEM
				: clearTarget(edit, table, slotAt(at, level), level, call);
		if (ret !== 0) break;
		edit.write(table, slotAt(at, level), leafWord(pa + i * size, size, prot));
		edit.mapped += size;
	}
	if (call.updated) edit.effects?.push(["FL", iova, size * count]);
	putPagesList(edit, call.freelist);
	return ret;
}

/** v2_alloc_pte, the walk: a large leaf in the way is dropped whole, a hole gets a table. */
function tableFor(
	edit: Edit,
	iova: number,
	target: number,
	call: MapCall,
): number {
	let table = edit.root;
	for (let level = edit.config.geometry.rootLevel; level > target; ) {
		const slot = slotAt(iova, level);
		const word = edit.read(table, slot);
		if (isPresent(word) && isLarge(word)) {
			edit.cas(table, slot, word, 0);
			call.updated = true;
			continue;
		}
		if (!isPresent(word)) {
			const fresh = edit.allocate(level - 1, 9, 1);
			if (fresh === NO_TABLE) return NO_TABLE;
			const old = edit.link(table, slot, word, tableWord(fresh), fresh);
			if (old !== word) edit.free(fresh);
			continue;
		}
		level--;
		table = edit.follow(frameIn(word));
	}
	return table;
}

/** v2_alloc_pte, the tear-down: what a large target slot held is freed as a table before any flush — even when it is a leaf's data. */
function clearTarget(
	edit: Edit,
	table: number,
	slot: number,
	level: number,
	call: MapCall,
): number {
	const word = edit.read(table, slot);
	if (!isPresent(word)) return 0;
	const isLeaf = level === 0 || isLarge(word);
	if (isLeaf && edit.config.policy.mapOverLeaf === "eexist")
		return -ERRNO.EEXIST;
	call.updated = true;
	if (!isLeaf) edit.follow(frameIn(word));
	edit.cas(table, slot, word, 0);
	if (level === 0) return 0;
	if (isLeaf) edit.hazardous(["FD", frameIn(word)]);
	else {
		const direct = edit.config.policy.tableFree === "direct";
		freeTables(edit, frameIn(word), level, direct ? null : call.freelist);
	}
	return 0;
}

/** free_pgtable: `levels` of the subtree; tables of the lowest level are freed without a look inside. */
function freeTables(
	edit: Edit,
	table: number,
	levels: number,
	freelist: number[] | null,
): void {
	edit.unlinked(table);
	if (levels > 1)
		for (let slot = 0; slot < ENTRIES; slot++) {
			const word = edit.read(table, slot);
			if (isPresent(word) && !isLarge(word))
				freeTables(edit, edit.follow(frameIn(word)), levels - 1, freelist);
		}
	if (freelist === null) edit.free(table);
	else {
		edit.quarantined(table);
		freelist.push(table);
	}
}

interface Found {
	readonly table: number;
	readonly slot: number;
	readonly size: number;
	readonly word: number;
}

/** fetch_pte: tests "large" after stepping down and without testing present. */
function fetchEntry(table: Walkable, iova: number): Found | undefined {
	let id = table.root;
	let level = table.config.geometry.rootLevel;
	let word = readWord(table, id, slotAt(iova, level));
	while (level > 0) {
		if (!isPresent(word)) return undefined;
		id = frameIn(word);
		word = readWord(table, id, slotAt(iova, level - 1));
		if (isLarge(word)) {
			if (level !== 3 && level !== 2) return undefined;
			const size = level === 3 ? LARGE_1G : LARGE_2M;
			return { table: id, slot: slotAt(iova, level - 1), size, word };
		}
		level--;
	}
	return { table: id, slot: slotAt(iova, 0), size: 1, word };
}
const readWord = (table: Walkable, id: number, slot: number): number => {
	const page = findPage(table.store, id);
	return page === undefined ? 0 : wordAt(page, slot);
};

/** iommu_v2_unmap_pages: leaf by leaf; an empty last-level slot counts as unmapped, a missing table stops. */
function unmap(edit: Edit, iova: number, size: number, count: number): number {
	if (!edit.config.pageSizes.includes(size) || count === 0) {
		edit.warn("iommu_v2_unmap_pages");
		return 0;
	}
	const asked = size * count;
	let done = 0;
	let at = iova;
	while (done < asked) {
		const found = fetchEntry(edit, at);
		if (found === undefined) break;
		if (found.word !== 0) edit.clear(found.table, found.slot, 1);
		else if (edit.config.policy.holeOnUnmap === "stop") break;
		at = alignDown(at, found.size) + found.size;
		done += found.size;
	}
	return done;
}

function lookup(table: Walkable, iova: number): number {
	const found = fetchEntry(table, iova);
	if (found === undefined || !isPresent(found.word)) return -1;
	const frame = frameIn(found.word);
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

function destroy(edit: Edit): void {
	if (edit.root === NO_TABLE) return;
	freeTables(edit, edit.root, edit.config.geometry.mode, null);
	edit.setRoot(NO_TABLE, edit.mode);
}

/** AMD guest tables. */
export const AMD_V2_DRIVER: Driver = {
	map,
	unmap,
	lookup,
	sync,
	gluesGather: true,
	sweep: () => -ERRNO.EOPNOTSUPP,
	hardwareWrite: () => "noDBM",
	destroy,
};
