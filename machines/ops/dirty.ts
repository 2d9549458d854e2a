/**
 * Dirty tracking (drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_set_dirty_tracking, iommufd_hwpt_get_dirty_bitmap;
 * io_pagetable.c:iommu_read_and_clear_dirty). Facts: iommufd-semantics.md §2.10. Marks are kept a domain, in units of its smallest page.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type { U64Range } from "../../src/vocabulary/fields.ts";
import { u64 } from "../../src/vocabulary/fields.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { areaAt, IOVA_LAST, smallestPage } from "../iopt.ts";
import { mapRuns } from "../iopt-areas.ts";
import type { Exec } from "./exec.ts";
import {
	domainOf,
	EOK,
	emit,
	lookUp,
	objOf,
	putDomain,
	refused,
} from "./exec.ts";
import type { Answer, Domain, Hwpt, Ioas } from "./types.ts";

/** A paging hwpt by id; nested ones answer ENOENT. */
export function pagingHwpt(x: Exec, id: number): Hwpt | undefined {
	const h = lookUp(x, id, "hwpt");
	return h?.kind === "paging" ? h : undefined;
}
const ioasOf = (x: Exec, h: Hwpt): Ioas => objOf(x, h.ioas as number, "ioas");

/** SET_DIRTY_TRACKING. Enabling, also a second time, drops every mark gathered so far (A3). */
export function setDirtyTracking(
	x: Exec,
	args: { readonly flags: number; readonly hwptId: number },
): Answer {
	if ((args.flags & ~1) !== 0) return refused("EOPNOTSUPP", "flags");
	const h = pagingHwpt(x, args.hwptId);
	if (h === undefined) return refused("ENOENT", "hwpt");
	const dom = domainOf(x, h.dom);
	if (dom.dirty === undefined) return refused("EOPNOTSUPP", "dirty.ops");
	const on = args.flags === 1;
	if (on) emit(x, fact("dirty.cleared", h.dom, { dom: h.dom }));
	putDomain(x, { ...dom, dirty: on, marks: on ? new Set() : dom.marks });
	emit(x, fact("dirty.set", h.dom, { dom: h.dom, on }));
	return EOK;
}

/** A dirty leaf, from the byte where the walk met it. */
export interface DirtyRange {
	readonly iova: bigint;
	readonly length: bigint;
}

function rangeErrno(
	iopt: Ioas["iopt"],
	iova: bigint,
	length: bigint,
	pageSize: bigint,
): ErrnoName | undefined {
	if (length === 0n) return "EINVAL";
	const last = iova + length - 1n;
	if (last > IOVA_LAST) return "EOVERFLOW";
	const end = BigInt.asUintN(64, last + 1n);
	if (((iova | end) & (iopt.align - 1n)) !== 0n) return "EINVAL";
	if (pageSize === 0n) return "EINVAL";
	return ((iova | end) & (pageSize - 1n)) !== 0n ? "EINVAL" : undefined;
}

/**
 * GET_DIRTY_BITMAP: the dirty leaves of the range, cleared unless asked not to. The walk's own errors are thrown away (A2): a hole ends
 * it, tracking that is off finds nothing, and both answer success.
 */
export function getDirtyBitmap(
	x: Exec,
	args: {
		readonly flags: number;
		readonly reserved: number;
		readonly hwptId: number;
		readonly iova: bigint;
		readonly length: bigint;
		readonly pageSize: bigint;
	},
): Answer & { readonly dirty?: readonly DirtyRange[] } {
	if ((args.flags & ~1) !== 0 || args.reserved !== 0)
		return refused("EOPNOTSUPP", "flags");
	const h = pagingHwpt(x, args.hwptId);
	if (h === undefined) return refused("ENOENT", "hwpt");
	const ioas = ioasOf(x, h);
	const bad = rangeErrno(ioas.iopt, args.iova, args.length, args.pageSize);
	if (bad !== undefined) return refused(bad, "range");
	const dom = domainOf(x, h.dom);
	if (dom.dirty === undefined) return refused("EOPNOTSUPP", "dirty.ops");
	const injected = x.env.fail?.("bitmap.alloc");
	if (injected !== undefined) return refused("ENOMEM", "bitmap.alloc");
	const clear = (args.flags & 1) === 0;
	const { dirty, walkErr } = walkDirty(x, ioas, dom, args, clear);
	const record = {
		dom: h.dom,
		iova: u64(args.iova),
		len: u64(args.length),
		cleared: clear,
		bits: dirty.length,
		...(walkErr === undefined ? {} : { walkErr }),
		...toldRanges(dirty, args.iova + args.length - 1n),
	};
	emit(x, fact("dirty.read", h.dom, record));
	if (clear)
		emit(
			x,
			fact("iotlb.synced", h.dom, {
				dom: h.dom,
				iova: u64(args.iova),
				last: u64(args.iova + args.length - 1n),
			}),
		);
	return { dirty };
}

