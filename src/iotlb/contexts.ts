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
	iotlb.byDomain.set(space.dom, [
		...(iotlb.byDomain.get(space.dom) ?? []),
		space,
	]);
}

function unlink(iotlb: Iotlb, space: Space): void {
	const list = iotlb.byDomain
		.get(space.dom)
		?.filter((other) => other !== space);
	if (list === undefined || list.length === 0) iotlb.byDomain.delete(space.dom);
	else iotlb.byDomain.set(space.dom, list);
}

/** Does this tag hold anything that a new owner of it could meet? Of a domain that was alive before the log that is not known. */
const residueOf = (space: Space): boolean =>
	!space.preexisting &&
	(space.holds ||
		space.stale.length > 0 ||
		space.tables.length > 0 ||
		space.device.length > 0 ||
		(space.walks !== null && space.walks.entries.size > 0));

/** Gives up a tag; returns its domain when entries of it may still be cached. */
function retire(iotlb: Iotlb, space: Space): DomainId | undefined {
	unlink(iotlb, space);
	for (const stale of space.stale)
		for (const part of stale.parts) iotlb.windows.frames -= part.n;
	// Where entries are not logged, or never seen to go, the log does not tell when the tag was left.
	if (!iotlb.entries || !iotlb.clearings) return undefined;
	return residueOf(space) ? space.dom : undefined;
}

/** Facts about a tag that a record tells. */
export interface TagFacts {
	readonly iommu: IommuId;
	readonly did: number;
	readonly dom: DomainId;
	readonly seq: number;
	/** The domain was alive before the log. */
	readonly preexisting: boolean;
}

/** A tag whose id the log had not told gets it; what it may hold stays. */
function nameSpace(unit: Unit, space: Space, did: number): void {
	unit.spaces.delete(space.did);
	space.did = did;
	for (const stale of space.stale) stale.did = did;
	unit.spaces.set(did, space);
}

/** The domain got the id it had before: what the nameless tag gathered meanwhile belongs to the old one. */
function merge(iotlb: Iotlb, unit: Unit, from: Space, into: Space): void {
	unlink(iotlb, from);
	unit.spaces.delete(from.did);
	for (const entry of [...unit.contexts.values(), ...unit.staleContexts])
		if (entry.space === from) entry.space = into;
	for (const [sid, seq] of from.live) into.live.set(sid, seq);
	for (const [sid, seq] of from.setting) into.setting.set(sid, seq);
	for (const stale of from.stale) stale.did = into.did;
	into.stale.push(...from.stale);
	into.tables.push(...from.tables);
	if (from.holds && !into.holds) into.holdsSeq = from.holdsSeq;
	into.holds ||= from.holds;
	into.clean = [];
	into.changedSeq = Math.max(into.changedSeq, from.changedSeq);
}

/**
 * A domain id was given to a domain. Returns the tag's former domain when entries of it may still be cached (PT-53), else undefined.
 */
export function assignDid(iotlb: Iotlb, facts: TagFacts): DomainId | undefined {
	iotlb.armed = true;
	const unit = unitOf(iotlb, facts.iommu);
	const old = unit.spaces.get(facts.did);
	const nameless = iotlb.byDomain
		.get(facts.dom)
		?.find((space) => space.iommu === unit.id && space.did < 0);
	if (old !== undefined && old.dom === facts.dom) {
		old.released = false;
		if (nameless !== undefined) merge(iotlb, unit, nameless, old);
		return undefined;
	}
	const left = old === undefined ? undefined : retire(iotlb, old);
	if (nameless !== undefined) nameSpace(unit, nameless, facts.did);
	else
		newSpace(iotlb, unit, facts.did, facts.dom, facts.seq, facts.preexisting);
	return left;
}

function newSpace(
	iotlb: Iotlb,
	unit: Unit,
	did: number,
	dom: DomainId,
	seq: number,
	preexisting: boolean,
): Space {
	const space: Space = {
		iommu: unit.id,
		did,
		dom,
		preexisting,
		used: false,
		released: false,
		live: new Map(),
		setting: new Map(),
		holds: preexisting,
		holdsSeq: 0,
		changedSeq: seq,
		stale: [],
		tables: [],
		clean: [],
		tagRefs: 0,
		tagSeq: 0,
		device: [],
		negative: [],
		walks: null,
	};
	unit.spaces.set(did, space);
	link(iotlb, space);
	return space;
}

