/** Which domain a tag stands for: domain ids, PASIDs, nesting, cache tags (trace-formats.md §6, facts pagetable §5). Who reaches it: contexts.ts. */
import type { DomainId, IommuId } from "../vocabulary/ids.ts";
import {
	spaceAt,
	spacesOf,
	unitOf,
	type Iotlb,
	type Space,
	type Unit,
} from "./state.ts";

function linkTo(iotlb: Iotlb, dom: DomainId, space: Space): void {
	iotlb.byDomain.set(dom, [...spacesOf(iotlb, dom), space]);
}

function unlinkFrom(iotlb: Iotlb, dom: DomainId, space: Space): void {
	const list = spacesOf(iotlb, dom).filter((other) => other !== space);
	if (list.length === 0) iotlb.byDomain.delete(dom);
	else iotlb.byDomain.set(dom, list);
}

function link(iotlb: Iotlb, space: Space): void {
	linkTo(iotlb, space.dom, space);
	if (space.stage2 !== undefined) linkTo(iotlb, space.stage2, space);
}

function unlink(iotlb: Iotlb, space: Space): void {
	unlinkFrom(iotlb, space.dom, space);
	if (space.stage2 !== undefined) unlinkFrom(iotlb, space.stage2, space);
}

/** A domain may have others nested on it: its table is a second stage. */
export function nestable(iotlb: Iotlb, parent: DomainId): void {
	iotlb.parents.add(parent);
	for (const space of spacesOf(iotlb, parent))
		if (space.dom === parent) space.isParent = true;
}

