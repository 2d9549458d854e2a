/**
 * Map and copy into an IOAS (drivers/iommu/iommufd/io_pagetable.c:iopt_map_pages, iopt_get_pages).
 * Facts: iommufd-semantics.md §2.4 steps 6–13, §2.5. Three phases, so that an explorer can stop between them: claim (areas without
 * pages hold the IOVA), fill (pin, map, charge), publish.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import { u64 } from "../src/vocabulary/fields.ts";
import type { IoasId, PagesId } from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Area, Iopt, IoptMemResult } from "./iopt.ts";
import { areaAt, firstAreaIn, IOVA_LAST, meetsReserved } from "./iopt.ts";
import { fillArea, livePages, unfillArea } from "./iopt-areas.ts";
import { chooseIova } from "./iopt-iova.ts";
import type { IoptEnv, Mem, PagesResult } from "./iopt-pages.ts";
import { getPages, PAGE_SIZE, pagesOf, putPagesRef } from "./iopt-pages.ts";
import type { Tree } from "./iopt-tree.ts";
import { treeDelete, treeSet } from "./iopt-tree.ts";

/** IOMMU_READ and IOMMU_WRITE (include/linux/iommu.h), as `prot` of areas and records. */
export const PROT_READ = 1;
export const PROT_WRITE = 2;

/** A piece of pages to map; the list owns one reference on each (struct iopt_pages_list). `off` in bytes from the pages' start. */
export interface Slice {
	readonly pages: PagesId;
	readonly off: bigint;
	readonly length: bigint;
}
/** Outcome of a map: the IOVA that was taken. */
export type MapResult =
	| (IoptMemResult & { readonly ok: true; readonly iova: bigint })
	| (IoptMemResult & { readonly ok: false });

type Claim =
	| {
			readonly iopt: Iopt;
			readonly areas: readonly Area[];
			readonly facts: readonly Fact[];
	  }
	| { readonly errno: ErrnoName; readonly step: string };

/** Checks a fixed range (iopt_check_iova). */
function fixedErrno(
	iopt: Iopt,
	iova: bigint,
	length: bigint,
): ErrnoName | undefined {
	if ((iova & (iopt.align - 1n)) !== 0n) return "EINVAL";
	const last = iova + length - 1n;
	if (last > IOVA_LAST) return "EOVERFLOW";
	if (meetsReserved(iopt, iova, last)) return "EINVAL";
	return firstAreaIn(iopt.areas, iova, last) === undefined
		? undefined
		: "EEXIST";
}

/** Where the map goes: the fixed IOVA if it is free, or a chosen one. */
function placeOf(
	iopt: Iopt,
	mem: Mem,
	head: Slice,
	length: bigint,
	fixed: bigint | undefined,
):
	| { readonly iova: bigint }
	| { readonly errno: ErrnoName; readonly step: string } {
	if (fixed !== undefined) {
		const errno = fixedErrno(iopt, fixed, length);
		return errno === undefined
			? { iova: fixed }
			: { errno, step: "iova.check" };
	}
	const uva = pagesOf(mem, head.pages).uva + head.off;
	const chosen = chooseIova(iopt, uva, length);
	return "errno" in chosen ? { ...chosen, step: "iova.choose" } : chosen;
}

/** Phase 1: chooses or checks the IOVA and inserts areas that have no pages yet (iopt_alloc_area_pages, iopt_insert_area). */
export function claimAreas(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	slices: readonly Slice[],
	prot: number,
	fixed: bigint | undefined,
	env: Pick<IoptEnv, "fail">,
): Claim {
	for (const _ of slices) {
		const errno = env.fail?.("area.alloc");
		if (errno !== undefined) return { errno, step: "area.alloc" };
	}
	const length = slices.reduce((sum, s) => sum + s.length, 0n);
	if (length === 0n || (length & (iopt.align - 1n)) !== 0n)
		return { errno: "EINVAL", step: "length.align" };
	const place = placeOf(iopt, mem, slices[0] as Slice, length, fixed);
	if ("errno" in place) return place;
	let at = place.iova;
	const areas: Area[] = [];
	const facts: Fact[] = [];
	let tree: Tree<bigint, Area> = iopt.areas;
	for (const s of slices) {
		if ((prot & PROT_WRITE) !== 0 && !pagesOf(mem, s.pages).writable)
			return { errno: "EPERM", step: "area.insert" };
		if ((s.off & (PAGE_SIZE - 1n) & (iopt.align - 1n)) !== 0n)
			return { errno: "EINVAL", step: "area.insert" };
		const last = at + s.length - 1n;
		const area: Area = {
			start: at,
			last,
			prot,
			off: s.off,
			nacc: 0,
			prevent: false,
		};
		areas.push({ ...area, pages: s.pages });
		tree = treeSet(tree, at, area);
		facts.push(
			fact("area.claimed", ioas, {
				ioas,
				iova: u64(at),
				last: u64(last),
				prot,
				pages: s.pages,
				off: u64(s.off),
			}),
		);
		at = last + 1n;
	}
	return { iopt: { ...iopt, areas: tree }, areas, facts };
}

