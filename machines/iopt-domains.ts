/**
 * A domain joins and leaves an IOAS (iopt_table_add_domain, iopt_table_remove_domain;
 * drivers/iommu/iommufd/io_pagetable.c). Facts: iommufd-semantics.md §2.9.3.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import { u64 } from "../src/vocabulary/fields.ts";
import type { IoasId } from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Area, Iopt, IoptDomain, IoptMemResult, Range } from "./iopt.ts";
import {
	areasFit,
	areasOf,
	dropReservations,
	IOVA_LAST,
	recalcAlignment,
	reserveRegions,
	smallestPage,
} from "./iopt.ts";
import { drainLast, fillArea, unmapFacts } from "./iopt-areas.ts";
import type { IoptEnv, Mem } from "./iopt-pages.ts";
import { PAGE_SIZE } from "./iopt-pages.ts";
import { treeSet } from "./iopt-tree.ts";

function outsideAperture(dom: IoptDomain): Range[] {
	const out: Range[] = [];
	if (dom.apertureStart > 0n)
		out.push({ start: 0n, last: dom.apertureStart - 1n });
	if (dom.apertureLast < IOVA_LAST)
		out.push({ start: dom.apertureLast + 1n, last: IOVA_LAST });
	return out;
}

const refuse = (
	iopt: Iopt,
	mem: Mem,
	errno: ErrnoName,
	step: string,
	facts: readonly Fact[] = [],
): IoptMemResult => ({ ok: false, errno, step, iopt, mem, facts });

/** Maps every live area into the new domain; the first domain becomes the storage domain of all and pins. */
function fillDomain(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	dom: IoptDomain,
	env: IoptEnv,
): IoptMemResult {
	const first = iopt.doms.length === 0;
	const done: Area[] = [];
	const facts: Fact[] = [];
	let now = mem;
	let areas = iopt.areas;
	for (const area of areasOf(iopt)) {
		if (area.pages === undefined) continue;
		const filled = fillArea(now, area, [dom], first, iopt.noLarge, env);
		facts.push(...filled.facts);
		if (!filled.ok) {
			for (const d of done) {
				const undone = first
					? drainLast(now, d, dom.dom, true)
					: { mem: now, facts: unmapFacts(d, dom.dom, true) };
				now = undone.mem;
				facts.push(...undone.facts);
				if (first)
					facts.push(fact("area.sdom.set", ioas, { ioas, iova: u64(d.start) }));
			}
			return refuse(iopt, now, filled.errno, filled.step, facts);
		}
		now = filled.mem;
		done.push(area);
		if (first) {
			areas = treeSet(areas, area.start, { ...area, sdom: dom.dom });
			facts.push(
				fact("area.sdom.set", ioas, {
					ioas,
					iova: u64(area.start),
					sdom: dom.dom,
				}),
			);
		}
	}
	return { ok: true, iopt: { ...iopt, areas }, mem: now, facts };
}

/**
 * Adds a domain: EEXIST (already there), EINVAL (its smallest page exceeds PAGE_SIZE), EADDRINUSE (an area does not fit its pages, or
 * lies outside its aperture, or the allow list does), ENOMEM, or whatever filling gives (EFAULT, ENOMEM). A failure changes nothing.
 */
export function addDomain(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	dom: IoptDomain,
	env: IoptEnv,
): IoptMemResult {
	if (iopt.doms.some((d) => d.dom === dom.dom))
		return refuse(iopt, mem, "EEXIST", "domain.duplicate");
	const page = smallestPage(dom.pgsizes);
	const align = page > iopt.align ? page : iopt.align;
	if (align > PAGE_SIZE) return refuse(iopt, mem, "EINVAL", "align.page");
	if (align !== iopt.align && !areasFit(iopt, align))
		return refuse(iopt, mem, "EADDRINUSE", "align.check");
	const outside = outsideAperture(dom);
	const reserved = reserveRegions(iopt, ioas, dom.dom, outside, env);
	if (!reserved.ok)
		return refuse(iopt, mem, reserved.errno, reserved.step, reserved.facts);
	const unreserve = (failed: {
		errno: ErrnoName;
		step: string;
		mem: Mem;
		facts: readonly Fact[];
	}): IoptMemResult => {
		const dropped = dropReservations(reserved.iopt, ioas, dom.dom, {
			undo: true,
		});
		const facts = [...reserved.facts, ...failed.facts, ...dropped.facts];
		return refuse(dropped.iopt, failed.mem, failed.errno, failed.step, facts);
	};
	const errno = env.fail?.("domain.slot");
	if (errno !== undefined)
		return unreserve({ errno, step: "domain.slot", mem, facts: [] });
	const filled = fillDomain(reserved.iopt, ioas, mem, dom, env);
	if (!filled.ok) return unreserve(filled);
	const doms = [...filled.iopt.doms, dom];
	const added = fact("iopt.dom.added", ioas, {
		ioas,
		dom: dom.dom,
		align: Number(align),
	});
	return {
		ok: true,
		iopt: { ...filled.iopt, doms, align },
		mem: filled.mem,
		facts: [...reserved.facts, ...filled.facts, added],
	};
}

/** Takes the domain out of the array: the tail moves into its place. */
function swapWithTail(
	doms: readonly IoptDomain[],
	at: number,
): readonly IoptDomain[] {
	const tail = doms[doms.length - 1] as IoptDomain;
	return doms.slice(0, -1).map((d, i) => (i === at ? tail : d));
}

/**
 * Removes a domain: with others left, areas that it stored move to doms[0] and it is unmapped; the last one unpins what no access
 * holds. Then its reservations go and the alignment is worked out again. Cannot fail. Throws when it is not there.
 */
export function removeDomain(
	iopt: Iopt,
	ioas: IoasId,
	mem: Mem,
	dom: IoptDomain["dom"],
	options: { readonly undo?: boolean } = {},
): IoptMemResult & { readonly ok: true } {
	const at = iopt.doms.findIndex((d) => d.dom === dom);
	if (at < 0) throw new Error(`${dom} is not in ${ioas}`);
	const undo = options.undo === true;
	const doms = swapWithTail(iopt.doms, at);
	const heir = doms[0]?.dom;
	const facts: Fact[] = [];
	let now = mem;
	let areas = iopt.areas;
	for (const area of areasOf(iopt)) {
		if (area.pages === undefined || area.sdom === undefined) continue;
		if (heir === undefined) {
			const drained = drainLast(now, area, dom, undo);
			now = drained.mem;
			facts.push(...drained.facts);
		} else facts.push(...unmapFacts(area, dom, undo));
		if (area.sdom !== dom) continue;
		const { sdom: _, ...rest } = area;
		const next = heir === undefined ? rest : { ...rest, sdom: heir };
		areas = treeSet(areas, area.start, next);
		const sdom = heir === undefined ? {} : { sdom: heir };
		facts.push(
			fact("area.sdom.set", ioas, { ioas, iova: u64(area.start), ...sdom }),
		);
	}
	const dropped = dropReservations({ ...iopt, areas, doms }, ioas, dom, {
		undo,
	});
	const aligned = recalcAlignment(dropped.iopt, ioas);
	facts.push(...dropped.facts, ...aligned.facts);
	const order = doms.map((d) => d.dom);
	facts.push(
		fact("iopt.dom.removed", ioas, {
			ioas,
			dom,
			order,
			...(undo ? { undo } : {}),
		}),
	);
	return { ok: true, iopt: aligned.iopt, mem: now, facts };
}
