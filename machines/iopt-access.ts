/**
 * What accesses do inside an IOAS: join, pin, unpin, read and write
 * (drivers/iommu/iommufd/device.c:iommufd_access_pin_pages, iommufd_access_rw; pages.c:iopt_area_add_access,
 * iopt_pages_rw_access). Facts: iommufd-semantics.md §2.14. Records of the access itself are the caller's.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type { IoasId } from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import type {
	Area,
	Iopt,
	IoptAccess,
	IoptMemResult,
	IoptResult,
} from "./iopt.ts";
import { areaAt, recalcAlignment } from "./iopt.ts";
import { livePages, pageSpan } from "./iopt-areas.ts";
import { PROT_READ, PROT_WRITE } from "./iopt-map.ts";
import type { IoptEnv, Mem, Pages } from "./iopt-pages.ts";
import {
	chargePages,
	holdPages,
	PAGE_SIZE,
	pagesOf,
	pinnedOf,
	releasePages,
} from "./iopt-pages.ts";
import { treeSet } from "./iopt-tree.ts";

/** An access joins; EADDRINUSE when an area does not fit its alignment, ENOMEM as injected (iopt_add_access). */
export function addAccess(
	iopt: Iopt,
	ioas: IoasId,
	access: IoptAccess,
	env: Pick<IoptEnv, "fail"> = {},
): IoptResult {
	const errno = env.fail?.("access.slot");
	if (errno !== undefined)
		return { ok: false, errno, step: "access.slot", iopt, facts: [] };
	const next = { ...iopt, accs: [...iopt.accs, access] };
	const aligned = recalcAlignment(next, ioas);
	return aligned.ok ? aligned : { ...aligned, iopt };
}

/** An access leaves; the alignment may shrink (iopt_remove_access). Cannot fail. */
export function removeAccess(
	iopt: Iopt,
	ioas: IoasId,
	access: IoptAccess["access"],
): IoptResult {
	const accs = iopt.accs.filter((a) => a.access !== access);
	return recalcAlignment({ ...iopt, accs }, ioas);
}

/** One stretch of a range inside one live area; `whole` = the range ends here. */
interface Piece {
	readonly area: Area;
	readonly start: bigint;
	readonly last: bigint;
	readonly ends: boolean;
}

/** The live areas that cover [start, last] from its beginning, as far as they adjoin. */
function contiguous(iopt: Iopt, start: bigint, last: bigint): Piece[] {
	const out: Piece[] = [];
	let at = start;
	while (at <= last) {
		const area = areaAt(iopt, at);
		if (area?.pages === undefined) break;
		const end = area.last < last ? area.last : last;
		out.push({ area, start: at, last: end, ends: area.last >= last });
		at = end + 1n;
	}
	return out;
}

/** Page indexes that a piece touches. */
function pieceSpan(p: Piece): { first: number; last: number } {
	return pageSpan({
		...p.area,
		start: p.start,
		last: p.last,
		off: p.area.off + (p.start - p.area.start),
	});
}

function pinAligned(p: Piece): boolean {
	if ((p.area.off + (p.start - p.area.start)) % PAGE_SIZE !== 0n) return false;
	const lastByte = p.area.off + (p.area.last - p.area.start);
	return p.ends || lastByte % PAGE_SIZE === PAGE_SIZE - 1n;
}

/** The area's own protection counts, for reads too (device.c:check_area_prot). */
const mayAccess = (area: Area, write: boolean): boolean =>
	(area.prot & (write ? PROT_WRITE : PROT_READ)) !== 0;

const withNacc = (iopt: Iopt, start: bigint, delta: number): Iopt => {
	const area = areaAt(iopt, start) as Area;
	const nacc = area.nacc + delta;
	return { ...iopt, areas: treeSet(iopt.areas, area.start, { ...area, nacc }) };
};

/** Adds one access pin to a piece: permission, then pages (shared with an equal interval), then the charge. */
function pinPiece(
	mem: Mem,
	p: Piece,
	write: boolean,
	env: IoptEnv,
): ReturnType<typeof holdPages> {
	const id = livePages(p.area);
	const refuse = (errno: ErrnoName, step: string) =>
		({ ok: false, errno, step, mem, facts: [] as Fact[] }) as const;
	if (p.area.prevent) return refuse("EINVAL", "area.prevented");
	if (!pinAligned(p)) return refuse("EINVAL", "area.align");
	if (!mayAccess(p.area, write)) return refuse("EPERM", "area.permission");
	const { first, last } = pieceSpan(p);
	const before = pinnedOf(mem, id);
	const errno = env.fail?.("access.alloc");
	if (errno !== undefined) return refuse(errno, "access.alloc");
	const held = holdPages(mem, id, "accIv", first, last, env);
	if (!held.ok) return held;
	const charged = chargePages(
		held.mem,
		id,
		pinnedOf(held.mem, id) - before,
		env,
	);
	if (charged.ok)
		return { ...charged, facts: [...held.facts, ...charged.facts] };
	const undone = releasePages(held.mem, id, "accIv", first, last, true);
	return { ...charged, mem, facts: [...held.facts, ...undone.facts] };
}

