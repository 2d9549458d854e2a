/** PT rows about what hardware may still hold (facts pagetable §4, §5, §8; kernel-findings F2), judged with the projection in src/iotlb. */
import { staleIn } from "../iotlb/entries.ts";
import { spaceAt, spacesOf, type Space, type Stale } from "../iotlb/state.ts";
import { hexOfFrame, showFrames } from "../vocabulary/address.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { lastOf } from "../world/areas.ts";
import { frameRange } from "../world/apply-memory.ts";
import type { World } from "../world/types.ts";
import { deviceKeeps, deviceUnflushed } from "./device-caches.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

/** A domain id for people; one the log has not told yet is negative inside the projection. */
const didName = (did: number): string =>
	did < 0 ? "its domain id" : `domain id ${did}`;

const spaceOf = (world: World, stale: Stale): Space | undefined =>
	spacesOf(world.iotlb, stale.dom).find((space) => space.stale.includes(stale));

/** The tag of a stale range, for people. */
function tagName(space: Space | undefined, did: number): string {
	const pasid =
		space === undefined || space.pasid === 0 ? "" : ` and PASID ${space.pasid}`;
	return space?.stage2 === undefined
		? `${didName(did)}${pasid}`
		: `${didName(did)}${pasid}, under which ${space.dom}, nested on it, caches what both stages give,`;
}

/** Requesters that reach a tag, for people. */
function reachedBy(space: Space | undefined): string {
	if (space === undefined) return "no entry";
	const names = [...space.live.keys()].map((key) =>
		typeof key === "number" ? `requester 0x${key.toString(16)}` : key,
	);
	if (names.length > 0) return names.slice(0, 4).join(", ");
	return space.setting.size > 0
		? "an entry that is being set up"
		: "an entry cleared before, whose translations were not invalidated";
}

/** PT-32: an unmap returned to its caller. */
export function unmapReturned(
	context: Context,
	record: LogRecord<"iotlb.synced">,
): Outcome {
	const { world } = context;
	const { data } = record;
	if (!world.iotlb.armed || data.queued === true) return SKIP;
	if (spacesOf(world.iotlb, data.dom).length === 0)
		return unknownTag(context, data.dom);
	const { start, n } = frameRange(data.iova, data.last);
	const left = staleIn(
		world.iotlb,
		data.dom,
		start,
		n,
		(stale) => !stale.queued && stale.unflushedSeq === 0,
	);
	if (left.length === 0) return deviceUnflushed(context, record, start, n);
	for (const stale of left) {
		stale.unflushedSeq = record.seq;
		stale.unflushedT = record.t;
	}
	return unflushed(context, record, left);
}

function unknownTag({ world, bracket }: Context, dom: DomainId): Outcome {
	const domain = world.domains.map.get(dom);
	// A domain that came to life in this log and never got a tag was never reachable.
	if (domain === undefined || domain.createdSeq > 0) return undefined;
	if (bracket.invSeq > domain.unmapSeq) return undefined;
	return {
		missing: `${dom} was alive before the log: whether hardware could reach it is not known`,
	};
}

function unflushed(
	{ world, bracket }: Context,
	record: LogRecord<"iotlb.synced">,
	left: readonly Stale[],
): Outcome {
	const first = left[0] as Stale;
	const space = spaceOf(world, first);
	const entrySeq =
		space === undefined
			? 0
			: Math.max(0, ...space.live.values(), ...space.setting.values());
	const frames = left.reduce(
		(sum, stale) =>
			sum + stale.parts.reduce((part, range) => part + range.n, 0),
		0,
	);
	const claim =
		bracket.flushClaimSeq > first.seq
			? `; #${bracket.flushClaimSeq} (tag.flushed) contradicts this: the driver was about to queue an invalidation, so its inv.issued record may be missing`
			: "";
	const target = first.pa < 0 ? "" : `, physical ${hexOfFrame(first.pa)}`;
	const finding = broken(
		`${record.data.dom} ${first.seq}`,
		`${showFrames(first.start, first.n)} of ${record.data.dom} was unmapped at #${first.seq} and the call went on at #${record.seq} without a completed invalidation of ${tagName(space, first.did)} on ${first.iommu}; ${reachedBy(space)} may still translate ${frames} page(s)${target}${claim}`,
		[record.data.dom, first.iommu],
		[
			entrySeq,
			world.domains.map.get(record.data.dom)?.mapSeq ?? 0,
			first.seq,
			record.seq,
		],
		{
			since: Math.min(first.seq, entrySeq || (space?.holdsSeq ?? 0)),
			stales: left.map((stale) => stale.id),
		},
	);
	if (left.some((stale) => stale.certain)) return finding;
	return {
		missing: `${showFrames(first.start, first.n)} of ${record.data.dom} was unmapped without an invalidation while a context entry was being set up (#${entrySeq}): whether it was live already is not known`,
		stales: left.map((stale) => ({ id: stale.id, finding })),
	};
}