/** The domain id was given back. What is cached under it stays until it is invalidated. */
export function releaseDid(iotlb: Iotlb, iommu: IommuId, did: number): void {
	const space = iotlb.units.get(iommu)?.spaces.get(did);
	if (space !== undefined) space.released = true;
}

/** A cache tag came (+1) or went (-1). `ref` is the count after, when the record tells. Returns the space, or undefined when unknown. */
export function changeTag(
	iotlb: Iotlb,
	facts: Omit<TagFacts, "dom"> & { readonly dom: DomainId | undefined },
	delta: 1 | -1,
	ref: number | undefined,
): Space | undefined {
	iotlb.armed = true;
	const unit = unitOf(iotlb, facts.iommu);
	if (facts.dom !== undefined) assignDid(iotlb, { ...facts, dom: facts.dom });
	const space = unit.spaces.get(facts.did);
	if (space === undefined) return undefined;
	space.tagRefs = Math.max(0, ref ?? space.tagRefs + delta);
	space.tagSeq = facts.seq;
	// The kernel's own count says that nothing is attached any more: from here on the log knows all who reach it.
	if (ref === 0 && delta === -1) space.preexisting = false;
	return space;
}

/** A flush reached a tag of the domain: the domain is attached somewhere. */
export function tagWalked(iotlb: Iotlb, iommu: IommuId, did: number): void {
	iotlb.armed = true;
	const space = iotlb.units.get(iommu)?.spaces.get(did);
	if (space !== undefined) space.used = true;
}

/** The unit an entry belongs to when the record does not name one: where the requester's entry or the domain's tag is, else the first. */
function unitFor(iotlb: Iotlb, facts: EntryFacts): Unit {
	if (facts.iommu !== undefined) return unitOf(iotlb, facts.iommu);
	for (const unit of iotlb.units.values())
		if (unit.contexts.has(facts.sid)) return unit;
	const space =
		facts.dom === undefined ? undefined : iotlb.byDomain.get(facts.dom)?.[0];
	if (space !== undefined) return unitOf(iotlb, space.iommu);
	const first = iotlb.units.values().next();
	return first.done === true ? unitOf(iotlb, "iommu:dmar0") : first.value;
}

/** The tag of a domain on a unit; one with an id below 0 where the log has not told it yet. */
function spaceFor(
	iotlb: Iotlb,
	unit: Unit,
	facts: EntryFacts,
	dom: DomainId,
): Space {
	if (facts.did !== undefined) {
		assignDid(iotlb, {
			iommu: unit.id,
			did: facts.did,
			dom,
			seq: facts.seq,
			preexisting: facts.preexisting,
		});
		return unit.spaces.get(facts.did) as Space;
	}
	const known = iotlb.byDomain
		.get(dom)
		?.find((space) => space.iommu === unit.id && !space.released);
	return (
		known ??
		newSpace(
			iotlb,
			unit,
			Math.min(0, ...unit.spaces.keys()) - 1,
			dom,
			facts.seq,
			facts.preexisting,
		)
	);
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

function leave(unit: Unit, sid: number, seq: number): ContextEntry | undefined {
	const old = unit.contexts.get(sid);
	if (old === undefined) return undefined;
	unit.contexts.delete(sid);
	if (old.space.live.delete(sid)) old.space.changedSeq = seq;
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
	leave(unit, facts.sid, facts.seq);
	unit.contexts.set(facts.sid, {
		sid: facts.sid,
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
	for (const space of unit.spaces.values()) space.setting.delete(facts.sid);
	const old = leave(unit, facts.sid, facts.seq);
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
			if (space.dom !== dom && space.live.delete(dev)) {
				space.changedSeq = seq;
				if (space.live.size === 0) space.clean = [];
			}
	for (const space of iotlb.byDomain.get(dom) ?? []) {
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
): Space | undefined {
	const unit = iotlb.units.get(iommu);
	const named = unit?.spaces.get(did);
	if (unit === undefined || (named !== undefined && !named.released))
		return named;
	const space =
		unit.contexts.get(sid)?.space ??
		[...unit.spaces.values()].find(
			(other) => other.did < 0 && other.setting.has(sid),
		);
	if (space === undefined || space.did >= 0) return named;
	// The id stays unnamed until its own record comes: another domain may still hold the name here.
	return space;
}