function unpinPiece(
	iopt: Iopt,
	mem: Mem,
	p: Piece,
	undo: boolean,
): { iopt: Iopt; mem: Mem; facts: readonly Fact[] } {
	const id = livePages(p.area);
	const { first, last } = pieceSpan(p);
	const before = pinnedOf(mem, id);
	const released = releasePages(mem, id, "accIv", first, last, undo);
	const n = pinnedOf(released.mem, id) - before;
	const paid = chargePages(
		released.mem,
		id,
		n,
		{ limit: () => undefined },
		undo,
	);
	return {
		iopt: withNacc(iopt, p.start, -1),
		mem: paid.mem,
		facts: [...released.facts, ...paid.facts],
	};
}

/**
 * Pins [start, last] for an access, area by area. EINVAL prevented or not page aligned; EPERM; EFAULT, ENOMEM; ENOENT at a hole. A failure
 * gives the earlier areas' pins back. The range was checked for length and wrap by the caller.
 */
export function pinRange(
	iopt: Iopt,
	mem: Mem,
	start: bigint,
	last: bigint,
	write: boolean,
	env: IoptEnv,
): IoptMemResult {
	const facts: Fact[] = [];
	let now = { iopt, mem };
	const done: Piece[] = [];
	const unwind = (errno: ErrnoName, step: string): IoptMemResult => {
		for (const p of done) {
			const undone = unpinPiece(now.iopt, now.mem, p, true);
			now = { iopt: undone.iopt, mem: undone.mem };
			facts.push(...undone.facts);
		}
		return { ok: false, errno, step, iopt, mem: now.mem, facts };
	};
	const pieces = contiguous(iopt, start, last);
	for (const p of pieces) {
		const pinned = pinPiece(now.mem, p, write, env);
		facts.push(...pinned.facts);
		if (!pinned.ok) return unwind(pinned.errno, pinned.step);
		now = { iopt: withNacc(now.iopt, p.start, 1), mem: pinned.mem };
		done.push(p);
	}
	return pieces.at(-1)?.ends === true
		? { ok: true, ...now, facts }
		: unwind("ENOENT", "area.hole");
}

/** Gives back the pins of exactly [start, last] (iommufd_access_unpin_pages). Throws when such a pin does not exist. */
export function unpinRange(
	iopt: Iopt,
	mem: Mem,
	start: bigint,
	last: bigint,
): { iopt: Iopt; mem: Mem; facts: readonly Fact[] } {
	const facts: Fact[] = [];
	let now = { iopt, mem };
	for (const p of contiguous(iopt, start, last)) {
		const undone = unpinPiece(now.iopt, now.mem, p, false);
		now = { iopt: undone.iopt, mem: undone.mem };
		facts.push(...undone.facts);
	}
	return { ...now, facts };
}

/** Copies `length` bytes of pages from byte `off`; the errno of the first byte that cannot be reached, or undefined. */
export type CopyPages = (
	pages: Pages,
	off: bigint,
	length: bigint,
) => ErrnoName | undefined;

/** Outcome of rw: `copied` bytes went through, also when it failed at a later area. */
export type RwResult = { readonly copied: bigint } & (
	| { readonly ok: true }
	| { readonly ok: false; readonly errno: ErrnoName; readonly step: string }
);

/** Reads or writes [start, last] area by area; keeps no pin. EINVAL prevented, EPERM, EFAULT, ENOENT at a hole after the areas before it. */
export function rwRange(
	iopt: Iopt,
	mem: Mem,
	start: bigint,
	last: bigint,
	write: boolean,
	copy: CopyPages,
): RwResult {
	let copied = 0n;
	const pieces = contiguous(iopt, start, last);
	for (const { area, start: at, last: end } of pieces) {
		if (area.prevent)
			return { ok: false, errno: "EINVAL", step: "area.prevented", copied };
		const pages = pagesOf(mem, livePages(area));
		if (!mayAccess(area, write))
			return { ok: false, errno: "EPERM", step: "area.permission", copied };
		const length = end - at + 1n;
		const errno = copy(pages, area.off + (at - area.start), length);
		if (errno !== undefined)
			return { ok: false, errno, step: "pages.copy", copied };
		copied += length;
	}
	return pieces.at(-1)?.ends === true
		? { ok: true, copied }
		: { ok: false, errno: "ENOENT", step: "area.hole", copied };
}
