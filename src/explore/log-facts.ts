/** The records of a scenario's start, and of each move: what changed in memory, and what the step itself says. */
import type { ActorId } from "../vocabulary/ids.ts";
import { groupId } from "../vocabulary/ids.ts";
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type { Invalidation } from "./caches.ts";
import {
	LOG_DEVICE,
	LOG_DOMAIN,
	LOG_IOMMU,
	blocksOf,
	iovaOf,
	spanBytes,
	tableAddress,
	tableNumber,
	tablesAbove,
	targetAddress,
} from "./log-places.ts";
import { type Model, STATUS, isLeaf } from "./model.ts";
import { memoryFacts, placeOf, targetOf } from "./log-memory.ts";
import type { Operation, Site } from "./operations.ts";
import {
	MOVE,
	type TableSystem,
	detailOf,
	kindOf,
	processOf,
} from "./table-system.ts";

const dom = LOG_DOMAIN;
const REQUESTER = 0x100;

/** The device's domain, and the page table as it stands at the start. */
export function startFacts(system: TableSystem): Fact[] {
	const { model } = system;
	const facts: Fact[] = [
		fact("grp.member.added", groupId(1), {
			group: groupId(1),
			dev: LOG_DEVICE,
		}),
		fact("dom.created", dom, { dom, kind: "unmanaged" }),
		fact("did.assigned", LOG_IOMMU, { iommu: LOG_IOMMU, did: 1, dom }),
		fact("tag.assigned", LOG_IOMMU, {
			iommu: LOG_IOMMU,
			did: 1,
			dom,
			dev: LOG_DEVICE,
			ref: 1,
		}),
		fact("ctx.entry.set", LOG_IOMMU, {
			iommu: LOG_IOMMU,
			sid: REQUESTER,
			dom,
			did: 1,
			dev: LOG_DEVICE,
		}),
		fact("hw.attach", LOG_DEVICE, { dev: LOG_DEVICE, dom }),
	];
	const above = tablesAbove(model);
	for (const { table, level } of above)
		facts.push(fact("table.allocated", dom, { dom, table, level }));
	model.tables.forEach((table, number) =>
		facts.push(
			fact("table.allocated", dom, {
				dom,
				table: tableNumber(model, number),
				level: table.level,
			}),
		),
	);
	above.forEach(({ table }) => {
		const word = tableAddress(table + 1) + 3;
		facts.push(
			fact("slot.written", dom, { dom, table, slot: 0, word, n: 1 }),
			fact("table.linked", dom, {
				dom,
				table: table + 1,
				parent: table,
				slot: 0,
			}),
		);
	});
	const blank = new Uint8Array(system.bytes);
	const start = new Uint8Array(system.bytes);
	system.initial(start);
	system.raised.length = 0;
	blank[model.tables[0]?.status ?? 0] = STATUS.linked;
	return [...facts, ...memoryFacts(system, blank, start)];
}

/** Numbers of invalidation commands: a new one, and the last one this thread has issued. */
export interface Numbering {
	readonly next: () => number;
	readonly last: () => number;
}

/** The records of one move. */
export function stepFacts(
	system: TableSystem,
	move: number,
	before: Uint8Array,
	after: Uint8Array,
	numbers: Numbering,
): Fact[] {
	const { model, programs, sites } = system;
	const memory = memoryFacts(system, before, after);
	if (kindOf(move) === MOVE.perform) return [];
	const thread = model.threads[processOf(move)];
	if (thread === undefined)
		return [written(model, detailOf(move) >> 6), ...memory];
	const operation = programs[processOf(move)]?.[before[thread.pc] as number];
	if (operation === undefined) return memory;
	const actor: ActorId = `task:${thread.name}`;
	return [
		...memory,
		...invalidationFacts(model, sites, operation, numbers),
		...ownFacts(system, operation, before, processOf(move), actor),
	];
}

const written = (model: Model, page: number): Fact =>
	fact("dma.done", LOG_DEVICE, {
		dev: LOG_DEVICE,
		iova: iovaOf(model, 1, page),
		len: spanBytes(1),
		write: true,
		outcome: "done",
	});

