/** Arm LPAE: map (io-pgtable-arm.c:arm_lpae_map_pages, __arm_lpae_map, arm_lpae_init_pte; facts §2.1). */
import { ERRNO } from "../../vocabulary/errno.ts";
import { LEAF, TABLE } from "../config.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import { SW_SYNC, leafType, lpaeKind, protFlags } from "../formats/arm-lpae.ts";
import { wordAt } from "../page.ts";
import type { LpaeConfig } from "./lpae-config.ts";
import { unmapAt } from "./lpae-unmap.ts";
import {
	LAST_LEVEL,
	allocateTable,
	deref,
	entriesInMemory,
	entriesLeft,
	installTable,
	isInRange,
	keepTable,
	knownTable,
	slotAt,
	spanOf,
	syncEntries,
	writeLeaves,
} from "./lpae-walk.ts";

/** arm_lpae_map_pages. One call fills at most one table page: 0 with a short `edit.mapped` is normal. */
export function lpaeMap(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	count: number,
	prot: number,
): number {
	const config = edit.config as LpaeConfig;
	edit.mapped = 0;
	if (!config.pageSizes.includes(size)) {
		edit.warn("arm_lpae_map_pages");
		return -ERRNO.EINVAL;
	}
	// Only the start is checked, not the end of the run.
	if (!isInRange(config, iova) || pa >= config.paLimit) {
		edit.warn("arm_lpae_map_pages");
		return -ERRNO.ERANGE;
	}
	if ((prot & 3) === 0) return -ERRNO.EINVAL;
	const flags = protFlags(config.dialect, prot, config.quirkFlags);
	if (size === config.granule) {
		const known = knownTable(edit, config, iova);
		if (known !== null)
			return mapRun(
				edit,
				config,
				iova,
				pa,
				size,
				count,
				flags,
				LAST_LEVEL,
				known.id,
			);
	}
	return mapAt(edit, config, iova, pa, size, count, flags);
}

/** __arm_lpae_map, level by level. */
function mapAt(
	edit: Edit,
	config: LpaeConfig,
	iova: number,
	pa: number,
	size: number,
	count: number,
	flags: number,
): number {
	let table = edit.root;
	for (let level = config.startLevel; ; level++) {
		const slot = slotAt(config, iova, level);
		if (size === spanOf(config, level)) {
			if (level === LAST_LEVEL) keepTable(edit, config, iova, table);
			return mapRun(edit, config, iova, pa, size, count, flags, level, table);
		}
		if (level >= LAST_LEVEL) {
			edit.warn("__arm_lpae_map");
			return -ERRNO.EINVAL;
		}
		let word = edit.readOnce(table, slot);
		if (word === 0) {
			word = addTable(edit, config, table, slot, level);
			if (word === 0) return -ERRNO.ENOMEM;
		} else if (!config.coherent && (word & SW_SYNC) === 0)
			// Pushed on behalf of the thread that installed it.
			syncEntries(edit, 1);
		if (lpaeKind(config.dialect, word, level) === LEAF) {
			edit.warn("__arm_lpae_map");
			return -ERRNO.EEXIST;
		}
		table = deref(edit, config, word);
	}
}

/** The level of the page size: one run of leaves in this table page. */
function mapRun(
	edit: Edit,
	config: LpaeConfig,
	iova: number,
	pa: number,
	size: number,
	count: number,
	flags: number,
	level: number,
	table: number,
): number {
	const slot = slotAt(config, iova, level);
	const run = Math.min(count, entriesLeft(config, slot));
	const ret = initLeaves(
		edit,
		config,
		iova,
		pa,
		flags,
		level,
		run,
		table,
		slot,
	);
	if (ret === 0) edit.mapped += run * size;
	return ret;
}

/** Allocates and installs a table below `slot`. Returns the entry to go on with — the winner's after a lost race — or 0 without memory. */
function addTable(
	edit: Edit,
	config: LpaeConfig,
	parent: number,
	slot: number,
	level: number,
): number {
	const table = allocateTable(edit, config, level + 1);
	if (table === NO_TABLE) return 0;
	const old = installTable(edit, config, table, parent, slot, 0);
	if (old === 0) return tableEntry(config, table);
	edit.free(table);
	return old;
}
const tableEntry = (config: LpaeConfig, table: number): number =>
	table * config.granule * 2 ** 17 + 3;

/**
 * arm_lpae_init_pte: looks at every slot of the run first. A leaf ends the call with -EEXIST; tables found before it are already gone
 * (case 2 of seed 1).
 */
function initLeaves(
	edit: Edit,
	config: LpaeConfig,
	iova: number,
	pa: number,
	flags: number,
	level: number,
	run: number,
	table: number,
	slot: number,
): number {
	const span = spanOf(config, level);
	let page = edit.page(table);
	const looked = Math.min(run, entriesInMemory(config, level, slot));
	for (let i = 0; i < looked; i++) {
		const word = wordAt(page, slot + i);
		if (word === 0) continue;
		const kind = lpaeKind(config.dialect, word, level);
		if (kind === LEAF) {
			edit.warn("arm_lpae_init_pte");
			return -ERRNO.EEXIST;
		}
		if (kind !== TABLE) continue;
		if (!dropTable(edit, config, iova + i * span, span, level, table)) {
			edit.warn("arm_lpae_init_pte");
			return -ERRNO.EINVAL;
		}
		page = edit.page(table);
	}
	const type = leafType(config.dialect, level);
	writeLeaves(edit, config, page, slot, run, pa, level, flags | type);
	return 0;
}

/** Unmap steps for exactly this slot, without a gather. */
const dropTable = (
	edit: Edit,
	config: LpaeConfig,
	iova: number,
	span: number,
	level: number,
	table: number,
): boolean => unmapAt(edit, config, null, iova, span, 1, level, table) === span;
