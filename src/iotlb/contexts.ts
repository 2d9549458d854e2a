/**
 * Which domain a tag stands for and who reaches it: domain ids, cache tags, context entries (trace-formats.md §6, facts pagetable §5).
 */
import type { DeviceId, DomainId, IommuId } from "../vocabulary/ids.ts";
import {
	unitOf,
	type ContextEntry,
	type Iotlb,
	type Space,
	type Unit,
} from "./state.ts";

function link(iotlb: Iotlb, space: Space): void {
	const list = iotlb.byDomain.get(space.dom);
	if (list === undefined) iotlb.byDomain.set(space.dom, [space]);
	else if (!list.includes(space))
		iotlb.byDomain.set(space.dom, [...list, space]);
}

function unlink(iotlb: Iotlb, space: Space): void {
	const list = iotlb.byDomain
		.get(space.dom)
		?.filter((other) => other !== space);
	if (list === undefined || list.length === 0) iotlb.byDomain.delete(space.dom);
	else iotlb.byDomain.set(space.dom, list);
}

/** Does this tag hold anything that a new owner of it could meet? */
export const residueOf = (space: Space): boolean =>
	space.holds || space.stale.length > 0 || space.tables.length > 0;

/**
 * A domain id was given to a domain. Returns the tag's former domain when entries of it may still be cached (PT-53), else undefined.
 */
export function assignDid(
	iotlb: Iotlb,
	iommu: IommuId,
	did: number,
	dom: DomainId,
	seq: number,
): DomainId | undefined {
	iotlb.armed = true;
	const unit = unitOf(iotlb, iommu);
	const old = unit.spaces.get(did);
	if (old !== undefined && old.dom === dom) return undefined;
	let left: DomainId | undefined;
	if (old !== undefined) {
		if (residueOf(old)) left = old.dom;
		unlink(iotlb, old);
		for (const stale of old.stale)
			iotlb.windows.frames -= framesLeft(stale.parts);
	}
	const space: Space = {
		iommu,
		did,
		dom,
		live: new Map(),
		setting: new Map(),
		holds: false,
		changedSeq: seq,
		stale: [],
		tables: [],
		clean: [],
		tagRefs: 0,
		tagSeq: 0,
	};
	unit.spaces.set(did, space);
	link(iotlb, space);
	return left;
}

const framesLeft = (parts: readonly { readonly n: number }[]): number =>
	parts.reduce((sum, part) => sum + part.n, 0);

/** The tag (iommu, did), given to `dom` when it was not known before. */
function spaceFor(
	iotlb: Iotlb,
	unit: Unit,
	did: number,
	dom: DomainId,
	seq: number,
): Space {
	const space = unit.spaces.get(did);
	if (space !== undefined && space.dom === dom) return space;
	assignDid(iotlb, unit.id, did, dom, seq);
	return unit.spaces.get(did) as Space;
}

/** A cache tag came (+1) or went (-1). `ref` is the count after, when the record tells. Returns the space, or undefined when unknown. */
export function changeTag(
	iotlb: Iotlb,
	iommu: IommuId,
	did: number,
	dom: DomainId | undefined,
	delta: 1 | -1,
	ref: number | undefined,
	seq: number,
): Space | undefined {
	iotlb.armed = true;
	const unit = unitOf(iotlb, iommu);
	const space =
		dom === undefined
			? unit.spaces.get(did)
			: spaceFor(iotlb, unit, did, dom, seq);
	if (space === undefined) return undefined;
	space.tagRefs = Math.max(0, ref ?? space.tagRefs + delta);
	space.tagSeq = seq;
	return space;
}

/** The units an entry belongs to when the record does not name one: the domain's, else the only one, else "dmar0". */
function unitsFor(
	iotlb: Iotlb,
	iommu: IommuId | undefined,
	dom: DomainId | undefined,
): Unit[] {
	if (iommu !== undefined) return [unitOf(iotlb, iommu)];
	const spaces = dom === undefined ? undefined : iotlb.byDomain.get(dom);
	if (spaces !== undefined && spaces[0] !== undefined)
		return [unitOf(iotlb, spaces[0].iommu)];
	if (iotlb.units.size >= 1) return [[...iotlb.units.values()][0] as Unit];
	return [unitOf(iotlb, "iommu:dmar0")];
}

