/**
 * Page tables of logs that record single steps (table.*, slot.*): counterexamples of the explorer. The fold of the world follows the
 * macro records dom.map and dom.unmap only, so these are followed here, from the log's start to the cursor. Entry words are VT-d's, as the
 * explorer writes them; which table an entry points to is what table.linked says.
 */
import { LEAF } from "../../pagetable/config.ts";
import { FRAME_STEP, VTD_CODEC } from "../../pagetable/formats/vtd.ts";
import type { LogIndex } from "./log-index.ts";
import type {
	Entry,
	PageTablePicture,
	Run,
	TableNode,
	TableState,
} from "./page-table.ts";

interface StepTable {
	readonly id: number;
	readonly level: number;
	state: TableState;
	/** Where it was linked last. */
	parent: { readonly table: number; readonly slot: number } | undefined;
	readonly slots: Map<number, { word: number; child: number | undefined }>;
}
type Tables = Map<number, StepTable>;
type Data = Readonly<Record<string, unknown>>;

const LEVEL_BITS = 9;
/** Frames that one slot covers. */
const slotFrames = (level: number): number => 2 ** (LEVEL_BITS * (level - 1));
const isStep = (type: string): boolean => /^(?:table|slot)\./.test(type);

/** Follows an index forward; goes back by starting again. */
export class StepTables {
	readonly #index: LogIndex;
	#domains = new Map<string, Tables>();
	#applied = 0;

	constructor(index: LogIndex) {
		this.#index = index;
	}

	/** The log has such records. */
	get hasAny(): boolean {
		return this.#index.types.names.includes("slot.written");
	}

