/** Arm v7s as a driver: lookup, sync, destroy; map and unmap are in v7s-map.ts and v7s-unmap.ts. No dirty tracking (facts §7). */
import { ERRNO } from "../../vocabulary/errno.ts";
import { offsetIn } from "../arithmetic.ts";
import type { Driver, Walkable } from "../config.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import {
	isTable,
	isValid,
	leafBase,
	leafSpan,
	tableIn,
} from "../formats/arm-v7s.ts";
import { gatherIsEmpty, type Gather } from "../gather.ts";
import { wordAt } from "../page.ts";
import { findPage } from "../store.ts";
import type { V7sConfig } from "./v7s-config.ts";
import { v7sMap } from "./v7s-map.ts";
import { v7sUnmap } from "./v7s-unmap.ts";
import { slotAt } from "./v7s-walk.ts";

/** arm_v7s_iova_to_phys. */
function lookup(table: Walkable, iova: number): number {
	const config = table.config as V7sConfig;
	const root = findPage(table.store, table.root);
	if (root === undefined) return -1;
	let level = 1;
	let word = wordAt(root, slotAt(config, iova, 1));
	if (isTable(word, 1)) {
		level = 2;
		const page = findPage(table.store, tableIn(word));
		word = page === undefined ? 0 : wordAt(page, slotAt(config, iova, 2));
	}
	if (!isValid(word)) return -1;
	return (
		leafBase(word, level, config.quirkFlags.mtk) +
		offsetIn(iova, leafSpan(word, level))
	);
}

function sync(edit: Edit, gather: Gather): void {
	const start = gatherIsEmpty(gather) ? Number.POSITIVE_INFINITY : gather.start;
	edit.effects?.push(["SY", start, gather.last, gather.granule]);
}

/** arm_v7s_free_pgtable. */
function destroy(edit: Edit): void {
	if (edit.root === NO_TABLE) return;
	const { rootBits } = edit.config.geometry;
	const root = edit.root;
	for (let slot = 0; slot < 2 ** rootBits; slot++) {
		const word = edit.read(root, slot);
		if (isTable(word, 1)) edit.free(tableIn(word));
	}
	edit.free(root);
	edit.setRoot(NO_TABLE, edit.mode);
}

/** The io-pgtable-arm-v7s operations. */
export const V7S_DRIVER: Driver = {
	map: v7sMap,
	unmap: v7sUnmap,
	lookup,
	sync,
	gluesGather: false,
	sweep: () => -ERRNO.EOPNOTSUPP,
	hardwareWrite: () => "noDBM",
	destroy,
};
