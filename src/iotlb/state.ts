/**
 * The IOTLB projection: what hardware may still hold (facts pagetable §5, DESIGN §4).
 *
 * A may-analysis that stores only what differs from memory. While a domain is reachable under a tag (some context entry points to
 * it) every translation its page table offers may be cached; nothing needs storing for that. What is stored:
 * - stale ranges: cleared from memory while they may have been cached, and no covering invalidation has completed since;
 * - per tag whether it may hold anything at all (`holds`): from the moment it is reachable until an invalidation of the whole tag,
 *   issued after it stopped being reachable, has completed;
 * - pointers to unlinked tables (paging-structure caches) and context entries that were cleared but not invalidated.
 *
 * An invalidation counts from the moment it was issued (what is cleared later it need not drop) and takes effect when completed.
 * - what a device may have taken over into its own TLB (where the header or a device-TLB command says that ATS is on), and in
 *   caching mode the ranges that may be cached as "not present".
 *
 * A domain whose page table is logged entry by entry (table.rooted, slot.*) is kept exactly: tables.ts is its memory, walks.ts what a
 * tag may hold of it. For all others ranges are kept, here; hardware that drops entries by itself only makes fewer of them true.
 *
 * Addresses are frames of 4 KiB.
 */
import type {
	ActorId,
	DeviceId,
	DomainId,
	IommuId,
} from "../vocabulary/ids.ts";
import type { Hardware } from "./hardware.ts";
import { copyTables, type Tables } from "./tables.ts";
import { copyWalks, type Walker, type Walks } from "./walks.ts";

/** A range that hardware may still translate although memory no longer does. */
export interface Stale {
	/** Counts from 1 in this projection: its identity. */
	readonly id: number;
	readonly iommu: IommuId;
	did: number;
	readonly dom: DomainId;
	/** Never changes; `parts` is what is left of it. */
	readonly start: number;
	readonly n: number;
	/** Physical frame of `start`; -1 when memory was not known. */
	readonly pa: number;
	parts: readonly FrameRange[];
	/** Record that cleared it from memory, its operation, and its time. */
	readonly seq: number;
	readonly op: number;
	readonly t: number;
	/** Reachable for certain when it was cleared; else only possibly (entry being set up, or reachability not known). */
	readonly certain: boolean;
	/** Left to the flush queue. */
	queued: boolean;
	/** seq of the iotlb.synced that claimed it flushed while it was not; 0 = none so far. */
	unflushedSeq: number;
	unflushedT: number;
	/** Level of its leaves as a TTL names it (3 = page); 0 = not told apart. */
	readonly level: number;
}
/** Frames of a range that a device's own TLB may still translate, or that may be cached as "not present". */
export interface Leftover {
	readonly start: number;
	readonly n: number;
	readonly pa: number;
	/** Record that took it out of memory / put it in. */
	readonly since: number;
	/** Record at which it could last have been filled. */
	readonly seq: number;
}
/** Frames [start, start+n). */
export interface FrameRange {
	readonly start: number;
	readonly n: number;
}
/** An unlinked table that paging-structure caches may still point to; covers [start, start+n). */
export interface StaleTable {
	readonly table: number;
	readonly dom: DomainId;
	readonly start: number;
	readonly n: number;
	readonly seq: number;
	/** "superseded": a superpage is about to cover it. */
	readonly why: "unlinked" | "superseded";
}
/** One tag: (IOMMU unit, domain id). */
export interface Space {
	readonly iommu: IommuId;
	/** Below 0 while the log has not told it: VT-d writes the context entry before the first trace of the id. */
	did: number;
	readonly dom: DomainId;
	/** The domain was alive before the log: who reaches it is not known, so it always may hold entries. */
	preexisting: boolean;
	/** Evidence that such a domain is in use: its cache tags were walked, or a witness saw an entry of it. */
	used: boolean;
	/** The id was given back; it may go to another domain. */
	released: boolean;
	/** Requesters whose entry points to it: key → seq of the entry. Keys are source ids, or device names where no entries are logged. */
	live: Map<number | DeviceId, number>;
	/** Requesters whose entry is being set up. */
	setting: Map<number, number>;
	holds: boolean;
	/** The record since which it may hold entries; 0: since before the log. */
	holdsSeq: number;
	/** seq of the record that made it last (un)reachable. */
	changedSeq: number;
	stale: Stale[];
	tables: StaleTable[];
	/** While it holds entries but is not reachable: ranges mapped or invalidated since, which cannot be cached. */
	clean: FrameRange[];
	/** References of cache tags, and the record that changed them last. */
	tagRefs: number;
	tagSeq: number;
	/** Device TLBs / negative entries of macro logs. */
	device: readonly Leftover[];
	negative: readonly Leftover[];
	/** What it may hold of a page table that is logged entry by entry. */
	walks: Walks | null;
}
/** A context entry, set or cleared-but-maybe-cached. */
export interface ContextEntry {
	readonly sid: number;
	readonly dom: DomainId;
	space: Space;
	readonly seq: number;
	/** The record that set it, also when `seq` is that of its clearing. */
	readonly setSeq: number;
	readonly dev: DeviceId | undefined;
}
/** A queued invalidation. */
export interface Invalidation {
	readonly inv: number;
	readonly seq: number;
	readonly kind: string;
	readonly gran: string;
	readonly did: number | undefined;
	readonly start: number;
	readonly n: number;
	readonly leafOnly: boolean;
	readonly sid: number | undefined;
	readonly op: number;
	/** SMMUv3 range commands: the level whose leaf entries are sure to go; undefined or 0: every level. */
	readonly ttl: number | undefined;
	/** The task that queued it, where page tables are logged entry by entry. */
	readonly by: ActorId | undefined;
}
/** One IOMMU unit. */
export interface Unit {
	readonly id: IommuId;
	spaces: Map<number, Space>;
	pending: Invalidation[];
	contexts: Map<number, ContextEntry>;
	staleContexts: ContextEntry[];
	/** Commands issued / completed in the log. */
	issued: number;
	completed: number;
	/** A device-TLB command was seen: ATS is on. */
	ats: boolean;
}
/** Windows of one kind: how many, the longest, and the bytes that lay open in all of them together, in frames. */
export interface WindowSum {
	count: number;
	longestNs: number;
	frames: number;
}
/** The windows of one domain: unmaps that flush before they return, and those left to the flush queue. */
export interface DomainWindows {
	readonly strict: WindowSum;
	readonly lazy: WindowSum;
}
/** Domains whose windows are kept apart; those of later ones are only in the totals. */
export const WINDOW_DOMAINS_MAX = 256;

