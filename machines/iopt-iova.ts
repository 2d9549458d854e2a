/**
 * Free IOVA space: the usable ranges, the allow list and the automatic choice of an address
 * (drivers/iommu/iommufd/ioas.c:iommufd_ioas_iova_ranges, io_pagetable.c:iopt_set_allow_iova, iopt_alloc_iova).
 * Facts: iommufd-semantics.md §2.3, §2.4; corpus page rules 7, 12, 15.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type { IoasId } from "../src/vocabulary/ids.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Iopt, IoptResult, Range } from "./iopt.ts";
import { firstAreaIn, IOVA_LAST, meetsReserved, recordRange } from "./iopt.ts";
import { PAGE_SIZE } from "./iopt-pages.ts";

/** HPAGE_SIZE: the largest alignment that the automatic choice keeps, in bytes. */
const HUGE_PAGE = 2n * 1024n * 1024n;

const byStart = (a: Range, b: Range): number => (a.start < b.start ? -1 : 1);

/** The holes of the reservations, ascending: what IOVA_RANGES reports (areas and the allow list do not matter). */
export function usableRanges(iopt: Iopt): Range[] {
	const out: Range[] = [];
	let next = 0n;
	for (const r of [...iopt.resv].sort(byStart)) {
		if (r.start > next) out.push({ start: next, last: r.start - 1n });
		if (r.last + 1n > next) next = r.last + 1n;
	}
	if (next <= IOVA_LAST) out.push({ start: next, last: IOVA_LAST });
	return out;
}

/** Checks an allow list as it is read from the user, entry by entry: start below last, no overlap among them. */
export function allowListErrno(
	ranges: readonly Range[],
): ErrnoName | undefined {
	const seen: Range[] = [];
	for (const r of ranges) {
		if (r.start >= r.last) return "EINVAL";
		if (seen.some((s) => s.start <= r.last && s.last >= r.start))
			return "EINVAL";
		seen.push(r);
	}
	return undefined;
}

/** Replaces the allow list; EADDRINUSE when an entry meets a reservation (the old list stays). The list has passed allowListErrno. */
export function setAllowed(
	iopt: Iopt,
	ioas: IoasId,
	ranges: readonly Range[],
): IoptResult {
	const allowed = [...ranges].sort(byStart);
	if (allowed.some((r) => meetsReserved(iopt, r.start, r.last)))
		return {
			ok: false,
			errno: "EADDRINUSE",
			step: "allowed.check",
			iopt,
			facts: [],
		};
	const facts = [
		fact("ioas.allowed.set", ioas, { ioas, ranges: allowed.map(recordRange) }),
	];
	return { ok: true, iopt: { ...iopt, allowed }, facts };
}

function powerOfTwoAbove(length: bigint): bigint {
	return length <= 1n ? 1n : 1n << BigInt((length - 1n).toString(2).length);
}

/** Where a fit starts inside [start, last], or undefined; 64-bit arithmetic wraps as the kernel's does. */
function fitStart(
	start: bigint,
	last: bigint,
	length: bigint,
	align: bigint,
	offset: bigint,
): bigint | undefined {
	if (last - start < length - 1n) return undefined;
	const up = BigInt.asUintN(64, start + align - 1n) & ~(align - 1n);
	const at = up | offset;
	return at >= last || last - at < length - 1n ? undefined : at;
}

/** The first fit among what neither areas nor reservations use of [start, last]. */
function firstFree(
	iopt: Iopt,
	resv: readonly Range[],
	start: bigint,
	last: bigint,
	fit: (start: bigint, last: bigint) => bigint | undefined,
): bigint | undefined {
	let at = start;
	while (at <= last) {
		const area = firstAreaIn(iopt.areas, at, last);
		const taken = resv.find((r) => r.last >= at);
		const used =
			taken !== undefined && (area === undefined || taken.start < area.start)
				? taken
				: area;
		const holeLast =
			used === undefined || used.start > last ? last : used.start - 1n;
		const found = at <= holeLast ? fit(at, holeLast) : undefined;
		if (found !== undefined) return found;
		if (used === undefined || used.last >= last) return undefined;
		if (used.last + 1n > at) at = used.last + 1n;
	}
	return undefined;
}

/** Ascending ranges with adjoining ones joined: the kernel's span iterator sees one stretch (interval_tree_span_iter). */
function merged(ranges: readonly Range[]): Range[] {
	const out: Range[] = [];
	for (const r of ranges) {
		const prev = out.at(-1);
		if (prev !== undefined && prev.last + 1n === r.start)
			out[out.length - 1] = { start: prev.start, last: r.last };
		else out.push(r);
	}
	return out;
}

/** An IOVA, or why there is none. */
export type IovaChoice =
	| { readonly iova: bigint }
	| { readonly errno: ErrnoName };

/**
 * Chooses the lowest IOVA for `length` bytes of user memory at `uva`: aligned to min(length rounded up to a power of two, lowest bit
 * of `uva`, 2 MiB), the offset inside the page kept, never in the first or last page of the space, inside the allow list if there is one.
 */
export function chooseIova(
	iopt: Iopt,
	uva: bigint,
	length: bigint,
): IovaChoice {
	if (length === 0n || length >= IOVA_LAST / 2n) return { errno: "EOVERFLOW" };
	let align = powerOfTwoAbove(length);
	const lowBit = uva & -uva;
	if (uva !== 0n && lowBit < align) align = lowBit;
	if (align > HUGE_PAGE) align = HUGE_PAGE;
	if (align < iopt.align) return { errno: "EINVAL" };
	const offset = uva & (PAGE_SIZE - 1n);
	const fit = (start: bigint, last: bigint): bigint | undefined =>
		fitStart(start, last, length, align, offset);
	const resv = [...iopt.resv].sort(byStart);
	const lowest = PAGE_SIZE;
	const highest = IOVA_LAST - PAGE_SIZE;
	const spans =
		iopt.allowed.length === 0
			? [{ start: lowest, last: highest }]
			: merged(iopt.allowed);
	for (const span of spans) {
		const from = span.start < lowest ? lowest : span.start;
		const last = span.last > highest ? highest : span.last;
		if (from > last) continue;
		const start = fit(from, last);
		if (start === undefined) continue;
		const iova = firstFree(iopt, resv, start, last, fit);
		if (iova !== undefined) return { iova };
	}
	return { errno: "ENOSPC" };
}
