/**
 * DMA entries of a legacy container: map, the two versions' unmap rules, the chunked unmap engine (drivers/vfio/vfio_iommu_type1.c).
 * Facts: iommufd-semantics.md §5.2–5.4. No coalescing in 6.12: each MAP is one entry.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import { u64 } from "../../src/vocabulary/fields.ts";
import type { DomainId } from "../../src/vocabulary/ids.ts";
import { fact } from "../../src/vocabulary/records.ts";
import { IOVA_LAST, type Range, smallestPage } from "../iopt.ts";
import { PAGE_SIZE, type PinnedRun } from "../iopt-pages.ts";
import { treeDelete, treeFloor, treeSet, treeValues } from "../iopt-tree.ts";
import type { Exec } from "./exec.ts";
import { domainOf, EOK, emit, refused } from "./exec.ts";
import type { Answer, Container, DmaEntry, VfioDomain } from "./types.ts";

/** Flags of MAP_DMA and UNMAP_DMA (include/uapi/linux/vfio.h). */
export const TYPE1_FLAG = {
	READ: 1,
	WRITE: 2,
	UNMAP_BITMAP: 1,
	UNMAP_ALL: 2,
	UNMAP_VADDR: 4,
} as const;
/** Chunks that one flush of the engine covers (VFIO_IOMMU_TLB_SYNC_MAX). */
const SYNC_CHUNKS = 512;

/** Entries in ascending order. */
export const type1Entries = (c: Container): DmaEntry[] => [
	...treeValues(c.dma),
];
const lastOf = (e: DmaEntry): bigint => e.iova + e.size - 1n;

function container(x: Exec): Container {
	const c = x.host.containers.get(x.ctx);
	if (c === undefined) throw new Error(`${x.ctx} is not an open container`);
	return c;
}
function put(x: Exec, c: Container): void {
	x.host = { ...x.host, containers: new Map(x.host.containers).set(c.name, c) };
}

/** The smallest page all domains share, at most PAGE_SIZE (vfio_update_pgsize_bitmap). */
function granule(x: Exec, c: Container): bigint {
	let sizes = IOVA_LAST;
	for (const d of c.domains) sizes &= domainOf(x, d.dom).pgsizes;
	if ((sizes & (PAGE_SIZE - 1n)) !== 0n)
		sizes = (sizes & ~(PAGE_SIZE - 1n)) | PAGE_SIZE;
	return smallestPage(sizes);
}

/** The entry with the highest start that meets [start, last], or undefined. */
function entryMeeting(
	c: Container,
	start: bigint,
	last: bigint,
): DmaEntry | undefined {
	const e = treeFloor(c.dma, last);
	return e !== undefined && lastOf(e) >= start ? e : undefined;
}

/** VFIO_IOMMU_MAP_DMA on a legacy container. */
export function type1Map(
	x: Exec,
	args: {
		readonly flags: number;
		readonly vaddr: bigint;
		readonly iova: bigint;
		readonly size: bigint;
	},
): Answer {
	const c = container(x);
	if (c.v2 === undefined) return refused("EINVAL", "type");
	const { iova, size, vaddr } = args;
	const prot = args.flags & 3;
	if ((args.flags & ~3) !== 0 || prot === 0) return refused("EINVAL", "flags");
	const mask = granule(x, c) - 1n;
	if (size === 0n || ((size | iova | vaddr) & mask) !== 0n)
		return refused("EINVAL", "alignment");
	const last = iova + size - 1n;
	if (last > IOVA_LAST || vaddr + size - 1n > IOVA_LAST)
		return refused("EINVAL", "wrap");
	if (entryMeeting(c, iova, last) !== undefined)
		return refused("EEXIST", "overlap");
	if (c.avail === 0) return refused("ENOSPC", "limit");
	const inside = (r: Range): boolean => r.start <= iova && r.last >= last;
	if (c.ranges !== undefined && c.ranges.length > 0 && !c.ranges.some(inside))
		return refused("EINVAL", "ranges");
	emit(
		x,
		fact("type1.entry.added", x.ctx, {
			ctx: x.ctx,
			iova: u64(iova),
			len: u64(size),
			prot,
		}),
	);
	const entry: DmaEntry = {
		iova,
		size,
		vaddr,
		prot,
		mapped: false,
		runs: [],
		account: `mm:${x.env.caller.proc}`,
		charged: 0,
	};
	const errno = c.domains.length === 0 ? undefined : pinAndMap(x, c, entry);
	if (errno !== undefined) {
		const gone = { ctx: x.ctx, iova: u64(iova), undo: true };
		emit(x, fact("type1.entry.removed", x.ctx, gone));
		return refused(errno, "pin");
	}
	if (c.domains.length === 0) store(x, entry);
	return EOK;
}

