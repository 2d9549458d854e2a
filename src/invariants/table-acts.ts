/**
 * PT-1, PT-2, PT-3, PT-17, PT-23, PT-27, PT-28, PT-29: reads and writes of page tables that are logged entry by entry, each judged at its record (facts
 * pagetable-semantics.md §4, §8). The explorer raises the same ids while it searches (src/explore/memory.ts); test/explore/agreement.test.ts
 * holds the two to each other.
 */
import {
	childOf,
	kindOf,
	spanOf,
	type TablePage,
	type Tables,
} from "../iotlb/tables.ts";
import { dirtyBits, visitFrom } from "../iotlb/table-walk.ts";
import { showFrames } from "../vocabulary/address.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { SlotChange, TableEffect } from "../world/table-effect.ts";
import type { World } from "../world/types.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

type SlotRecord = LogRecord<"slot.written" | "slot.cleared">;

/** What a record did to a page table that is logged entry by entry; undefined for others. */
export function effectOf(
	world: World,
): (TableEffect & { readonly tables: Tables }) | undefined {
	const { tables } = world.effect;
	return tables?.tables === undefined
		? undefined
		: (tables as TableEffect & { readonly tables: Tables });
}

/** A check of each slot that a record wrote in a table of a given life. */
const perSlot =
	(
		test: (
			change: SlotChange,
			page: TablePage,
			tables: Tables,
			record: SlotRecord,
			context: Context,
		) => Outcome,
	) =>
	(context: Context, record: SlotRecord): Outcome => {
		const effect = effectOf(context.world);
		if (effect === undefined || effect.page === undefined) return SKIP;
		let outcome: Outcome = SKIP;
		for (const change of effect.changes) {
			const one = test(change, effect.page, effect.tables, record, context);
			if (one === SKIP) continue;
			outcome = one;
			if (one !== undefined) return one;
		}
		return outcome;
	};

/** A table, for people. */
export const named = (dom: DomainId, table: number): string =>
	`table ${table} of ${dom}`;

/** PT-1: a table that is linked already gets a second parent. */
export const linkedTwice = perSlot(
	({ child, childWas }, page, _tables, record) => {
		if (child === undefined || page.life !== "linked") return SKIP;
		if (childWas !== "linked") return undefined;
		const { dom } = record.data;
		return broken(
			`${dom} ${child.id} ${record.seq}`,
			`${named(dom, child.id)} is linked a second time, by table ${page.id}`,
			[dom],
			[child.unlinkedSeq],
		);
	},
);

/** PT-2: an entry of a linked table leads to no linked table of the level below. */
export const leadsAstray = perSlot((change, page, tables, record) => {
	if (page.life !== "linked" || change.old === change.now) return SKIP;
	if (kindOf(tables, change.now, page.level) !== "table") return SKIP;
	const { dom } = record.data;
	const child = childOf(tables, change.now);
	const below = page.level + tables.config.geometry.down;
	const what =
		child === undefined
			? "memory that is no table of the domain"
			: child.life === "freed"
				? `table ${child.id}, which was freed at #${child.freedSeq}`
				: child.level !== below
					? `table ${child.id}, whose level is ${child.level}, not ${below}`
					: undefined;
	if (what === undefined) return undefined;
	return broken(
		`${dom} ${page.id} ${change.slot} ${record.seq}`,
		`slot ${change.slot} of ${named(dom, page.id)} points to ${what}`,
		[dom],
		[child?.freedSeq ?? 0],
	);
});

/** PT-23: a private table is linked over something by a plain store. */
export const plainLink = perSlot((change, page, tables, record) => {
	if (record.type !== "slot.written" || page.life !== "linked") return SKIP;
	if (change.child === undefined) return SKIP;
	if (change.old === 0 || record.data.cas === true) return undefined;
	// Changing flags of the pointer that stands there links nothing (the software bit of a non-coherent walker).
	if (childOf(tables, change.old) === change.child) return undefined;
	const { dom } = record.data;
	return broken(
		`${dom} ${page.id} ${change.slot} ${record.seq}`,
		`slot ${change.slot} of ${named(dom, page.id)} is not empty, and table ${change.child.id} is linked there by a plain store: what another thread put there is lost`,
		[dom],
		[],
	);
});

/** PT-28: a write to a table that the root no longer leads to. */
export function strayWrite({ world }: Context, record: SlotRecord): Outcome {
	const effect = effectOf(world);
	const page = effect?.page;
	if (effect === undefined || page === undefined) return SKIP;
	// Hardware may set a dirty bit through a pointer that it cached.
	if (record.actor.startsWith("iommu:")) return SKIP;
	if (effect.was === "linked" || effect.was === "private") return undefined;
	const isFreed = effect.was === "freed";
	// A sweep may clear dirty bits in a table that is unlinked and still there: nobody reads them any more.
	const bits = dirtyBits(effect.tables);
	if (!isFreed && effect.changes.every((c) => Math.abs(c.now - c.old) === bits))
		return undefined;
	const { dom } = record.data;
	return broken(
		`${dom} ${page.id} ${record.seq}`,
		isFreed
			? `slot ${record.data.slot} of ${named(dom, page.id)} was written after the table was freed at #${page.freedSeq}`
			: `slot ${record.data.slot} of ${named(dom, page.id)} was written, but the table was unlinked at #${page.unlinkedSeq}: the write is lost`,
		[dom],
		[page.unlinkedSeq, page.freedSeq],
	);
}

