/**
 * A page table as plain data: for snapshots that are kept. What comes back answers every operation as the table did; only what it shared
 * with other states is its own then.
 */
import type { FormatConfig } from "./config.ts";
import {
	lineIsBlank,
	OwnerToken,
	type TableStateIndex,
	zeroPage,
} from "./page.ts";
import type { PageTable, TableCounts } from "./state.ts";
import { eachPage, emptyStore, putPage } from "./store.ts";

/** One table page; lines that were never written are left out. */
interface PageImage {
	readonly id: number;
	readonly level: number;
	readonly bits: number;
	readonly sizePages: number;
	readonly state: TableStateIndex;
	readonly lines: readonly (readonly [number, readonly number[]])[];
}
/** A page table but for its configuration, which is code and comes from whoever made the table. */
export interface TableImage {
	readonly pages: readonly PageImage[];
	readonly root: number;
	readonly mode: number;
	readonly nextTable: number;
	readonly counts: Readonly<TableCounts>;
	readonly awaitingGrace: readonly number[];
}

/** Writes a state down. */
export function tableImage(table: PageTable): TableImage {
	const { root, mode, nextTable, counts, awaitingGrace } = table;
	const pages: PageImage[] = [];
	eachPage(table.store, (page) => {
		const { id, level, bits, sizePages, state } = page;
		const lines = page.lines.flatMap((line, i) =>
			lineIsBlank(page, i) ? [] : [[i, line] as const],
		);
		pages.push({ id, level, bits, sizePages, state, lines });
	});
	return { pages, root, mode, nextTable, counts, awaitingGrace };
}

/** The state that was written down. */
export function tableFrom(config: FormatConfig, image: TableImage): PageTable {
	const owner = new OwnerToken();
	const store = emptyStore();
	for (const { id, level, bits, sizePages, state, lines } of image.pages) {
		const page = zeroPage(id, level, bits, sizePages, owner);
		page.state = state;
		for (const [i, line] of lines) page.lines[i] = line;
		putPage(store, owner, page);
	}
	const { root, mode, nextTable, counts, awaitingGrace } = image;
	return { config, store, root, mode, nextTable, counts, awaitingGrace };
}
