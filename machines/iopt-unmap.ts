/**
 * Unmap, and the cutting of areas that VFIO type1 compatibility needs
 * (drivers/iommu/iommufd/io_pagetable.c:iopt_unmap_iova_range, iopt_area_split). Facts: iommufd-semantics.md §2.6, §5.6.
 * Not atomic: areas that went before an error stay away.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import { u64 } from "../src/vocabulary/fields.ts";
import type { IoasId } from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Area, Iopt, IoptMemResult } from "./iopt.ts";
import { areaAt, firstAreaIn, IOVA_LAST } from "./iopt.ts";
import { livePages, pageSpan, unfillArea } from "./iopt-areas.ts";
import { removeArea } from "./iopt-map.ts";
import type { IoptEnv, Mem } from "./iopt-pages.ts";
import { getPages, putPagesRef, resplitInterval } from "./iopt-pages.ts";
import { treeDelete, treeSet } from "./iopt-tree.ts";

/** Tells every attached access to let go of a range; what it gives back replaces contents and memory. */
export type NotifyAccesses = (
	iopt: Iopt,
	mem: Mem,
	iova: bigint,
	length: bigint,
) => {
	readonly iopt: Iopt;
	readonly mem: Mem;
	readonly facts: readonly Fact[];
};

/** Outcome of an unmap; `bytes` went away, also when it failed. */
export type UnmapResult = IoptMemResult & { readonly bytes: bigint };

/** A deaf access: so many fruitless rounds end in EDEADLOCK (iopt_unmap_iova_range). */
const TRIES = 100;

/** Takes one live area away: draining, out of the domains, gone, pages put. */
function dropArea(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	area: Area,
): { readonly iopt: Iopt; readonly mem: Mem; readonly facts: readonly Fact[] } {
	const iova = u64(area.start);
	const unfilled = unfillArea(iopt, mem, area);
	const put = putPagesRef(unfilled.mem, livePages(area));
	return {
		iopt: removeArea(iopt, area.start),
		mem: put.mem,
		facts: [
			fact("area.draining", ioas, { ioas, iova }),
			...unfilled.facts,
			fact("area.gone", ioas, { ioas, iova }),
			...put.facts,
		],
	};
}

/**
 * Removes whole areas inside [start, last], lowest first. EBUSY at a half-built one, ENOENT at one that is only partly covered,
 * EDEADLOCK when accesses do not let go. An empty range succeeds with 0 bytes.
 */
export function unmapRange(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	start: bigint,
	last: bigint,
	notify: NotifyAccesses,
): UnmapResult {
	const facts: Fact[] = [];
	let now = { iopt, mem };
	let bytes = 0n;
	let from = start;
	let tries = 0;
	const fail = (errno: ErrnoName, step: string): UnmapResult => ({
		ok: false,
		errno,
		step,
		...now,
		facts,
		bytes,
	});
	for (;;) {
		const area = firstAreaIn(now.iopt.areas, from, last);
		if (area === undefined) break;
		if (area.pages === undefined) return fail("EBUSY", "area.half-built");
		if (area.start < from || area.last > last)
			return fail("ENOENT", "area.partial");
		if (area.nacc > 0) {
			const told = preventAndNotify(now.iopt, ioas, now.mem, area, notify);
			facts.push(...told.facts);
			now = { iopt: told.iopt, mem: told.mem };
			if (++tries > TRIES) return fail("EDEADLOCK", "access.notify");
			continue;
		}
		const dropped = dropArea(now.iopt, ioas, now.mem, area);
		facts.push(...dropped.facts);
		now = { iopt: dropped.iopt, mem: dropped.mem };
		bytes += area.last - area.start + 1n;
		tries = 0;
		if (area.last === IOVA_LAST) break;
		from = area.last + 1n;
	}
	return { ok: true, ...now, facts, bytes };
}

/** Sets `prevent` (for good, anomaly A6) and asks the accesses. */
function preventAndNotify(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	area: Area,
	notify: NotifyAccesses,
): { readonly iopt: Iopt; readonly mem: Mem; readonly facts: readonly Fact[] } {
	const facts: Fact[] = [];
	let next = iopt;
	if (!area.prevent) {
		const areas = treeSet(iopt.areas, area.start, { ...area, prevent: true });
		next = { ...iopt, areas };
		facts.push(fact("area.prevented", ioas, { ioas, iova: u64(area.start) }));
	}
	const told = notify(next, mem, area.start, area.last - area.start + 1n);
	return { iopt: told.iopt, mem: told.mem, facts: [...facts, ...told.facts] };
}

/** Why an area cannot be cut before `at` (iopt_area_split), or undefined. */
function splitErrno(iopt: Iopt, area: Area, at: bigint): ErrnoName | undefined {
	if (area.pages === undefined || area.prevent) return "EBUSY";
	const off = area.off + (at - area.start);
	if (((at | off) & (iopt.align - 1n)) !== 0n) return "EINVAL";
	if (area.nacc > 0) return "EINVAL";
	if (area.sdom !== undefined && !iopt.noLarge) return "EINVAL";
	return undefined;
}

/**
 * Cuts the areas that hold bytes `ends` right after these bytes; a cut at a boundary or in a hole does nothing. Cuts made before an
 * error stay. EBUSY half-built or prevented; EINVAL misaligned, pinned by an access, or possibly mapped with large leaves.
 */
export function cutAreas(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	ends: readonly bigint[],
	env: Pick<IoptEnv, "fail"> = {},
): IoptMemResult {
	const facts: Fact[] = [];
	let now = { iopt, mem };
	for (const end of ends) {
		const area = areaAt(now.iopt, end);
		// 6.12 takes a cut behind an area's first byte for one at its start, too (iopt_area_split).
		if (area === undefined || area.last === end || area.start === end) continue;
		const at = end + 1n;
		const errno = splitErrno(now.iopt, area, at) ?? env.fail?.("area.alloc");
		if (errno !== undefined)
			return { ok: false, errno, step: "area.split", ...now, facts };
		now = splitArea(now.iopt, now.mem, area, at);
		facts.push(
			fact("area.split", ioas, { ioas, iova: u64(area.start), at: u64(at) }),
		);
	}
	return { ok: true, ...now, facts };
}

/** Both halves share the pages object and inherit the storage domain. */
function splitArea(
	iopt: Iopt,
	mem: Mem,
	area: Area,
	at: bigint,
): { iopt: Iopt; mem: Mem } {
	const id = livePages(area);
	const low: Area = { ...area, last: at - 1n };
	const high: Area = { ...area, start: at, off: area.off + (at - area.start) };
	let areas = treeSet(treeDelete(iopt.areas, area.start), low.start, low);
	areas = treeSet(areas, high.start, high);
	let next = getPages(mem, id);
	if (area.sdom !== undefined)
		next = resplitInterval(next, id, pageSpan(area), [
			pageSpan(low),
			pageSpan(high),
		]);
	return { iopt: { ...iopt, areas }, mem: next };
}
