/**
 * Runs of a lazy domain (DMA-FQ): maps and unmaps on several CPUs, the flush queue of src/iotlb/flush-queue.ts in between, and what it did as
 * records. Named faults break PT-33, PT-34 and PT-35.
 */
import {
	newFlushQueue,
	queueIova,
	timeout,
	type FlushQueue,
	type QueueEvent,
	type Waiting,
} from "../iotlb/flush-queue.ts";
import {
	FORMAT_VERSION,
	MODEL_VERSION,
	type LogHeader,
} from "../vocabulary/header.ts";
import { groupId } from "../vocabulary/ids.ts";
import { fact, type Fact, type LogRecord } from "../vocabulary/records.ts";
import { DEV, DOM, PAGE, REQUESTER, UNIT } from "./table-flushes.ts";

/** One step: a page is mapped, used and unmapped on a CPU; or time passes (ns). */
export type LazyStep =
	| { readonly do: "use"; readonly page: number; readonly cpu: number }
	| { readonly do: "pass"; readonly ns: number };
/** What goes wrong on purpose. */
export const LAZY_FAULTS = [
	"hands-out-queued",
	"releases-without-flush",
	"ring-without-end",
	"timer-never-fires",
] as const;
/** The name of such a fault. */
export type LazyFault = (typeof LAZY_FAULTS)[number];

/** A duration of a domain-wide flush. */
const FLUSH_NS = 5_000;
/** Between two steps. */
const STEP_NS = 1_000;

/** Runs it: header and records. */
export function runLazy(
	steps: readonly LazyStep[],
	how: { readonly single?: boolean; readonly fault?: LazyFault } = {},
): { readonly header: LogHeader; readonly records: readonly LogRecord[] } {
	const header: LogHeader = {
		format: "iommu-ledger",
		version: FORMAT_VERSION,
		model: MODEL_VERSION,
		origin: "run",
		fidelity: "L2",
		clock: "run",
		seed: 0,
		kernel: "model",
		iommu: { strict: false, cachingMode: false, scalable: false },
		topology: {
			known: "complete",
			groups: [
				{
					group: groupId(1),
					driver: "vtd",
					members: [{ dev: DEV, resv: [] }],
				},
			],
		},
		switches: {
			fqSingle: how.single === true,
			...(how.fault === undefined ? {} : { fault: how.fault }),
		},
	};
	return { header, records: new LazyWriter(how).run(steps) };
}

class LazyWriter {
	readonly #records: LogRecord[] = [];
	readonly #fault: LazyFault | undefined;
	#queue: FlushQueue;
	#t = 0;
	#inv = 0;

	constructor(how: { readonly single?: boolean; readonly fault?: LazyFault }) {
		this.#fault = how.fault;
		this.#queue = newFlushQueue(how.single);
	}

	run(steps: readonly LazyStep[]): readonly LogRecord[] {
		this.#add(fact("dom.created", DOM, { dom: DOM, kind: "dma-fq" }));
		this.#add(fact("did.assigned", UNIT, { iommu: UNIT, did: 1, dom: DOM }));
		this.#add(
			fact("ctx.entry.set", UNIT, {
				iommu: UNIT,
				sid: REQUESTER,
				dom: DOM,
				did: 1,
				dev: DEV,
			}),
		);
		this.#add(fact("hw.attach", DEV, { dev: DEV, dom: DOM }));
		for (const step of steps) {
			const until = this.#t + (step.do === "pass" ? step.ns : STEP_NS);
			this.#pass(until);
			if (step.do === "use") this.#use(step.page, step.cpu);
		}
		return this.#records;
	}

	#add(f: Fact): void {
		const seq = this.#records.length + 1;
		const { type, actor, data } = f;
		this.#records.push({
			seq,
			t: this.#t,
			type,
			actor,
			op: 0,
			data,
		} as LogRecord);
	}

	/** Time passes; the timer may fire meanwhile. */
	#pass(until: number): void {
		const { timerAt } = this.#queue;
		if (
			timerAt !== undefined &&
			timerAt <= until &&
			this.#fault !== "timer-never-fires"
		) {
			this.#t = Math.max(this.#t, timerAt);
			const done = timeout(this.#queue);
			this.#queue = done.queue;
			this.#tell(done.events);
		}
		this.#t = Math.max(this.#t, until);
	}

	#use(page: number, cpu: number): void {
		const range = { start: page, n: 1 };
		const isQueued = [...this.#queue.rings.values()].some((ring) =>
			ring.some((entry) => entry.start === page),
		);
		// The IOVA allocator hands out what is free: a queued page is not, unless it is broken.
		if (isQueued && this.#fault !== "hands-out-queued") return;
		const iova = page * PAGE;
		const bytes = { dom: DOM, iova, len: PAGE };
		this.#add(fact("dom.map", DOM, { ...bytes, pa: 2 ** 30 + iova, prot: 3 }));
		this.#add(
			fact("dom.unmap", DOM, { ...bytes, unmapped: PAGE, queued: true }),
		);
		const done = queueIova(this.#queue, range, cpu, this.#t);
		this.#queue = done.queue;
		const events =
			this.#fault === "ring-without-end"
				? done.events.filter(({ type }) => type === "queued")
				: done.events;
		this.#tell(events);
		this.#add(
			fact("iotlb.synced", DOM, {
				dom: DOM,
				iova,
				last: iova + PAGE - 1,
				queued: true,
			}),
		);
	}

	#tell(events: readonly QueueEvent[]): void {
		for (const event of events)
			if (event.type === "flush") this.#flush();
			else if (event.type === "queued") this.#queued(event.entry);
			else this.#released(event.entry);
	}

	#queued({ start, n, cpu }: Waiting): void {
		const bytes = { dom: DOM, iova: start * PAGE, len: n * PAGE };
		this.#add(fact("fq.queued", DOM, { ...bytes, cpu }));
	}

	#released({ start, n }: Waiting): void {
		this.#add(
			fact("iova.freed", DOM, { dom: DOM, iova: start * PAGE, len: n * PAGE }),
		);
	}

	#flush(): void {
		this.#add(fact("fq.flush.started", DOM, { dom: DOM }));
		if (this.#fault !== "releases-without-flush") {
			const command = { iommu: UNIT, inv: ++this.#inv };
			this.#add(
				fact("inv.issued", UNIT, {
					...command,
					kind: "iotlb",
					gran: "domain",
					did: 1,
				}),
			);
			this.#t += FLUSH_NS;
			this.#add(fact("inv.completed", UNIT, command));
		}
		this.#add(fact("fq.flush.finished", DOM, { dom: DOM }));
	}
}
