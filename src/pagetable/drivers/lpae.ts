/** Arm LPAE as a driver: lookup, dirty sweep, sync; map and unmap are in lpae-map.ts and lpae-unmap.ts. */
import { FRAME_LIMIT } from "../../vocabulary/address.ts";
import { ERRNO } from "../../vocabulary/errno.ts";
import { offsetIn } from "../arithmetic.ts";
import {
	LEAF,
	type Driver,
	type Walkable,
	type WriteOutcome,
} from "../config.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import { AP_RDONLY, DBM, FRAME_STEP, lpaeKind } from "../formats/arm-lpae.ts";
import { gatherIsEmpty, releaseAfterFlush, type Gather } from "../gather.ts";
import { wordAt } from "../page.ts";
import { findPage } from "../store.ts";
import type { LpaeConfig } from "./lpae-config.ts";
import { lpaeMap } from "./lpae-map.ts";
import { freeTables, lpaeUnmap } from "./lpae-unmap.ts";
import { LAST_LEVEL, slotAt, spanOf, tableKey } from "./lpae-walk.ts";

/** The leaf that a walk to `iova` ends at. */
function findLeaf(
	table: Walkable,
	config: LpaeConfig,
	iova: number,
): { word: number; level: number; table: number } | undefined {
	let id = table.root;
	for (let level = config.startLevel; level <= LAST_LEVEL; level++) {
		const page = findPage(table.store, id);
		if (page === undefined) return undefined;
		const word = wordAt(page, slotAt(config, iova, level));
		if (word === 0) return undefined;
		if (lpaeKind(config.dialect, word, level) === LEAF)
			return { word, level, table: id };
		id = Math.floor(word / FRAME_STEP) / config.granule;
	}
	return undefined;
}

/** arm_lpae_iova_to_phys. No range check: an address above IAS aliases into the table (facts §1.3). */
function lookup(table: Walkable, iova: number): number {
	const config = table.config as LpaeConfig;
	const key = tableKey(config, iova);
	const known = table.walkCache?.find(key, table.token);
	if (known != null) {
		const word = wordAt(known, (iova >>> config.lastShift) & config.lastMask);
		if (word === 0) return -1;
		return config.granule === 1
			? Math.floor(word / FRAME_STEP)
			: addressOf(config, word, LAST_LEVEL, iova);
	}
	let id = table.root;
	for (let level = config.startLevel; level <= LAST_LEVEL; level++) {
		const page = findPage(table.store, id);
		if (page === undefined) return -1;
		const word = wordAt(page, slotAt(config, iova, level));
		if (word === 0) return -1;
		if (lpaeKind(config.dialect, word, level) === LEAF) {
			if (level === LAST_LEVEL) table.keepTable?.(key, id);
			return addressOf(config, word, level, iova);
		}
		id = Math.floor(word / FRAME_STEP) / config.granule;
	}
	return -1;
}

/** What a leaf translates `iova` to: the code ORs the offset in, which shows when the base is not aligned. */
function addressOf(
	config: LpaeConfig,
	word: number,
	level: number,
	iova: number,
): number {
	if (level === LAST_LEVEL && config.granule === 1)
		return Math.floor(word / FRAME_STEP);
	const base = config.codec.leafPa(word, level, 0);
	// The defect of seed 5 took the offset modulo the granule, not the leaf.
	const modulus = config.policy.iovaToPhysBlockDefect
		? config.granule
		: spanOf(config, level);
	const low = offsetIn(base, modulus);
	return base - low + (low | offsetIn(iova, modulus));
}

/** arm_smmu_iotlb_sync as the harness sees it: the gather as it is. A deferring policy frees its tables after it. */
function sync(edit: Edit, gather: Gather): void {
	const start = gatherIsEmpty(gather) ? Number.POSITIVE_INFINITY : gather.start;
	edit.effects?.push(["SY", start, gather.last, gather.granule]);
	releaseAfterFlush(edit, gather.freelist);
}

/** arm_lpae_read_and_clear_dirty: fails with -EINVAL and a warning on the first hole (facts §7). */
function sweep(
	edit: Edit,
	iova: number,
	size: number,
	keep: boolean,
	record: (iova: number, size: number) => void,
): number {
	const config = edit.config as LpaeConfig;
	// Past the top of the address space both wrap: then the check passes and nothing is walked.
	const last = (iova + size - 1) % FRAME_LIMIT;
	const end = (iova + size) % FRAME_LIMIT;
	if (size === 0 || last >= config.iovaLimit) {
		edit.warn("arm_lpae_read_and_clear_dirty");
		return -ERRNO.EINVAL;
	}
	if (!config.tracksDirty) return -ERRNO.EINVAL;
	const walk = { at: iova, end };
	return sweepTable(
		edit,
		config,
		edit.root,
		config.startLevel,
		walk,
		keep,
		record,
	);
}

function sweepTable(
	edit: Edit,
	config: LpaeConfig,
	table: number,
	level: number,
	walk: { at: number; readonly end: number },
	keep: boolean,
	record: (iova: number, size: number) => void,
): number {
	const bits =
		level === config.startLevel
			? config.geometry.rootBits
			: config.bitsPerLevel;
	const span = spanOf(config, level);
	for (
		let slot = slotAt(config, walk.at, level);
		slot < 2 ** bits && walk.at < walk.end;
		slot++
	) {
		const word = edit.readOnce(table, slot);
		if (word === 0) {
			edit.warn("io_pgtable_visit_dirty");
			return -ERRNO.EINVAL;
		}
		if (lpaeKind(config.dialect, word, level) !== LEAF) {
			const child = Math.floor(word / FRAME_STEP) / config.granule;
			const ret = sweepTable(
				edit,
				config,
				child,
				level + 1,
				walk,
				keep,
				record,
			);
			if (ret !== 0) return ret;
			continue;
		}
		if ((word & DBM) !== 0 && (word & AP_RDONLY) === 0) {
			record(walk.at, span);
			if (!keep) edit.write(table, slot, word + AP_RDONLY);
		}
		walk.at += span;
	}
	return 0;
}

/** Hardware update of dirty state: needs DBM; clears the read-only bit. */
function hardwareWrite(edit: Edit, iova: number): WriteOutcome {
	const config = edit.config as LpaeConfig;
	const leaf = findLeaf(edit, config, iova);
	if (leaf === undefined) return "nomap";
	if ((leaf.word & DBM) === 0) return "noDBM";
	if ((leaf.word & AP_RDONLY) === 0) return "already";
	edit.write(
		leaf.table,
		slotAt(config, iova, leaf.level),
		leaf.word - AP_RDONLY,
	);
	return "dirtied";
}

/** arm_lpae_free_pgtable. The owner has detached and flushed everything before. */
function destroy(edit: Edit): void {
	if (edit.root === NO_TABLE) return;
	const config = edit.config as LpaeConfig;
	freeTables(edit, config, config.startLevel, edit.root, null);
	edit.setRoot(NO_TABLE, edit.mode);
}

/** The io-pgtable-arm operations. */
export const LPAE_DRIVER: Driver = {
	map: lpaeMap,
	unmap: lpaeUnmap,
	lookup,
	sync,
	gluesGather: false,
	sweep,
	hardwareWrite,
	destroy,
};
