/**
 * What caches may hold when memory changes, and what an invalidation drops (facts pagetable §5.2; strict and lazy §5.4).
 */
import type { DomainId, IommuId } from "../vocabulary/ids.ts";
import {
	addLeftover,
	devicesOf,
	dropDevice,
	droppedOf,
	takeOver,
	without,
} from "./leftovers.ts";
import { dropsEntry, NOTHING, reachInto, type Reach } from "./reach.ts";
import { dropWalks, noteFlushed } from "./walk-drops.ts";
import {
	ANY_DEVICE,
	walkerOf,
	meets,
	spacesOf,
	subtract,
	unitOf,
	type FrameRange,
	type Invalidation,
	type Iotlb,
	type Space,
	type Stale,
	type Unit,
} from "./state.ts";
import { note } from "./windows.ts";

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

/** The run [start, start+n) → pa of leaves of `unit` frames (0: not known) is about to vanish from memory by record `seq`. */
export function cleared(
	iotlb: Iotlb,
	dom: DomainId,
	start: number,
	n: number,
	pa: number,
	unit: number,
	at: {
		readonly seq: number;
		readonly op: number;
		readonly t: number;
		readonly queued: boolean;
	},
): void {
	if (iotlb.tables.has(dom)) return;
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
			unit,
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
	seq: number,
): void {
	if (iotlb.tables.has(dom)) return;
	for (const space of spacesOf(iotlb, dom)) {
		if (space.holds && space.live.size === 0 && !space.preexisting)
			space.clean.push({ start, n });
		if (iotlb.hardware.negative && space.live.size > 0)
			space.negative = addLeftover(space.negative, {
				start,
				n,
				pa: -1,
				unit: 0,
				sid: ANY_DEVICE,
				since: seq,
				seq,
				certain: true,
				queued: false,
				unflushedSeq: 0,
			});
	}
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
	if (iotlb.tables.has(dom)) return;
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
	if (command.kind === "devtlb") unit.ats.add(command.sid ?? ANY_DEVICE);
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
	const { hardware } = iotlb;
	const { did, gran, kind } = command;
	if (unit.staleContexts.length > 0 && kind !== "iotlb" && kind !== "devtlb")
		unit.staleContexts = unit.staleContexts.filter(
			(entry) =>
				entry.seq >= command.seq || !dropsEntry(hardware, command, entry),
		);
	if (kind === "context" || kind === "pasid") return;
	// Most commands name one tag of many.
	const isOfOne = gran !== "global" && did !== undefined;
	for (const space of unit.spaces.values()) {
		if (isOfOne && space.did !== did && space.did >= 0) continue;
		const reach = reachInto(hardware, unit, command, space);
		if (reach !== NOTHING) drop(iotlb, space, command, reach, seq, t);
	}
}

/**
 * The last record whose stale entries the command drops: those cleared after it was issued may have been cached again by then — unless
 * nobody reached the tag any more.
 */
const lastDropped = (
	iotlb: Iotlb,
	space: Space,
	command: Invalidation,
): number =>
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

function drop(
	iotlb: Iotlb,
	space: Space,
	command: Invalidation,
	reach: Reach,
	seq: number,
	t: number,
): void {
	if (reach.device !== "none" || command.kind === "walk") {
		dropFromWalks(iotlb, space, command, reach, command.seq, seq);
		if (reach.device !== "none") dropDevice(space, command);
		return;
	}
	const limit = lastDropped(iotlb, space, command);
	dropFromWalks(iotlb, space, command, reach, limit, seq);
	if (reach.leaf !== "none") dropLeaves(iotlb, space, command, limit, seq, t);
	if (reach.walk !== "none" && space.tables.length > 0)
		space.tables = space.tables.filter(
			(table) => table.seq > limit || !holdsAll(command, table),
		);
	if (reach.leaf === "range") {
		if (space.holds && space.live.size === 0 && !space.preexisting)
			space.clean.push({ start: command.start, n: command.n });
	} else if (
		limit === Number.POSITIVE_INFINITY &&
		reach.leaf === "all" &&
		reach.walk === "all"
	) {
		space.holds = false;
		space.clean = [];
	}
}

/** Ranges do not tell which tables lie below an unlinked one: pointers to those go with the whole range only. */
const holdsAll = (command: Invalidation, { start, n }: FrameRange): boolean =>
	command.start <= start && start + n <= command.start + command.n;

/** Stale ranges and negative entries; a command for all of a tag names no range, which is all frames. */
function dropLeaves(
	iotlb: Iotlb,
	space: Space,
	command: Invalidation,
	limit: number,
	seq: number,
	t: number,
): void {
	takeOver(iotlb, space, command, limit);
	const { start, n } = command;
	if (space.negative.length > 0)
		space.negative = without(space.negative, start, n, limit);
	if (space.stale.length === 0) return;
	let gone = false;
	for (const stale of space.stale) {
		if (stale.seq > limit) continue;
		const dropped = droppedOf(iotlb, command, stale);
		if (dropped === undefined || !meets(stale.parts, dropped.start, dropped.n))
			continue;
		const left = subtract(stale.parts, dropped.start, dropped.n);
		if (left.length === 0) gone = true;
		note(iotlb, stale, left, seq, t);
	}
	if (gone) space.stale = space.stale.filter(({ parts }) => parts.length > 0);
}

/** The same for a page table that is logged entry by entry. */
function dropFromWalks(
	iotlb: Iotlb,
	space: Space,
	command: Invalidation,
	reach: Reach,
	limit: number,
	seq: number,
): void {
	const walker = walkerOf(iotlb, space);
	if (walker === undefined) return;
	dropWalks(walker, { command, reach }, limit, seq, () =>
		devicesOf(iotlb, space),
	);
	noteFlushed(walker, { command, reach });
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
