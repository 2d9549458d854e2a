/**
 * What caches may hold when memory changes, and what an invalidation drops (facts pagetable §5.2; strict and lazy §5.4).
 */
import type { DomainId, IommuId } from "../vocabulary/ids.ts";
import {
	DROPPED_MAX,
	meets,
	spacesOf,
	subtract,
	unitOf,
	WINDOW_DOMAINS_MAX,
	type FrameRange,
	type Invalidation,
	type Iotlb,
	type Space,
	type Stale,
	type Unit,
	type WindowSum,
} from "./state.ts";

/** More stale ranges than this in one tag are merged into one that covers them all (a log without any flush). */
const STALE_MAX = 4096;

/** May anything of this domain be cached? */
export function mayHold(iotlb: Iotlb, dom: DomainId): boolean {
	if (!iotlb.armed) return false;
	for (const space of spacesOf(iotlb, dom))
		if (space.holds || space.setting.size > 0) return true;
	return false;
}

/** Was the domain reachable for certain? Of one that was alive before the log only its use in the log tells. */
const isCertain = (space: Space): boolean =>
	space.preexisting
		? space.live.size > 0 || space.tagRefs > 0 || space.used
		: space.holds;

/** The run [start, start+n) → pa is about to vanish from memory by record `seq`. */
export function cleared(
	iotlb: Iotlb,
	dom: DomainId,
	start: number,
	n: number,
	pa: number,
	at: {
		readonly seq: number;
		readonly op: number;
		readonly t: number;
		readonly queued: boolean;
	},
): void {
	for (const space of spacesOf(iotlb, dom)) {
		if (!space.holds && space.setting.size === 0) continue;
		const certain = isCertain(space);
		let parts: readonly FrameRange[] = [{ start, n }];
		if (space.live.size === 0 && !space.preexisting)
			for (const clean of space.clean)
				parts = subtract(parts, clean.start, clean.n);
		if (parts.length === 0) continue;
		const stale: Stale = {
			id: iotlb.nextStale++,
			iommu: space.iommu,
			did: space.did,
			dom,
			start,
			n,
			pa,
			parts,
			seq: at.seq,
			op: at.op,
			t: at.t,
			certain,
			queued: at.queued,
			unflushedSeq: 0,
			unflushedT: 0,
		};
		space.stale.push(stale);
		if (space.stale.length > STALE_MAX) thin(space);
		const windows = iotlb.windows;
		windows.frames += n;
		if (windows.frames > windows.framesMax) windows.framesMax = windows.frames;
	}
}

/** The flush of [start, start+n) is left to the flush queue. */
export function leftToQueue(
	iotlb: Iotlb,
	dom: DomainId,
	start: number,
	n: number,
): void {
	for (const space of spacesOf(iotlb, dom))
		for (let at = space.stale.length - 1; at >= 0; at--) {
			const stale = space.stale[at] as Stale;
			if (stale.start === start && stale.n === n && !stale.queued) {
				stale.queued = true;
				break;
			}
			if (!stale.queued && meets(stale.parts, start, n)) stale.queued = true;
		}
}

/** Keeps the newest half and those already reported: a log without flushes must not grow without bound. */
function thin(space: Space): void {
	const half = space.stale.length >> 1;
	space.stale = space.stale.filter(
		(stale, i) => i >= half || stale.certain === false,
	);
}

/** Memory now translates [start, start+n): what is not reachable cannot cache it. */
export function mapped(
	iotlb: Iotlb,
	dom: DomainId,
	start: number,
	n: number,
): void {
	for (const space of spacesOf(iotlb, dom))
		if (space.holds && space.live.size === 0 && !space.preexisting)
			space.clean.push({ start, n });
}

/** A table that covers [start, start+n) left the tree. */
export function tableUnlinked(
	iotlb: Iotlb,
	dom: DomainId,
	table: number,
	start: number,
	n: number,
	seq: number,
	why: "unlinked" | "superseded",
): void {
	for (const space of spacesOf(iotlb, dom))
		if (space.holds || space.setting.size > 0)
			space.tables.push({ table, dom, start, n, seq, why });
}

/** A command was queued. */
export function issue(
	iotlb: Iotlb,
	iommu: IommuId,
	command: Invalidation,
): void {
	iotlb.armed = true;
	const unit = unitOf(iotlb, iommu);
	unit.issued++;
	unit.pending.push(command);
}

/** All commands up to `inv` have completed. */
export function complete(
	iotlb: Iotlb,
	iommu: IommuId,
	inv: number,
	seq: number,
	t: number,
): void {
	const unit = unitOf(iotlb, iommu);
	const { pending } = unit;
	let done = 0;
	for (; done < pending.length; done++) {
		const command = pending[done] as Invalidation;
		if (command.inv > inv) break;
		unit.completed++;
		apply(iotlb, unit, command, seq, t);
	}
	if (done === pending.length) pending.length = 0;
	else pending.splice(0, done);
}

function apply(
	iotlb: Iotlb,
	unit: Unit,
	command: Invalidation,
	seq: number,
	t: number,
): void {
	switch (command.kind) {
		case "iotlb":
		case "piotlb":
			if (command.gran === "global") {
				for (const space of unit.spaces.values())
					dropAll(iotlb, space, command, seq, t);
				return;
			}
			for (const space of unit.spaces.values()) {
				// A tag that the log never named (below 0) is matched by any command of the same operation.
				if (
					space.did !== command.did &&
					!(space.did < 0 && unknownTag(unit, command))
				)
					continue;
				if (command.gran === "domain" || command.gran === "pasid")
					dropAll(iotlb, space, command, seq, t);
				else dropRange(iotlb, space, command, seq, t);
			}
			return;
		case "context":
		case "pasid":
			unit.staleContexts = unit.staleContexts.filter(
				(entry) =>
					entry.seq >= command.seq ||
					!coversContext(command, entry.sid, entry.space.did),
			);
			return;
		default:
	}
}

