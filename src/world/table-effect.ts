/** What records did to page tables that are logged entry by entry, and what devices use all the time. */
import type { Stored, TableLife, TablePage, Tables } from "../iotlb/tables.ts";
import type { DeviceId, DomainId } from "../vocabulary/ids.ts";

/** One slot that a record wrote. Words as the format's codec keeps them. */
export interface SlotChange extends Stored {
	readonly slot: number;
	readonly old: number;
	readonly now: number;
}
/** What the last record did to a page table that is logged entry by entry. */
export interface TableEffect {
	/** undefined: this domain's page table is not logged that way. */
	readonly tables: Tables | undefined;
	/** The table it named; undefined when no record made it. `was`: its life before. */
	readonly page: TablePage | undefined;
	readonly was: TableLife | undefined;
	readonly changes: SlotChange[];
	/** table.rooted: the root and the levels before. */
	former: TablePage | undefined;
	levels: number;
	/** table.freed: hardware may still come to it; readers that were inside when it was unlinked and still are; the task that frees it has flushed since, but nothing that covers it. */
	walked?: boolean;
	readers?: readonly number[];
	missed?: boolean;
	/** dirty.reported: frames that the sweeps had found. */
	reported?: readonly number[];
}
/** A range that a device uses until further notice (dma.started). */
export interface Stream {
	readonly dev: DeviceId;
	readonly dom: DomainId;
	readonly start: number;
	readonly n: number;
	/** Its translation must stay what it was. */
	readonly keep: boolean;
	/** Physical frames that each frame could reach when it began. */
	readonly targets: ReadonlyMap<number, ReadonlySet<number>>;
	readonly seq: number;
}
