/**
 * The user memory behind map calls: struct iopt_pages (drivers/iommu/iommufd/pages.c), one per MAP call, shared by copies.
 *
 * A page of it is pinned exactly while some area with a storage domain or some access pin covers it (facts
 * iommufd-semantics.md PIN-1): `domIv` and `accIv` are those intervals, `store` says which frames are held. Domains and
 * accesses take frames from the store; user memory is asked only for what nobody holds (facts §2.5).
 */
import type { ErrnoName } from "../src/vocabulary/errno.ts";
import type { CtxId, PagesId } from "../src/vocabulary/ids.ts";
import { contextOf } from "../src/vocabulary/ids.ts";
import type { Fact } from "../src/vocabulary/records.ts";
import { fact } from "../src/vocabulary/records.ts";
import type { Tree } from "./iopt-tree.ts";
import { treeDelete, treeGet, treeSet } from "./iopt-tree.ts";

/** PAGE_SIZE of the modelled kernel (x86-64), in bytes. */
export const PAGE_SIZE = 4096n;
const PAGE_SHIFT = 12n;

/** Who pays for pinned pages: nobody, the user (locked_vm of the uid) or the process (mm->locked_vm). */
export type AcctMode = "NONE" | "USER" | "MM";
/** Pages [first, last] of a pages object, inclusive; `count` holders with exactly these bounds. */
export interface PageInterval {
	readonly first: number;
	readonly last: number;
	readonly count: number;
}
/** Pinned pages [first, first+n) whose frames are physically consecutive from page frame `pfn`. */
export interface PinnedRun {
	readonly first: number;
	readonly n: number;
	readonly pfn: number;
}
/** One struct iopt_pages. */
export interface Pages {
	readonly id: PagesId;
	/** The process whose memory this is; its number in the memory model. */
	readonly mm: number;
	/** User address of page 0, page aligned. */
	readonly uva: bigint;
	/** Page count; above 2^52 for absurd lengths that are legal while nothing pins. */
	readonly npages: number;
	readonly writable: boolean;
	readonly acct: AcctMode;
	/** Whose account: `user:1000` or `mm:3`. */
	readonly account: string;
	/** Areas (and in-flight copies) that refer to it. */
	readonly ref: number;
	readonly domIv: readonly PageInterval[];
	readonly accIv: readonly PageInterval[];
	readonly store: readonly PinnedRun[];
	readonly npin: number;
}
/** All pages objects of a host and what every account is charged, in pages. */
export interface Mem {
	readonly pages: Tree<number, Pages>;
	readonly next: number;
	readonly locked: ReadonlyMap<string, number>;
}
export const emptyMem = (): Mem => ({
	pages: undefined,
	next: 1,
	locked: new Map(),
});

/** What user memory answers: consecutive frames from `va` (at least 1, at most `n` pages), or the errno of the first page. */
export type PinAnswer =
	| { readonly pfn: number; readonly n: number }
	| { readonly errno: ErrnoName };
/** The outside world of the step lists, as plain functions. */
export interface IoptEnv {
	/** Pins up to `n` pages from `va` of process `mm` (pin_user_pages_remote with FOLL_LONGTERM). */
	readonly pin: (
		mm: number,
		va: bigint,
		n: number,
		write: boolean,
	) => PinAnswer;
	/** RLIMIT_MEMLOCK of an account in pages; undefined = unlimited. */
	readonly limit: (account: string) => number | undefined;
	/** Fault injection: asked once per failable step; an errno makes the step fail. */
	readonly fail?: (step: string) => ErrnoName | undefined;
}

/** Outcome of a step list over pinned memory. On failure everything it did is undone in `mem`. */
export type PagesResult =
	| { readonly ok: true; readonly mem: Mem; readonly facts: readonly Fact[] }
	| {
			readonly ok: false;
			readonly errno: ErrnoName;
			readonly step: string;
			readonly mem: Mem;
			readonly facts: readonly Fact[];
	  };

/** The number in a pages id. */
export const pagesKey = (id: PagesId): number =>
	Number(id.slice(id.lastIndexOf(":") + 1));
/** Looks a pages object up. Throws when it is gone: a caller that names one holds a reference. */
export function pagesOf(mem: Mem, id: PagesId): Pages {
	const pages = treeGet(mem.pages, pagesKey(id));
	if (pages === undefined)
		throw new Error(`${id} is gone but still referred to`);
	return pages;
}
const putPages = (mem: Mem, pages: Pages): Mem => ({
	...mem,
	pages: treeSet(mem.pages, pagesKey(pages.id), pages),
});

