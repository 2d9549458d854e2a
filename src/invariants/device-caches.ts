/** PT-32 and PT-34 of what devices keep in TLBs of their own (ATS), in logs of ranges; logs of entries have it in unmap-returns.ts. */
import { leftoversIn } from "../iotlb/leftovers.ts";
import { ANY_DEVICE, spacesOf, type Leftover } from "../iotlb/state.ts";
import { showFrames } from "../vocabulary/address.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { World } from "../world/types.ts";
import { broken, type Context, type Outcome } from "./invariant.ts";
import { takenOutBy } from "./returning.ts";

/** PT-32: the IOTLB has forgotten the range, but a device that keeps translations of its own may not have. */
export function deviceUnflushed(
	{ world }: Context,
	{ data, seq }: LogRecord<"iotlb.synced">,
	start: number,
	n: number,
): Outcome {
	let first: Leftover | undefined;
	for (const space of spacesOf(world.iotlb, data.dom))
		for (const one of leftoversIn(space, start, n, isDueNow)) {
			one.unflushedSeq = seq;
			first ??= one;
		}
	if (first === undefined) return undefined;
	return broken(
		`${data.dom} ${first.since} device`,
		`${showFrames(first.start, first.n)} of ${data.dom} was unmapped at #${first.since} and the call went on at #${seq} with the IOTLB flushed, but ${nameOf(first)} may have taken the translation over and no completed invalidation of its own TLB covers it`,
		[data.dom],
		[first.since, first.seq, seq],
		{ since: first.since, stales: [takenOutBy(first.since)] },
	);
}

const isDueNow = (one: Leftover): boolean =>
	one.certain && !one.queued && one.unflushedSeq === 0;

const isQueued = (one: Leftover): boolean => one.certain && one.queued;

const nameOf = ({ sid }: Leftover): string =>
	sid === ANY_DEVICE ? "a device" : `requester 0x${sid.toString(16)}`;

/** PT-34: the same when an IOVA is freed for reuse. */
export function deviceKeeps(
	world: World,
	dom: DomainId,
	start: number,
	n: number,
): Outcome {
	for (const space of spacesOf(world.iotlb, dom)) {
		const [kept] = leftoversIn(space, start, n, isQueued);
		if (kept !== undefined)
			return broken(
				`${dom} ${kept.since} device`,
				`${showFrames(start, n)} of ${dom} may be handed out again, but ${nameOf(kept)} may have kept what was unmapped at #${kept.since}: no flush of its own TLB that started after that has completed`,
				[dom, space.iommu],
				[kept.since],
				{ since: kept.since, stales: [takenOutBy(kept.since)] },
			);
	}
	return undefined;
}