	/** Domains with tables after the record at a position. */
	domainsAt(at: number): string[] {
		this.#moveTo(at);
		return [...this.#domains.keys()];
	}

	/** The picture of one domain. */
	pictureAt(at: number, domain: string): PageTablePicture | undefined {
		this.#moveTo(at);
		const tables = this.#domains.get(domain);
		return tables === undefined ? undefined : pictureOf(domain, tables);
	}

	#moveTo(at: number): void {
		if (at + 1 < this.#applied) {
			this.#domains = new Map();
			this.#applied = 0;
		}
		const { type, types } = this.#index;
		const wanted = new Set(
			types.names.flatMap((name, i) => (isStep(name) ? [i] : [])),
		);
		for (; this.#applied <= at; this.#applied++)
			if (wanted.has(type[this.#applied] as number)) this.#apply(this.#applied);
	}

	#apply(at: number): void {
		const index = this.#index;
		const name = index.types.names[index.type[at] as number] as string;
		const data = dataOf(index.textAt(at));
		const domain = String(data["dom"]);
		let tables = this.#domains.get(domain);
		if (tables === undefined) {
			tables = new Map();
			this.#domains.set(domain, tables);
		}
		applyStep(tables, name, data);
	}
}

function dataOf(text: string): Data {
	try {
		const { data } = JSON.parse(text) as { data?: unknown };
		if (typeof data === "object" && data !== null) return data as Data;
	} catch {}
	return {};
}

function applyStep(tables: Tables, name: string, data: Data): void {
	const id = Number(data["table"]);
	if (name === "table.allocated") {
		const level = Number(data["level"]);
		const slots = new Map();
		tables.set(id, { id, level, state: "private", parent: undefined, slots });
		return;
	}
	const table = tables.get(id);
	if (table === undefined) return;
	const slot = Number(data["slot"]);
	if (name === "table.linked") {
		const parent = { table: Number(data["parent"]), slot };
		table.state = "linked";
		table.parent = parent;
		const entry = tables.get(parent.table)?.slots.get(slot);
		if (entry !== undefined) entry.child = id;
	} else if (name === "table.unlinked") table.state = "unlinked";
	else if (name === "table.quarantined") table.state = "quarantined";
	else if (name === "table.freed") table.state = "freed";
	else if (name === "slot.written" || name === "slot.cleared")
		writeSlots(table, slot, data, name === "slot.cleared");
}

/** `n` slots from one on; the words of leaves count up by the page. */
function writeSlots(
	table: StepTable,
	first: number,
	data: Data,
	isCleared: boolean,
): void {
	const n = Math.min(Number(data["n"] ?? 1), 2 ** LEVEL_BITS);
	const word = Number(data["word"]);
	const step = slotFrames(table.level) * FRAME_STEP;
	for (let i = 0; i < n; i++)
		if (isCleared) table.slots.delete(first + i);
		else
			table.slots.set(first + i, { word: word + i * step, child: undefined });
}

function pictureOf(domain: string, tables: Tables): PageTablePicture {
	const rootLevel = Math.max(...[...tables.values()].map((t) => t.level));
	const nodes: TableNode[] = [];
	const runs: Run[] = [];
	const states: Record<string, number> = {};
	const seen = new Set<number>();
	const visit = (
		table: StepTable,
		frame: number | undefined,
		depth: number,
	) => {
		if (seen.has(table.id)) return;
		seen.add(table.id);
		const isRoot = table.level === rootLevel && table.parent === undefined;
		const state = isRoot && table.state === "private" ? "linked" : table.state;
		states[state] = (states[state] ?? 0) + 1;
		const slots = [...table.slots].sort(([a], [b]) => a - b);
		const entries = slots.map(([slot, { word, child }]) => {
			const at =
				frame === undefined
					? undefined
					: frame + slot * slotFrames(table.level);
			const entry = entryOf(table, slot, at, word, child);
			if (entry.kind === "leaf" && at !== undefined)
				runs.push(runOf(entry, table.level));
			return entry;
		});
		nodes.push({
			table: table.id,
			level: table.level,
			state,
			iova: frame === undefined ? undefined : frame * FRAME_STEP,
			entryCount: entries.length,
			entries,
			depth,
		});
		for (const [slot, { child }] of slots) {
			const next = child === undefined ? undefined : tables.get(child);
			if (next === undefined) continue;
			const at =
				frame === undefined
					? undefined
					: frame + slot * slotFrames(table.level);
			visit(next, at, depth + 1);
		}
	};
	const byLevel = [...tables.values()].sort((a, b) => b.level - a.level);
	for (const table of byLevel)
		visit(table, table.level === rootLevel ? 0 : undefined, 0);
	const from = Math.min(...runs.map((run) => run.iova));
	const to = Math.max(...runs.map((run) => run.iova + run.lengthBytes));
	return {
		domain,
		kind: "unmanaged",
		format: "vtd, step by step",
		spaceBytes: slotFrames(rootLevel + 1) * FRAME_STEP,
		mappedBytes: runs.reduce((sum, run) => sum + run.lengthBytes, 0),
		extent: runs.length === 0 ? undefined : { from, to },
		runs,
		runsLeftOut: 0,
		tables: nodes,
		tablesLeftOut: 0,
		states,
		stale: [],
	};
}

function entryOf(
	{ level }: StepTable,
	slot: number,
	frame: number | undefined,
	word: number,
	child: number | undefined,
): Entry {
	const isLeaf = child === undefined && VTD_CODEC.kind(word, level) === LEAF;
	return {
		slot,
		iova: (frame ?? 0) * FRAME_STEP,
		sizeBytes: slotFrames(level) * FRAME_STEP,
		word: `0x${word.toString(16)}`,
		kind: isLeaf ? "leaf" : "table",
		child,
		pa: isLeaf ? VTD_CODEC.leafPa(word, level, slot) * FRAME_STEP : undefined,
		rights: isLeaf ? VTD_CODEC.rights(word, level) : 0,
	};
}

const runOf = (entry: Entry, level: number): Run => ({
	iova: entry.iova,
	pa: entry.pa ?? 0,
	lengthBytes: entry.sizeBytes,
	pageBytes: slotFrames(level) * FRAME_STEP,
	rights: entry.rights,
});