/** Reads of freed tables: PT-27 inside a reader section, PT-28 elsewhere. */
export const strayRead =
	(inside: boolean) =>
	({ world }: Context, record: LogRecord<"table.read">): Outcome => {
		const effect = effectOf(world);
		const page = effect?.page;
		if (effect === undefined || page === undefined) return SKIP;
		if ((record.data.reader !== undefined) !== inside) return SKIP;
		if (page.life !== "freed") return undefined;
		const { dom, slot } = record.data;
		return broken(
			`${dom} ${page.id} ${record.seq}`,
			`${record.actor} read slot ${slot} of ${named(dom, page.id)} after the table was freed at #${page.freedSeq}`,
			[record.actor, dom],
			[page.unlinkedSeq, page.freedSeq],
		);
	};

/** PT-3, PT-28: memory that is no table was used as one. */
export function walkedData(
	freed: boolean,
): (context: Context, record: LogRecord<"data.walked">) => Outcome {
	return ({ world }, { data, seq, actor }) => {
		const tables = world.iotlb.tables.get(data.dom);
		if (tables === undefined) return SKIP;
		const page = pageAt(tables, data.pa);
		// Without an address it was read out of a freed page.
		const isFreed = data.pa === undefined || page?.life === "freed";
		if (isFreed !== freed) return SKIP;
		const where =
			data.pa === undefined
				? "what a freed page said"
				: page === undefined
					? `0x${data.pa.toString(16)}, which is no table`
					: `table ${page.id}, freed at #${page.freedSeq}`;
		return broken(
			`${data.dom} ${seq}`,
			`${actor} used ${where} of ${data.dom} as a table (entry ${data.slot}${data.write === true ? ", written" : ""})`,
			[actor, data.dom],
			[page?.freedSeq ?? 0],
		);
	};
}

const pageAt = (
	tables: Tables,
	pa: number | bigint | undefined,
): TablePage | undefined => {
	const id =
		pa === undefined
			? undefined
			: tables.byFrame.get(Math.floor(Number(pa) / 4096));
	return id === undefined ? undefined : tables.pages.get(id);
};

/** PT-29, PT-17: what a driver takes for granted about a table that a block or a hole replaces. */
export const assumed =
	(what: "empty" | "full") =>
	({ world }: Context, record: SlotRecord): Outcome => {
		const { data, seq } = record;
		const effect = effectOf(world);
		if (data.assumes !== what || effect?.page === undefined) return SKIP;
		const { tables, page } = effect;
		const span = spanOf(tables, page.level);
		const below = page.level + tables.config.geometry.down;
		const [base] = page.bases;
		const at = (base ?? 0) + data.slot * span;
		for (const table of tables.pages.values()) {
			if (table.level !== below || !table.bases.includes(at)) continue;
			if (table.life !== "linked" && table.life !== "unlinked") continue;
			const mapped = leavesIn(tables, table, at, span);
			const bad = what === "empty" ? mapped > 0 : !isFull(tables, table);
			if (!bad) continue;
			return broken(
				`${data.dom} ${table.id} ${seq}`,
				what === "empty"
					? `a block took the place of ${named(data.dom, table.id)}, assumed empty, but ${mapped} page(s) of ${showFrames(at, span)} are mapped there`
					: `an unmap took ${named(data.dom, table.id)}, assumed full, but only ${mapped} page(s) of ${showFrames(at, span)} are mapped: more is reported than unmapped`,
				[data.dom],
				[table.unlinkedSeq],
			);
		}
		return undefined;
	};

function leavesIn(
	tables: Tables,
	page: TablePage,
	start: number,
	n: number,
): number {
	let frames = 0;
	visitFrom(tables, page, start, start, n, false, (met) => {
		if (met.what === "leaf") frames += met.n;
	});
	return frames;
}

/** Is every entry a leaf, or a pointer to a full table? */
function isFull(tables: Tables, page: TablePage): boolean {
	if (page.words.size < page.slots) return false;
	for (const word of page.words.values()) {
		const kind = kindOf(tables, word, page.level);
		if (kind === "leaf") continue;
		const child = kind === "table" ? childOf(tables, word) : undefined;
		if (child?.level !== page.level + tables.config.geometry.down) return false;
		if (!isFull(tables, child)) return false;
	}
	return true;
}