/** Windows between the clearing of an entry and the completed invalidation. Times in ns. */
export interface Windows {
	count: number;
	longestNs: number;
	longest: {
		readonly dom: DomainId;
		readonly start: number;
		readonly n: number;
		readonly fromSeq: number;
		readonly toSeq: number;
	} | null;
	/** Frames stale now / at most at one time. */
	frames: number;
	framesMax: number;
	readonly byDomain: Map<DomainId, DomainWindows>;
}
/** A range in a flush queue. */
export interface Queued {
	readonly start: number;
	readonly n: number;
	readonly cpu: number;
	readonly seq: number;
	readonly t: number;
}
/** The flush queue of one domain, and how long its last flush took. */
export interface Queue {
	readonly waiting: readonly Queued[];
	readonly flushAt: number;
	readonly flushNs: number;
}
/** The projection. */
export interface Iotlb {
	own: object;
	readonly hardware: Hardware;
	/** Page tables that are logged entry by entry. */
	readonly tables: Map<DomainId, Tables>;
	/** True once the log has shown any tag, context entry, cache tag or invalidation: only then does it say anything. */
	armed: boolean;
	/** True once context entries are logged; until then hw.attach stands for them. */
	entries: boolean;
	/** True once a clearing was logged: recordings with few probes show entries being set and never cleared. */
	clearings: boolean;
	units: Map<IommuId, Unit>;
	byDomain: Map<DomainId, Space[]>;
	/** Flush queues whose records tell the CPU: what waits, oldest first. */
	queues: Map<DomainId, Queue>;
	nextStale: number;
	windows: Windows;
	/** Stale ranges dropped lately, newest last: a witness with another clock may be late by a little. */
	dropped: { readonly stale: Stale; readonly t: number }[];
}

/** Dropped ranges kept for late witnesses. */
export const DROPPED_MAX = 64;

/** An empty projection. */
export const newIotlb = (own: object, hardware: Hardware): Iotlb => ({
	own,
	hardware,
	tables: new Map(),
	armed: false,
	entries: false,
	clearings: false,
	units: new Map(),
	byDomain: new Map(),
	queues: new Map(),
	nextStale: 1,
	windows: {
		count: 0,
		longestNs: 0,
		longest: null,
		frames: 0,
		framesMax: 0,
		byDomain: new Map(),
	},
	dropped: [],
});