/** PT-34: an IOVA was freed for reuse. */
export function iovaFreed(
	{ world }: Context,
	{ data }: LogRecord<"iova.freed">,
): Outcome {
	if (!world.iotlb.armed) return SKIP;
	const { start, n } = frameRange(data.iova, lastOf(data.iova, data.len));
	const left = staleIn(
		world.iotlb,
		data.dom,
		start,
		n,
		(stale) => stale.queued && stale.certain,
	);
	const [first] = left;
	if (first !== undefined)
		return broken(
			`${data.dom} ${first.seq}`,
			`${showFrames(start, n)} of ${data.dom} may be handed out again, but no flush that started after its unmap at #${first.seq} has completed`,
			[data.dom, first.iommu],
			[first.seq],
			{ since: first.seq, stales: left.map((stale) => stale.id) },
		);
	return spacesOf(world.iotlb, data.dom).length > 0
		? deviceKeeps(world, data.dom, start, n)
		: SKIP;
}

/** PT-33: a queued range is mapped again before it was released. */
export function reusedTooEarly(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.map">,
): Outcome {
	if (!world.iotlb.armed || spacesOf(world.iotlb, data.dom).length === 0)
		return SKIP;
	const { start, n } = frameRange(data.iova, lastOf(data.iova, data.len));
	const [first] = staleIn(
		world.iotlb,
		data.dom,
		start,
		n,
		(stale) => stale.queued && stale.certain,
	);
	if (first === undefined) return anyQueued(world, data.dom) ? undefined : SKIP;
	return broken(
		`${data.dom} ${seq}`,
		`${showFrames(start, n)} of ${data.dom} was mapped again while the flush queue still holds its unmap at #${first.seq}`,
		[data.dom],
		[first.seq],
		{ since: first.seq },
	);
}
const anyQueued = (world: World, dom: DomainId): boolean =>
	spacesOf(world.iotlb, dom).some((space) =>
		space.stale.some((stale) => stale.queued),
	);

/** IOP-17, PT-37: a superpage took the place of a table whose pointer may still be cached. */
export function supersededLeft(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.map">,
): Outcome {
	if (!world.iotlb.armed) return SKIP;
	const { start, n } = frameRange(data.iova, lastOf(data.iova, data.len));
	let seen = false;
	for (const space of spacesOf(world.iotlb, data.dom)) {
		for (const table of space.tables) {
			if (
				table.why !== "superseded" ||
				table.start >= start + n ||
				start >= table.start + table.n
			)
				continue;
			seen = true;
			return broken(
				`${data.dom} ${seq}`,
				`the map of ${showFrames(start, n)} in ${data.dom} put a superpage over tables (#${table.seq}) without a completed invalidation of their entries in between`,
				[data.dom, space.iommu],
				[table.seq],
				{ since: table.seq },
			);
		}
	}
	return seen || (world.domains.map.get(data.dom)?.supersededSeq ?? 0) > 0
		? undefined
		: SKIP;
}

export function freedTable(
	{ world }: Context,
	{ data, seq }: LogRecord<"table.freed">,
): Outcome {
	if (!world.iotlb.armed) return SKIP;
	for (const space of spacesOf(world.iotlb, data.dom)) {
		const table = space.tables.find(
			(entry) => entry.table === data.table && entry.why === "unlinked",
		);
		if (table !== undefined)
			return broken(
				`${data.dom} ${data.table} ${seq}`,
				`table ${data.table} of ${data.dom} was freed while ${space.iommu} may still walk through it: unlinked at #${table.seq}, no covering invalidation has completed`,
				[data.dom, space.iommu],
				[table.seq],
				{ since: table.seq },
			);
	}
	return undefined;
}

