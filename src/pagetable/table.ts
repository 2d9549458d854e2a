/**
 * Page tables: the API that the rest of the project uses.
 *
 * A `PageTable` is an immutable value. Two ways to change one:
 *
 *     const table = createTable({ format: "vtd", levels: 4 });
 *     const mapped = reduce(table, { type: "map", iova, pa, size, prot: 3 });   // a new state; `table` stays valid
 *
 *     const edit = beginEdit(table);            // transient: the same operations in place, many times faster
 *     coreMap(edit, iova, pa, size, prot);      // core.ts: __iommu_map / __iommu_unmap, 0 or -errno / frames
 *     coreUnmap(edit, iova, size);
 *     const snapshot = commitEdit(edit);        // a state; the edit can go on and will copy what the snapshot shares
 *
 * Addresses and sizes are frames (vocabulary/address.ts), `prot` is IOMMU_* (1 read, 2 write, 4 cache, 8 no-exec, 16 MMIO, 32 privileged).
 *
 * - What hardware would see: `translate(table or edit, iova)`, `leavesIn(table or edit, iova, size)`.
 * - iova_to_phys as the driver answers it (defect flag included): `lookup`.
 * - Tables and their life: `table.counts`, `tablesPerLevel(table.counts)` (private, linked, unlinked, quarantined, freed), `tablesOf(table)`.
 * - Side effects: set `edit.effects = []` before an operation to collect what the driver asked of others, `edit.steps = []` to
 *   collect the atomic steps (events.ts); both are null, and free, by default.
 * - Gathers: `newGather(queued)` + `coreUnmapFast` + `syncGather` for callers that flush later (flush queue); tables that wait are in
 *   `gather.freelist` until `releaseAfterFlush`, and with tableFree=rcu until `endGracePeriod` (gather.ts).
 * - Driver calls below the core (one map_pages or unmap_pages): `edit.config.driver.map/unmap`.
 * - Interruption: `edit.armRace` runs a second operation in the middle of the next one; `edit.allocationsLeft` makes allocations fail.
 */
import { coreMap, coreUnmap } from "./core.ts";
import type { FormatConfig, TableRequest, Walkable } from "./config.ts";
import { amdV1Config, amdV2Config } from "./drivers/amd-config.ts";
import { lpaeConfig } from "./drivers/lpae-config.ts";
import { v7sConfig } from "./drivers/v7s-config.ts";
import { vtdConfig } from "./drivers/vtd-config.ts";
import { Edit } from "./edit.ts";
import type { Step } from "./events.ts";
import { OwnerToken, type TableStateIndex } from "./page.ts";
import { NO_TABLE } from "./race.ts";
import { PageTableConfigError, type PolicyOverrides } from "./policy.ts";
import { noTables, type PageTable } from "./state.ts";
import { copyStore, eachPage, emptyStore } from "./store.ts";

/** Settles what is asked for as the kernel's allocator would. Throws PageTableConfigError where that would refuse. */
export function settleConfig(
	request: TableRequest,
	policy: PolicyOverrides = {},
): FormatConfig {
	switch (request.format) {
		case "vtd":
			return vtdConfig(request, policy);
		case "arm64_s1":
		case "arm64_s2":
		case "arm32_s1":
		case "arm32_s2":
		case "arm_mali":
			return lpaeConfig(request, policy);
		case "arm_v7s":
			return v7sConfig(request, policy);
		case "amd_v1":
			return amdV1Config(request, policy);
		case "amd_v2":
			return amdV2Config(request, policy);
		default:
			throw new PageTableConfigError(`unknown format ${request.format}`);
	}
}

/** A new, empty page table: its root is allocated and linked. */
export function createTable(
	request: TableRequest,
	policy: PolicyOverrides = {},
): PageTable {
	return commitEdit(createEdit(settleConfig(request, policy)));
}

