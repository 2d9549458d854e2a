/** How long stale entries lived: statistics of the windows between clearing and completed invalidation. */
import {
	WINDOW_DOMAINS_MAX,
	DROPPED_MAX,
	type FrameRange,
	type Iotlb,
	type Stale,
	type WindowSum,
} from "./state.ts";

/** Where the windows of a stale range's kind and domain are counted. */
function windowSum(iotlb: Iotlb, stale: Stale): WindowSum | undefined {
	const { byDomain } = iotlb.windows;
	let found = byDomain.get(stale.dom);
	if (found === undefined) {
		if (byDomain.size >= WINDOW_DOMAINS_MAX) return undefined;
		const none = (): WindowSum => ({ count: 0, longestNs: 0, frames: 0 });
		found = { strict: none(), lazy: none() };
		byDomain.set(stale.dom, found);
	}
	return stale.queued ? found.lazy : found.strict;
}

/** What is left of a stale range after a flush; keeps the statistics. Always true. */
export function note(
	iotlb: Iotlb,
	stale: Stale,
	left: readonly FrameRange[],
	seq: number,
	t: number,
): true {
	const windows = iotlb.windows;
	let frames = 0;
	for (const part of stale.parts) frames += part.n;
	for (const part of left) frames -= part.n;
	windows.frames -= frames;
	windows.count++;
	const ns = t - stale.t;
	const sum = windowSum(iotlb, stale);
	if (sum !== undefined) {
		sum.count++;
		sum.frames += frames;
		if (ns > sum.longestNs) sum.longestNs = ns;
	}
	if (ns > windows.longestNs || windows.longest === null) {
		windows.longestNs = ns;
		windows.longest = {
			dom: stale.dom,
			start: stale.start,
			n: stale.n,
			fromSeq: stale.seq,
			toSeq: seq,
		};
	}
	iotlb.dropped.push({ stale, t });
	if (iotlb.dropped.length > DROPPED_MAX) iotlb.dropped.shift();
	stale.parts = left;
	return true;
}