/** PT-31: a leaf-only flush ended an unmap that had unlinked tables. */
export function leafOnly(
	{ world }: Context,
	{ data, seq }: LogRecord<"iotlb.synced">,
): Outcome {
	if (!world.iotlb.armed || data.queued === true) return SKIP;
	const { start, n } = frameRange(data.iova, data.last);
	for (const space of spacesOf(world.iotlb, data.dom))
		for (const table of space.tables)
			if (
				table.why === "unlinked" &&
				table.start < start + n &&
				start < table.start + table.n
			)
				return broken(
					`${data.dom} ${table.table} ${seq}`,
					`${showFrames(start, n)} of ${data.dom} counts as flushed, but table ${table.table}, unlinked at #${table.seq}, may still be in the walk caches of ${space.iommu}`,
					[data.dom, space.iommu],
					[table.seq],
					{ since: table.seq },
				);
	return spacesOf(world.iotlb, data.dom).length > 0 ? undefined : SKIP;
}

/** PT-43: a page table is about to be freed. */
export function rootFreed(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.freed">,
): Outcome {
	const { iotlb } = world;
	const domain = world.domains.map.get(data.dom);
	if (
		!iotlb.armed ||
		domain === undefined ||
		spacesOf(iotlb, data.dom).length === 0
	)
		return SKIP;
	for (const unit of iotlb.units.values()) {
		const entry = [...unit.contexts.values()].find(
			(context) => context.dom === data.dom,
		);
		if (entry !== undefined)
			return broken(
				`${data.dom} ${seq}`,
				`${data.dom} was freed while the context entry of requester 0x${entry.sid.toString(16)} on ${unit.id} points to it`,
				[data.dom, unit.id],
				[entry.seq],
				{ since: entry.seq },
			);
		const stale = unit.staleContexts.find(
			(context) => context.dom === data.dom,
		);
		if (stale !== undefined)
			return broken(
				`${data.dom} ${seq}`,
				`${data.dom} was freed while the context cache of ${unit.id} may still hold its entry for requester 0x${stale.sid.toString(16)}, cleared at #${stale.seq}`,
				[data.dom, unit.id],
				[stale.seq],
				{ since: Math.min(stale.seq, stale.setSeq) },
			);
	}
	const holding = spacesOf(iotlb, data.dom).find(
		(space) => space.holds && !space.preexisting && iotlb.entries,
	);
	if (holding !== undefined)
		return broken(
			`${data.dom} ${seq}`,
			`${data.dom} was freed while entries under ${didName(holding.did)} may still be cached by ${holding.iommu}`,
			[data.dom, holding.iommu],
			[holding.changedSeq],
			{ since: knownSince(holding) },
		);
	return undefined;
}

/** The record from which on the log tells all about who reaches a tag. */
const knownSince = (space: Space): number =>
	Math.min(
		space.changedSeq,
		space.holdsSeq,
		...space.live.values(),
		...space.setting.values(),
	);

export function tagLate(
	{ world }: Context,
	{ data, seq }: LogRecord<"tag.assigned">,
): Outcome {
	const space = spaceAt(
		world.iotlb.units.get(data.iommu),
		data.did,
		data.pasid ?? 0,
	);
	if (space === undefined || space.tagRefs !== 1) return SKIP;
	const early = Math.max(0, ...space.live.values());
	if (space.live.size === 0 || !world.iotlb.entries) return undefined;
	return broken(
		`${data.iommu} ${data.did} ${seq}`,
		`${data.dom} was live through a context entry (#${early}) before its cache tag existed: an unmap in between would not be flushed`,
		[data.dom, data.iommu],
		[early],
		{ since: early },
	);
}

export function tagGone(
	{ world }: Context,
	{ data, seq }: LogRecord<"tag.unassigned">,
): Outcome {
	const space = spaceAt(
		world.iotlb.units.get(data.iommu),
		data.did,
		data.pasid ?? 0,
	);
	if (space === undefined || space.tagRefs > 0 || !world.iotlb.entries)
		return SKIP;
	if (space.live.size === 0) return undefined;
	return broken(
		`${data.iommu} ${data.did} ${seq}`,
		`${space.dom} lost its cache tag while ${reachedBy(space)} still points to it: an unmap from here to the flush would not be flushed`,
		[space.dom, data.iommu],
		[space.changedSeq],
		{ since: space.changedSeq },
	);
}
