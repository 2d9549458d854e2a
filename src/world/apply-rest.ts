/** Folding of dirty tracking, page faults and legacy type1 containers (facts §2.10, §2.15, §5). */
import type { CtxId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	editArea,
	insertArea,
	lastOf,
	newAreas,
	removeArea,
	shareAreas,
	type Area,
} from "./areas.ts";
import { ctxOf, deviceOf, domainOf } from "./create.ts";
import type { Appliers } from "./handlers.ts";
import { edit, put } from "./table.ts";
import type { Ctx, Type1, World } from "./types.ts";

function changeType1(
	world: World,
	id: CtxId,
	change: (type1: Type1) => Type1,
): void {
	const ctx: Ctx = ctxOf(world, id);
	const type1 = ctx.type1 ?? emptyType1(world);
	ctx.type1 = change(
		type1.entries.own === world.own
			? type1
			: { ...type1, entries: shareAreas(type1.entries, world.own) },
	);
}

const emptyType1 = (world: World): Type1 => ({
	version: "v2",
	limit: undefined,
	entries: newAreas(world.own),
	newest: undefined,
	doms: [],
	ranges: undefined,
});

function addEntry(type1: Type1, r: LogRecord<"type1.entry.added">): Type1 {
	const { entries } = type1;
	const newest: Area = {
		own: entries.own,
		start: r.data.iova,
		last: lastOf(r.data.iova, r.data.len),
		prot: r.data.prot,
		pages: undefined,
		off: 0,
		sdom: undefined,
		state: "claimed",
		prevent: false,
		op: r.op,
		seq: r.seq,
	};
	insertArea(entries, newest);
	return { ...type1, newest };
}

export const APPLY_REST: Appliers = {
	"dirty.set": (world, { data }) => {
		domainOf(world, data.dom).dirtyOn = data.on;
	},
	"fault.iopf.on": (world, { data }) => {
		deviceOf(world, data.dev).iopf++;
	},
	"fault.iopf.off": (world, { data }) => {
		deviceOf(world, data.dev).iopf--;
	},
	"fault.queue.created": (world, { data }) => {
		put(world.faultQueues, world.own, data.fq, {
			own: world.own,
			id: data.fq,
			open: [],
			u: undefined,
			gone: false,
		});
	},
	"fault.queued": (world, { data }) => {
		const queue = edit(world.faultQueues, world.own, data.fq);
		if (queue !== undefined)
			queue.open = [...queue.open, `${data.dev} ${data.grpid}`];
	},
	"fault.answered": (world, { data }) => {
		const queue = edit(world.faultQueues, world.own, data.fq);
		if (queue === undefined) return;
		const at =
			data.grpid === undefined
				? 0
				: queue.open.findIndex((key) =>
						data.dev === undefined
							? key.endsWith(` ${data.grpid}`)
							: key === `${data.dev} ${data.grpid}`,
					);
		queue.open = queue.open.filter((_, i) => i !== at);
	},
	"type1.created": (world, { data }) =>
		changeType1(world, data.ctx, () => ({
			...emptyType1(world),
			version: data.version,
			limit: data.limit,
		})),
	"type1.entry.added": (world, r) =>
		changeType1(world, r.data.ctx, (type1) => addEntry(type1, r)),
	"type1.entry.mapped": (world, { data }) =>
		changeType1(world, data.ctx, (type1) => {
			const entry = editArea(type1.entries, data.iova);
			if (entry !== undefined) entry.state = "live";
			return type1;
		}),
	"type1.entry.removed": (world, { data }) =>
		changeType1(world, data.ctx, (type1) => {
			removeArea(type1.entries, data.iova);
			return type1;
		}),
	"type1.domain.added": (world, { data }) =>
		changeType1(world, data.ctx, (type1) => ({
			...type1,
			doms: [...type1.doms, data.dom],
		})),
	"type1.domain.removed": (world, { data }) =>
		changeType1(world, data.ctx, (type1) => ({
			...type1,
			doms: type1.doms.filter((dom) => dom !== data.dom),
		})),
	"type1.ranges.set": (world, { data }) =>
		changeType1(world, data.ctx, (type1) => ({
			...type1,
			ranges: data.ranges,
		})),
};
