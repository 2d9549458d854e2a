/** The immutable state of one page table. */
import type { FormatConfig } from "./config.ts";
import {
	LINKED,
	PRIVATE,
	QUARANTINED,
	UNLINKED,
	type TableStateIndex,
} from "./page.ts";
import type { PageStore } from "./store.ts";

/** How many table pages are where in their life (facts §4). All but `allocated` and `freed` count tables that exist now. */
export interface TableCounts {
	private: number;
	linked: number;
	unlinked: number;
	quarantined: number;
	/** Ever allocated / ever freed. */
	allocated: number;
	freed: number;
	/** 4 KiB pages held by tables that are not freed. */
	livePages: number;
	/** Linked tables by the level number of the format. */
	linkedPerLevel: number[];
}

/** One table more (1) or less (-1) in a state. */
export function countTable(
	counts: TableCounts,
	state: TableStateIndex,
	level: number,
	by: 1 | -1,
): void {
	if (state === PRIVATE) counts.private += by;
	else if (state === UNLINKED) counts.unlinked += by;
	else if (state === QUARANTINED) counts.quarantined += by;
	else if (state === LINKED) {
		counts.linked += by;
		counts.linkedPerLevel[level] = (counts.linkedPerLevel[level] ?? 0) + by;
	}
}

/** A page table. Never changes; edits make new ones that share what is equal. */
export interface PageTable {
	readonly config: FormatConfig;
	readonly store: PageStore;
	/** Number of the root table; 0 after the table was destroyed. */
	readonly root: number;
	/** Levels in use. Grows with AMD v1, constant elsewhere. */
	readonly mode: number;
	readonly nextTable: number;
	readonly counts: Readonly<TableCounts>;
	/** Unlinked and flushed tables that wait for readers (tableFree=rcu). */
	readonly awaitingGrace: readonly number[];
}
