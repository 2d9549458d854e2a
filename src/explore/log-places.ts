/**
 * Where the things of a scenario stand in a log: a VT-d second-stage table of 4 levels of 512 entries, of which the scenario's few
 * slots are the first ones (facts pagetable-semantics.md §1.1, §1.2). Its targets are distinct gigabytes of memory.
 */
import type { Entry, Invalidation } from "./caches.ts";
import type { DeviceId, DomainId, IommuId } from "../vocabulary/ids.ts";
import { deviceId, domainId } from "../vocabulary/ids.ts";
import { LEAF, type Model, TABLE, cover, entriesAt, isTable } from "./model.ts";

/** The one device, domain and IOMMU of such a log. */
export const LOG_DEVICE: DeviceId = deviceId("0000:01:00.0");
export const LOG_DOMAIN: DomainId = domainId(1);
export const LOG_IOMMU: IommuId = "iommu:dmar0";

/** Levels of the log's page table. */
export const LOG_LEVELS = 4;
const BITS = 9;
const PAGE_SHIFT = 12;
/** Memory of table pages and of targets: byte addresses. */
const TABLES_AT = 0x1_0000_0000;
const TARGETS_AT = 0x8_0000_0000;
const TARGET_STRIDE = 0x80_0000_0000;
/** VT-d second-stage entry bits. */
const READ_WRITE = 3;
const LARGE = 0x80;
const DIRTY = 0x200;

/** Bytes that an entry of a level covers. */
export const spanBytes = (level: number): number =>
	2 ** (PAGE_SHIFT + BITS * (level - 1));

/** The first byte under entry `prefix` of a level. */
export function iovaOf(model: Model, level: number, prefix: number): number {
	let iova = 0;
	let rest = prefix;
	for (let at = level; at < model.levels; at++) {
		iova += (rest % model.fanout) * spanBytes(at);
		rest = Math.floor(rest / model.fanout);
	}
	return iova + rest * spanBytes(model.levels);
}

/** The log's number of a table of the scenario; the root of the log is 1. */
export const tableNumber = (model: Model, table: number): number =>
	table + 1 + Math.max(0, LOG_LEVELS - model.levels);

/** Tables above the scenario's root: number and level, from the top. */
export function tablesAbove(
	model: Model,
): { readonly table: number; readonly level: number }[] {
	const above: { table: number; level: number }[] = [];
	for (let level = LOG_LEVELS; level > model.levels; level--)
		above.push({ table: above.length + 1, level });
	return above;
}

/** The physical address of a table page. */
export const tableAddress = (number: number): number =>
	TABLES_AT + number * 0x1000;

/** What a target's memory at this IOVA is. */
export const targetAddress = (target: number, iova: number): number =>
	TARGETS_AT + target * TARGET_STRIDE + iova;

/** The entry word of a value at a place. */
export function wordOf(
	model: Model,
	value: number,
	level: number,
	iova: number,
): number {
	if (isTable(value))
		return tableAddress(tableNumber(model, value - TABLE)) + READ_WRITE;
	const dirty = (value - LEAF) & 1 ? DIRTY : 0;
	const large = level > 1 ? LARGE : 0;
	return targetAddress((value - LEAF) >> 1, iova) + READ_WRITE + large + dirty;
}

/** The naturally aligned blocks that an invalidation names; undefined: the whole domain. `mask` as in `inv.issued`. */
export function blocksOf(
	model: Model,
	invalidation: Invalidation,
): { readonly addr: number; readonly mask: number }[] | undefined {
	const { pages } = invalidation;
	// A domain-wide command has no leaf-only hint (pagetable-semantics.md §5.2).
	if (pages === (1 << model.pages) - 1 && invalidation.scope !== "leaf")
		return undefined;
	const blocks: { addr: number; mask: number }[] = [];
	let left = pages;
	for (let level = model.levels; level > 0; level--)
		for (let prefix = 0; prefix < entriesAt(model, level); prefix++) {
			const mask = cover(model, level, prefix);
			if ((mask & ~left) !== 0) continue;
			blocks.push({
				addr: iovaOf(model, level, prefix),
				mask: BITS * (level - 1),
			});
			left &= ~mask;
		}
	return blocks;
}

/** Where a cache entry begins. */
export const entryIova = (model: Model, entry: Entry): number =>
	iovaOf(model, entry.level, entry.prefix);