/** Makes a pages object with one reference (iopt_alloc_pages). `uva` may be anywhere in its first page. */
export function createPages(
	mem: Mem,
	ctx: CtxId,
	args: Pick<Pages, "mm" | "writable" | "acct" | "account"> & {
		readonly uva: bigint;
		readonly length: bigint;
	},
): { readonly mem: Mem; readonly pages: Pages } {
	const { length, uva, ...rest } = args;
	const offset = uva & (PAGE_SIZE - 1n);
	const pages: Pages = {
		...rest,
		id: `${ctx}/pages:${mem.next}`,
		uva: uva - offset,
		npages: Number((offset + length + PAGE_SIZE - 1n) >> PAGE_SHIFT),
		ref: 1,
		domIv: [],
		accIv: [],
		store: [],
		npin: 0,
	};
	return { mem: { ...putPages(mem, pages), next: mem.next + 1 }, pages };
}

/** Takes one more reference. */
export function getPages(mem: Mem, id: PagesId): Mem {
	const pages = pagesOf(mem, id);
	return putPages(mem, { ...pages, ref: pages.ref + 1 });
}

/** Drops a reference; the last one frees the object (iopt_put_pages). */
export function putPagesRef(
	mem: Mem,
	id: PagesId,
): { readonly mem: Mem; readonly facts: readonly Fact[] } {
	const pages = pagesOf(mem, id);
	if (pages.ref > 1)
		return { mem: putPages(mem, { ...pages, ref: pages.ref - 1 }), facts: [] };
	const rest = treeDelete(mem.pages, pagesKey(id));
	return {
		mem: { ...mem, pages: rest },
		facts: [fact("pages.freed", contextOf(id), { pages: id })],
	};
}

/** The parts of [first, last] that no interval of `held` covers, ascending. */
function uncovered(
	first: number,
	last: number,
	held: readonly PageInterval[],
): { first: number; last: number }[] {
	let gaps = [{ first, last }];
	for (const iv of held)
		gaps = gaps.flatMap((gap) => {
			if (iv.last < gap.first || iv.first > gap.last) return [gap];
			const parts: { first: number; last: number }[] = [];
			if (gap.first < iv.first)
				parts.push({ first: gap.first, last: iv.first - 1 });
			if (gap.last > iv.last)
				parts.push({ first: iv.last + 1, last: gap.last });
			return parts;
		});
	return gaps;
}

function withInterval(
	list: readonly PageInterval[],
	first: number,
	last: number,
	delta: number,
): readonly PageInterval[] {
	const at = list.findIndex((iv) => iv.first === first && iv.last === last);
	if (at < 0 && delta < 0)
		throw new Error(`no holder of pages ${first}-${last} to release`);
	if (at < 0) return [...list, { first, last, count: delta }];
	const count = (list[at] as PageInterval).count + delta;
	return count === 0
		? list.filter((_, i) => i !== at)
		: list.map((iv, i) => (i === at ? { first, last, count } : iv));
}

/** The store with one more pinned run, in order. */
export function storeAdd(
	store: readonly PinnedRun[],
	run: PinnedRun,
): readonly PinnedRun[] {
	const at = store.findIndex((r) => r.first > run.first);
	return at < 0
		? [...store, run]
		: [...store.slice(0, at), run, ...store.slice(at)];
}

/** The store without the pages [first, last]. */
export function storeRemove(
	store: readonly PinnedRun[],
	first: number,
	last: number,
): readonly PinnedRun[] {
	return store.flatMap((run) => {
		const end = run.first + run.n - 1;
		if (end < first || run.first > last) return [run];
		const parts: PinnedRun[] = [];
		if (run.first < first)
			parts.push({ first: run.first, n: first - run.first, pfn: run.pfn });
		if (end > last)
			parts.push({
				first: last + 1,
				n: end - last,
				pfn: run.pfn + (last + 1 - run.first),
			});
		return parts;
	});
}

/** The pinned frames of pages [first, last], ascending, clipped to that range. */
export function runsOf(pages: Pages, first: number, last: number): PinnedRun[] {
	const out: PinnedRun[] = [];
	for (const run of pages.store) {
		const from = Math.max(run.first, first);
		const to = Math.min(run.first + run.n - 1, last);
		if (from <= to)
			out.push({
				first: from,
				n: to - from + 1,
				pfn: run.pfn + from - run.first,
			});
	}
	return out;
}

/** Whose interval is added or dropped: an area's in a domain, or an access'. */
export type Holder = "domIv" | "accIv";

/**
 * Pins what of [first, last] nobody holds yet and records the holder. Nothing is charged: see chargePages (the kernel charges
 * after the domain is filled). Fails EFAULT (hole, read-only, process gone) or as injected, with all own pins released.
 */
