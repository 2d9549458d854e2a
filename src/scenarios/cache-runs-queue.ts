/** Cache runs of the DMA API: the flush queue with its ring and timer, and the window that lazy mode accepts and strict mode does not. */
import { RING_SLOTS, TIMEOUT_NS } from "../iotlb/flush-queue.ts";
import type { CacheRun } from "./cache-run.ts";
import { runLazy, type LazyFault, type LazyStep } from "./lazy-run.ts";

const use = (page: number, cpu = 0): LazyStep => ({ do: "use", page, cpu });
const touch = (page: number): LazyStep => ({ do: "touch", page });
const pass = (ns: number): LazyStep => ({ do: "pass", ns });
const PAST_TIMER = pass(2 * TIMEOUT_NS);
/** More unmaps than a ring takes, in less time than the timer. */
const STORM = Array.from({ length: RING_SLOTS + 10 }, (_, i) => use(i));

/** A fault of the queue, and the same steps without it. */
const faulty = (
	fault: LazyFault,
	title: string,
	id: string,
	steps: readonly LazyStep[],
): CacheRun => ({
	name: `lazy-${fault}`,
	title,
	source: "dma-iommu.c:queue_iova, fq_flush_timeout (facts §5.4)",
	ids: [id],
	fix: "without the fault",
	make: (isFixed, switches) =>
		runLazy(steps, {
			switches: { ...switches },
			...(isFixed ? {} : { fault }),
		}),
});

export const CACHE_RUNS_BY_QUEUE: readonly CacheRun[] = [
	{
		name: "lazy-unmap",
		title:
			"Lazy: a device writes to an unmapped page until the timer has flushed; then it is refused, and the IOVA goes out again",
		source:
			"dma-iommu.c:fq_flush_timeout: 10 ms after the first entry (facts §5.4)",
		ids: [],
		make: (_, switches) =>
			runLazy(
				[
					use(1),
					touch(1),
					use(2, 1),
					pass(TIMEOUT_NS / 2),
					touch(2),
					PAST_TIMER,
					touch(1),
					touch(2),
					use(1),
				],
				{ switches: { ...switches } },
			),
	},
	{
		name: "lazy-ring-full",
		title:
			"Lazy: the 256th unmap of a CPU finds its ring full and flushes before it goes on",
		source: "dma-iommu.c:queue_iova, fq_full (facts §5.4)",
		ids: [],
		make: (_, switches) =>
			runLazy([...STORM, touch(RING_SLOTS + 9), touch(0)], {
				switches: { ...switches },
			}),
	},
	{
		name: "strict-use-after-unmap",
		title:
			"Strict: the unmap returns without a flush, and the device writes to the page: what lazy mode accepts is a violation here",
		source: "iommu.c:iommu_unmap, iommu_iotlb_sync (facts §5.4)",
		ids: ["PT-32"],
		isProven: true,
		fix: "the flush before the return",
		make: (isFixed, switches) =>
			runLazy([use(1), touch(1)], {
				strict: true,
				switches: { ...switches },
				...(isFixed ? {} : { fault: "returns-without-flush" }),
			}),
	},
	faulty(
		"hands-out-queued",
		"Lazy: a queued IOVA is handed out again before its flush",
		"PT-33",
		[use(1), use(1)],
	),
	faulty(
		"releases-without-flush",
		"Lazy: the timer releases what waits without a flush",
		"PT-34",
		[use(1), PAST_TIMER],
	),
	faulty(
		"ring-without-end",
		"Lazy: a ring takes more than its 255 entries",
		"PT-35",
		STORM,
	),
	faulty(
		"timer-never-fires",
		"Lazy: the timer never fires, the window has no end",
		"PT-35",
		[use(1), PAST_TIMER, use(2)],
	),
];
