/**
 * Runs of a domain of the DMA API: maps and unmaps on several CPUs, lazy (DMA-FQ: the flush queue of src/iotlb/flush-queue.ts in between) or
 * strict, and a device that goes on using what it was given. Named faults break PT-32 to PT-35.
 */
import {
	newFlushQueue,
	queueIova,
	timeout,
	type FlushQueue,
	type QueueEvent,
	type Waiting,
} from "../iotlb/flush-queue.ts";
import type { Json } from "../vocabulary/fields.ts";
import { fact } from "../vocabulary/records.ts";
import { cacheHeader, CacheWriter, type CacheLog } from "./cache-writer.ts";
import { DEV, DOM, PAGE, UNIT } from "./table-flushes.ts";

/**
 * One step: a page is mapped, used and unmapped on a CPU; the device writes to a page, whether it may or not, from a cached translation where
 * it can; or time passes (ns).
 */
export type LazyStep =
	| { readonly do: "use"; readonly page: number; readonly cpu: number }
	| { readonly do: "touch"; readonly page: number }
	| { readonly do: "pass"; readonly ns: number };
/** What goes wrong on purpose. */
export const LAZY_FAULTS = [
	"hands-out-queued",
	"releases-without-flush",
	"ring-without-end",
	"timer-never-fires",
	"returns-without-flush",
] as const;
/** The name of such a fault. */
export type LazyFault = (typeof LAZY_FAULTS)[number];

/** A duration of a domain-wide flush. */
const FLUSH_NS = 5_000;
/** Between two steps. */
const STEP_NS = 1_000;

/** How it is run. */
export interface LazyHow {
	/** One ring for all CPUs. */
	readonly single?: boolean;
	/** No flush queue: every unmap flushes before it returns. */
	readonly strict?: boolean;
	readonly fault?: LazyFault;
	/** Further switches of the header. */
	readonly switches?: { readonly [name: string]: Json };
}

/** Runs it: header and records. */
export function runLazy(
	steps: readonly LazyStep[],
	how: LazyHow = {},
): CacheLog {
	const strict = how.strict === true;
	const header = cacheHeader({
		driver: "vtd",
		strict,
		switches: {
			...how.switches,
			...(strict ? {} : { fqSingle: how.single === true }),
			...(how.fault === undefined ? {} : { fault: how.fault }),
		},
	});
	return { header, records: new LazyWriter(how).run(steps) };
}

class LazyWriter {
	readonly #log = new CacheWriter();
	readonly #how: LazyHow;
	#queue: FlushQueue;
	/** Strict: pages that a fault left in the IOTLB. */
	readonly #left = new Set<number>();

	constructor(how: LazyHow) {
		this.#how = how;
		this.#queue = newFlushQueue(how.single);
	}

	run(steps: readonly LazyStep[]): CacheLog["records"] {
		const log = this.#log;
		const kind = this.#how.strict === true ? "dma" : "dma-fq";
		log.add(fact("dom.created", DOM, { dom: DOM, kind }));
		log.add(fact("did.assigned", UNIT, { iommu: UNIT, did: 1, dom: DOM }));
		log.enter({ dom: DOM, did: 1, dev: DEV });
		log.add(fact("hw.attach", DEV, { dev: DEV, dom: DOM }));
		for (const step of steps) {
			this.#pass(log.t + (step.do === "pass" ? step.ns : STEP_NS));
			if (step.do === "use") this.#use(step.page, step.cpu);
			if (step.do === "touch") this.#touch(step.page);
		}
		return log.records;
	}

	/** Time passes; the timer may fire meanwhile. */
	#pass(until: number): void {
		const log = this.#log;
		const { timerAt } = this.#queue;
		if (
			timerAt !== undefined &&
			timerAt <= until &&
			this.#how.fault !== "timer-never-fires"
		) {
			log.t = Math.max(log.t, timerAt);
			const done = timeout(this.#queue);
			this.#queue = done.queue;
			this.#tell(done.events);
		}
		log.t = Math.max(log.t, until);
	}

	/** The device writes: an unmapped page takes it as long as no flush that started after the unmap is over. */
	#touch(page: number): void {
		const { finished, rings } = this.#queue;
		const waits = [...rings.values()].some((ring) =>
			ring.some(({ counter, start }) => start === page && counter >= finished),
		);
		const bytes = { iova: page * PAGE, len: PAGE };
		this.#log.add(
			fact("dma.done", DEV, {
				dev: DEV,
				...bytes,
				write: true,
				...(waits || this.#left.has(page)
					? { outcome: "done", pa: targetOf(page) }
					: { outcome: "blocked" }),
			}),
		);
	}

	#use(page: number, cpu: number): void {
		const range = { start: page, n: 1 };
		const isQueued = [...this.#queue.rings.values()].some((ring) =>
			ring.some((entry) => entry.start === page),
		);
		// The IOVA allocator hands out what is free: a queued page is not, unless it is broken.
		if (isQueued && this.#how.fault !== "hands-out-queued") return;
		const log = this.#log;
		const bytes = { dom: DOM, iova: page * PAGE, len: PAGE };
		const pa = targetOf(page);
		log.add(fact("dom.map", DOM, { ...bytes, pa, prot: 3 }));
		const isLazy = this.#how.strict !== true;
		const queued = isLazy ? ({ queued: true } as const) : {};
		log.add(fact("dom.unmap", DOM, { ...bytes, unmapped: PAGE, ...queued }));
		if (isLazy) this.#enqueue(range, cpu);
		else this.#flushPage(page);
		const last = bytes.iova + PAGE - 1;
		const { iova } = bytes;
		log.add(fact("iotlb.synced", DOM, { dom: DOM, iova, last, ...queued }));
		if (!isLazy) this.#released({ start: page, n: 1 });
	}

	#enqueue(
		range: { readonly start: number; readonly n: number },
		cpu: number,
	): void {
		const done = queueIova(this.#queue, range, cpu, this.#log.t);
		this.#queue = done.queue;
		this.#tell(
			this.#how.fault === "ring-without-end"
				? done.events.filter(({ type }) => type === "queued")
				: done.events,
		);
	}

	/** Strict: the range's own flush, before the unmap returns. */
	#flushPage(page: number): void {
		if (this.#how.fault === "returns-without-flush") {
			this.#left.add(page);
			return;
		}
		const addr = page * PAGE;
		this.#log.flush([{ kind: "iotlb", gran: "page", did: 1, addr, mask: 0 }]);
	}

	#tell(events: readonly QueueEvent[]): void {
		for (const event of events)
			if (event.type === "flush") this.#flush();
			else if (event.type === "queued") this.#queued(event.entry);
			else this.#released(event.entry);
	}

	#queued({ start, n, cpu }: Waiting): void {
		const bytes = { dom: DOM, iova: start * PAGE, len: n * PAGE };
		this.#log.add(fact("fq.queued", DOM, { ...bytes, cpu }));
	}

	#released({ start, n }: Pick<Waiting, "start" | "n">): void {
		this.#log.add(
			fact("iova.freed", DOM, { dom: DOM, iova: start * PAGE, len: n * PAGE }),
		);
	}

	#flush(): void {
		const log = this.#log;
		log.add(fact("fq.flush.started", DOM, { dom: DOM }));
		if (this.#how.fault !== "releases-without-flush")
			log.flush([{ kind: "iotlb", gran: "domain", did: 1 }], FLUSH_NS);
		log.add(fact("fq.flush.finished", DOM, { dom: DOM }));
	}
}

/** Where a page leads. */
const targetOf = (page: number): number => 2 ** 30 + page * PAGE;
