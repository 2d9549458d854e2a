/** VT-d: unmap and flush (intel/iommu.c:intel_iommu_unmap, domain_unmap, intel_iommu_tlb_sync; facts §2.7, §4.3). */
import type { Edit } from "../edit.ts";
import { NO_TABLE } from "../race.ts";
import { isPresent } from "../formats/vtd.ts";
import {
	addPage,
	gatherIsEmpty,
	putPagesList,
	releaseAfterFlush,
	type Gather,
} from "../gather.ts";
import { wordAt, writableLine, type Page } from "../page.ts";
import type { VtdConfig } from "./vtd-config.ts";
import { clearLevel } from "./vtd-free.ts";
import { ENTRIES, SPAN, firstStop, isReachable } from "./vtd-walk.ts";

/**
 * intel_iommu_unmap: grows the request to the slot of the first leaf or hole it meets, clears, then tells the gather — which may flush an
 * earlier range at this moment and free tables of this one with it (facts §4.3).
 */
export function vtdUnmap(
	edit: Edit,
	iova: number,
	size: number,
	count: number,
	gather: Gather | null,
): number {
	const config = edit.config as VtdConfig;
	const asked = size * count;
	const key = Math.floor(iova / ENTRIES);
	const known = edit.knownTable(key);
	const slot = iova & (ENTRIES - 1);
	let done = asked;
	if (known !== null && asked + slot <= ENTRIES && asked < ENTRIES)
		clearInTable(edit, known, slot, asked);
	else {
		done = unmapRange(edit, config, iova, asked, gather);
		if (done === 0) return 0;
	}
	if (gather !== null && !gather.queued) addPage(edit, gather, iova, done);
	return done;
}

/** The common case: a part of one last-level table that the walk is known to reach. */
function clearInTable(
	edit: Edit,
	known: Page,
	slot: number,
	count: number,
): void {
	let first = -1;
	let final = -1;
	let page: Page | null = null;
	for (let s = slot; s < slot + count; s++) {
		if (!isPresent(wordAt(page ?? known, s))) continue;
		page ??= edit.own(known);
		if (edit.steps === null) writableLine(page, s)[s & page.lineMask] = 0;
		else edit.clear(known.id, s, 1);
		if (first < 0) first = s;
		final = s;
	}
	if (first >= 0) edit.pushed(final - first + 1);
}

function unmapRange(
	edit: Edit,
	config: VtdConfig,
	iova: number,
	asked: number,
	gather: Gather | null,
): number {
	const stop = firstStop(edit, config, iova);
	if (stop.level === 0) {
		if (edit.root === NO_TABLE) edit.hazard = true;
		return 0;
	}
	if (stop.level === 1) edit.keepTable(Math.floor(iova / ENTRIES), stop.table);
	const isHole = !isPresent(stop.word);
	const span = SPAN[stop.level] as number;
	const enlarges = !isHole || config.policy.holeOnUnmap === "enlarge";
	const size = enlarges ? Math.max(asked, span) : asked;
	const freelist = gather?.freelist ?? [];
	const last = iova + size - 1;
	if (!isReachable(config, last)) edit.warn("domain_unmap");
	else {
		clearLevel(edit, config.levels, edit.root, 0, iova, last, freelist);
		if (iova === 0 && last === 2 ** (config.gaw - 12) - 1)
			dropRoot(edit, freelist);
	}
	if (gather === null) putPagesList(edit, freelist);
	return size;
}

/** The whole address space went: the root waits on the list too, and the domain has none. */
function dropRoot(edit: Edit, freelist: number[]): void {
	freelist.push(edit.root);
	edit.unlinked(edit.root);
	edit.quarantined(edit.root);
	edit.setRoot(NO_TABLE, edit.mode);
}

/** intel_iommu_tlb_sync: flush [start, last], the hint set iff no table waits; then the tables go. */
export function vtdSync(edit: Edit, gather: Gather): void {
	const hint = gather.freelist.length === 0 ? 1 : 0;
	const start = gatherIsEmpty(gather) ? Number.POSITIVE_INFINITY : gather.start;
	edit.effects?.push(["Q", start, gather.last, 0xfff, hint]);
	releaseAfterFlush(edit, gather.freelist);
}

/** domain_exit: everything unmapped and freed. */
export function vtdDestroy(edit: Edit): void {
	if (edit.root === NO_TABLE) return;
	const config = edit.config as VtdConfig;
	const freelist: number[] = [];
	const last = 2 ** Math.min(52, 9 * config.levels) - 1;
	clearLevel(edit, config.levels, edit.root, 0, 0, last, freelist);
	dropRoot(edit, freelist);
	putPagesList(edit, freelist);
}