/** Phase 2: pins, maps into every domain in order and charges, slice by slice; a failure takes the earlier slices out again. */
export function fillAreas(
	iopt: Iopt,
	mem: Mem,
	areas: readonly Area[],
	env: IoptEnv,
): PagesResult {
	const sdom = iopt.doms[0]?.dom;
	const facts: Fact[] = [];
	let now = mem;
	for (const [i, area] of areas.entries()) {
		const filled = fillArea(now, area, iopt.doms, true, iopt.noLarge, env);
		facts.push(...filled.facts);
		if (!filled.ok) {
			for (const done of areas.slice(0, i))
				if (sdom !== undefined) {
					const undone = unfillArea(iopt, now, { ...done, sdom }, true);
					now = undone.mem;
					facts.push(...undone.facts);
				}
			return { ...filled, mem: now, facts };
		}
		now = filled.mem;
	}
	return { ok: true, mem: now, facts };
}

/** Phase 3: the areas get their pages and their storage domain and are live. */
export function publishAreas(
	iopt: Iopt,
	ioas: IoasId,
	areas: readonly Area[],
): { readonly iopt: Iopt; readonly facts: readonly Fact[] } {
	const sdom = iopt.doms[0]?.dom;
	const stored = sdom === undefined ? {} : { sdom };
	let tree: Tree<bigint, Area> = iopt.areas;
	for (const area of areas)
		tree = treeSet(tree, area.start, { ...area, ...stored });
	const facts = areas.map((area) =>
		fact("area.live", ioas, { ioas, iova: u64(area.start), ...stored }),
	);
	return { iopt: { ...iopt, areas: tree }, facts };
}

/** Drops the references a slice list holds. */
export function dropSlices(
	mem: Mem,
	slices: readonly Slice[],
): { readonly mem: Mem; readonly facts: readonly Fact[] } {
	const facts: Fact[] = [];
	let now = mem;
	for (const s of slices) {
		const put = putPagesRef(now, s.pages);
		now = put.mem;
		facts.push(...put.facts);
	}
	return { mem: now, facts };
}

/**
 * Maps slices side by side at `fixed`, or where chooseIova says; the areas take over the slices' references. A failure undoes all
 * and drops the references. Errnos: facts §2.4 steps 6–11.
 */
export function mapArea(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	slices: readonly Slice[],
	prot: number,
	fixed: bigint | undefined,
	env: IoptEnv,
): MapResult {
	const claim = claimAreas(iopt, ioas, mem, slices, prot, fixed, env);
	if ("errno" in claim) {
		const dropped = dropSlices(mem, slices);
		return {
			ok: false,
			...claim,
			iopt,
			mem: dropped.mem,
			facts: dropped.facts,
		};
	}
	const filled = fillAreas(claim.iopt, mem, claim.areas, env);
	const facts: Fact[] = [...claim.facts, ...filled.facts];
	if (!filled.ok) {
		for (const area of claim.areas)
			facts.push(
				fact("area.gone", ioas, { ioas, iova: u64(area.start), undo: true }),
			);
		const dropped = dropSlices(filled.mem, slices);
		facts.push(...dropped.facts);
		const { errno, step } = filled;
		return { ok: false, errno, step, iopt, mem: dropped.mem, facts };
	}
	const live = publishAreas(claim.iopt, ioas, claim.areas);
	facts.push(...live.facts);
	const iova = (claim.areas[0] as Area).start;
	return { ok: true, iopt: live.iopt, mem: filled.mem, facts, iova };
}

/** The slices of live areas that cover [start, last] without a hole, each with a new reference; undefined when there is one. */
export function collectSlices(
	iopt: Iopt,
	mem: Mem,
	start: bigint,
	last: bigint,
): { readonly mem: Mem; readonly slices: readonly Slice[] } | undefined {
	const slices: Slice[] = [];
	let now = mem;
	let at = start;
	while (at <= last) {
		const area = areaAt(iopt, at);
		if (area?.pages === undefined) return undefined;
		const end = area.last < last ? area.last : last;
		slices.push({
			pages: area.pages,
			off: area.off + (at - area.start),
			length: end - at + 1n,
		});
		now = getPages(now, livePages(area));
		at = end + 1n;
	}
	return { mem: now, slices };
}

/** The contents without the area that starts at `start`. */
export const removeArea = (iopt: Iopt, start: bigint): Iopt => ({
	...iopt,
	areas: treeDelete(iopt.areas, start),
});
