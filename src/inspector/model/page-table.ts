/** A domain's page table for people: what is mapped in a window, and the tables with their entries decoded. */
import { LEAF, TABLE, type Walkable } from "../../pagetable/config.ts";
import {
	lineIsBlank,
	type Page,
	TABLE_STATES,
	wordAt,
} from "../../pagetable/page.ts";
import { eachPage, findPage } from "../../pagetable/store.ts";
import { visitLeaves } from "../../pagetable/walk.ts";
import type { Domain, World } from "../../world/types.ts";

/** A run of equal pages that follow each other in both spaces. Bytes. */
export interface Run {
	readonly iova: number;
	readonly pa: number;
	readonly lengthBytes: number;
	readonly pageBytes: number;
	/** 1 read, 2 write. */
	readonly rights: number;
}
/** One entry of a table. */
export interface Entry {
	readonly slot: number;
	/** First byte that it covers, and how many. */
	readonly iova: number;
	readonly sizeBytes: number;
	/** The 64-bit word as hardware sees it. */
	readonly word: string;
	readonly kind: "table" | "leaf";
	/** Number of the table that it points to. */
	readonly child: number | undefined;
	/** Byte address of the page, of a leaf. */
	readonly pa: number | undefined;
	readonly rights: number;
}
/** Where a table is in its life. Freed ones are shown where a log records single steps. */
export type TableState = (typeof TABLE_STATES)[number] | "freed";
/** A range that hardware may still translate. Bytes. */
export interface StaleStrip {
	readonly iova: number;
	readonly lengthBytes: number;
	readonly seq: number;
	readonly isCertain: boolean;
}
/** One table. */
export interface TableNode {
	readonly table: number;
	readonly level: number;
	readonly state: TableState;
	/** First byte that it covers; undefined when nothing points to it. */
	readonly iova: number | undefined;
	readonly entryCount: number;
	/** At most ENTRIES_SHOWN_MAX of them. */
	readonly entries: readonly Entry[];
	readonly depth: number;
}
/** What the view shows. */
export interface PageTablePicture {
	readonly domain: string;
	readonly kind: string;
	readonly format: string;
	/** Bytes of address space that the format covers. */
	readonly spaceBytes: number;
	readonly mappedBytes: number | undefined;
	/** Smallest and largest mapped address: where to look. Undefined when nothing is mapped. */
	readonly extent: { readonly from: number; readonly to: number } | undefined;
	readonly runs: readonly Run[];
	readonly runsLeftOut: number;
	readonly tables: readonly TableNode[];
	readonly tablesLeftOut: number;
	/** Tables by life state. */
	readonly states: Readonly<Record<string, number>>;
	/** What memory no longer maps and hardware may still hold. */
	readonly stale: readonly StaleStrip[];
}

/** Runs, tables and entries given out at most. */
export const RUNS_SHOWN_MAX = 3000;
export const TABLES_SHOWN_MAX = 200;
export const ENTRIES_SHOWN_MAX = 64;

/** The domains that have a page table to show, by name. */
export const domainsWithTables = (world: World): string[] =>
	[...world.domains.map.values()]
		.filter((domain) => domain.memory !== null)
		.map((domain) => domain.id);

/** Reads the picture of one domain; `window` limits the runs, in bytes. */
export function pageTableOf(
	domain: Domain,
	stale: readonly StaleStrip[] = [],
	window?: { readonly from: number; readonly to: number },
): PageTablePicture | undefined {
	if (domain.memory === null) return undefined;
	const { edit, shift } = domain.memory;
	const unit = 2 ** shift;
	const { geometry } = edit.config;
	const spaceFrames =
		(geometry.span[geometry.rootLevel] as number) * 2 ** geometry.rootBits;
	const first = window === undefined ? 0 : Math.floor(window.from / unit);
	const last = window === undefined ? spaceFrames : Math.ceil(window.to / unit);
	const found = runsOf(edit, unit, first, last - first);
	const { tables, tablesLeftOut, states } = tablesOf(edit, unit);
	return {
		domain: domain.id,
		kind: domain.kind,
		format: edit.config.format,
		spaceBytes: spaceFrames * unit,
		mappedBytes: domain.mapped < 0 ? undefined : domain.mapped * unit,
		...found,
		tables,
		tablesLeftOut,
		states,
		stale,
	};
}

