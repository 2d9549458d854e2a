/** PT-35: how much, and how long, a flush queue leaves reachable (facts pagetable-semantics.md §5.4). */
import {
	RING_SLOTS,
	SINGLE_RING_SLOTS,
	SINGLE_TIMEOUT_NS,
	TIMEOUT_NS,
} from "../iotlb/flush-queue.ts";
import { showFrames } from "../vocabulary/address.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

/** Checked when a range is queued; recordings do not tell the CPU, so there it is not. */
export function windowBounded(
	{ world }: Context,
	{ data, seq, t }: LogRecord<"fq.queued">,
): Outcome {
	const queue = world.iotlb.queues.get(data.dom);
	if (data.cpu === undefined || queue === undefined) return SKIP;
	const isSingle = world.header.switches["fqSingle"] === true;
	const most = (isSingle ? SINGLE_RING_SLOTS : RING_SLOTS) - 1;
	const mine = queue.waiting.filter(({ cpu }) => cpu === data.cpu);
	const [oldest] = queue.waiting;
	if (mine.length > most)
		return broken(
			`${data.dom} ${data.cpu} full`,
			`${mine.length} ranges of ${data.dom} wait on CPU ${data.cpu}, more than the ${most} that its ring holds`,
			[data.dom],
			[mine[0]?.seq ?? 0],
		);
	const longest = (isSingle ? SINGLE_TIMEOUT_NS : TIMEOUT_NS) + queue.flushNs;
	if (oldest === undefined || t - oldest.t <= longest) return undefined;
	return broken(
		`${data.dom} ${oldest.seq}`,
		`${showFrames(oldest.start, oldest.n)} of ${data.dom} waits since #${oldest.seq}, ${t - oldest.t} ns at #${seq}: longer than the timeout and one flush (${longest} ns)`,
		[data.dom],
		[oldest.seq],
		{ since: oldest.seq },
	);
}
