/**
 * VT-d: map (intel/iommu.c:intel_iommu_map_pages, __domain_mapping, hardware_largepage_caps, switch_to_super_page; facts §2.7).
 *
 * The page size asked for is checked and then ignored: the level comes from alignment, length and capability. An entry that is already
 * set stays, with a complaint and success.
 */
import { ERRNO } from "../../vocabulary/errno.ts";
import { isMultiple } from "../arithmetic.ts";
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import { FRAME_STEP, isPresent, leafWord } from "../formats/vtd.ts";
import { writableLine } from "../page.ts";
import type { VtdConfig } from "./vtd-config.ts";
import { freeTablesBelow } from "./vtd-free.ts";
import {
	ENTRIES,
	NO_ENTRY,
	SPAN,
	entryAtLevel,
	isReachable,
	refSlot,
	refTable,
} from "./vtd-walk.ts";

/** intel_iommu_map_pages. `edit.mapped` is set only on success, as in 6.12: pages written before -ENOMEM stay behind uncounted. */
export function vtdMap(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	count: number,
	prot: number,
): number {
	const config = edit.config as VtdConfig;
	edit.mapped = 0;
	if (size !== 1 && size !== 512 && size !== 262144) return -ERRNO.EINVAL;
	if (size !== 1 && !(isMultiple(iova, size) && isMultiple(pa, size)))
		return -ERRNO.EINVAL;
	const pages = size * count;
	if (iova + pages > 2 ** (config.gaw - 12)) return -ERRNO.EFAULT;
	if (!isReachable(config, iova + pages - 1)) return -ERRNO.EINVAL;
	if ((prot & 3) === 0) return -ERRNO.EINVAL;
	if ((prot & 2) === 0 && config.nestedParent) return -ERRNO.EINVAL;
	const ret = mapRange(edit, config, iova, pa, pages, size, prot);
	if (ret === 0) edit.mapped = pages;
	return ret;
}

/** Level of the next leaf (hardware_largepage_caps); with policy levelChoice=asked the size asked for. */
function chooseLevel(
	config: VtdConfig,
	iova: number,
	pa: number,
	pages: number,
	asked: number,
): number {
	if (config.policy.levelChoice === "asked")
		return asked === 1 ? 1 : asked === 512 ? 2 : 3;
	let level = 1;
	while (level <= config.superpage) {
		const span = SPAN[level + 1] as number;
		if (pages < span || !isMultiple(iova, span) || !isMultiple(pa, span)) break;
		level++;
	}
	return level;
}

/** __domain_mapping: table by table. */
function mapRange(
	edit: Edit,
	config: VtdConfig,
	iova: number,
	pa: number,
	pages: number,
	asked: number,
	prot: number,
): number {
	let at = iova;
	let left = pages;
	while (left > 0) {
		const target = pa + (at - iova);
		const level = chooseLevel(config, at, target, left, asked);
		const span = SPAN[level] as number;
		const key = Math.floor(at / ENTRIES);
		const known = level === 1 ? edit.knownTable(key) : null;
		let table: number;
		let slot: number;
		if (known === null) {
			const ref = entryAtLevel(edit, config, at, level);
			if (ref === NO_ENTRY) return -ERRNO.ENOMEM;
			table = refTable(ref);
			slot = refSlot(ref);
			if (level === 1) edit.keepTable(key, table);
		} else {
			table = known.id;
			slot = at & (ENTRIES - 1);
		}
		const count = Math.min(Math.floor(left / span), ENTRIES - slot);
		if (level > 1) clearForSuperpages(edit, config, at, count, level);
		if (edit.root === NO_TABLE) {
			// One superpage covered the whole space: its own root was freed (dma_pte_free_pagetable), and is now written to.
			edit.hazardous(["UW", table]);
			return -ERRNO.ENOMEM;
		}
		const word = leafWord(target, prot, level > 1, config);
		const stride = span * FRAME_STEP;
		if (!setLeaves(edit, config, table, slot, count, word, stride))
			return -ERRNO.EEXIST;
		edit.pushed(count);
		at += count * span;
		left -= count * span;
	}
	return 0;
}

/** switch_to_super_page: whatever lies under the target slots goes, one flush per slot that held something. */
function clearForSuperpages(
	edit: Edit,
	config: VtdConfig,
	start: number,
	count: number,
	level: number,
): void {
	const span = SPAN[level] as number;
	const last = start + count * span - 1;
	const first = entryAtLevel(edit, config, start, level);
	for (let i = 0; i < count && edit.root !== NO_TABLE; i++) {
		if (!isPresent(edit.read(refTable(first), refSlot(first) + i))) continue;
		const from = start + i * span;
		freeTablesBelow(edit, config, from, from + span - 1, level + 1);
		// The code passes the last page's start as the end of the range, not its last byte.
		edit.effects?.push(["Q", from, last, 0, 0]);
	}
}

/** Compare-and-swap 0 → leaf in each slot; a slot that is taken keeps its entry (mapOverLeaf=keepOld) or ends the call (eexist). */
function setLeaves(
	edit: Edit,
	config: VtdConfig,
	table: number,
	slot: number,
	count: number,
	word: number,
	stride: number,
): boolean {
	let taken = 0;
	if (!edit.racing && edit.steps === null) {
		const page = edit.own(edit.page(table));
		let value = word;
		for (let s = slot; s < slot + count; s++, value += stride) {
			const line = writableLine(page, s);
			if (line[s & page.lineMask] === 0) line[s & page.lineMask] = value;
			else taken++;
		}
	} else
		for (let i = 0; i < count; i++) {
			if (edit.cas(table, slot + i, 0, word + i * stride) === 0) continue;
			if (config.policy.mapOverLeaf === "eexist") return false;
			noteAlreadySet(edit, 1);
		}
	if (taken === 0) return true;
	if (config.policy.mapOverLeaf === "eexist") return false;
	noteAlreadySet(edit, taken);
	return true;
}

/** "PTE already set": consecutive complaints are one effect. */
function noteAlreadySet(edit: Edit, count: number): void {
	const effects = edit.effects;
	if (effects === null) return;
	const previous = effects[effects.length - 1];
	if (previous !== undefined && previous[0] === "SET")
		effects[effects.length - 1] = ["SET", previous[1] + count];
	else effects.push(["SET", count]);
}