const unknownTag = (unit: Unit, command: Invalidation): boolean =>
	command.did === undefined || !unit.spaces.has(command.did);

const coversContext = (
	command: Invalidation,
	sid: number,
	did: number,
): boolean =>
	command.gran === "global" ||
	(command.gran === "domain" || command.kind === "pasid"
		? command.did === undefined || command.did === did
		: command.sid === undefined || command.sid === sid);

/**
 * The last record whose stale entries the command drops: those cleared after it was issued may have been cached again by then — unless
 * nobody reached the tag any more.
 */
const reach = (iotlb: Iotlb, space: Space, command: Invalidation): number =>
	!space.preexisting &&
	(space.live.size === 0 || untagged(iotlb, space, command.seq)) &&
	space.setting.size === 0 &&
	space.changedSeq < command.seq
		? Number.POSITIVE_INFINITY
		: command.seq;

/** Where entries are not logged: without tags nothing is attached, VT-d removes them before it clears the entry and flushes. */
const untagged = (iotlb: Iotlb, space: Space, before: number): boolean =>
	!iotlb.entries &&
	space.tagRefs === 0 &&
	space.tagSeq > 0 &&
	space.tagSeq < before;

function dropAll(
	iotlb: Iotlb,
	space: Space,
	command: Invalidation,
	seq: number,
	t: number,
): void {
	const limit = reach(iotlb, space, command);
	if (space.stale.length > 0)
		space.stale = space.stale.filter(
			(stale) => stale.seq > limit || !note(iotlb, stale, [], seq, t),
		);
	if (space.tables.length > 0)
		space.tables = space.tables.filter((table) => table.seq > limit);
	if (limit === Number.POSITIVE_INFINITY) {
		space.holds = false;
		space.clean = [];
	}
}

function dropRange(
	iotlb: Iotlb,
	space: Space,
	command: Invalidation,
	seq: number,
	t: number,
): void {
	const { start, n } = command;
	const limit = reach(iotlb, space, command);
	if (space.stale.length > 0) {
		let gone = false;
		for (const stale of space.stale) {
			if (stale.seq > limit || !meets(stale.parts, start, n)) continue;
			const left = subtract(stale.parts, start, n);
			if (left.length === 0) gone = true;
			note(iotlb, stale, left, seq, t);
		}
		if (gone)
			space.stale = space.stale.filter((stale) => stale.parts.length > 0);
	}
	if (!command.leafOnly && space.tables.length > 0)
		space.tables = space.tables.filter(
			(table) =>
				table.seq > limit ||
				table.start < start ||
				table.start + table.n > start + n,
		);
	if (space.holds && space.live.size === 0 && !space.preexisting)
		space.clean.push({ start, n });
}

/** Where the windows of a stale range's kind and domain are counted. */
function windowSum(iotlb: Iotlb, stale: Stale): WindowSum | undefined {
	const { byDomain } = iotlb.windows;
	let found = byDomain.get(stale.dom);
	if (found === undefined) {
		if (byDomain.size >= WINDOW_DOMAINS_MAX) return undefined;
		const none = (): WindowSum => ({ count: 0, longestNs: 0, frames: 0 });
		found = { strict: none(), lazy: none() };
		byDomain.set(stale.dom, found);
	}
	return stale.queued ? found.lazy : found.strict;
}

/** What is left of a stale range after a flush; keeps the statistics. Always true. */
function note(
	iotlb: Iotlb,
	stale: Stale,
	left: readonly FrameRange[],
	seq: number,
	t: number,
): true {
	const windows = iotlb.windows;
	let frames = 0;
	for (const part of stale.parts) frames += part.n;
	for (const part of left) frames -= part.n;
	windows.frames -= frames;
	windows.count++;
	const ns = t - stale.t;
	const sum = windowSum(iotlb, stale);
	if (sum !== undefined) {
		sum.count++;
		sum.frames += frames;
		if (ns > sum.longestNs) sum.longestNs = ns;
	}
	if (ns > windows.longestNs || windows.longest === null) {
		windows.longestNs = ns;
		windows.longest = {
			dom: stale.dom,
			start: stale.start,
			n: stale.n,
			fromSeq: stale.seq,
			toSeq: seq,
		};
	}
	iotlb.dropped.push({ stale, t });
	if (iotlb.dropped.length > DROPPED_MAX) iotlb.dropped.shift();
	stale.parts = left;
	return true;
}

const EMPTY: readonly Stale[] = [];
/** Stale ranges of a domain that meet [start, start+n) and for which `wanted` holds. */
export function staleIn(
	iotlb: Iotlb,
	dom: DomainId,
	start: number,
	n: number,
	wanted: (stale: Stale) => boolean,
): readonly Stale[] {
	let found: Stale[] | undefined;
	for (const space of spacesOf(iotlb, dom))
		for (const stale of space.stale)
			if (meets(stale.parts, start, n) && wanted(stale))
				(found ??= []).push(stale);
	return found ?? EMPTY;
}