/** More pieces than this a record does not list. */
const RANGES_MAX = 64;

/** Reported leaves as ranges of the bitmap, adjoining ones joined, without what lies behind its end. */
function toldRanges(
	dirty: readonly DirtyRange[],
	end: bigint,
): { readonly ranges?: readonly U64Range[] } {
	const joined: [bigint, bigint][] = [];
	for (const { iova, length } of dirty) {
		const last = iova + length - 1n < end ? iova + length - 1n : end;
		const before = joined.at(-1);
		if (before !== undefined && before[1] + 1n === iova) before[1] = last;
		else if (joined.length === RANGES_MAX) return {};
		else joined.push([iova, last]);
	}
	return { ranges: joined.map(([a, b]) => [u64(a), u64(b)] as const) };
}

function walkDirty(
	x: Exec,
	ioas: Ioas,
	dom: Domain,
	range: { readonly iova: bigint; readonly length: bigint },
	clear: boolean,
): { dirty: DirtyRange[]; walkErr?: ErrnoName } {
	if (dom.dirty !== true) return { dirty: [], walkErr: "EINVAL" };
	const unit = Number(smallestPage(dom.pgsizes));
	const last = range.iova + range.length - 1n;
	const marks = new Set(dom.marks);
	const dirty: DirtyRange[] = [];
	let at = range.iova;
	let hole = false;
	while (at <= last) {
		const area = areaAt(ioas.iopt, at);
		if (area?.pages === undefined) {
			hole = true;
			break;
		}
		const end = area.last < last ? area.last : last;
		const leaves = leavesOf(x, ioas, dom, area);
		// A walk that begins inside a leaf goes on by whole leaf sizes from there (read_and_clear_dirty of selftest.c and intel/iommu.c).
		for (let i = 0; i < leaves.length && at <= end; i++) {
			const leaf = leaves[i] as DirtyRange;
			if (leaf.iova + leaf.length <= at) continue;
			if (takeMarks(marks, leaf, unit, clear))
				dirty.push({ iova: at, length: leaf.length });
			at += leaf.length;
		}
		at = end + 1n;
	}
	if (clear) putDomain(x, { ...dom, marks });
	return hole ? { dirty, walkErr: "EINVAL" } : { dirty };
}

/** Does the leaf carry marks? Takes them away with `clear`. */
function takeMarks(
	marks: Set<number>,
	leaf: DirtyRange,
	unit: number,
	clear: boolean,
): boolean {
	const first = Number(leaf.iova) / unit;
	const end = Number(leaf.iova + leaf.length) / unit;
	let found = false;
	for (let m = first; m < end; m++) {
		if (!marks.has(m)) continue;
		found = true;
		if (clear) marks.delete(m);
	}
	return found;
}

/** The leaf entries of a domain over one area: at each step the biggest page that size and alignment of both addresses allow. */
function leavesOf(
	x: Exec,
	ioas: Ioas,
	dom: Domain,
	area: NonNullable<ReturnType<typeof areaAt>>,
): DirtyRange[] {
	const sizes: bigint[] = [];
	for (let s = dom.pgsizes; s !== 0n; s &= s - 1n) sizes.unshift(s & -s);
	const out: DirtyRange[] = [];
	for (const run of mapRuns(x.host.mem, area, ioas.iopt.noLarge)) {
		let { iova, pa, len } = run;
		while (len > 0n) {
			const size = sizes.find(
				(s) => s <= len && ((iova | pa) & (s - 1n)) === 0n,
			);
			if (size === undefined) throw new Error("a run below the smallest page");
			out.push({ iova, length: size });
			iova += size;
			pa += size;
			len -= size;
		}
	}
	return out;
}

/**
 * Marks pages as the hardware would: for each page of `pages` that is mapped. Returns how many marks were set, or the errno
 * (selftest.c:iommufd_test_dirty: EINVAL while tracking is off).
 */
export function markDirty(
	x: Exec,
	h: Hwpt,
	iova: bigint,
	pageSize: bigint,
	pages: Iterable<number>,
): number | ErrnoName {
	const dom = domainOf(x, h.dom);
	if (dom.dirty !== true) return "EINVAL";
	const { iopt } = ioasOf(x, h);
	const marks = new Set(dom.marks);
	let count = 0;
	const unit = smallestPage(dom.pgsizes);
	for (const page of pages) {
		// The mock looks its entries up by number, whatever size the caller counts in.
		const index = (iova + BigInt(page) * pageSize) / pageSize;
		const at = index * unit;
		if (areaAt(iopt, at)?.sdom === undefined) continue;
		marks.add(Number(index));
		count++;
		emit(
			x,
			fact("dirty.marked", h.dom, {
				dom: h.dom,
				iova: u64(at),
				len: u64(unit),
			}),
		);
	}
	putDomain(x, { ...dom, marks });
	return count;
}
