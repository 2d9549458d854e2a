/** The records of what software did to page-table memory in one move, and of what that changed for who asks where a page leads. */
import type { ActorId } from "../vocabulary/ids.ts";
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
import type { Act } from "./memory.ts";
import {
	EMPTY,
	GARBAGE,
	LEAF,
	type Model,
	STATUS,
	TABLE,
	isLeaf,
	isTable,
} from "./model.ts";
import type { Operation } from "./operations.ts";
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

/** A store into a slot, as a record. */
export function storeFact(
	system: TableSystem,
	s: Uint8Array,
	{ table, index, value }: Pick<Act, "table" | "index" | "value">,
	flags: {
		readonly cas?: boolean;
		readonly assumes?: string;
		readonly actor?: ActorId;
	} = {},
): Fact {
	const { model } = system;
	const slot = { dom, table: tableNumber(model, table), slot: index };
	const assumes = flags.assumes === undefined ? {} : { assumes: flags.assumes };
	const actor = flags.actor ?? dom;
	if (value === EMPTY)
		return fact("slot.cleared", actor, { ...slot, n: 1, ...assumes });
	const { level, iova } = placeOf(system, s, table, index);
	const word = wordOf(model, value, level, iova);
	const cas = flags.cas === true ? { cas: true } : {};
	return fact("slot.written", actor, {
		...slot,
		word,
		n: 1,
		...cas,
		...assumes,
	});
}

/** What one act of software is as records. `reader`: it happens inside a reader section. */
export function actFact(
	system: TableSystem,
	before: Uint8Array,
	act: Act,
	operation: Operation | undefined,
	actor: ActorId,
	reader: number | undefined,
): Fact {
	const { model } = system;
	const { table, index, value } = act;
	const source = operation?.source;
	switch (act.act) {
		case "load":
			return fact("table.read", actor, {
				dom,
				table: tableNumber(model, table),
				slot: index,
				...(reader === undefined ? {} : { reader }),
			});
		case "store": {
			const args = source?.args;
			const isStore = source?.verb === "write" || source?.verb === "clear";
			const assumes =
				isStore && typeof args === "object" && "assume" in args
					? (args.assume as "full" | "empty" | undefined)
					: undefined;
			return storeFact(system, before, act, {
				cas: source?.verb === "cas" || source?.verb === "swap",
				...(assumes === undefined ? {} : { assumes }),
			});
		}
		case "stray":
			return fact("data.walked", actor, {
				dom,
				...addressOf(system, before, value),
				slot: index,
			});
		case "free": {
			if (!isTable(value))
				return fact("data.freed", actor, {
					dom,
					...addressOf(system, before, value),
				});
			const number = value - TABLE;
			return fact("table.freed", dom, {
				dom,
				table: tableNumber(model, number),
				level: model.tables[number]?.level ?? 1,
			});
		}
	}
}

/** Where a value leads that is no table: a leaf's memory, address 0 for an empty slot, nobody knows for garbage. */
function addressOf(
	system: TableSystem,
	_s: Uint8Array,
	value: number,
): { readonly pa?: number } {
	if (value === GARBAGE) return {};
	if (!isLeaf(value)) return { pa: 0 };
	return { pa: targetAddress((value - LEAF) >> 1, iovaOf(system.model, 1, 0)) };
}

/** Slots that differ between two states, as records, lower tables first: what hardware or a sweep changed, or the start. */
export function differenceFacts(
	system: TableSystem,
	before: Uint8Array,
	after: Uint8Array,
	actor: ActorId = dom,
): Fact[] {
	const facts: Fact[] = [];
	const upwards = [...system.model.tables.entries()].sort(
		([, a], [, b]) => a.level - b.level,
	);
	for (const [number, table] of upwards)
		for (let index = 0; index < table.size; index++) {
			const value = after[table.slots + index] as number;
			if (value === before[table.slots + index]) continue;
			facts.push(
				storeFact(system, after, { table: number, index, value }, { actor }),
			);
		}
	return facts;
}

/** What the thread knows of the tables that a move linked and unlinked. */
export function lifeFacts(
	system: TableSystem,
	before: Uint8Array,
	after: Uint8Array,
): Fact[] {
	const { model } = system;
	const facts: Fact[] = [];
	model.tables.forEach((table, number) => {
		const log = tableNumber(model, number);
		for (let slot = 0; slot < table.size; slot++) {
			const value = after[table.slots + slot] as number;
			if (value === before[table.slots + slot] || !isTable(value)) continue;
			if (after[table.status] !== STATUS.linked) continue;
			facts.push(
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
		if (was !== STATUS.linked || is < STATUS.unlinked || is >= STATUS.freed)
			return;
		const { iova } = placeOf(system, before, number, 0);
		facts.push(
			fact("table.unlinked", dom, {
				dom,
				table: log,
				iova,
				level: table.level,
			}),
		);
	});
	return facts;
}

/** What changed for whoever asks where a page leads: unmaps before maps. */
export function translationFacts(
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
	return [...gone, ...come];
}

/** The target of a leaf value, -1 of anything else. */
export const targetOf = (value: number): number =>
	isLeaf(value) ? (value - LEAF) >> 1 : -1;
