/**
 * The flush queue of lazy domains (drivers/iommu/dma-iommu.c; facts pagetable-semantics.md §5.4): rings per CPU or one for all, the start and
 * finish counters that decide which entries a flush has covered, the timer. Pure: time comes in, what happened comes out.
 */

/** IOVA_DEFAULT_FQ_SIZE, IOVA_SINGLE_FQ_SIZE; one slot of a ring always stays free. */
export const RING_SLOTS = 256;
export const SINGLE_RING_SLOTS = 32768;
/** IOVA_DEFAULT_FQ_TIMEOUT, IOVA_SINGLE_FQ_TIMEOUT. */
export const TIMEOUT_NS = 10_000_000;
export const SINGLE_TIMEOUT_NS = 1_000_000_000;

/** A range that waits. `counter`: the start counter when it was queued. */
export interface Waiting {
	readonly start: number;
	readonly n: number;
	readonly counter: number;
	readonly cpu: number;
	readonly t: number;
}
/** The queue of one domain. */
export interface FlushQueue {
	readonly single: boolean;
	readonly rings: ReadonlyMap<number, readonly Waiting[]>;
	readonly started: number;
	readonly finished: number;
	/** When the timer fires; undefined: it is not armed. */
	readonly timerAt: number | undefined;
}
/** What happens, in order. */
export type QueueEvent =
	| { readonly type: "released"; readonly entry: Waiting }
	| { readonly type: "flush" }
	| { readonly type: "queued"; readonly entry: Waiting };

/** An empty queue. `single`: the device shadows page tables on flush (s390), one ring for all CPUs. */
export const newFlushQueue = (single = false): FlushQueue => ({
	single,
	rings: new Map(),
	started: 0,
	finished: 0,
	timerAt: undefined,
});

const slotsOf = (queue: FlushQueue): number =>
	queue.single ? SINGLE_RING_SLOTS : RING_SLOTS;
const timeoutOf = (queue: FlushQueue): number =>
	queue.single ? SINGLE_TIMEOUT_NS : TIMEOUT_NS;

/** fq_ring_free_locked: releases from the head what a finished flush covers; stops at the first entry that is too young. */
function ringFree(
	queue: FlushQueue,
	cpu: number,
	events: QueueEvent[],
): FlushQueue {
	const ring = queue.rings.get(cpu) ?? [];
	let n = 0;
	while (n < ring.length && (ring[n] as Waiting).counter < queue.finished) n++;
	if (n === 0) return queue;
	for (const entry of ring.slice(0, n))
		events.push({ type: "released", entry });
	return { ...queue, rings: new Map(queue.rings).set(cpu, ring.slice(n)) };
}

/** fq_flush_iotlb: the start counter, the flush of the whole domain, the finish counter. */
function flush(queue: FlushQueue, events: QueueEvent[]): FlushQueue {
	events.push({ type: "flush" });
	return {
		...queue,
		started: queue.started + 1,
		finished: queue.finished + 1,
	};
}

/** queue_iova. */
export function queueIova(
	before: FlushQueue,
	range: { readonly start: number; readonly n: number },
	cpu: number,
	t: number,
): { readonly queue: FlushQueue; readonly events: readonly QueueEvent[] } {
	const events: QueueEvent[] = [];
	const at = before.single ? 0 : cpu;
	let queue = ringFree(before, at, events);
	if ((queue.rings.get(at) ?? []).length >= slotsOf(queue) - 1)
		queue = ringFree(flush(queue, events), at, events);
	const entry = { ...range, counter: queue.started, cpu: at, t };
	events.push({ type: "queued", entry });
	const ring = [...(queue.rings.get(at) ?? []), entry];
	return {
		queue: {
			...queue,
			rings: new Map(queue.rings).set(at, ring),
			timerAt: queue.timerAt ?? t + timeoutOf(queue),
		},
		events,
	};
}

/** fq_flush_timeout: flushes, and drains the rings of all CPUs. */
export function timeout(before: FlushQueue): {
	readonly queue: FlushQueue;
	readonly events: readonly QueueEvent[];
} {
	const events: QueueEvent[] = [];
	let queue = flush({ ...before, timerAt: undefined }, events);
	for (const cpu of queue.rings.keys()) queue = ringFree(queue, cpu, events);
	return { queue, events };
}