const copySpace = (space: Space): Space => ({
	...space,
	live: new Map(space.live),
	setting: new Map(space.setting),
	stale: space.stale.map((stale) => ({ ...stale })),
	tables: space.tables.slice(),
	clean: space.clean.slice(),
	walks: space.walks === null ? null : copyWalks(space.walks),
});

/** A copy that shares nothing which changes. */
export function copyIotlb(iotlb: Iotlb, own: object): Iotlb {
	const byDomain = new Map<DomainId, Space[]>();
	const units = new Map<IommuId, Unit>();
	for (const [id, unit] of iotlb.units) {
		const spaces = new Map<number, Space>();
		const copies = new Map<Space, Space>();
		for (const [did, space] of unit.spaces) {
			const copy = copySpace(space);
			spaces.set(did, copy);
			copies.set(space, copy);
			const list = byDomain.get(copy.dom);
			if (list === undefined) byDomain.set(copy.dom, [copy]);
			else list.push(copy);
		}
		units.set(id, {
			...unit,
			spaces,
			pending: unit.pending.slice(),
			contexts: new Map(
				[...unit.contexts].map(([sid, entry]) => [
					sid,
					{ ...entry, space: copies.get(entry.space) ?? entry.space },
				]),
			),
			staleContexts: unit.staleContexts.map((entry) => ({
				...entry,
				space: copies.get(entry.space) ?? entry.space,
			})),
		});
	}
	return {
		...iotlb,
		own,
		tables: new Map(
			[...iotlb.tables].map(([dom, tables]) => [dom, copyTables(tables)]),
		),
		units,
		byDomain,
		queues: new Map(iotlb.queues),
		windows: {
			...iotlb.windows,
			byDomain: new Map(
				[...iotlb.windows.byDomain].map(([dom, { strict, lazy }]) => [
					dom,
					{ strict: { ...strict }, lazy: { ...lazy } },
				]),
			),
		},
		dropped: iotlb.dropped.slice(),
	};
}

/** The unit, made when it is named for the first time. */
export function unitOf(iotlb: Iotlb, id: IommuId): Unit {
	let unit = iotlb.units.get(id);
	if (unit === undefined) {
		unit = {
			id,
			spaces: new Map(),
			pending: [],
			contexts: new Map(),
			staleContexts: [],
			issued: 0,
			completed: 0,
			ats: false,
		};
		iotlb.units.set(id, unit);
	}
	return unit;
}

const NONE: readonly Space[] = [];
/** The tags of a domain. */
export const spacesOf = (iotlb: Iotlb, dom: DomainId): readonly Space[] =>
	iotlb.byDomain.get(dom) ?? NONE;

/** Does a command speak about this tag? */
export const concerns = (command: Invalidation, space: Space): boolean =>
	command.gran === "global" ||
	command.did === space.did ||
	(command.kind === "devtlb" && command.did === undefined);

/** The walks of a tag, when its page table is logged entry by entry. */
export function walkerOf(iotlb: Iotlb, space: Space): Walker | undefined {
	if (iotlb.tables.size === 0) return undefined;
	const tables = iotlb.tables.get(space.dom);
	if (tables === undefined) return undefined;
	space.walks ??= { entries: new Map() };
	return {
		tables,
		walks: space.walks,
		hardware: iotlb.hardware,
		reaches: space.holds || space.setting.size > 0,
		pending:
			iotlb.units
				.get(space.iommu)
				?.pending.filter((command) => concerns(command, space)) ?? [],
	};
}

/** Removes [start, start+n) from a list of ranges. */
export function subtract(
	ranges: readonly FrameRange[],
	start: number,
	n: number,
): FrameRange[] {
	const end = start + n;
	const left: FrameRange[] = [];
	for (const range of ranges) {
		const last = range.start + range.n;
		if (last <= start || range.start >= end) {
			left.push(range);
			continue;
		}
		if (range.start < start)
			left.push({ start: range.start, n: start - range.start });
		if (last > end) left.push({ start: end, n: last - end });
	}
	return left;
}

/** Do [start, start+n) and the ranges meet? */
export const meets = (
	ranges: readonly FrameRange[],
	start: number,
	n: number,
): boolean =>
	ranges.some(
		(range) => range.start < start + n && start < range.start + range.n,
	);