/** A domain is nested: its translations go through the table of `parent` besides. */
export function nest(iotlb: Iotlb, dom: DomainId, parent: DomainId): void {
	if (iotlb.nested.get(dom) === parent || dom === parent) return;
	nestable(iotlb, parent);
	iotlb.nested.set(dom, parent);
	for (const space of spacesOf(iotlb, dom)) {
		if (space.dom !== dom) continue;
		unlink(iotlb, space);
		space.stage2 = parent;
		link(iotlb, space);
	}
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
function retire(iotlb: Iotlb, unit: Unit, space: Space): DomainId | undefined {
	unlink(iotlb, space);
	unit.spaces.delete(space.key);
	for (const stale of space.stale)
		for (const part of stale.parts) iotlb.windows.frames -= part.n;
	// Where entries are not logged, or never seen to go, the log does not tell when the tag was left.
	if (!iotlb.entries || !iotlb.clearings) return undefined;
	return residueOf(space) ? space.dom : undefined;
}

/** The same for an id and every PASID under it. */
function retireId(
	iotlb: Iotlb,
	unit: Unit,
	owner: Space,
): DomainId | undefined {
	const { did } = owner;
	let left = retire(iotlb, unit, owner);
	// Keys below 0 stand for PASIDs, nested domains and what has no id yet.
	if (unit.nextKey < -1)
		for (const space of [...unit.spaces.values()])
			if (space.did === did) left = retire(iotlb, unit, space) ?? left;
	return left;
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
	space.did = did;
	for (const stale of space.stale) stale.did = did;
	if (space.pasid === 0 && !unit.spaces.has(did)) giveKey(unit, space, did);
}

function giveKey(unit: Unit, space: Space, key: number): void {
	unit.spaces.delete(space.key);
	space.key = key;
	unit.spaces.set(key, space);
}

/** The domain got the id it had before: what the nameless tag gathered meanwhile belongs to the old one. */
function merge(iotlb: Iotlb, unit: Unit, from: Space, into: Space): void {
	unlink(iotlb, from);
	unit.spaces.delete(from.key);
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
 * A domain id was given to a domain. A nested domain may go by its parent's id (an SMMUv3's VMID), which stays the parent's. Returns the tag's former domain when entries of it may still be cached (PT-53), else undefined.
 */
export function assignDid(iotlb: Iotlb, facts: TagFacts): DomainId | undefined {
	iotlb.armed = true;
	const unit = unitOf(iotlb, facts.iommu);
	const { did, dom } = facts;
	const old = unit.spaces.get(did);
	let left: DomainId | undefined;
	if (old !== undefined && old.dom === dom) old.released = false;
	else if (old !== undefined && iotlb.nested.get(dom) !== old.dom) {
		if (iotlb.nested.get(old.dom) === dom) giveKey(unit, old, unit.nextKey--);
		else left = retireId(iotlb, unit, old);
	}
	nameAll(iotlb, unit, did, dom);
	if (!unit.spaces.has(did))
		newSpace(iotlb, unit, { ...facts, key: did, pasid: 0 });
	return left;
}

/** Tags of a domain that had no id yet get it. */
function nameAll(iotlb: Iotlb, unit: Unit, did: number, dom: DomainId): void {
	for (const space of spacesOf(iotlb, dom)) {
		if (space.dom !== dom || space.iommu !== unit.id || space.did >= 0)
			continue;
		const known = spaceAt(unit, did, space.pasid);
		if (known === undefined || known.dom !== dom) nameSpace(unit, space, did);
		else merge(iotlb, unit, space, known);
	}
}

/** A tag that no record named before. */
export function newSpace(
	iotlb: Iotlb,
	unit: Unit,
	of: Omit<TagFacts, "iommu"> & {
		readonly key: number;
		readonly pasid: number;
	},
): Space {
	const space: Space = {
		iommu: unit.id,
		key: of.key,
		did: of.did,
		pasid: of.pasid,
		dom: of.dom,
		stage2: iotlb.nested.get(of.dom),
		isParent: iotlb.parents.has(of.dom),
		preexisting: of.preexisting,
		used: false,
		released: false,
		live: new Map(),
		setting: new Map(),
		holds: of.preexisting,
		holdsSeq: 0,
		changedSeq: of.seq,
		stale: [],
		tables: [],
		clean: [],
		tagRefs: 0,
		tagSeq: 0,
		device: [],
		negative: [],
		walks: null,
	};
	unit.spaces.set(of.key, space);
	link(iotlb, space);
	return space;
}

/** The domain id was given back. What is cached under it stays until it is invalidated. */
export function releaseDid(iotlb: Iotlb, iommu: IommuId, did: number): void {
	for (const space of iotlb.units.get(iommu)?.spaces.values() ?? [])
		if (space.did === did) space.released = true;
}

/** A cache tag came (+1) or went (-1). `ref` is the count after, when the record tells. Returns the space, or undefined when unknown. */
export function changeTag(
	iotlb: Iotlb,
	facts: Omit<TagFacts, "dom"> & {
		readonly dom: DomainId | undefined;
		readonly pasid: number;
	},
	delta: 1 | -1,
	ref: number | undefined,
): Space | undefined {
	iotlb.armed = true;
	const unit = unitOf(iotlb, facts.iommu);
	if (facts.dom !== undefined) assignDid(iotlb, { ...facts, dom: facts.dom });
	const space = tagFor(iotlb, unit, facts);
	if (space === undefined) return undefined;
	space.tagRefs = Math.max(0, ref ?? space.tagRefs + delta);
	space.tagSeq = facts.seq;
	// The kernel's own count says that nothing is attached any more: from here on the log knows all who reach it.
	if (ref === 0 && delta === -1) space.preexisting = false;
	return space;
}

/** The tag that a cache-tag record names; a PASID that was not seen before gets one. */
function tagFor(
	iotlb: Iotlb,
	unit: Unit,
	facts: Omit<TagFacts, "dom"> & { readonly pasid: number },
): Space | undefined {
	const owner = unit.spaces.get(facts.did);
	if (owner === undefined || facts.pasid === 0) return owner;
	return (
		spaceAt(unit, facts.did, facts.pasid) ??
		newSpace(iotlb, unit, { ...facts, dom: owner.dom, key: unit.nextKey-- })
	);
}

/** A flush reached a tag of the domain: the domain is attached somewhere. */
export function tagWalked(
	iotlb: Iotlb,
	iommu: IommuId,
	did: number,
	pasid: number,
): void {
	iotlb.armed = true;
	const space = spaceAt(iotlb.units.get(iommu), did, pasid);
	if (space !== undefined) space.used = true;
}
