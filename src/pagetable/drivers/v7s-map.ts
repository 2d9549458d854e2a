/** Arm v7s: map, page by page (io-pgtable-arm-v7s.c:arm_v7s_map_pages, __arm_v7s_map, arm_v7s_init_pte; facts §2.4). */
import { ERRNO } from "../../vocabulary/errno.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import {
	SPAN,
	addressBits,
	attributes,
	isTable,
	tableIn,
	tableWord,
	toCont,
} from "../formats/arm-v7s.ts";
import type { V7sConfig } from "./v7s-config.ts";
import { unmapOne } from "./v7s-unmap.ts";
import {
	allocateTable,
	entriesFor,
	installTable,
	setEntries,
	slotAt,
	syncEntries,
} from "./v7s-walk.ts";

/** arm_v7s_map_pages. */
export function v7sMap(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	count: number,
	prot: number,
): number {
	const config = edit.config as V7sConfig;
	edit.mapped = 0;
	if (iova >= 2 ** (config.ias - 12) || pa >= 2 ** (config.oas - 12)) {
		edit.warn("arm_v7s_map_pages");
		return -ERRNO.ERANGE;
	}
	if ((prot & 3) === 0) return -ERRNO.EINVAL;
	for (let i = 0; i < count; i++) {
		const ret = mapOne(
			edit,
			config,
			iova + i * size,
			pa + i * size,
			size,
			prot,
		);
		if (ret !== 0) return ret;
		edit.mapped += size;
	}
	return 0;
}

/** __arm_v7s_map. */
function mapOne(
	edit: Edit,
	config: V7sConfig,
	iova: number,
	pa: number,
	size: number,
	prot: number,
): number {
	let table = edit.root;
	for (let level = 1; ; level++) {
		const slot = slotAt(config, iova, level);
		const entries = entriesFor(size, level);
		if (entries > 0)
			return initLeaves(
				edit,
				config,
				iova,
				pa,
				prot,
				level,
				entries,
				table,
				slot,
			);
		if (level === 2) {
			edit.warn("__arm_v7s_map");
			return -ERRNO.EINVAL;
		}
		let word = edit.readOnce(table, slot);
		if (word === 0) {
			const fresh = allocateTable(edit);
			if (fresh === NO_TABLE) return -ERRNO.ENOMEM;
			word = installTable(edit, config, fresh, table, slot, 0);
			if (word === 0) word = tableWord(fresh, false);
			else edit.free(fresh);
		} else syncEntries(edit, 1);
		if (!isTable(word, level)) {
			edit.warn("__arm_v7s_map");
			return -ERRNO.EEXIST;
		}
		table = edit.follow(tableIn(word));
	}
}

/** arm_v7s_init_pte: tables in the way go at once, anything else is -EEXIST; then 1 entry, or 16 equal ones. */
function initLeaves(
	edit: Edit,
	config: V7sConfig,
	iova: number,
	pa: number,
	prot: number,
	level: number,
	entries: number,
	table: number,
	slot: number,
): number {
	const span = SPAN[level] as number;
	for (let i = 0; i < entries; i++) {
		const word = edit.read(table, slot + i);
		if (isTable(word, level)) {
			if (
				unmapOne(edit, config, null, iova + i * span, span, level, table) !==
				span
			) {
				edit.warn("arm_v7s_init_pte");
				return -ERRNO.EINVAL;
			}
		} else if (word !== 0) {
			edit.warn("arm_v7s_init_pte");
			return -ERRNO.EEXIST;
		}
	}
	const single = attributes(prot, level, config.quirkFlags);
	const attr = entries > 1 ? toCont(single, level) : single;
	const word = attr + addressBits(pa, level, config.quirkFlags.mtk);
	setEntries(edit, table, slot, entries, word);
	return 0;
}
