/** Device TLBs and negative entries of macro logs, and the level that a command names (facts pagetable-semantics.md §5.1, §5.2). */
import {
	subtract,
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

/** A command that names a level (TTL) is sure to drop leaf entries of that level only (facts §5.2). */
export const reachesLevel = (
	iotlb: Iotlb,
	{ ttl }: Invalidation,
	stale: Stale,
): boolean =>
	ttl === undefined ||
	ttl === 0 ||
	iotlb.hardware.tlbiTTL === "ignored" ||
	stale.level === 0 ||
	stale.level === ttl;

/** Do devices under this tag keep translations of their own? */
export const hasAts = (iotlb: Iotlb, space: Space): boolean =>
	iotlb.hardware.device || iotlb.units.get(space.iommu)?.ats === true;

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
	if (space.stale.length === 0 || !hasAts(iotlb, space)) return;
	const end = command.start + command.n;
	for (const stale of space.stale) {
		if (stale.seq > limit || !reachesLevel(iotlb, command, stale)) continue;
		for (const part of stale.parts) {
			const start = Math.max(part.start, command.start);
			const n = Math.min(part.start + part.n, end) - start;
			if (n <= 0) continue;
			const pa = stale.pa < 0 ? -1 : stale.pa + (start - stale.start);
			space.device = addLeftover(space.device, {
				start,
				n,
				pa,
				since: stale.seq,
				seq: command.seq,
			});
		}
	}
}

/** A device-TLB invalidation has completed. */
export function dropDevice(space: Space, command: Invalidation): void {
	if (space.device.length > 0)
		space.device = without(space.device, command.start, command.n, command.seq);
}

/** Leftovers filled up to `limit` lose [start, start+n). */
export const without = (
	list: readonly Leftover[],
	start: number,
	n: number,
	limit: number,
): readonly Leftover[] =>
	list.flatMap((one) =>
		one.seq > limit
			? [one]
			: subtract([one], start, n).map((part) => ({
					...one,
					...part,
					pa: one.pa < 0 ? -1 : one.pa + (part.start - one.start),
				})),
	);
