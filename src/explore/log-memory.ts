/** The records of what changed in page-table memory between two states. */
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import {
	LOG_DOMAIN,
	iovaOf,
	spanBytes,
	tableNumber,
	targetAddress,
	wordOf,
} from "./log-places.ts";
import {
	EMPTY,
	LEAF,
	type Model,
	STATUS,
	TABLE,
	isLeaf,
	isTable,
} from "./model.ts";
import type { TableSystem } from "./table-system.ts";

const dom = LOG_DOMAIN;

/** Level, and the entry of that level, of a slot. A table that is linked nowhere stands where it will be. */
export function placeOf(
	system: TableSystem,
	s: Uint8Array,
	number: number,
	index: number,
): { readonly level: number; readonly iova: number } {
	const { model } = system;
	const level = model.tables[number]?.level ?? 1;
	let prefix = index;
	let table = number;
	for (let up = level; table !== 0 && up < model.levels; up++) {
		const parent = parentOf(model, s, table);
		if (parent === undefined) {
			const entry = system.caches.entries.find(
				(e) => e.kind === "walk" && e.to === table,
			);
			prefix += (entry?.prefix ?? 0) * model.fanout ** (up - level + 1);
			break;
		}
		prefix += parent[1] * model.fanout ** (up - level + 1);
		table = parent[0];
	}
	return { level, iova: iovaOf(model, level, prefix) };
}

function parentOf(
	model: Model,
	s: Uint8Array,
	table: number,
): readonly [number, number] | undefined {
	for (let t = 0; t < model.tables.length; t++) {
		const parent = model.tables[t];
		for (let i = 0; i < (parent?.size ?? 0); i++)
			if (s[(parent?.slots ?? 0) + i] === TABLE + table) return [t, i];
	}
	return undefined;
}

/** What changed in page-table memory between two states: entries, then links, unlinks and frees. */
export function memoryFacts(
	system: TableSystem,
	before: Uint8Array,
	after: Uint8Array,
): Fact[] {
	const { model } = system;
	const facts: Fact[] = [];
	const life: Fact[] = [];
	model.tables.forEach((table, number) => {
		const log = tableNumber(model, number);
		for (let slot = 0; slot < table.size; slot++) {
			const old = before[table.slots + slot] as number;
			const value = after[table.slots + slot] as number;
			if (old === value) continue;
			if (value === EMPTY)
				facts.push(fact("slot.cleared", dom, { dom, table: log, slot, n: 1 }));
			else {
				const { level, iova } = placeOf(system, after, number, slot);
				const word = wordOf(model, value, level, iova);
				facts.push(
					fact("slot.written", dom, { dom, table: log, slot, word, n: 1 }),
				);
			}
			if (isTable(value) && after[table.status] === STATUS.linked)
				life.push(
					fact("table.linked", dom, {
						dom,
						table: tableNumber(model, value - TABLE),
						parent: log,
						slot,
					}),
				);
		}
		const was = before[table.status] as number;
		const is = after[table.status] as number;
		const { iova } = placeOf(system, before, number, 0);
		if (was === STATUS.linked && is >= STATUS.unlinked && is < STATUS.freed)
			life.push(
				fact("table.unlinked", dom, {
					dom,
					table: log,
					iova,
					level: table.level,
				}),
			);
		if (was < STATUS.freed && is >= STATUS.freed)
			life.push(
				fact("table.freed", dom, { dom, table: log, level: table.level }),
			);
	});
	return [...facts, ...translationFacts(system, before, after), ...life];
}

/** What changed for whoever asks where a page leads: unmaps before maps, and blocks that take the place of linked tables. */
function translationFacts(
	system: TableSystem,
	before: Uint8Array,
	after: Uint8Array,
): Fact[] {
	const { model, checks } = system;
	const gone: Fact[] = [];
	const come: Fact[] = [];
	const len = spanBytes(1);
	for (let page = 0; page < model.pages; page++) {
		const iova = iovaOf(model, 1, page);
		const old = targetOf(checks.walk(before, page));
		const now = targetOf(checks.walk(after, page));
		if (old === now) continue;
		if (old >= 0)
			gone.push(fact("dom.unmap", dom, { dom, iova, len, unmapped: len }));
		if (now >= 0) {
			const pa = targetAddress(now, iova);
			come.push(fact("dom.map", dom, { dom, iova, pa, len, prot: 3 }));
		}
	}
	return [...supersededFacts(system, before, after), ...gone, ...come];
}

/** The target of a leaf value, -1 of anything else. */
export const targetOf = (value: number): number =>
	isLeaf(value) ? (value - LEAF) >> 1 : -1;

function supersededFacts(
	system: TableSystem,
	before: Uint8Array,
	after: Uint8Array,
): Fact[] {
	const facts: Fact[] = [];
	system.model.tables.forEach((table, number) => {
		if (after[table.status] !== STATUS.linked) return;
		for (let slot = 0; slot < table.size; slot++) {
			const old = before[table.slots + slot] as number;
			if (!isTable(old) || !isLeaf(after[table.slots + slot] as number))
				continue;
			const { level, iova } = placeOf(system, before, number, slot);
			const last = iova + spanBytes(level) - 1;
			facts.push(fact("table.superseded", dom, { dom, iova, last, level }));
		}
	});
	return facts;
}
