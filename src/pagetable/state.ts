/** The immutable state of one page table. */
import type { FormatConfig } from "./config.ts";
import {
	LINKED,
	PRIVATE,
	QUARANTINED,
	type TABLE_STATES,
	UNLINKED,
	type TableStateIndex,
} from "./page.ts";
import type { PageStore } from "./store.ts";

/** Level numbers of all formats are below this. */
const LEVELS = 8;
/** After the states of tables that exist. */
const FREED = 4;

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
	/** Tables by state (the index of TABLE_STATES, then FREED) and level number of the format: state × LEVELS + level. */
	perLevel: number[];
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
	else if (state === LINKED) counts.linked += by;
	const place = state * LEVELS + level;
	counts.perLevel[place] = (counts.perLevel[place] as number) + by;
}

/** A table that was given back, for good. */
export function countFreed(
	counts: TableCounts,
	level: number,
	sizePages: number,
): void {
	counts.freed++;
	counts.livePages -= sizePages;
	const place = FREED * LEVELS + level;
	counts.perLevel[place] = (counts.perLevel[place] as number) + 1;
}

/** No tables. */
export const noTables = (): TableCounts => ({
	private: 0,
	linked: 0,
	unlinked: 0,
	quarantined: 0,
	allocated: 0,
	freed: 0,
	livePages: 0,
	perLevel: Array.from({ length: (FREED + 1) * LEVELS }, () => 0),
});

/** Where tables are in their life, per level: of each state the numbers by the level number of the format. */
export function tablesPerLevel(
	counts: Readonly<TableCounts>,
): Record<(typeof TABLE_STATES)[number] | "freed", number[]> {
	const of = (state: number): number[] =>
		counts.perLevel.slice(state * LEVELS, (state + 1) * LEVELS);
	return {
		private: of(PRIVATE),
		linked: of(LINKED),
		unlinked: of(UNLINKED),
		quarantined: of(QUARANTINED),
		freed: of(FREED),
	};
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
