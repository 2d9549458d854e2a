/**
 * The contents of an I/O address space (struct io_pagetable, drivers/iommu/iommufd/io_pagetable.c) as immutable data:
 * areas, the allow list, reservations with their owners, the domains to keep filled and the accesses. Pure functions: values
 * in, values and facts out. Facts: iommufd-semantics.md §2.3–2.6, §2.9.3, §3.3; records as §2.17.
 *
 * Files: iopt.ts types and reservations; iopt-areas.ts filling; iopt-domains.ts add/remove domain; iopt-map.ts map and copy;
 * iopt-unmap.ts; iopt-iova.ts free space, allow list, automatic choice; iopt-pages.ts pinned memory;
 * iopt-access.ts in-kernel users; iopt-tree.ts the ordered map.
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type { U64Range } from "../src/vocabulary/fields.ts";
import { u64 } from "../src/vocabulary/fields.ts";
import type {
	AccessId,
	ActorId,
	DomainId,
	IoasId,
	PagesId,
} from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { IoptEnv, Mem } from "./iopt-pages.ts";
import { PAGE_SIZE } from "./iopt-pages.ts";
import type { Tree } from "./iopt-tree.ts";
import { treeFloor, treeValues } from "./iopt-tree.ts";

/** ULONG_MAX: the last byte of the IOVA space. */
export const IOVA_LAST = 0xffff_ffff_ffff_ffffn;

/** An inclusive byte range. */
export interface Range {
	readonly start: bigint;
	readonly last: bigint;
}
/** A reserved range and who reserved it: a device, a domain (outside its aperture) or the host (test). */
export interface Reservation extends Range {
	readonly owner: ActorId;
}
/** struct iopt_area. `pages` undefined = being built or torn down; `off` = bytes from the (page aligned) start of the pages. */
export interface Area extends Range {
	readonly prot: number;
	readonly pages?: PagesId;
	readonly off: bigint;
	readonly sdom?: DomainId;
	readonly nacc: number;
	readonly prevent: boolean;
}
/** What an IOAS must know of a domain. `pgsizes` is a bitmap of page sizes; the aperture is inclusive. */
export interface IoptDomain {
	readonly dom: DomainId;
	/** Who maps: real drivers refuse what the selftest's takes. */
	readonly driver: string;
	readonly pgsizes: bigint;
	readonly apertureStart: bigint;
	readonly apertureLast: bigint;
}
/** An attached access; `align` 1, or PAGE_SIZE when it pins. */
export interface IoptAccess {
	readonly access: AccessId;
	readonly align: bigint;
}
/** The IOAS' contents. `doms` is in the kernel's array order (a removal swaps with the tail). */
export interface Iopt {
	readonly areas: Tree<bigint, Area>;
	readonly allowed: readonly Range[];
	readonly resv: readonly Reservation[];
	readonly doms: readonly IoptDomain[];
	readonly accs: readonly IoptAccess[];
	readonly align: bigint;
	readonly noLarge: boolean;
}
/** A fresh IOAS: whole space usable, byte alignment. */
export const emptyIopt = (): Iopt => ({
	areas: undefined,
	allowed: [],
	resv: [],
	doms: [],
	accs: [],
	align: 1n,
	noLarge: false,
});

/** Outcome of an operation that touches no memory. */
export type IoptResult =
	| { readonly ok: true; readonly iopt: Iopt; readonly facts: readonly Fact[] }
	| {
			readonly ok: false;
			readonly errno: ErrnoName;
			readonly step: string;
			readonly iopt: Iopt;
			readonly facts: readonly Fact[];
	  };
/** Outcome of an operation that pins or unpins: `mem` is the new state of pinned memory. */
export type IoptMemResult =
	| {
			readonly ok: true;
			readonly iopt: Iopt;
			readonly mem: Mem;
			readonly facts: readonly Fact[];
	  }
	| {
			readonly ok: false;
			readonly errno: ErrnoName;
			readonly step: string;
			readonly iopt: Iopt;
			readonly mem: Mem;
			readonly facts: readonly Fact[];
	  };

/** Areas in ascending order. */
export const areasOf = (iopt: Iopt): Iterable<Area> => treeValues(iopt.areas);
/** The lowest area that meets [start, last], half built ones included. */
export function firstAreaIn(
	areas: Tree<bigint, Area>,
	start: bigint,
	last: bigint,
): Area | undefined {
	let best: Area | undefined;
	let node = areas;
	while (node !== undefined)
		if (node.value.last >= start) {
			best = node.value;
			node = node.left;
		} else node = node.right;
	return best !== undefined && best.start <= last ? best : undefined;
}
/** The area that holds byte `iova`. */
export function areaAt(iopt: Iopt, iova: bigint): Area | undefined {
	const area = treeFloor(iopt.areas, iova);
	return area !== undefined && area.last >= iova ? area : undefined;
}
/** How many pins the area that holds byte `iova` counts. */
export const naccAt = (iopt: Iopt, iova: bigint): number =>
	areaAt(iopt, iova)?.nacc ?? 0;