function store(x: Exec, entry: DmaEntry): void {
	const c = container(x);
	put(x, {
		...c,
		dma: treeSet(c.dma, entry.iova, entry),
		entries: c.entries + 1,
		avail: c.avail - 1,
	});
}

/** Pins physically contiguous runs and maps each into every domain; everything is taken back when one fails. */
function pinAndMap(
	x: Exec,
	c: Container,
	entry: DmaEntry,
): ErrnoName | undefined {
	const pages = Number(entry.size / PAGE_SIZE);
	const write = (entry.prot & TYPE1_FLAG.WRITE) !== 0;
	const runs: PinnedRun[] = [];
	let errno: ErrnoName | undefined;
	for (let at = 0; at < pages && errno === undefined; ) {
		const va = entry.vaddr + BigInt(at) * PAGE_SIZE;
		const injected = x.env.fail?.("pages.pin");
		const got =
			injected === undefined
				? x.env.pin(x.env.caller.proc, va, pages - at, write)
				: { errno: injected };
		if ("errno" in got) errno = got.errno;
		else {
			runs.push({ first: at, n: got.n, pfn: got.pfn });
			at += got.n;
		}
	}
	const charged = x.env.caller.ipcLock ? 0 : pages;
	errno ??= charge(x, entry.account, charged);
	if (errno !== undefined) return errno;
	const full: DmaEntry = { ...entry, mapped: true, runs, charged };
	for (const [i, d] of c.domains.entries()) {
		const failed = mapEntryInto(x, full, d.dom);
		if (failed === undefined) continue;
		for (const done of c.domains.slice(0, i).reverse())
			unmapWhole(x, full, done, true);
		charge(x, entry.account, -charged);
		return failed;
	}
	store(x, full);
	emit(
		x,
		fact("type1.entry.mapped", x.ctx, { ctx: x.ctx, iova: u64(entry.iova) }),
	);
	return undefined;
}

function charge(x: Exec, account: string, n: number): ErrnoName | undefined {
	if (n === 0) return undefined;
	const { mem } = x.host;
	const now = (mem.locked.get(account) ?? 0) + n;
	const limit = n > 0 ? x.env.limit(account) : undefined;
	if (limit !== undefined && now > limit) return "ENOMEM";
	x.host = {
		...x.host,
		mem: { ...mem, locked: new Map(mem.locked).set(account, now) },
	};
	const what = { ctx: x.ctx, mode: "MM", n: Math.abs(n) };
	emit(
		x,
		n > 0
			? fact("acct.charged", x.ctx, what)
			: fact("acct.uncharged", x.ctx, what),
	);
	return undefined;
}

/** Maps an entry's pinned runs into one domain (vfio_iommu_map, vfio_iommu_replay). */
export function mapEntryInto(
	x: Exec,
	e: DmaEntry,
	dom: DomainId,
): ErrnoName | undefined {
	const errno = x.env.fail?.("dom.map");
	if (errno !== undefined) return errno;
	for (const run of e.runs)
		emit(
			x,
			fact("dom.map", dom, {
				dom,
				iova: u64(e.iova + BigInt(run.first) * PAGE_SIZE),
				pa: u64(BigInt(run.pfn) * PAGE_SIZE),
				len: run.n * Number(PAGE_SIZE),
				prot: e.prot,
			}),
		);
	return undefined;
}

/** Unmaps an entry from one domain in one call (iommu_unmap). */
export function unmapWhole(
	x: Exec,
	e: DmaEntry,
	d: VfioDomain,
	undo = false,
): void {
	const dom = d.dom;
	const len = u64(e.size);
	const flag = undo ? { undo: true } : {};
	emit(
		x,
		fact("dom.unmap", dom, {
			dom,
			iova: u64(e.iova),
			len,
			unmapped: len,
			...flag,
		}),
	);
	emit(
		x,
		fact("iotlb.synced", dom, { dom, iova: u64(e.iova), last: u64(lastOf(e)) }),
	);
}

/**
 * vfio_unmap_unpin: every domain but the first in one call; the first in chunks that are physically contiguous (single pages with fgsp),
 * flushed every 512 chunks and at the end.
 */
