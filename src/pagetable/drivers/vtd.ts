/** VT-d as a driver: lookup, dirty sweep, and the operations of vtd-map.ts and vtd-unmap.ts. */
import { offsetIn } from "../arithmetic.ts";
import type { Driver, Walkable, WriteOutcome } from "../config.ts";
import type { Edit } from "../edit.ts";
import {
	SL_DIRTY,
	VTD_WRITE,
	frameIn,
	isLarge,
	isPresent,
} from "../formats/vtd.ts";
import { wordAt } from "../page.ts";
import { NO_TABLE } from "../race.ts";
import { findPage } from "../store.ts";
import type { VtdConfig } from "./vtd-config.ts";
import { vtdMap } from "./vtd-map.ts";
import { vtdDestroy, vtdSync, vtdUnmap } from "./vtd-unmap.ts";
import { ENTRIES, SPAN, firstStop, isReachable, slotAt } from "./vtd-walk.ts";

/** intel_iommu_iova_to_phys: 0 outside the address width (here -1: none). */
function lookup(table: Walkable, iova: number): number {
	const config = table.config as VtdConfig;
	const key = Math.floor(iova / ENTRIES);
	const known = table.walkCache?.find(key, table.token);
	if (known != null) {
		const word = wordAt(known, iova & (ENTRIES - 1));
		return isPresent(word) ? frameIn(word) : -1;
	}
	if (table.root === NO_TABLE || !isReachable(config, iova)) return -1;
	let id = table.root;
	for (let level = config.levels; ; level--) {
		const page = findPage(table.store, id);
		const word = page === undefined ? 0 : wordAt(page, slotAt(iova, level));
		if (level === 1 || !isPresent(word) || isLarge(word)) {
			if (!isPresent(word)) return -1;
			if (level === 1) table.keepTable?.(key, id);
			if (config.policy.iovaToPhysBlockDefect) return frameIn(word);
			return frameIn(word) + offsetIn(iova, SPAN[level] as number);
		}
		id = frameIn(word);
	}
}

/** intel_iommu_read_and_clear_dirty: advances from the given address by leaf sizes without aligning (facts §7). */
function sweep(
	edit: Edit,
	iova: number,
	size: number,
	keep: boolean,
	record: (iova: number, size: number) => void,
): number {
	const config = edit.config as VtdConfig;
	const last = iova + size - 1;
	let at = iova;
	do {
		const stop = firstStop(edit, config, at);
		// Out of reach: level_size(0) is an undefined shift there (it may never end); here the sweep does.
		if (stop.level === 0) break;
		const span = SPAN[stop.level] as number;
		if (isPresent(stop.word) && (stop.word & SL_DIRTY) !== 0) {
			if (!keep)
				edit.write(stop.table, slotAt(at, stop.level), stop.word - SL_DIRTY);
			record(at, span);
		}
		at += span;
	} while (at <= last);
	return 0;
}

function hardwareWrite(edit: Edit, iova: number): WriteOutcome {
	const stop = firstStop(edit, edit.config as VtdConfig, iova);
	if (!isPresent(stop.word)) return "nomap";
	if ((stop.word & VTD_WRITE) === 0) return "ro";
	if ((stop.word & SL_DIRTY) !== 0) return "already";
	edit.write(stop.table, slotAt(iova, stop.level), stop.word + SL_DIRTY);
	return "dirtied";
}

/** The VT-d driver, both stages. */
export const VTD_DRIVER: Driver = {
	map: vtdMap,
	unmap: vtdUnmap,
	lookup,
	sync: vtdSync,
	gluesGather: false,
	sweep,
	hardwareWrite,
	destroy: vtdDestroy,
};