export function holdPages(
	mem: Mem,
	id: PagesId,
	holder: Holder,
	first: number,
	last: number,
	env: IoptEnv,
): PagesResult {
	const pages = pagesOf(mem, id);
	const facts: Fact[] = [];
	let store = pages.store;
	let npin = pages.npin;
	for (const gap of uncovered(first, last, [...pages.domIv, ...pages.accIv])) {
		let at = gap.first;
		while (at <= gap.last) {
			const want = gap.last - at + 1;
			const errno = env.fail?.("pages.pin");
			const va = pages.uva + BigInt(at) * PAGE_SIZE;
			const got =
				errno === undefined
					? env.pin(pages.mm, va, want, pages.writable)
					: { errno };
			if ("errno" in got) {
				if (at > gap.first)
					facts.push(pinned(pages, gap.first, at - gap.first));
				return {
					ok: false,
					errno: got.errno,
					step: "pages.pin",
					mem,
					facts: [...facts, ...facts.map(undoPin).reverse()],
				};
			}
			store = storeAdd(store, { first: at, n: got.n, pfn: got.pfn });
			npin += got.n;
			at += got.n;
		}
		facts.push(pinned(pages, gap.first, gap.last - gap.first + 1));
	}
	const held = withInterval(pages[holder], first, last, 1);
	return {
		ok: true,
		mem: putPages(mem, { ...pages, [holder]: held, store, npin }),
		facts,
	};
}

const pinned = (
	{ id, acct }: Pick<Pages, "id" | "acct">,
	first: number,
	n: number,
): Fact =>
	fact("pages.pinned", contextOf(id), {
		pages: id,
		first,
		n,
		...(acct === "NONE" ? {} : { acct }),
	});
const unpinned = (pages: PagesId, first: number, n: number): Fact =>
	fact("pages.unpinned", contextOf(pages), { pages, first, n });
const undoPin = (one: Fact): Fact => {
	const { pages, first, n } = (one as Fact<"pages.pinned">).data;
	return fact("pages.unpinned", contextOf(pages), {
		pages,
		first,
		n,
		undo: true,
	});
};

/** Drops one holder of exactly [first, last] and unpins what nobody else holds. Never fails; nothing is uncharged here. */
export function releasePages(
	mem: Mem,
	id: PagesId,
	holder: Holder,
	first: number,
	last: number,
	undo = false,
): { readonly mem: Mem; readonly facts: readonly Fact[] } {
	const before = pagesOf(mem, id);
	const pages = {
		...before,
		[holder]: withInterval(before[holder], first, last, -1),
	};
	const facts: Fact[] = [];
	let { store, npin } = pages;
	for (const gap of uncovered(first, last, [...pages.domIv, ...pages.accIv])) {
		store = storeRemove(store, gap.first, gap.last);
		const n = gap.last - gap.first + 1;
		npin -= n;
		const gone = unpinned(id, gap.first, n);
		facts.push(undo ? undoPin(gone) : gone);
	}
	return { mem: putPages(mem, { ...pages, store, npin }), facts };
}

/** How many pages this object has pinned. */
export const pinnedOf = (mem: Mem, id: PagesId): number =>
	pagesOf(mem, id).npin;

/**
 * Charges (n > 0) or gives back (n < 0) pinned pages to the object's account (do_update_pinned). Fails ENOMEM over the limit.
 */
export function chargePages(
	mem: Mem,
	id: PagesId,
	n: number,
	env: Pick<IoptEnv, "limit" | "fail">,
	undo = false,
): PagesResult {
	const pages = pagesOf(mem, id);
	if (n === 0 || pages.acct === "NONE") return { ok: true, mem, facts: [] };
	const now = (mem.locked.get(pages.account) ?? 0) + n;
	const limit = n > 0 ? env.limit(pages.account) : undefined;
	const errno =
		(n > 0 ? env.fail?.("acct.charge") : undefined) ??
		(limit !== undefined && now > limit ? "ENOMEM" : undefined);
	if (errno !== undefined)
		return { ok: false, errno, step: "acct.charge", mem, facts: [] };
	const ctx = contextOf(id);
	const mode = pages.acct;
	const charged =
		n > 0
			? fact("acct.charged", ctx, { ctx, mode, n, pages: id })
			: fact("acct.uncharged", ctx, {
					ctx,
					mode,
					n: -n,
					...(undo ? { undo } : {}),
					pages: id,
				});
	return {
		ok: true,
		mem: { ...mem, locked: new Map(mem.locked).set(pages.account, now) },
		facts: [charged],
	};
}

/** An area that stored these pages was cut: its domain interval becomes two, nothing is pinned or unpinned (iopt_area_split). */
export function resplitInterval(
	mem: Mem,
	id: PagesId,
	whole: { readonly first: number; readonly last: number },
	parts: readonly { readonly first: number; readonly last: number }[],
): Mem {
	const pages = pagesOf(mem, id);
	let domIv = withInterval(pages.domIv, whole.first, whole.last, -1);
	for (const part of parts)
		domIv = withInterval(domIv, part.first, part.last, 1);
	return putPages(mem, { ...pages, domIv });
}
