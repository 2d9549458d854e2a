/** The raw walk behind a `dump` line: all leaf entries in address order, runs merged, tables per level (VECTORS.md). */
import {
	TABLE,
	type FormatConfig,
	type Walkable,
} from "../pagetable/config.ts";
import { pageIsEmpty, wordAt, type Page } from "../pagetable/page.ts";
import { findPage } from "../pagetable/store.ts";
import { rootLevelOf, visitLeaves, type Leaf } from "../pagetable/walk.ts";
import { hexOfFrame } from "../vocabulary/address.ts";
import type { VectorJson } from "./vectors-print.ts";

/** Levels in the `tables` array. */
const LEVELS = 7;

interface Run {
	readonly iova: number;
	readonly slotSize: number;
	readonly pa: number;
	readonly attr: string;
	readonly leafSize: number;
	count: number;
}

/** Address bits of a raw word that are not part of `attr`; v7s words are shown whole. */
function attrOf(config: FormatConfig, leaf: Leaf): string {
	if (config.format === "arm_v7s") return "0x0";
	const { raw, addressMask } = config.codec;
	return `0x${(raw(leaf.word) & ~addressMask).toString(16)}`;
}

function joins(config: FormatConfig, run: Run, leaf: Leaf): boolean {
	const offset = run.count * run.slotSize;
	const pa = config.format === "arm_v7s" ? leaf.word : leaf.pa;
	const nextPa =
		config.format === "arm_v7s" ? run.pa + offset * 4096 : run.pa + offset;
	return (
		run.slotSize === leaf.slotSize &&
		run.leafSize === leaf.leafSize &&
		run.iova + offset === leaf.iova &&
		nextPa === pa
	);
}

/** The `leaves` field. */
export function dumpLeaves(table: Walkable): VectorJson[] {
	const { config } = table;
	const runs: Run[] = [];
	let current: Run | undefined;
	visitLeaves(table, 0, 2 ** 53, (leaf) => {
		const attr = attrOf(config, leaf);
		if (current?.attr === attr && joins(config, current, leaf)) {
			current.count++;
			return;
		}
		const pa = config.format === "arm_v7s" ? leaf.word : leaf.pa;
		current = {
			iova: leaf.iova,
			slotSize: leaf.slotSize,
			pa,
			attr,
			leafSize: leaf.leafSize,
			count: 1,
		};
		runs.push(current);
	});
	return runs.map((run) => {
		const pa =
			config.format === "arm_v7s"
				? `0x${run.pa.toString(16)}`
				: hexOfFrame(run.pa);
		const item: VectorJson[] = [
			hexOfFrame(run.iova),
			hexOfFrame(run.slotSize),
			pa,
			run.attr,
			run.count,
		];
		const isReplicated =
			config.format === "amd_v1" && run.leafSize !== run.slotSize;
		if (isReplicated) item.push(hexOfFrame(run.leafSize));
		return item;
	});
}

/** The `tables` and `emptyTables` fields. */
export function countTables(table: Walkable): {
	tables: number[];
	emptyTables: number;
} {
	const tables = Array.from({ length: LEVELS }, () => 0);
	let emptyTables = 0;
	const { geometry, codec } = table.config;
	const visit = (page: Page, level: number): void => {
		tables[level] = (tables[level] ?? 0) + 1;
		// The harness does not look into a v7s root for this count.
		const counts = table.config.format !== "arm_v7s" || level !== 1;
		if (counts && pageIsEmpty(page)) emptyTables++;
		if (level === geometry.leafLevel) return;
		for (let slot = 0; slot < 2 ** page.bits; slot++) {
			const word = wordAt(page, slot);
			if (word === 0 || codec.kind(word, level) !== TABLE) continue;
			const child = findPage(table.store, codec.child(word));
			if (child !== undefined) visit(child, level + geometry.down);
		}
	};
	const root = findPage(table.store, table.root);
	if (root !== undefined) visit(root, rootLevelOf(table));
	return { tables, emptyTables };
}