function runsOf(
	table: Walkable,
	unit: number,
	first: number,
	count: number,
): Pick<PageTablePicture, "runs" | "runsLeftOut" | "extent"> {
	const runs: {
		iova: number;
		pa: number;
		lengthBytes: number;
		pageBytes: number;
		rights: number;
	}[] = [];
	let runsLeftOut = 0;
	let from = Number.POSITIVE_INFINITY;
	let to = 0;
	visitLeaves(table, first, count, (leaf) => {
		const iova = leaf.iova * unit;
		const size = leaf.slotSize * unit;
		from = Math.min(from, iova);
		to = Math.max(to, iova + size);
		const last = runs.at(-1);
		const follows =
			last !== undefined &&
			last.pageBytes === leaf.leafSize * unit &&
			last.rights === leaf.rights &&
			last.iova + last.lengthBytes === iova &&
			last.pa + last.lengthBytes === leaf.pa * unit;
		if (follows) last.lengthBytes += size;
		else if (runs.length < RUNS_SHOWN_MAX)
			runs.push({
				iova,
				pa: leaf.pa * unit,
				lengthBytes: size,
				pageBytes: leaf.leafSize * unit,
				rights: leaf.rights,
			});
		else runsLeftOut++;
	});
	return { runs, runsLeftOut, extent: to === 0 ? undefined : { from, to } };
}

function tablesOf(
	table: Walkable,
	unit: number,
): Pick<PageTablePicture, "tables" | "tablesLeftOut" | "states"> {
	const states: Record<string, number> = {};
	const seen = new Set<number>();
	const tables: TableNode[] = [];
	let tablesLeftOut = 0;
	const visit = (page: Page, iova: number | undefined, depth: number): void => {
		if (seen.has(page.id)) return;
		seen.add(page.id);
		const node = nodeOf(table, page, iova, depth, unit);
		if (tables.length < TABLES_SHOWN_MAX) tables.push(node.shown);
		else tablesLeftOut++;
		for (const { child, at } of node.children) {
			const next = findPage(table.store, child);
			if (next !== undefined) visit(next, at, depth + 1);
		}
	};
	const root = findPage(table.store, table.root);
	if (root !== undefined) visit(root, 0, 0);
	eachPage(table.store, (page) => {
		const state = TABLE_STATES[page.state];
		states[state] = (states[state] ?? 0) + 1;
		visit(page, undefined, 0);
	});
	return { tables, tablesLeftOut, states };
}

function nodeOf(
	table: Walkable,
	page: Page,
	iova: number | undefined,
	depth: number,
	unit: number,
): { shown: TableNode; children: { child: number; at: number | undefined }[] } {
	const { codec, geometry } = table.config;
	const slotBytes = (geometry.span[page.level] as number) * unit;
	const entries: Entry[] = [];
	const children: { child: number; at: number | undefined }[] = [];
	let entryCount = 0;
	for (let slot = 0; slot < 2 ** page.bits; slot++) {
		if (
			(slot & page.lineMask) === 0 &&
			lineIsBlank(page, slot >> page.lineShift)
		) {
			slot += page.lineMask;
			continue;
		}
		const word = wordAt(page, slot);
		const kind = codec.kind(word, page.level);
		if (kind !== TABLE && kind !== LEAF) continue;
		entryCount++;
		const at = iova === undefined ? undefined : iova + slot * slotBytes;
		if (kind === TABLE) children.push({ child: codec.child(word), at });
		if (entries.length >= ENTRIES_SHOWN_MAX) continue;
		entries.push({
			slot,
			iova: at ?? 0,
			sizeBytes: slotBytes,
			word: `0x${codec.raw(word).toString(16)}`,
			kind: kind === TABLE ? "table" : "leaf",
			child: kind === TABLE ? codec.child(word) : undefined,
			pa:
				kind === LEAF ? codec.leafPa(word, page.level, slot) * unit : undefined,
			rights: kind === LEAF ? codec.rights(word, page.level) : 0,
		});
	}
	const shown = {
		table: page.id,
		level: page.level,
		state: TABLE_STATES[page.state],
		iova,
		entryCount,
		entries,
		depth,
	};
	return { shown, children };
}