function invalidationFacts(
	model: Model,
	sites: readonly Site[],
	operation: Operation,
	numbers: Numbering,
): Fact[] {
	const { verb } = operation.source;
	const site = operation.site === undefined ? undefined : sites[operation.site];
	if (site !== undefined) return issued(model, site.invalidation, numbers.next);
	if (verb !== "flush" && verb !== "wait") return [];
	return [
		fact("inv.completed", LOG_IOMMU, { iommu: LOG_IOMMU, inv: numbers.last() }),
	];
}

function issued(
	model: Model,
	invalidation: Invalidation,
	nextInv: () => number,
): Fact[] {
	const blocks = blocksOf(model, invalidation);
	const common = {
		iommu: LOG_IOMMU,
		kind: invalidation.scope === "device" ? "devtlb" : "iotlb",
		did: 1,
		...(invalidation.scope === "leaf" ? { ih: true } : {}),
		...(invalidation.scope === "device" ? { dev: LOG_DEVICE } : {}),
		// TTL names the level from the root as Arm counts: 3 = page, 2 = block of the level above.
		...(invalidation.level === undefined
			? {}
			: { ttl: 4 - invalidation.level }),
	};
	if (blocks === undefined)
		return [
			fact("inv.issued", LOG_IOMMU, {
				...common,
				inv: nextInv(),
				gran: "domain",
			}),
		];
	return blocks.map((block) =>
		fact("inv.issued", LOG_IOMMU, {
			...common,
			inv: nextInv(),
			gran: "page",
			...block,
		}),
	);
}

/** What a step says beyond what it changes in memory. */
function ownFacts(
	system: TableSystem,
	operation: Operation,
	before: Uint8Array,
	thread: number,
	actor: ActorId,
): Fact[] {
	const { model } = system;
	const { source } = operation;
	const inside = before[model.threads[thread]?.reader ?? 0] !== 0;
	switch (source.verb) {
		case "reader":
			return [
				fact(
					source.args === "enter" ? "reader.entered" : "reader.exited",
					actor,
					{
						dom,
						reader: thread,
					},
				),
			];
		case "grace":
			return operation.enabled === undefined
				? []
				: [fact("reader.grace", actor, { dom })];
		case "report":
			return [fact("dirty.reported", actor, { dom })];
		case "read":
		case "dirty": {
			const place = operation.place;
			const table = place?.resolve(before) ?? -1;
			if (place === undefined || table < 0) return [];
			const reader = inside ? { reader: thread } : {};
			const slot = place.index;
			const facts: Fact[] = [
				fact("table.read", actor, {
					dom,
					table: tableNumber(model, table),
					slot,
					...reader,
				}),
			];
			if (source.verb === "dirty" && "sweep" in source.args)
				facts.push(sweepFact(system, before, table, slot, source.args.clear));
			return facts;
		}
		case "done":
			return doneFacts(system, before, source.args, actor);
		default:
			return [];
	}
}

function sweepFact(
	system: TableSystem,
	before: Uint8Array,
	table: number,
	slot: number,
	cleared: boolean,
): Fact {
	const { level, iova } = placeOf(system, before, table, slot);
	const value = before[
		(system.model.tables[table]?.slots ?? 0) + slot
	] as number;
	return fact("dirty.read", dom, {
		dom,
		iova,
		len: spanBytes(level),
		cleared,
		bits: isLeaf(value) && value & 1 ? 1 : 0,
	});
}

/** A call returns to its caller. A map that memory does not show is claimed all the same: that is what it told its caller. */
function doneFacts(
	system: TableSystem,
	before: Uint8Array,
	args: Extract<Operation["source"], { verb: "done" }>["args"],
	actor: ActorId,
): Fact[] {
	const { model, checks } = system;
	if ("fail" in args) return [];
	const pages = ("map" in args ? args.map : args.unmap).map(Number);
	return pages.flatMap((page): Fact[] => {
		const iova = iovaOf(model, 1, page);
		const len = spanBytes(1);
		const wanted =
			"map" in args && args.to !== undefined
				? model.targets.indexOf(args.to)
				: -1;
		const synced = fact("iotlb.synced", actor, {
			dom,
			iova,
			last: iova + len - 1,
		});
		if (wanted < 0 || targetOf(checks.walk(before, page)) === wanted)
			return [synced];
		const pa = targetAddress(wanted, iova);
		return [fact("dom.map", actor, { dom, iova, pa, len, prot: 3 }), synced];
	});
}
