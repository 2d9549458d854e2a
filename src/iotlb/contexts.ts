/** Who reaches a tag: context entries, PASID entries, and where none are logged the devices themselves (facts pagetable §5). */
import type { DeviceId, DomainId, IommuId } from "../vocabulary/ids.ts";
import {
	contextKey,
	spaceAt,
	spacesOf,
	unitOf,
	type ContextEntry,
	type Iotlb,
	type Space,
	type Unit,
} from "./state.ts";
import { assignDid, newSpace } from "./tags.ts";

/** The unit an entry belongs to when the record does not name one: where the requester's entry or the domain's tag is, else the first. */
function unitFor(iotlb: Iotlb, facts: EntryFacts): Unit {
	if (facts.iommu !== undefined) return unitOf(iotlb, facts.iommu);
	const key = contextKey(facts.sid, facts.pasid);
	for (const unit of iotlb.units.values())
		if (unit.contexts.has(key)) return unit;
	const space =
		facts.dom === undefined ? undefined : iotlb.byDomain.get(facts.dom)?.[0];
	if (space !== undefined) return unitOf(iotlb, space.iommu);
	const first = iotlb.units.values().next();
	return first.done === true ? unitOf(iotlb, "iommu:dmar0") : first.value;
}

/** The tag of a domain and a PASID on a unit; one with an id below 0 where the log has not told it yet. */
function spaceFor(
	iotlb: Iotlb,
	unit: Unit,
	facts: EntryFacts,
	dom: DomainId,
): Space {
	const { did, pasid, seq, preexisting } = facts;
	if (did !== undefined)
		assignDid(iotlb, { iommu: unit.id, did, dom, seq, preexisting });
	for (const space of spacesOf(iotlb, dom))
		if (
			space.dom === dom &&
			space.iommu === unit.id &&
			space.pasid === pasid &&
			(did === undefined ? !space.released : space.did === did)
		)
			return space;
	const key = unit.nextKey--;
	// The id of the requests without PASID, where that was told already.
	const known = spacesOf(iotlb, dom).find(
		(space) =>
			space.dom === dom &&
			space.iommu === unit.id &&
			space.did >= 0 &&
			!space.released,
	);
	return newSpace(iotlb, unit, {
		key,
		did: did ?? known?.did ?? key,
		pasid,
		dom,
		seq,
		preexisting,
	});
}

/** Context entries are logged: device names no longer stand for them. */
function useEntries(iotlb: Iotlb): void {
	iotlb.armed = true;
	if (iotlb.entries) return;
	iotlb.entries = true;
	for (const unit of iotlb.units.values())
		for (const space of unit.spaces.values())
			for (const key of space.live.keys())
				if (typeof key === "string") space.live.delete(key);
}

function leave(
	unit: Unit,
	{ sid, pasid, seq }: EntryFacts,
): ContextEntry | undefined {
	const key = contextKey(sid, pasid);
	const old = unit.contexts.get(key);
	if (old === undefined) return undefined;
	unit.contexts.delete(key);
	if (old.space.live.delete(sid)) old.space.changedSeq = seq;
	return old;
}

/** Fields of the context-entry records. */
export interface EntryFacts {
	readonly iommu: IommuId | undefined;
	readonly sid: number;
	/** 0: of requests without PASID. */
	readonly pasid: number;
	readonly dom: DomainId | undefined;
	readonly did: number | undefined;
	readonly dev: DeviceId | undefined;
	readonly seq: number;
	readonly preexisting: boolean;
}

/** An entry is being written: hardware may see it from now on, or not yet. */
export function entrySetting(iotlb: Iotlb, facts: EntryFacts): void {
	useEntries(iotlb);
	if (facts.dom === undefined) return;
	spaceFor(iotlb, unitFor(iotlb, facts), facts, facts.dom).setting.set(
		facts.sid,
		facts.seq,
	);
}

/** An entry is live. Returns the tag it points to. */
export function entrySet(iotlb: Iotlb, facts: EntryFacts): Space | undefined {
	useEntries(iotlb);
	if (facts.dom === undefined) return undefined;
	const unit = unitFor(iotlb, facts);
	const space = spaceFor(iotlb, unit, facts, facts.dom);
	leave(unit, facts);
	unit.contexts.set(contextKey(facts.sid, facts.pasid), {
		sid: facts.sid,
		pasid: facts.pasid,
		dom: facts.dom,
		space,
		seq: facts.seq,
		setSeq: facts.seq,
		dev: facts.dev,
	});
	space.setting.delete(facts.sid);
	space.live.set(facts.sid, facts.seq);
	space.clean = [];
	space.changedSeq = facts.seq;
	if (!space.holds) space.holdsSeq = facts.seq;
	space.holds = true;
	return space;
}

/** An entry was cleared. The context cache and the IOTLB may hold what they held. Returns what it pointed to. */
export function entryCleared(
	iotlb: Iotlb,
	facts: EntryFacts,
): Space | undefined {
	useEntries(iotlb);
	iotlb.clearings = true;
	const unit = unitFor(iotlb, facts);
	for (const space of unit.spaces.values())
		if (space.pasid === facts.pasid) space.setting.delete(facts.sid);
	const old = leave(unit, facts);
	if (old === undefined) return undefined;
	unit.staleContexts.push({ ...old, seq: facts.seq });
	if (old.space.live.size === 0) old.space.clean = [];
	return old.space;
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
			if (space.dom !== dom && space.pasid === 0 && space.live.delete(dev)) {
				space.changedSeq = seq;
				if (space.live.size === 0) space.clean = [];
			}
	for (const space of spacesOf(iotlb, dom)) {
		if (space.dom !== dom || space.pasid !== 0) continue;
		space.live.set(dev, seq);
		space.changedSeq = seq;
		if (!space.holds) space.holdsSeq = seq;
		space.holds = true;
	}
}

/** The tag that a requester's entry points to, by what a witness tells; the one without a name when its id was not told yet. */
export function spaceOfRequester(
	iotlb: Iotlb,
	iommu: IommuId,
	sid: number,
	did: number,
	pasid: number,
): Space | undefined {
	const unit = iotlb.units.get(iommu);
	const entry = unit?.contexts.get(contextKey(sid, pasid));
	// A nested domain may go by its parent's id.
	if (entry?.space.did === did && entry.space.stage2 !== undefined)
		return entry.space;
	const named = spaceAt(unit, did, pasid);
	if (unit === undefined || (named !== undefined && !named.released))
		return named;
	const space =
		entry?.space ??
		[...unit.spaces.values()].find(
			(other) =>
				other.did < 0 && other.pasid === pasid && other.setting.has(sid),
		);
	if (space === undefined || space.did >= 0) return named;
	// The id stays unnamed until its own record comes: another domain may still hold the name here.
	return space;
}