function unmapEngine(
	x: Exec,
	e: DmaEntry,
	domains: readonly VfioDomain[],
): void {
	const [first, ...others] = domains;
	for (const d of others) unmapWhole(x, e, d);
	if (first === undefined) return;
	const { dom, fgsp } = first;
	let queued = 0;
	let from = e.iova;
	const sync = (to: bigint): void => {
		if (queued === 0) return;
		emit(
			x,
			fact("iotlb.synced", dom, { dom, iova: u64(from), last: u64(to - 1n) }),
		);
		queued = 0;
		from = to;
	};
	for (const run of e.runs) {
		const step = fgsp ? 1 : run.n;
		for (let k = 0; k < run.n; k += step) {
			const at = e.iova + BigInt(run.first + k) * PAGE_SIZE;
			const len = step * Number(PAGE_SIZE);
			emit(
				x,
				fact("dom.unmap", dom, { dom, iova: u64(at), len, unmapped: len }),
			);
			if (++queued >= SYNC_CHUNKS) sync(at + BigInt(len));
		}
	}
	sync(e.iova + e.size);
}

/** Removes one entry with everything in it (vfio_remove_dma). */
function removeEntry(x: Exec, e: DmaEntry): void {
	const c = container(x);
	if (e.mapped) unmapEngine(x, e, c.domains);
	charge(x, e.account, -e.charged);
	put(x, {
		...c,
		dma: treeDelete(c.dma, e.iova),
		entries: c.entries - 1,
		avail: c.avail + 1,
	});
	emit(
		x,
		fact("type1.entry.removed", x.ctx, {
			ctx: x.ctx,
			iova: u64(e.iova),
			len: u64(e.size),
		}),
	);
}

/** The last domain goes: so do all entries. */
export function dropEntries(x: Exec): void {
	for (const e of type1Entries(container(x))) removeEntry(x, e);
}

/** VFIO_IOMMU_UNMAP_DMA on a legacy container; the size that went away is written back on success only. */
export function type1Unmap(
	x: Exec,
	args: {
		readonly flags: number;
		readonly iova: bigint;
		readonly size: bigint;
	},
): Answer {
	const c = container(x);
	if (c.v2 === undefined) return refused("EINVAL", "type");
	const { iova, size, flags } = args;
	if (
		(flags &
			~(
				TYPE1_FLAG.UNMAP_ALL |
				TYPE1_FLAG.UNMAP_BITMAP |
				TYPE1_FLAG.UNMAP_VADDR
			)) !==
		0
	)
		return refused("EINVAL", "flags");
	// Dirty tracking is never on in this model, and VADDR updates are out of its scope.
	if ((flags & (TYPE1_FLAG.UNMAP_BITMAP | TYPE1_FLAG.UNMAP_VADDR)) !== 0)
		return refused("EINVAL", "flags");
	const mask = granule(x, c) - 1n;
	if ((iova & mask) !== 0n) return refused("EINVAL", "alignment");
	const all = (flags & TYPE1_FLAG.UNMAP_ALL) !== 0;
	if (all ? iova !== 0n || size !== 0n : size === 0n || (size & mask) !== 0n)
		return refused("EINVAL", "size");
	const last = all ? IOVA_LAST : iova + size - 1n;
	if (last > IOVA_LAST) return refused("EINVAL", "wrap");
	if (c.v2 && !all) {
		const head = entryMeeting(c, iova, iova);
		if (head !== undefined && head.iova !== iova)
			return refused("EINVAL", "boundary");
		const tail = entryMeeting(c, last, last);
		if (tail !== undefined && lastOf(tail) !== last)
			return refused("EINVAL", "boundary");
	}
	const bytes = removeRange(x, c, iova, last);
	const what = {
		ctx: x.ctx,
		iova: u64(iova),
		len: u64(all ? 0n : size),
		bytes: u64(bytes),
	};
	emit(x, fact("type1.unmapped", x.ctx, what));
	return { out: { size: bytes } };
}

/** v1 stops at an entry that starts before the request; what starts inside goes whole, even beyond its end. */
function removeRange(
	x: Exec,
	c: Container,
	start: bigint,
	last: bigint,
): bigint {
	const head = entryMeeting(c, start, start);
	if (c.v2 === false && head !== undefined && head.iova < start) return 0n;
	let bytes = 0n;
	for (const e of type1Entries(c)) {
		if (e.iova < start || e.iova > last) continue;
		removeEntry(x, e);
		bytes += e.size;
	}
	return bytes;
}
