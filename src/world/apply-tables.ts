/**
 * Folding of page tables that are logged entry by entry: table.*, slot.*, readers, device writes (facts pagetable-semantics.md §9). What a
 * record did to the tables is left in `effect.tables` for the judge.
 */
import {
	freeTable,
	addTable,
	isSlot,
	newTables,
	setRoot,
	store,
	type TablePage,
	type Tables,
	type Stored,
} from "../iotlb/tables.ts";
import { spacesOf, walkerOf } from "../iotlb/state.ts";
import {
	mayWalk,
	noteFreed,
	noteOld,
	visitPossible,
	type Walker,
} from "../iotlb/walks.ts";
import { PageTableConfigError } from "../pagetable/policy.ts";
import { settleConfig } from "../pagetable/table.ts";
import {
	FORMATS,
	type FormatConfig,
	type TableRequest,
} from "../pagetable/config.ts";
import type { U64 } from "../vocabulary/fields.ts";
import type { DeviceId, DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { frameRange } from "./apply-memory.ts";
import { noteAdded, noteDriverCall, noteLost } from "./calls.ts";
import { domainOf, iotlbOf } from "./create.ts";
import type { Appliers } from "./handlers.ts";
import type { Stream, TableEffect } from "./table-effect.ts";
import type { World } from "./types.ts";

/** The walkers of a domain's tags. */
export function walkersOf(world: World, dom: DomainId): Walker[] {
	const walkers: Walker[] = [];
	for (const space of spacesOf(world.iotlb, dom)) {
		const walker = walkerOf(world.iotlb, space);
		if (walker !== undefined) walkers.push(walker);
	}
	return walkers;
}

/** The page table of a domain for writing; undefined when it is not logged entry by entry. */
const tablesOf = (world: World, dom: DomainId): Tables | undefined =>
	world.iotlb.tables.size === 0 ? undefined : iotlbOf(world).tables.get(dom);

/** Starts the description of what a record did. */
function begin(
	world: World,
	tables: Tables | undefined,
	page: TablePage | undefined,
): TableEffect {
	const effect: TableEffect = {
		tables,
		page,
		was: page?.life,
		changes: [],
		former: undefined,
		levels: 0,
	};
	world.effect.tables = effect;
	return effect;
}

/** Slots that one record may write. */
const RUN_MAX = 2 ** 17;

const rawAt = (word: U64, stride: U64, i: number): bigint =>
	BigInt(word) + BigInt(stride) * BigInt(i);

function write(
	world: World,
	r: LogRecord<"slot.written" | "slot.cleared">,
	word: (i: number, config: FormatConfig) => number,
): void {
	const { data } = r;
	const tables = tablesOf(world, data.dom);
	const page = tables?.pages.get(data.table);
	const effect = begin(world, tables, page);
	const n = Math.min(data.n ?? 1, RUN_MAX);
	if (tables === undefined || page === undefined || !isSlot(data.slot + n))
		return;
	const words = Array.from({ length: n }, (_, i) => word(i, tables.config));
	for (const walker of walkersOf(world, data.dom))
		noteOld(
			walker,
			page,
			data.slot,
			n,
			(slot) => words[slot - data.slot] as number,
			r.seq,
		);
	const call = world.calls.get(r.op);
	words.forEach((now, i) => {
		const slot = data.slot + i;
		const old = page.words.get(slot) ?? 0;
		if (call !== undefined && old !== now && old !== 0)
			noteLost(call, tables, page, slot);
		const stored: Stored = store(tables, page, slot, now, r.seq);
		if (call !== undefined && now !== 0 && old !== now)
			noteAdded(call, tables, page, slot, now);
		if (call !== undefined) call.unlinked.push(...stored.unlinked);
		effect.changes.push({ slot, old, now, ...stored });
	});
}

function rooted(world: World, r: LogRecord<"table.rooted">): void {
	const { data } = r;
	const iotlb = iotlbOf(world);
	let tables = iotlb.tables.get(data.dom);
	if (tables === undefined) {
		tables = tablesFor(data);
		if (tables === undefined) {
			begin(world, undefined, undefined);
			return;
		}
		domainOf(world, data.dom);
		iotlb.tables.set(data.dom, tables);
	}
	const effect = begin(world, tables, tables.pages.get(data.table));
	effect.levels = tables.levels;
	effect.former = setRoot(tables, data.table, data.levels, r.seq);
}

/** A page table as a record says it was set up; undefined for what no driver of this model could have set up. */
function tablesFor(
	data: LogRecord<"table.rooted">["data"],
): Tables | undefined {
	const format = FORMATS.find((one) => one === (data.format ?? "vtd"));
	if (format === undefined) return undefined;
	const hasLevels = format === "vtd" || format === "amd_v2";
	const request: TableRequest = {
		format,
		...(hasLevels ? { levels: data.levels } : {}),
		...(data.pgsizes === undefined ? {} : { pageSizes: BigInt(data.pgsizes) }),
		...(data.ias === undefined ? {} : { ias: data.ias }),
		...(data.oas === undefined ? {} : { oas: data.oas }),
	};
	try {
		return newTables(request, settleConfig(request));
	} catch (error) {
		if (error instanceof PageTableConfigError) return undefined;
		throw error;
	}
}

/** The page table that a device's DMA goes through now. */
export function tablesUnder(
	world: World,
	dev: DeviceId,
): { readonly dom: DomainId; readonly tables: Tables } | undefined {
	if (world.iotlb.tables.size === 0) return undefined;
	const dom = world.devices.map.get(dev)?.hw;
	const tables = dom === undefined ? undefined : tablesOf(world, dom);
	return dom === undefined || tables === undefined
		? undefined
		: { dom, tables };
}

/** Pages of one record about DMA that are looked at one by one. */
export const PAGES_MAX = 4096;

function started(world: World, r: LogRecord<"dma.started">): void {
	const { data } = r;
	const under = tablesUnder(world, data.dev);
	if (under === undefined) return;
	const { start, n } = frameRange(
		data.iova,
		Number(data.iova) + Number(data.len) - 1,
	);
	const targets = new Map<number, Set<number>>();
	if (n <= PAGES_MAX)
		for (let frame = start; frame < start + n; frame++)
			targets.set(frame, targetsOf(world, under.dom, frame));
	const stream: Stream = {
		dev: data.dev,
		dom: under.dom,
		start,
		n: Math.min(n, PAGES_MAX),
		keep: data.keep === true,
		targets,
		seq: r.seq,
	};
	world.streams = [...world.streams, stream];
}

/** Physical frames that a DMA to a frame may reach. */
export function targetsOf(
	world: World,
	dom: DomainId,
	frame: number,
): Set<number> {
	const found = new Set<number>();
	for (const walker of walkersOf(world, dom))
		visitPossible(walker, frame, 1, { memory: true, holes: false }, (one) => {
			if (one.what === "leaf") found.add(one.pa + (frame - one.start));
		});
	return found;
}

function* framesIn(iova: U64, len: U64): Generator<number> {
	const { start, n } = frameRange(iova, Number(iova) + Number(len) - 1);
	for (let i = 0; i < Math.min(n, PAGES_MAX); i++) yield start + i;
}

export const APPLY_TABLES: Appliers = {
	"table.rooted": rooted,
	"table.allocated": (world, { data }) => {
		const tables = tablesOf(world, data.dom);
		begin(world, tables, undefined);
		if (tables === undefined) return;
		const frame =
			data.pa === undefined ? data.table : Math.floor(Number(data.pa) / 4096);
		addTable(tables, data.table, data.level, frame, data.slots);
	},
	"table.linked": (world, { data }) => {
		const tables = tablesOf(world, data.dom);
		begin(world, tables, tables?.pages.get(data.table));
	},
	"table.quarantined": (world, { data }) => {
		const tables = tablesOf(world, data.dom);
		const page = tables?.pages.get(data.table);
		begin(world, tables, page);
		if (page !== undefined) page.claimed = true;
	},
	"table.freed": (world, { data, seq, op }) => {
		const tables = tablesOf(world, data.dom);
		const page = tables?.pages.get(data.table);
		const effect = begin(world, tables, page);
		if (tables === undefined || page === undefined) return;
		effect.walked = walkersOf(world, data.dom).some((walker) =>
			mayWalk(walker, page),
		);
		for (const walker of walkersOf(world, data.dom))
			noteFreed(walker, page, seq);
		effect.readers = page.readers.filter((reader) =>
			tables.readers.has(reader),
		);
		const by = world.ops.get(op)?.actor;
		effect.missed = !page.flushed && by !== undefined && page.missed.has(by);
		freeTable(tables, page, seq);
	},
	"slot.written": (world, r) =>
		write(world, r, (i, config) =>
			config.codec.fromRaw(rawAt(r.data.word, r.data.stride ?? 0, i)),
		),
	"slot.cleared": (world, r) => write(world, r, () => 0),
	"gather.synced": (world, { data, op }) => {
		const call = world.calls.get(op);
		if (call === undefined) return;
		call.commands.length = 0;
		call.syncedOver = call.unsynced;
		call.unsynced = 0;
		call.asked =
			data.iova === undefined || data.last === undefined
				? undefined
				: { ...frameRange(data.iova, data.last), pa: -1 };
	},
	"drv.mapped": (world, { data, op }) => {
		const call = world.calls.get(op);
		if (call !== undefined)
			noteDriverCall(call, Math.floor(Number(data.mapped) / 4096));
	},
	"drv.unmapped": (world, { data, op }) => {
		const call = world.calls.get(op);
		if (call !== undefined)
			noteDriverCall(call, Math.floor(Number(data.unmapped) / 4096));
	},
	"table.read": (world, { data }) => {
		const tables = tablesOf(world, data.dom);
		begin(world, tables, tables?.pages.get(data.table));
	},
	"reader.entered": (world, { data }) => {
		const readers = tablesOf(world, data.dom)?.readers;
		readers?.set(data.reader, (readers.get(data.reader) ?? 0) + 1);
	},
	"reader.exited": (world, { data }) => {
		const tables = tablesOf(world, data.dom);
		if (tables === undefined) return;
		const depth = (tables.readers.get(data.reader) ?? 0) - 1;
		if (depth > 0) {
			tables.readers.set(data.reader, depth);
			return;
		}
		tables.readers.delete(data.reader);
		for (const page of tables.waiting)
			page.readers = page.readers.filter((reader) => reader !== data.reader);
	},
	"dma.done": (world, { data }) => {
		if (!data.write || data.outcome !== "done") return;
		const under = tablesUnder(world, data.dev);
		if (under === undefined) return;
		if (world.domains.map.get(under.dom)?.dirtyOn !== true) return;
		for (const frame of framesIn(data.iova, data.len))
			under.tables.wrote.add(frame);
	},
	"dirty.read": (world, { data }) => {
		const tables = tablesOf(world, data.dom);
		if (tables === undefined || data.bits === 0) return;
		for (const frame of framesIn(data.iova, data.len))
			tables.collected.add(frame);
	},
	"dirty.reported": (world, { data }) => {
		const tables = tablesOf(world, data.dom);
		const effect = begin(world, tables, undefined);
		if (tables === undefined) return;
		effect.reported = [...tables.collected];
		for (const frame of tables.collected) tables.wrote.delete(frame);
		tables.collected.clear();
	},
	"dma.started": started,
	"dma.stopped": (world, { data }) => {
		world.stopped = new Set([...world.stopped, data.dev]);
	},
	"dma.resumed": (world, { data }) => {
		world.stopped = new Set(
			[...world.stopped].filter((dev) => dev !== data.dev),
		);
	},
};