/** The did of a domain on a unit; a number below 0 where the log does not tell it (no invalidation will match it by tag). */
function didFor(
	iotlb: Iotlb,
	unit: Unit,
	dom: DomainId,
	did: number | undefined,
): number {
	if (did !== undefined) return did;
	for (const space of iotlb.byDomain.get(dom) ?? [])
		if (space.iommu === unit.id) return space.did;
	return -1 - iotlb.byDomain.size;
}

/** Context entries are logged: device names no longer stand for them. */
function useEntries(iotlb: Iotlb): void {
	if (iotlb.entries) return;
	iotlb.entries = true;
	for (const unit of iotlb.units.values())
		for (const space of unit.spaces.values())
			for (const key of space.live.keys())
				if (typeof key === "string") space.live.delete(key);
}

function leave(unit: Unit, sid: number, seq: number): ContextEntry | undefined {
	const old = unit.contexts.get(sid);
	if (old === undefined) return undefined;
	unit.contexts.delete(sid);
	const space = unit.spaces.get(old.did);
	if (space !== undefined && space.live.delete(sid)) space.changedSeq = seq;
	return old;
}

/** Fields of the context-entry records. */
export interface EntryFacts {
	readonly iommu: IommuId | undefined;
	readonly sid: number;
	readonly dom: DomainId | undefined;
	readonly did: number | undefined;
	readonly dev: DeviceId | undefined;
	readonly seq: number;
}

/** An entry is being written: hardware may see it from now on, or not yet. */
export function entrySetting(iotlb: Iotlb, facts: EntryFacts): void {
	iotlb.armed = true;
	useEntries(iotlb);
	if (facts.dom === undefined) return;
	for (const unit of unitsFor(iotlb, facts.iommu, facts.dom)) {
		const space = spaceFor(
			iotlb,
			unit,
			didFor(iotlb, unit, facts.dom, facts.did),
			facts.dom,
			facts.seq,
		);
		space.setting.set(facts.sid, facts.seq);
	}
}

/** An entry is live. Returns the tag it points to. */
export function entrySet(iotlb: Iotlb, facts: EntryFacts): Space | undefined {
	iotlb.armed = true;
	useEntries(iotlb);
	if (facts.dom === undefined) return undefined;
	const [unit] = unitsFor(iotlb, facts.iommu, facts.dom) as [Unit];
	const did = didFor(iotlb, unit, facts.dom, facts.did);
	const space = spaceFor(iotlb, unit, did, facts.dom, facts.seq);
	leave(unit, facts.sid, facts.seq);
	unit.contexts.set(facts.sid, {
		sid: facts.sid,
		dom: facts.dom,
		did,
		seq: facts.seq,
		dev: facts.dev,
	});
	space.setting.delete(facts.sid);
	if (space.live.size === 0 && !space.holds) space.clean = [];
	space.live.set(facts.sid, facts.seq);
	space.changedSeq = facts.seq;
	space.holds = true;
	return space;
}

/** An entry was cleared. The context cache and the IOTLB may hold what they held. Returns what it pointed to. */
export function entryCleared(
	iotlb: Iotlb,
	facts: EntryFacts,
): Space | undefined {
	iotlb.armed = true;
	useEntries(iotlb);
	for (const unit of unitsFor(iotlb, facts.iommu, facts.dom)) {
		for (const space of unit.spaces.values()) space.setting.delete(facts.sid);
		const old = leave(unit, facts.sid, facts.seq);
		if (old === undefined) continue;
		unit.staleContexts.push({ ...old, seq: facts.seq });
		const space = unit.spaces.get(old.did);
		if (space !== undefined && space.live.size === 0) space.clean = [];
		return space;
	}
	return undefined;
}

/** Where no context entries are logged: the device's hardware now uses `dom`. */
export function deviceMoved(
	iotlb: Iotlb,
	dev: DeviceId,
	dom: DomainId,
	seq: number,
): void {
	if (!iotlb.armed || iotlb.entries) return;
	for (const unit of iotlb.units.values())
		for (const space of unit.spaces.values())
			if (space.dom !== dom && space.live.delete(dev)) {
				space.changedSeq = seq;
				if (space.live.size === 0) space.clean = [];
			}
	for (const space of iotlb.byDomain.get(dom) ?? []) {
		space.live.set(dev, seq);
		space.changedSeq = seq;
		space.holds = true;
	}
}

/** The domain died: its tags are free for others. Returns those that may still hold entries (PT-43). */
export function domainGone(iotlb: Iotlb, dom: DomainId): Space[] {
	return (iotlb.byDomain.get(dom) ?? []).filter(
		(space) => space.holds || space.live.size > 0,
	);
}