/** Like createTable, as an edit whose effects hold the allocation of the root. */
export function createEdit(config: FormatConfig): Edit {
	const edit = new Edit({
		config,
		store: emptyStore(),
		root: NO_TABLE,
		mode: 0,
		nextTable: 1,
		counts: noTables(),
		awaitingGrace: [],
	});
	edit.effects = [];
	const { geometry } = config;
	const root = edit.allocate(
		geometry.rootLevel,
		geometry.rootBits,
		geometry.rootPages,
	);
	edit.linked(root);
	edit.setRoot(root, geometry.mode);
	return edit;
}

/** Starts an edit of a state. The state stays as it is. */
export const beginEdit = (table: PageTable): Edit => new Edit(table);

/** The state an edit has reached. The edit may go on: from now on it copies what this state shares. */
export function commitEdit(edit: Edit): PageTable {
	const store = edit.store;
	const counts = edit.counts;
	edit.token = new OwnerToken();
	edit.store = copyStore(store);
	edit.countsAreShared = true;
	return {
		config: edit.config,
		store,
		root: edit.root,
		mode: edit.mode,
		nextTable: edit.nextTable,
		counts,
		awaitingGrace: edit.awaitingGrace,
	};
}

/** An operation of the core layer on one page table. */
export type TableOp =
	| {
			readonly type: "map";
			readonly iova: number;
			readonly pa: number;
			readonly size: number;
			readonly prot: number;
	  }
	| { readonly type: "unmap"; readonly iova: number; readonly size: number };

/** Applies one operation in place. Returns 0 or -errno for map, frames for unmap. */
export const applyOp = (edit: Edit, op: TableOp): number =>
	op.type === "map"
		? coreMap(edit, op.iova, op.pa, op.size, op.prot)
		: coreUnmap(edit, op.iova, op.size);

/** The next state; `table` stays valid. What the operation answered is lost here: use an edit to see it. */
export function reduce(table: PageTable, op: TableOp): PageTable {
	const edit = beginEdit(table);
	applyOp(edit, op);
	return finishEdit(edit);
}

/** Equal to repeated `reduce`, and much faster: changes in place what no earlier state shares. */
export function fold(table: PageTable, ops: Iterable<TableOp>): PageTable {
	const edit = beginEdit(table);
	for (const op of ops) applyOp(edit, op);
	return finishEdit(edit);
}

/** commitEdit for an edit that will not be used again: copies nothing. */
export const finishEdit = (edit: Edit): PageTable => ({
	config: edit.config,
	store: edit.store,
	root: edit.root,
	mode: edit.mode,
	nextTable: edit.nextTable,
	counts: edit.counts,
	awaitingGrace: edit.awaitingGrace,
});

/** iova_to_phys as the driver answers it: the frame, or -1 for none. */
export const lookup = (table: Walkable, iova: number): number =>
	table.config.driver.lookup(table, iova);

/** Applies one atomic step (micro record). Steps come from `edit.steps`. */
export function applyStep(edit: Edit, step: Step): void {
	switch (step.type) {
		case "table.allocated":
			edit.allocate(step.level, step.bits, step.sizePages);
			return;
		case "table.linked":
			edit.write(step.parent, step.slot, step.word);
			edit.linked(step.table);
			return;
		case "table.unlinked":
			edit.unlinked(step.table);
			return;
		case "table.quarantined":
			edit.quarantined(step.table);
			return;
		case "table.freed":
			edit.free(step.table);
			return;
		case "slot.written":
			edit.writeRun(step.table, step.slot, step.count, step.word, step.stride);
			return;
		case "slot.cleared":
			edit.clear(step.table, step.slot, step.count);
			return;
		case "table.rooted":
			if (step.table !== NO_TABLE) edit.linked(step.table);
			edit.setRoot(step.table, step.mode);
	}
}

/** One table that exists now. */
export interface TableInfo {
	readonly table: number;
	readonly level: number;
	/** Index into TABLE_STATES (page.ts). */
	readonly state: TableStateIndex;
}

/** Every table in memory, in order of number, whatever its state. */
export function tablesOf(table: Walkable): TableInfo[] {
	const list: TableInfo[] = [];
	eachPage(table.store, (page) =>
		list.push({ table: page.id, level: page.level, state: page.state }),
	);
	return list;
}
