/**
 * Filling one area into domains and taking it out again (iopt_area_fill_domains, iopt_area_fill_domain,
 * iopt_area_unfill_domains; drivers/iommu/iommufd/pages.c). Facts: iommufd-semantics.md §2.4 steps 10–12, §2.6, §2.9.3.
 *
 * A domain's leaf table is not stored here: over a live area it is always the area's pinned frames (IOP-7).
 */
import { u64 } from "../src/vocabulary/fields.ts";
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type { DomainId, PagesId } from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Area, Iopt, IoptDomain } from "./iopt.ts";
import type { IoptEnv, Mem, PagesResult } from "./iopt-pages.ts";
import {
	chargePages,
	holdPages,
	PAGE_SIZE,
	pagesOf,
	pinnedOf,
	releasePages,
	runsOf,
} from "./iopt-pages.ts";

/** The pages [first, last] that an area uses of its pages object. */
export function pageSpan(area: Area): {
	readonly first: number;
	readonly last: number;
} {
	return {
		first: Number(area.off / PAGE_SIZE),
		last: Number((area.off + (area.last - area.start)) / PAGE_SIZE),
	};
}
/** The pages of an area that is live. Throws for a half-built one: callers skip those. */
export function livePages(area: Area): PagesId {
	if (area.pages === undefined)
		throw new Error(`area at 0x${area.start.toString(16)} has no pages`);
	return area.pages;
}

/** One piece of an area that is contiguous in physical memory. */
export interface MapRun {
	readonly iova: bigint;
	readonly pa: bigint;
	readonly len: bigint;
}

/** The core map calls that fill an area: one a physical run, or one a page when large leaves are off (batch_iommu_map_small). */
export function mapRuns(mem: Mem, area: Area, noLarge: boolean): MapRun[] {
	const { first, last } = pageSpan(area);
	const base = area.start - area.off;
	const out: MapRun[] = [];
	for (const run of runsOf(pagesOf(mem, livePages(area)), first, last)) {
		const begin = base + BigInt(run.first) * PAGE_SIZE;
		const end = begin + BigInt(run.n) * PAGE_SIZE;
		const pa = BigInt(run.pfn) * PAGE_SIZE;
		let iova = begin < area.start ? area.start : begin;
		const stop = end > area.last + 1n ? area.last + 1n : end;
		while (iova < stop) {
			const pageEnd = iova + PAGE_SIZE - ((iova - base) % PAGE_SIZE);
			const to = noLarge && pageEnd < stop ? pageEnd : stop;
			const prev = out.at(-1);
			const here = pa + (iova - begin);
			if (!noLarge && prev !== undefined && prev.pa + prev.len === here)
				out[out.length - 1] = { ...prev, len: prev.len + (to - iova) };
			else out.push({ iova, pa: here, len: to - iova });
			iova = to;
		}
	}
	return out;
}

const mapFacts = (
	mem: Mem,
	area: Area,
	dom: DomainId,
	noLarge: boolean,
): Fact[] =>
	mapRuns(mem, area, noLarge).map((run) =>
		fact("dom.map", dom, {
			dom,
			iova: u64(run.iova),
			pa: u64(run.pa),
			len: u64(run.len),
			prot: area.prot,
		}),
	);

/** An area leaves a domain: one core unmap of all of it, then the flush. */
export function unmapFacts(area: Area, dom: DomainId, undo = false): Fact[] {
	const len = u64(area.last - area.start + 1n);
	const iova = u64(area.start);
	const flag = undo ? { undo: true } : {};
	return [
		fact("dom.unmap", dom, { dom, iova, len, unmapped: len, ...flag }),
		fact("iotlb.synced", dom, { dom, iova, last: u64(area.last) }),
	];
}

/**
 * A mapping that may be neither read nor written, which VFIO_IOMMU_MAP_DMA on iommufd lets through: real drivers refuse it
 * (intel/iommu.c:__domain_mapping, io-pgtable-arm.c:arm_lpae_map_pages, amd/io_pgtable.c:iommu_v1_map_pages, io_pgtable_v2.c:
 * iommu_v2_map_pages), the selftest's mock domain takes it (corpus).
 */
const refusesRights = (dom: IoptDomain, area: Area): ErrnoName | undefined =>
	(area.prot & 3) === 0 && dom.driver !== "mock" ? "EINVAL" : undefined;

/**
 * Pins an area's pages (only what nobody holds) and maps them into `doms` in order; charges last, when everything is live in hardware
 * already. `holds`: this fill makes the area a holder of its pages (its first domain). All-or-nothing.
 */
export function fillArea(
	mem: Mem,
	area: Area,
	doms: readonly IoptDomain[],
	holds: boolean,
	noLarge: boolean,
	env: IoptEnv,
): PagesResult {
	if (doms.length === 0) return { ok: true, mem, facts: [] };
	const id = livePages(area);
	const { first, last } = pageSpan(area);
	const npin = pinnedOf(mem, id);
	const facts: Fact[] = [];
	let now = mem;
	if (holds) {
		const held = holdPages(mem, id, "domIv", first, last, env);
		facts.push(...held.facts);
		if (!held.ok) return { ...held, facts };
		now = held.mem;
	}
	const filled: DomainId[] = [];
	const unwind = (errno: PagesResult & { ok: false }): PagesResult => {
		for (const dom of filled) facts.push(...unmapFacts(area, dom, true));
		if (holds)
			facts.push(...releasePages(now, id, "domIv", first, last, true).facts);
		return { ...errno, mem, facts };
	};
	for (const d of doms) {
		const errno = refusesRights(d, area) ?? env.fail?.("dom.map");
		if (errno !== undefined)
			return unwind({ ok: false, errno, step: "dom.map", mem, facts });
		facts.push(...mapFacts(now, area, d.dom, noLarge));
		filled.push(d.dom);
	}
	const charged = chargePages(now, id, pinnedOf(now, id) - npin, env);
	if (!charged.ok) return unwind(charged);
	facts.push(...charged.facts);
	return { ok: true, mem: charged.mem, facts };
}

/**
 * Takes a live area out of all domains: every one but the storage domain first, then that one with unpin of what no access and no
 * other area holds, then uncharge (iopt_area_unfill_domains). Nothing happens when no domain held it.
 */
export function unfillArea(
	iopt: Iopt,
	mem: Mem,
	area: Area,
	undo = false,
): { readonly mem: Mem; readonly facts: readonly Fact[] } {
	const { sdom } = area;
	if (sdom === undefined) return { mem, facts: [] };
	const facts: Fact[] = [];
	for (const d of iopt.doms)
		if (d.dom !== sdom) facts.push(...unmapFacts(area, d.dom, undo));
	const last = drainLast(mem, area, sdom, undo);
	return { mem: last.mem, facts: [...facts, ...last.facts] };
}

/** An area leaves its storage domain and holds its pages no longer (iopt_area_unfill_domain). */
export function drainLast(
	mem: Mem,
	area: Area,
	sdom: DomainId,
	undo = false,
): { readonly mem: Mem; readonly facts: readonly Fact[] } {
	const id = livePages(area);
	const { first, last } = pageSpan(area);
	const facts = unmapFacts(area, sdom, undo);
	const npin = pinnedOf(mem, id);
	const released = releasePages(mem, id, "domIv", first, last, undo);
	const n = pinnedOf(released.mem, id) - npin;
	const uncharged = chargePages(
		released.mem,
		id,
		n,
		{ limit: () => undefined },
		undo,
	);
	facts.push(...released.facts, ...uncharged.facts);
	return { mem: uncharged.mem, facts };
}
