/** PT-36, and what proves PT-32: uses of translations that a witness saw or a device told (facts pagetable §5; kernel-findings F2). */
import { visitPossible } from "../iotlb/walks.ts";
import { tablesUnder, walkersOf } from "../world/apply-tables.ts";
import { takenOutBy } from "./returning.ts";
import { leftoversIn } from "../iotlb/leftovers.ts";
import { spacesOf } from "../iotlb/state.ts";
import { spaceOfRequester } from "../iotlb/contexts.ts";
import { type Space, type Stale } from "../iotlb/state.ts";
import { hexOfFrame, showFrames } from "../vocabulary/address.ts";
import type { ActorId, DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { lastOf } from "../world/areas.ts";
import { frameRange } from "../world/apply-memory.ts";
import { frameAt, presentFrames } from "../world/memory.ts";
import type { World } from "../world/types.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

/** A use of a translation: by stale entry, by memory, or by nothing that the projection allows. */
export function witnessHit(
	{ world }: Context,
	{ data, t }: LogRecord<"witness.hit">,
): Outcome {
	const { iotlb } = world;
	if (!iotlb.armed) return SKIP;
	const frame = Math.floor(Number(data.iova) / 4096);
	const target = Math.floor(Number(data.pa) / 4096);
	const space = spaceOfRequester(
		iotlb,
		data.iommu,
		data.sid,
		data.did,
		data.pasid ?? 0,
	);
	if (space === undefined)
		return {
			missing: `domain id ${data.did} on ${data.iommu}, which the witness saw in use, belongs to a domain this log does not name`,
			minor: true,
		};
	// Its addresses are the guest's, and so is the first stage that translates them.
	if (space.stage2 !== undefined) return SKIP;
	const stale = space.stale.find((entry) => hits(entry, frame, target));
	if (stale !== undefined) {
		if (stale.unflushedSeq === 0 || t - stale.unflushedT < CLOCK_SLACK_NS)
			return undefined;
		return {
			proves: stale.id,
			use: `the IOMMU translated ${hexOfFrame(frame)} to ${hexOfFrame(target)} for requester 0x${data.sid.toString(16)}`,
			actor: data.iommu,
		};
	}
	if (inMemory(world, space.dom, frame, target)) return undefined;
	const late = iotlb.dropped.some(
		(entry) =>
			t - entry.t < CLOCK_SLACK_NS && hitsWhole(entry.stale, frame, target),
	);
	if (late) return undefined;
	const domain = world.domains.map.get(space.dom);
	if (domain === undefined || domain.mapped < 0)
		return {
			missing: `${space.dom} was alive before the log: its page table is not known`,
			minor: true,
		};
	if (domain.unmapSeq > 0 && t - domain.unmapT < 0)
		return {
			missing: `the witness of a use under ${space.dom} comes later in the log than what was unmapped after it: not judged`,
			minor: true,
		};
	if (domain.unmapSeq > 0 && t - domain.unmapT < CLOCK_SLACK_NS) return SKIP;
	return broken(
		`${data.iommu} ${data.did} ${frame}`,
		`the IOMMU translated ${hexOfFrame(frame)} to ${hexOfFrame(target)} under domain id ${data.did}, which nothing in ${space.dom} or its stale entries allows`,
		[data.iommu, space.dom],
		[space.changedSeq, domain.unmapSeq],
		{ evidence: "proven" },
	);
}

/** A witness has its own clock, corrected to about 50 us (trace-formats.md §6); ten times that is forgiven. */
const CLOCK_SLACK_NS = 500_000;

const hitsWhole = (stale: Stale, frame: number, target: number): boolean =>
	frame >= stale.start &&
	frame < stale.start + stale.n &&
	(stale.pa < 0 || target < 0 || stale.pa + (frame - stale.start) === target);

const hits = (stale: Stale, frame: number, target: number): boolean =>
	hitsWhole(stale, frame, target) &&
	stale.parts.some(
		(part) => frame >= part.start && frame < part.start + part.n,
	);

function inMemory(
	world: World,
	dom: DomainId,
	frame: number,
	target: number,
): boolean {
	const memory = world.domains.map.get(dom)?.memory;
	if (memory === null || memory === undefined) return false;
	const found = frameAt(memory, frame);
	// The witness may log the page of a superpage leaf instead of the exact one.
	return (
		found >= 0 &&
		(found === target ||
			(Math.abs(found - target) < 262144 && found - target === frame % 512))
	);
}

/** A device says that its DMA went through. */
export function deviceReached(
	{ world }: Context,
	record: LogRecord<"dma.done">,
): Outcome {
	const { data } = record;
	if (data.outcome !== "done" || !world.iotlb.armed) return SKIP;
	const spaces = spacesReachedBy(world, data.dev);
	if (spaces.length === 0) return SKIP;
	const { start, n } = frameRange(data.iova, lastOf(data.iova, data.len));
	const exact = reachedExactly(world, record, start);
	if (exact !== SKIP) return exact;
	for (const space of spaces) {
		const domain = world.domains.map.get(space.dom);
		if (domain?.memory != null && presentFrames(domain.memory, start, n) === n)
			return undefined;
	}
	const began = data.from ?? record.t;
	for (const space of spaces)
		for (const stale of space.stale)
			if (
				start < stale.start + stale.n &&
				stale.start < start + n &&
				stale.t <= began
			)
				return used(stale, record);
	for (const space of spaces)
		for (const { since, unflushedSeq } of leftoversIn(
			space,
			start,
			n,
			() => true,
		))
			return unflushedSeq === 0
				? undefined
				: { proves: takenOutBy(since), use: useOf(data), actor: data.dev };
	const unsure = spaces.some((space) => {
		const domain = world.domains.map.get(space.dom);
		return domain === undefined || domain.mapped < 0 || domain.unmapT >= began;
	});
	if (unsure) return SKIP;
	return broken(
		`${data.dev} ${record.seq}`,
		`${data.dev} ${data.write ? "wrote" : "read"} ${showFrames(start, n)} successfully, which neither the page table of ${spaces.map((space) => space.dom).join(", ")} nor a stale entry allows`,
		[data.dev, ...spaces.map((space) => space.dom)],
		[spaces[0]?.changedSeq ?? 0],
		{ evidence: "proven" },
	);
}

/** The same where the page table is logged entry by entry: something must translate it, to `pa` when that is told. */
function reachedExactly(
	world: World,
	{ data, seq }: LogRecord<"dma.done">,
	frame: number,
): Outcome {
	const under = tablesUnder(world, data.dev);
	if (under === undefined) return SKIP;
	const target =
		data.pa === undefined ? -1 : Math.floor(Number(data.pa) / 4096);
	let since = -1;
	for (const walker of walkersOf(world, under.dom))
		visitPossible(walker, frame, 1, { memory: true, holes: false }, (one) => {
			if (one.what !== "leaf") return;
			if (target >= 0 && one.pa + (frame - one.start) !== target) return;
			if (since !== 0) since = one.since;
		});
	const use = `${data.dev} ${data.write ? "wrote to" : "read from"} ${hexOfFrame(frame)}, physical ${hexOfFrame(target)}`;
	if (since > 0) return { proves: takenOutBy(since), use, actor: data.dev };
	if (since >= 0) return undefined;
	return broken(
		`${data.dev} ${seq}`,
		`${use}, which neither the page table of ${under.dom} nor a stale entry allows`,
		[data.dev, under.dom],
		[],
		{ evidence: "proven" },
	);
}

function used(stale: Stale, record: LogRecord<"dma.done">): Outcome {
	if (stale.unflushedSeq === 0) return undefined;
	const { data } = record;
	const pa =
		stale.pa < 0
			? ""
			: `, physical ${hexOfFrame(stale.pa + Math.max(0, Math.floor(Number(data.iova) / 4096) - stale.start))}`;
	return {
		proves: stale.id,
		use: useOf(data, pa),
		actor: data.dev,
	};
}

function useOf(data: LogRecord<"dma.done">["data"], pa = ""): string {
	const what = data.what === undefined ? "" : ` (it saw ${data.what})`;
	return `${data.dev} ${data.write ? "wrote to" : "read from"} 0x${data.iova.toString(16)}${pa}${what}`;
}

/**
 * The tags a device's DMA without PASID may use now: by its requester ids, else by its hardware's domain. None where a guest's first stage,
 * which is in no log, translates it before.
 */
function spacesReachedBy(world: World, dev: ActorId): Space[] {
	const found = spacesUnder(world, dev);
	return found.some(({ stage2 }) => stage2 !== undefined) ? [] : found;
}

function spacesUnder(world: World, dev: ActorId): Space[] {
	const device = world.devices.map.get(dev as never);
	if (device === undefined) return [];
	const found: Space[] = [];
	if (world.iotlb.entries)
		for (const unit of world.iotlb.units.values())
			for (const sid of device.sids) {
				const entry = unit.contexts.get(sid);
				const space = entry?.space;
				if (space !== undefined) found.push(space);
				for (const other of unit.spaces.values())
					if (other.pasid === 0 && other.setting.has(sid)) found.push(other);
			}
	if (found.length === 0 && device.hw !== undefined)
		found.push(
			...spacesOf(world.iotlb, device.hw).filter(
				({ dom, pasid }) => dom === device.hw && pasid === 0,
			),
		);
	return found;
}
