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
import { NOTHING, reachInto } from "./reach.ts";
import type { Tables } from "./tables.ts";
import type { Walker, Walks } from "./walks.ts";

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
	/** Frames of one leaf of it, of which it holds whole ones; 0 = not known. */
	readonly unit: number;
}
/** Frames of a range that a device's own TLB may still translate, or that may be cached as "not present". */
export interface Leftover {
	readonly start: number;
	readonly n: number;
	readonly pa: number;
	/** Frames of one entry; 0 = not known. */
	readonly unit: number;
	/** The device that holds it; ANY_DEVICE where commands do not name devices. */
	readonly sid: number;
	/** Record that took it out of memory / put it in. */
	readonly since: number;
	/** Record at which it could last have been filled. */
	readonly seq: number;
	/** As of the stale range that it was taken over from. */
	readonly certain: boolean;
	readonly queued: boolean;
	/** seq of the iotlb.synced that claimed it flushed; 0 = none so far. */
	unflushedSeq: number;
}
/** Stands for every device in the place of a requester id. */
export const ANY_DEVICE = -1;
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
/**
 * One tag: (IOMMU unit, domain id, PASID). Requests without a PASID are those of PASID 0 (IOMMU_NO_PASID): VT-d, SMMUv3 and AMD-Vi all
 * keep the requester's own table in the first place of its PASID table.
 *
 * A nested domain has tags of its own. What they hold are the combined results of a first stage, which is the guest's and in no log, and of
 * its parent's table: everything in such a tag is told by the address that the second stage translates.
 */
export interface Space {
	readonly iommu: IommuId;
	/** Its place in Unit.spaces: the domain id, for the requests without PASID of the domain that holds it; else a number below 0. */
	key: number;
	/** Below 0 while the log has not told it: VT-d writes the context entry before the first trace of the id. */
	did: number;
	readonly pasid: number;
	readonly dom: DomainId;
	/** Of a nested domain: the domain whose table is its second stage. */
	stage2: DomainId | undefined;
	/** Its table is a second stage: commands for first stages reach none of it. */
	isParent: boolean;
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
	/** 0: of requests without PASID. */
	readonly pasid: number;
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
	readonly pasid: number | undefined;
	/** 1: first-stage and combined entries only; 2: second-stage ones only. */
	readonly stage: number | undefined;
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
	/** The next key of a tag that has no domain id for itself. */
	nextKey: number;
	pending: Invalidation[];
	/** By requester, of requests without PASID; those of PASIDs by contextKey. */
	contexts: Map<number, ContextEntry>;
	staleContexts: ContextEntry[];
	/** Commands issued / completed in the log. */
	issued: number;
	completed: number;
	/** Requesters that device-TLB commands were sent to (ANY_DEVICE: to none by name): ATS is on there. */
	ats: Set<number>;
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
	/** Tags whose entries come from a domain's table: its own, and those of the domains nested on it. */
	byDomain: Map<DomainId, Space[]>;
	/** Nested domains and their parents. */
	nested: Map<DomainId, DomainId>;
	/** Domains that others may be nested on. */
	parents: Set<DomainId>;
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
	nested: new Map(),
	parents: new Set(),
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

/** The unit, made when it is named for the first time. */
export function unitOf(iotlb: Iotlb, id: IommuId): Unit {
	let unit = iotlb.units.get(id);
	if (unit === undefined) {
		unit = {
			id,
			spaces: new Map(),
			nextKey: -1,
			pending: [],
			contexts: new Map(),
			staleContexts: [],
			issued: 0,
			completed: 0,
			ats: new Set(),
		};
		iotlb.units.set(id, unit);
	}
	return unit;
}

const NONE: readonly Space[] = [];
/** The tags whose entries come from a domain's table. */
export const spacesOf = (iotlb: Iotlb, dom: DomainId): readonly Space[] =>
	iotlb.byDomain.get(dom) ?? NONE;

/** Every tag. */
export const allSpaces = (iotlb: Iotlb): Space[] =>
	[...iotlb.units.values()].flatMap(({ spaces }) => [...spaces.values()]);

/** The tag of a domain id and a PASID: of the domain that holds the id, not of one nested on it. */
export function spaceAt(
	unit: Unit | undefined,
	did: number,
	pasid: number,
): Space | undefined {
	const owner = unit?.spaces.get(did);
	if (unit === undefined || owner === undefined || pasid === 0) return owner;
	for (const space of unit.spaces.values())
		if (space.did === did && space.pasid === pasid && space.dom === owner.dom)
			return space;
	return undefined;
}

/** Where the entry of a requester and a PASID is kept. */
export const contextKey = (sid: number, pasid: number): number =>
	sid + pasid * 2 ** 32;

/** The walks of a tag, when its page table is logged entry by entry. */
export function walkerOf(iotlb: Iotlb, space: Space): Walker | undefined {
	if (iotlb.tables.size === 0) return undefined;
	const tables = iotlb.tables.get(space.stage2 ?? space.dom);
	if (tables === undefined) return undefined;
	space.walks ??= { entries: new Map() };
	const unit = iotlb.units.get(space.iommu);
	const pending: Walker["pending"][number][] = [];
	if (unit !== undefined)
		for (const command of unit.pending) {
			const reach = reachInto(iotlb.hardware, unit, command, space);
			if (reach !== NOTHING) pending.push({ command, reach });
		}
	return {
		tables,
		walks: space.walks,
		hardware: iotlb.hardware,
		reaches: space.holds || space.setting.size > 0,
		pending,
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
