/**
 * Page tables of logs that record single steps (table.*, slot.*): counterexamples of the explorer. The projection keeps them entry by
 * entry (src/iotlb/tables.ts), freed tables included, since pointers to these are what such a log is about.
 */
import {
	childOf,
	kindOf,
	spanOf,
	type TablePage,
	type Tables,
} from "../../iotlb/tables.ts";
import { FRAME_SHIFT } from "../../vocabulary/address.ts";
import type { DomainId } from "../../vocabulary/ids.ts";
import type { World } from "../../world/types.ts";
import {
	ENTRIES_SHOWN_MAX,
	RUNS_SHOWN_MAX,
	TABLES_SHOWN_MAX,
	type Entry,
	type PageTablePicture,
	type Run,
	type TableNode,
} from "./page-table.ts";

const FRAME_BYTES = 2 ** FRAME_SHIFT;

/** Domains whose tables are recorded step by step. */
export const domainsWithSteps = (world: World): string[] => [
	...world.iotlb.tables.keys(),
];

/** The picture of one domain; undefined when it has no such tables. */
export function stepTablesOf(
	world: World,
	domain: string,
): PageTablePicture | undefined {
	const tables = world.iotlb.tables.get(domain as DomainId);
	if (tables === undefined || tables.pages.size === 0) return undefined;
	const reader = new Reader(tables);
	reader.readAll();
	const { nodes, runs, states } = reader;
	const mappedBytes = runs.reduce((sum, run) => sum + run.lengthBytes, 0);
	const root = tables.pages.get(tables.root);
	const spaceBytes =
		root === undefined
			? 0
			: root.slots * spanOf(tables, root.level) * FRAME_BYTES;
	return {
		domain,
		kind: world.domains.map.get(domain as DomainId)?.kind ?? "unmanaged",
		format: `${tables.config.format}, step by step`,
		spaceBytes,
		mappedBytes,
		extent: extentOf(runs),
		runs: runs.slice(0, RUNS_SHOWN_MAX),
		runsLeftOut: Math.max(0, runs.length - RUNS_SHOWN_MAX),
		tables: nodes.slice(0, TABLES_SHOWN_MAX),
		tablesLeftOut: Math.max(0, nodes.length - TABLES_SHOWN_MAX),
		states,
		stale: [],
	};
}

function extentOf(runs: readonly Run[]): PageTablePicture["extent"] {
	let from = Number.POSITIVE_INFINITY;
	let to = 0;
	for (const { iova, lengthBytes } of runs) {
		from = Math.min(from, iova);
		to = Math.max(to, iova + lengthBytes);
	}
	return to === 0 ? undefined : { from, to };
}

/** Walks from the root, then lists what nothing leads to. */
class Reader {
	readonly nodes: TableNode[] = [];
	readonly runs: Run[] = [];
	readonly states: Record<string, number> = {};
	readonly #tables: Tables;
	readonly #seen = new Set<number>();

	constructor(tables: Tables) {
		this.#tables = tables;
	}

	readAll(): void {
		const root = this.#tables.pages.get(this.#tables.root);
		if (root !== undefined) this.#visit(root, root.bases[0] ?? 0, 0);
		for (const page of this.#tables.pages.values())
			this.#visit(page, undefined, 0);
	}

	#visit(page: TablePage, base: number | undefined, depth: number): void {
		if (this.#seen.has(page.id)) return;
		this.#seen.add(page.id);
		this.states[page.life] = (this.states[page.life] ?? 0) + 1;
		const slots = [...page.words]
			.filter(([, word]) => this.#kind(page, word) !== "empty")
			.sort(([a], [b]) => a - b);
		this.nodes.push({
			table: page.id,
			level: page.level,
			state: page.life,
			iova: base === undefined ? undefined : base * FRAME_BYTES,
			entryCount: slots.length,
			entries: slots
				.slice(0, ENTRIES_SHOWN_MAX)
				.map(([slot, word]) => this.#entry(page, base, slot, word)),
			depth,
		});
		for (const [slot, word] of slots)
			this.#below(page, base, slot, word, depth);
	}

	#kind(page: TablePage, word: number): "empty" | "leaf" | "table" {
		return kindOf(this.#tables, word, page.level);
	}

	#start(page: TablePage, base: number | undefined, slot: number) {
		return base === undefined
			? undefined
			: base + slot * spanOf(this.#tables, page.level);
	}

	/** What an entry leads to: a run of the address space, or the next table. */
	#below(
		page: TablePage,
		base: number | undefined,
		slot: number,
		word: number,
		depth: number,
	): void {
		const at = this.#start(page, base, slot);
		if (this.#kind(page, word) === "table") {
			const child = childOf(this.#tables, word);
			if (child !== undefined) this.#visit(child, at, depth + 1);
		} else if (at !== undefined) {
			const { pa = 0, sizeBytes, rights } = this.#entry(page, base, slot, word);
			this.runs.push({
				iova: at * FRAME_BYTES,
				pa,
				lengthBytes: sizeBytes,
				pageBytes: sizeBytes,
				rights,
			});
		}
	}

	#entry(
		page: TablePage,
		base: number | undefined,
		slot: number,
		word: number,
	): Entry {
		const { codec } = this.#tables.config;
		const { level } = page;
		const isLeaf = this.#kind(page, word) === "leaf";
		return {
			slot,
			iova: (this.#start(page, base, slot) ?? 0) * FRAME_BYTES,
			sizeBytes: spanOf(this.#tables, level) * FRAME_BYTES,
			word: `0x${codec.raw(word).toString(16)}`,
			kind: isLeaf ? "leaf" : "table",
			child: isLeaf ? undefined : childOf(this.#tables, word)?.id,
			pa: isLeaf ? codec.leafPa(word, level, slot) * FRAME_BYTES : undefined,
			rights: isLeaf ? codec.rights(word, level) : 0,
		};
	}
}
