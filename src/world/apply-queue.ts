/** Folding of flush queues whose records tell the CPU (facts pagetable-semantics.md §5.4). */
import type { Queue } from "../iotlb/state.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { frameRange } from "./apply-memory.ts";
import { iotlbOf } from "./create.ts";
import type { Appliers } from "./handlers.ts";
import type { World } from "./types.ts";

const EMPTY: Queue = { waiting: [], flushAt: 0, flushNs: 0 };
/** Ranges of one queue that are remembered: more than the single ring holds. */
const WAITING_MAX = 40_000;

function change(
	world: World,
	dom: DomainId,
	how: (queue: Queue) => Queue,
): void {
	const { queues } = iotlbOf(world);
	queues.set(dom, how(queues.get(dom) ?? EMPTY));
}

/** A range was queued on a CPU. */
export function noteQueued(world: World, r: LogRecord<"fq.queued">): void {
	const { dom, iova, len, cpu } = r.data;
	if (cpu === undefined) return;
	const { start, n } = frameRange(iova, Number(iova) + Number(len) - 1);
	const entry = { start, n, cpu, seq: r.seq, t: r.t };
	change(world, dom, (queue) => ({
		...queue,
		waiting: [...queue.waiting.slice(-WAITING_MAX), entry],
	}));
}

export const APPLY_QUEUE: Appliers = {
	"iova.freed": (world, { data }) => {
		if (!world.iotlb.queues.has(data.dom)) return;
		const { start } = frameRange(data.iova, data.iova);
		change(world, data.dom, (queue) => ({
			...queue,
			waiting: queue.waiting.filter((one) => one.start !== start),
		}));
	},
	"fq.flush.started": (world, { data, t }) => {
		if (world.iotlb.queues.has(data.dom))
			change(world, data.dom, (queue) => ({ ...queue, flushAt: t }));
	},
	"fq.flush.finished": (world, { data, t }) => {
		if (world.iotlb.queues.has(data.dom))
			change(world, data.dom, (queue) => ({
				...queue,
				flushNs: t - queue.flushAt,
			}));
	},
};
