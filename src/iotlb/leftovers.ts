/** Device TLBs and negative entries of macro logs, and what a command drops of whole leaves (facts pagetable-semantics.md §5.1, §5.2). */
import { goesTo } from "./reach.ts";
import {
	ANY_DEVICE,
	subtract,
	type FrameRange,
	type Invalidation,
	type Iotlb,
	type Leftover,
	type Space,
	type Stale,
} from "./state.ts";

/** More leftovers of one tag are not kept. */
const LEFTOVERS_MAX = 4096;

/** Adds a leftover; a log without invalidations must not grow without bound. */
export const addLeftover = (
	list: readonly Leftover[],
	one: Leftover,
): readonly Leftover[] => [...list.slice(-LEFTOVERS_MAX), one];

/** A run of leaves of `unit` frames. */
interface Leaves extends FrameRange {
	readonly unit: number;
}

/**
 * What of a run of leaves an invalidation takes. A leaf is one entry: where hardware looks for any entry that covers an address, it goes as
 * soon as one frame of it is named (`whole`); else only when all of it is (facts §5.1).
 */
export function takenFrom(
	{ start, n, unit }: Leaves,
	range: FrameRange,
	whole: boolean,
): FrameRange | undefined {
	if (unit <= 1) return range;
	const from = (range.start - start) / unit;
	const to = (range.start + range.n - start) / unit;
	const first = Math.max(0, whole ? Math.floor(from) : Math.ceil(from));
	const end = Math.min(n / unit, whole ? Math.ceil(to) : Math.floor(to));
	return first < end
		? { start: start + first * unit, n: (end - first) * unit }
		: undefined;
}

/** What a command takes of a stale range. One that names a level (TTL) is sure of leaf entries of that level only (facts §5.2). */
export function droppedOf(
	{ hardware }: Iotlb,
	command: Invalidation,
	stale: Stale,
): FrameRange | undefined {
	const { ttl } = command;
	if (
		ttl !== undefined &&
		ttl !== 0 &&
		hardware.tlbiTTL === "honoured" &&
		stale.unit !== 0 &&
		levelOf(stale.unit) !== ttl
	)
		return undefined;
	return takenFrom(stale, command, hardware.smallFlushDropsLargeLeaf);
}

/** The level of a leaf as a TTL names it: 3 = page, 2 and 1 = the blocks above (facts §5.3). */
const levelOf = (unit: number): number =>
	unit === 1 ? 3 : unit === 512 ? 2 : 1;

/**
 * The devices under this tag that keep translations of their own: those that device-TLB commands were sent to. Where commands name none,
 * all are one.
 */
export function devicesOf(iotlb: Iotlb, space: Space): readonly number[] {
	const unit = iotlb.units.get(space.iommu);
	const found: number[] = [];
	for (const sid of unit?.ats ?? [])
		if (
			space.live.has(sid) ||
			space.setting.has(sid) ||
			unit?.staleContexts.some(
				(entry) => entry.space === space && entry.sid === sid,
			)
		)
			found.push(sid);
	if (found.length > 0) return found;
	const isAny =
		iotlb.hardware.device ||
		unit?.ats.has(ANY_DEVICE) === true ||
		(!iotlb.entries && (unit?.ats.size ?? 0) > 0);
	return isAny ? [ANY_DEVICE] : found;
}

/**
 * What an IOTLB command drops the device may have taken over before. It did so before the command was carried out, hence before any
 * command that was queued later: those count from the issue of this one.
 */
export function takeOver(
	iotlb: Iotlb,
	space: Space,
	command: Invalidation,
	limit: number,
): void {
	if (space.stale.length === 0) return;
	const devices = devicesOf(iotlb, space);
	if (devices.length === 0) return;
	for (const stale of space.stale) {
		const dropped =
			stale.seq > limit ? undefined : droppedOf(iotlb, command, stale);
		if (dropped === undefined) continue;
		const end = dropped.start + dropped.n;
		for (const part of stale.parts) {
			const start = Math.max(part.start, dropped.start);
			const n = Math.min(part.start + part.n, end) - start;
			if (n <= 0) continue;
			const pa = stale.pa < 0 ? -1 : stale.pa + (start - stale.start);
			for (const sid of devices)
				space.device = addLeftover(space.device, {
					start,
					n,
					pa,
					unit: stale.unit,
					sid,
					since: stale.seq,
					seq: command.seq,
					// Without entries the log does not tell which device is under which tag.
					certain: stale.certain && (sid !== ANY_DEVICE || iotlb.entries),
					queued: stale.queued,
					unflushedSeq: 0,
				});
		}
	}
}

/** A device-TLB invalidation has completed. A request that meets a leaf takes it whole (facts §5.1 says no more of devices). */
export function dropDevice(space: Space, command: Invalidation): void {
	const { start, n, seq } = command;
	if (space.device.length > 0)
		space.device = without(space.device, start, n, seq, (one) =>
			goesTo(command, one.sid),
		);
}

/** Leftovers filled up to `limit` lose [start, start+n). */
export const without = (
	list: readonly Leftover[],
	start: number,
	n: number,
	limit: number,
	isMeant: (one: Leftover) => boolean = () => true,
): readonly Leftover[] =>
	list.flatMap((one) => {
		if (one.seq > limit || !isMeant(one)) return [one];
		const taken = takenFrom(one, { start, n }, true);
		if (taken === undefined) return [one];
		return subtract([one], taken.start, taken.n).map((part) => ({
			...one,
			...part,
			pa: one.pa < 0 ? -1 : one.pa + (part.start - one.start),
		}));
	});

/** Leftovers of a tag that meet [start, start+n) and for which `wanted` holds. */
export const leftoversIn = (
	space: Space,
	start: number,
	n: number,
	wanted: (one: Leftover) => boolean,
): readonly Leftover[] =>
	space.device.length === 0
		? space.device
		: space.device.filter(
				(one) =>
					one.start < start + n && start < one.start + one.n && wanted(one),
			);
