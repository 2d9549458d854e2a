/** VFT rows (facts iommufd §6.6): legacy containers. */
import type { CtxId, DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	areaAt,
	areaMeeting,
	eachArea,
	lastOf,
	type Area,
} from "../world/areas.ts";
import { framesOf, presentFrames } from "../world/memory.ts";
import type { Type1, World } from "../world/types.ts";
import { hex, show } from "./iova-checks.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

const type1Of = (world: World, ctx: string): Type1 | undefined =>
	world.ctxs.map.get(ctx as CtxId)?.type1;

interface Span {
	readonly start: number | bigint;
	readonly last: number | bigint;
}
/** Entries that the operation took away, as far as its records say how long they were. */
function removed({ bracket }: Context): Span[] | undefined {
	const spans: Span[] = [];
	for (const step of bracket.op?.steps ?? []) {
		if (step.type !== "type1.entry.removed" || step.data.undo === true)
			continue;
		if (step.data.len === undefined) return undefined;
		const start = step.data.iova;
		spans.push({ start, last: lastOf(start, step.data.len) });
	}
	return bracket.op?.truncated === true ? undefined : spans;
}

/** What an unmap asked for; undefined when it asked for everything. */
const asked = ({ data }: LogRecord<"type1.unmapped">): Span | undefined =>
	data.len === 0
		? undefined
		: { start: data.iova, last: lastOf(data.iova, data.len) };

/** VFT-2. */
function wholeInside(
	context: Context,
	record: LogRecord<"type1.unmapped">,
): Outcome {
	const { data, seq } = record;
	const request = asked(record);
	const gone = removed(context);
	if (type1Of(context.world, data.ctx)?.version !== "v2") return SKIP;
	if (request === undefined || gone === undefined) return SKIP;
	const cut = gone.find(
		({ start, last }) => start < request.start || last > request.last,
	);
	return cut === undefined
		? undefined
		: broken(
				`${data.ctx} ${seq}`,
				`an unmap of ${show(request)} in ${data.ctx} took ${show(cut)} away, which reaches beyond it`,
				[data.ctx],
				[context.bracket.seq],
			);
}

/** VFT-3. */
function startOfMapping(
	context: Context,
	record: LogRecord<"type1.unmapped">,
): Outcome {
	const { data, seq } = record;
	const type1 = type1Of(context.world, data.ctx);
	const request = asked(record);
	const gone = removed(context);
	if (type1?.version !== "v1" || request === undefined || gone === undefined)
		return SKIP;
	const finding = (what: string): Outcome =>
		broken(
			`${data.ctx} ${seq}`,
			`an unmap of ${show(request)} in ${data.ctx} ${what}`,
			[data.ctx],
			[context.bracket.seq],
		);
	const { start, last } = request;
	const holder =
		gone.find((e) => e.start < start && e.last >= start) ??
		areaMeeting(type1.entries, start, start);
	if (holder !== undefined && holder.start < start)
		return gone.length === 0
			? undefined
			: finding(`starts inside ${show(holder)} and took entries away`);
	const outside = gone.find((e) => e.start < start || e.start > last);
	if (outside !== undefined)
		return finding(`took ${show(outside)} away, which does not start in it`);
	const left = areaMeeting(type1.entries, start, last);
	return left === undefined || left.start < start
		? undefined
		: finding(`left ${show(left)}, which starts in it`);
}

/** Is all of an entry mapped in a domain? Undefined when the log does not tell. */
function isMapped(
	world: World,
	dom: DomainId,
	entry: Area,
): boolean | undefined {
	const domain = world.domains.map.get(dom);
	if (domain === undefined || domain.mapped < 0) return undefined;
	if (domain.memory === null) return false;
	const start = framesOf(entry.start, domain.memory.unit);
	const end = framesOf(BigInt(entry.last) + 1n, domain.memory.unit);
	if (start < 0 || end < 0) return undefined;
	return presentFrames(domain.memory, start, end - start) === end - start;
}

const notIn = (ctx: string, dom: DomainId, entry: Area, seq: number): Outcome =>
	broken(
		`${ctx} ${dom} ${seq}`,
		`the entry ${show(entry)} of ${ctx} counts as mapped, and not all of it is in ${dom}`,
		[ctx as CtxId, dom],
		[entry.seq],
	);

/** VFT-5, at an entry. */
function entryEverywhere(
	{ world }: Context,
	{ data, seq }: LogRecord<"type1.entry.mapped">,
): Outcome {
	const type1 = type1Of(world, data.ctx);
	const entry =
		type1 === undefined ? undefined : areaAt(type1.entries, data.iova);
	if (type1 === undefined || entry === undefined || type1.doms.length === 0)
		return SKIP;
	for (const dom of type1.doms)
		if (isMapped(world, dom, entry) === false)
			return notIn(data.ctx, dom, entry, seq);
	return undefined;
}

