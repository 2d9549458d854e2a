/** The records of a scenario's start, and of each move: what software did to memory, and what the step itself says. */
import type { ActorId } from "../vocabulary/ids.ts";
import { groupId } from "../vocabulary/ids.ts";
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type { Invalidation } from "./caches.ts";
import {
	LOG_DEVICE,
	LOG_DOMAIN,
	LOG_IOMMU,
	LOG_LEVELS,
	blocksOf,
	iovaOf,
	spanBytes,
	tableAddress,
	tableNumber,
	tablesAbove,
} from "./log-places.ts";
import {
	actFact,
	differenceFacts,
	lifeFacts,
	placeOf,
	translationFacts,
} from "./log-memory.ts";
import type { Act } from "./memory.ts";
import { type Model, STATUS, isLeaf, pageMask } from "./model.ts";
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
	return [
		fact("grp.member.added", groupId(1), {
			group: groupId(1),
			dev: LOG_DEVICE,
		}),
		fact("dom.created", dom, { dom, kind: "unmanaged", dirty: true }),
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
		...(tracksDirty(model) ? [fact("dirty.set", dom, { dom, on: true })] : []),
		...tableFacts(system),
	];
}

const tracksDirty = (model: Model): boolean =>
	model.scenario.hardware.includes("dirty") ||
	model.threads.some((thread) =>
		thread.steps.some(({ verb }) => verb === "dirty"),
	);

function tableFacts(system: TableSystem): Fact[] {
	const { model } = system;
	const above = tablesAbove(model);
	const facts: Fact[] = [
		fact("table.rooted", dom, {
			dom,
			table: 1,
			levels: LOG_LEVELS,
			format: "vtd",
		}),
	];
	const allocated = (table: number, level: number, slots: number): void =>
		void facts.push(
			fact("table.allocated", dom, {
				dom,
				table,
				level,
				pa: tableAddress(table),
				slots,
			}),
		);
	for (const { table, level } of above) allocated(table, level, 1);
	model.tables.forEach((table, number) =>
		allocated(tableNumber(model, number), table.level, table.size),
	);
	for (const { table } of above) {
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
	}
	const blank = new Uint8Array(system.bytes);
	const start = new Uint8Array(system.bytes);
	system.initial(start);
	system.raised.length = 0;
	blank[model.tables[0]?.status ?? 0] = STATUS.linked;
	return [
		...facts,
		...differenceFacts(system, blank, start),
		...translationFacts(system, blank, start),
		...lifeFacts(system, blank, start),
	];
}

/** Pages that devices use all the time. */
export function streamFacts(model: Model): Fact[] {
	const { live, keep } = model.scenario;
	const pages = [...new Set([...live, ...keep])].sort((a, b) => a - b);
	pageMask(model, pages);
	return pages.map((page) =>
		fact("dma.started", LOG_DEVICE, {
			dev: LOG_DEVICE,
			iova: iovaOf(model, 1, page),
			len: spanBytes(1),
			...(keep.includes(page) ? { keep: true } : {}),
		}),
	);
}

/** Numbers of invalidation commands: a new one, and the last one this thread has issued. */
export interface Numbering {
	readonly next: () => number;
	readonly last: () => number;
}

/** The records of one move, the beginning and end of operations left out. */
export function stepFacts(
	system: TableSystem,
	move: number,
	before: Uint8Array,
	after: Uint8Array,
	numbers: Numbering,
): Fact[] {
	const { model, programs, sites } = system;
	if (kindOf(move) === MOVE.perform) return [];
	const thread = model.threads[processOf(move)];
	if (thread === undefined)
		return [
			...differenceFacts(system, before, after, LOG_IOMMU),
			written(model, detailOf(move) >> 6),
		];
	const operation = programs[processOf(move)]?.[before[thread.pc] as number];
	const actor: ActorId = `task:${thread.name}`;
	const reader = before[thread.reader] === 0 ? undefined : processOf(move);
	const acts = actsOf(system, move, before).map((act) =>
		actFact(system, before, act, operation, actor, reader),
	);
	return [
		...acts,
		...translationFacts(system, before, after),
		...lifeFacts(system, before, after),
		...(operation === undefined
			? []
			: [
					...invalidationFacts(model, sites, operation, numbers),
					...ownFacts(system, operation, before, after, processOf(move), actor),
				]),
	];
}

/** What software does to memory in a move. */
function actsOf(
	system: TableSystem,
	move: number,
	before: Uint8Array,
): readonly Act[] {
	const acts: Act[] = [];
	system.memory.watch = (act) => void acts.push(act);
	system.apply(before.slice(), move);
	system.memory.watch = undefined;
	system.raised.length = 0;
	return acts;
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

const KINDS = { leaf: "iotlb", all: "iotlb", walk: "walk", device: "devtlb" };

function issued(
	model: Model,
	invalidation: Invalidation,
	nextInv: () => number,
): Fact[] {
	const blocks = blocksOf(model, invalidation);
	const common = {
		iommu: LOG_IOMMU,
		kind: KINDS[invalidation.scope],
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

/** What a step says beyond what it does to memory. */
function ownFacts(
	system: TableSystem,
	operation: Operation,
	before: Uint8Array,
	after: Uint8Array,
	thread: number,
	actor: ActorId,
): Fact[] {
	const { model } = system;
	const { source } = operation;
	switch (source.verb) {
		case "reader": {
			const type = source.args === "enter" ? "reader.entered" : "reader.exited";
			return [fact(type, actor, { dom, reader: thread })];
		}
		case "grace":
			return operation.enabled === undefined
				? []
				: [fact("reader.grace", actor, { dom })];
		case "report":
			return [fact("dirty.reported", actor, { dom })];
		case "dma":
			if (source.args === "stop")
				return [fact("dma.stopped", LOG_DEVICE, { dev: LOG_DEVICE })];
			if (source.args === "resume")
				return [fact("dma.resumed", LOG_DEVICE, { dev: LOG_DEVICE })];
			return source.args.write
				? [
						...differenceFacts(system, before, after, LOG_IOMMU),
						written(model, source.args.page),
					]
				: [];
		case "dirty": {
			const change = differenceFacts(system, before, after);
			const place = operation.place;
			const table = place?.resolve(before) ?? -1;
			if (place === undefined || table < 0) return [];
			if (!("sweep" in source.args)) return change;
			const { clear } = source.args;
			const isFreed =
				(before[model.tables[table]?.status ?? 0] as number) >= STATUS.freed;
			// What it clears in memory of others is not known; that it does is.
			if (isFreed)
				return clear
					? [
							fact("slot.cleared", dom, {
								dom,
								table: tableNumber(model, table),
								slot: place.index,
								n: 1,
							}),
						]
					: [];
			return [sweepFact(system, before, table, place.index, clear), ...change];
		}
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