const meets = (a: Range, start: bigint, last: bigint): boolean =>
	a.start <= last && a.last >= start;
/** Tells whether [start, last] meets a reservation. */
export const meetsReserved = (
	iopt: Iopt,
	start: bigint,
	last: bigint,
): boolean => iopt.resv.some((r) => meets(r, start, last));

/** A range as records show it. */
export const recordRange = (r: Range): U64Range => [u64(r.start), u64(r.last)];

type FailOnly = Pick<IoptEnv, "fail">;

/**
 * Reserves ranges for an owner, in order (iopt_table_enforce_dev_resv_regions; iopt_reserve_iova). EADDRINUSE when one meets an area
 * or the allow list; ENOMEM as injected. Ranges may overlap other reservations. On failure every entry of this owner is dropped.
 * Relaxable direct regions are not reserved (facts §3.3): the caller leaves them out.
 */
export function reserveRegions(
	iopt: Iopt,
	ioas: IoasId,
	owner: ActorId,
	regions: readonly Range[],
	env: FailOnly = {},
): IoptResult {
	const added: Reservation[] = [];
	let errno: ErrnoName | undefined;
	for (const { start, last } of regions) {
		errno =
			firstAreaIn(iopt.areas, start, last) !== undefined ||
			iopt.allowed.some((a) => meets(a, start, last))
				? "EADDRINUSE"
				: env.fail?.("resv.alloc");
		if (errno !== undefined) break;
		added.push({ owner, start, last });
	}
	const facts: Fact[] = [];
	if (added.length > 0)
		facts.push(
			fact("resv.added", ioas, { ioas, owner, ranges: added.map(recordRange) }),
		);
	const next =
		added.length === 0 ? iopt : { ...iopt, resv: [...iopt.resv, ...added] };
	if (errno === undefined) return { ok: true, iopt: next, facts };
	const dropped = dropReservations(next, ioas, owner, { undo: true });
	return {
		ok: false,
		errno,
		step: "resv.reserve",
		iopt: dropped.iopt,
		facts: [...facts, ...dropped.facts],
	};
}

/** Drops every reservation of `owner` in this IOAS (iopt_remove_reserved_iova); no fact when there was none. Cannot fail. */
export function dropReservations(
	iopt: Iopt,
	ioas: IoasId,
	owner: ActorId,
	options: { readonly undo?: boolean } = {},
): IoptResult & { readonly ok: true } {
	const resv = iopt.resv.filter((r) => r.owner !== owner);
	if (resv.length === iopt.resv.length) return { ok: true, iopt, facts: [] };
	const undo = options.undo === true ? { undo: true } : {};
	return {
		ok: true,
		iopt: { ...iopt, resv },
		facts: [fact("resv.dropped", ioas, { ioas, owner, ...undo })],
	};
}

/** The smallest page size in a bitmap, in bytes. */
export const smallestPage = (pgsizes: bigint): bigint => pgsizes & -pgsizes;

/** The alignment that domains, accesses and the huge-page option ask for (iopt_calculate_iova_alignment). */
export function wantedAlignment(
	iopt: Pick<Iopt, "doms" | "accs" | "noLarge">,
): bigint {
	let align = iopt.noLarge ? PAGE_SIZE : 1n;
	for (const d of iopt.doms)
		if (smallestPage(d.pgsizes) > align) align = smallestPage(d.pgsizes);
	for (const a of iopt.accs) if (a.align > align) align = a.align;
	return align;
}

/** Tells whether every area keeps `align`: start, length and the offset inside its first page. */
export function areasFit(iopt: Iopt, align: bigint): boolean {
	const mask = align - 1n;
	for (const a of treeValues(iopt.areas)) {
		const length = a.last - a.start + 1n;
		const pageOff = a.off & (PAGE_SIZE - 1n);
		if (((a.start | length | pageOff) & mask) !== 0n) return false;
	}
	return true;
}

/** Sets the alignment again after a change; EADDRINUSE when it grows and an area does not fit (the change is the caller's to undo). */
export function recalcAlignment(iopt: Iopt, ioas: IoasId): IoptResult {
	const align = wantedAlignment(iopt);
	if (align === iopt.align) return { ok: true, iopt, facts: [] };
	if (align > iopt.align && !areasFit(iopt, align))
		return {
			ok: false,
			errno: "EADDRINUSE",
			step: "align.check",
			iopt,
			facts: [],
		};
	const facts = [fact("ioas.align.set", ioas, { ioas, align: Number(align) })];
	return { ok: true, iopt: { ...iopt, align }, facts };
}