/** VFT-5, at a domain that joins. */
function domainHasAll(
	{ world }: Context,
	{ data, seq }: LogRecord<"type1.domain.added">,
): Outcome {
	const type1 = type1Of(world, data.ctx);
	if (type1 === undefined || type1.entries.count === 0) return SKIP;
	let bad: Area | undefined;
	eachArea(type1.entries, (entry) => {
		if (entry.state === "live" && isMapped(world, data.dom, entry) === false)
			bad ??= entry;
	});
	return bad === undefined ? undefined : notIn(data.ctx, data.dom, bad, seq);
}

/** VFT-6. */
function tiles(
	{ world, bracket, memory }: Context,
	{ actor, data, seq }: LogRecord<"dom.unmap">,
): Outcome {
	const ctx = bracket.op?.actor ?? actor;
	const type1 = ctx.startsWith("ctx:") ? type1Of(world, ctx) : undefined;
	if (type1 === undefined || !type1.doms.includes(data.dom)) return SKIP;
	const entry = areaMeeting(type1.entries, data.iova, data.iova);
	if (entry === undefined) return SKIP;
	const key = `VFT-6 ${data.dom} ${bracket.seq} ${entry.start}`;
	const expected = memory.get(key) ?? Number(entry.start);
	memory.set(key, Number(data.iova) + Number(data.unmapped));
	if (lastOf(data.iova, data.unmapped) >= entry.last) memory.delete(key);
	if (data.unmapped > 0 && Number(data.iova) === expected) return undefined;
	return broken(
		`${data.dom} ${seq}`,
		data.unmapped > 0
			? `the unmap of ${show(entry)} in ${data.dom} went on at ${hex(data.iova)}, not at ${hex(expected)}`
			: `the unmap of ${show(entry)} in ${data.dom} got nothing back at ${hex(data.iova)}`,
		[data.dom, ctx],
		[entry.seq],
	);
}

export const TYPE1: readonly Invariant[] = [
	{
		id: "VFT-2",
		when: "O",
		severity: "error",
		sentence:
			"An unmap of a v2 container removes only whole entries that lie inside the request.",
		harm: "memory that was not asked for is unmapped",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap"],
		on: { "type1.unmapped": wholeInside },
	},
	{
		id: "VFT-3",
		when: "O",
		severity: "error",
		sentence:
			"An unmap of a v1 container removes exactly the entries that start in the request, or none when it starts inside one.",
		harm: "user space that relies on the start-of-mapping rule loses track",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap"],
		on: { "type1.unmapped": startOfMapping },
	},
	{
		id: "VFT-5",
		when: "O",
		severity: "error",
		needs: "L2",
		sentence:
			"An entry that counts as mapped is mapped in every domain of its container, all of it.",
		harm: "a device of another group faults on memory that it was given",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_iommu_replay"],
		on: {
			"type1.entry.mapped": entryEverywhere,
			"type1.domain.added": domainHasAll,
		},
	},
	{
		id: "VFT-6",
		when: "S",
		severity: "error",
		needs: "L2",
		sentence:
			"The chunks in which an entry is unmapped follow each other without a gap, and each gives something back.",
		harm: "the engine warns and leaks what it skipped",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_unmap_unpin", "seed mail 4"],
		on: { "dom.unmap": tiles },
	},
	{
		id: "VFT-1",
		when: "O",
		severity: "error",
		sentence: "Entries of a legacy container never overlap.",
		harm: "two owners for one IOVA",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_map"],
		on: {
			"type1.entry.added": ({ world }, { data, seq }) => {
				const type1 = world.ctxs.map.get(data.ctx as CtxId)?.type1;
				if (type1 === undefined) return SKIP;
				const other = areaMeeting(
					type1.entries,
					data.iova,
					lastOf(data.iova, data.len),
					type1.newest,
				);
				return other === undefined
					? undefined
					: broken(
							`${data.ctx} ${seq}`,
							`the entry at 0x${data.iova.toString(16)} of ${data.ctx} overlaps one at 0x${other.start.toString(16)}`,
							[data.ctx],
							[other.seq],
						);
			},
		},
	},
	{
		id: "VFT-4",
		when: "O",
		severity: "error",
		sentence: "A legacy container never holds more entries than its limit.",
		harm: "its limit on kernel memory is bypassed",
		source: ["drivers/vfio/vfio_iommu_type1.c:vfio_remove_dma"],
		on: {
			"type1.entry.added": ({ world }, { data, seq }) => {
				const type1 = world.ctxs.map.get(data.ctx as CtxId)?.type1;
				if (type1?.limit === undefined) return SKIP;
				return type1.entries.count <= type1.limit
					? undefined
					: broken(
							`${data.ctx} ${seq}`,
							`${data.ctx} holds ${type1.entries.count} entries; its limit is ${type1.limit}`,
							[data.ctx],
							[],
						);
			},
		},
	},
];
