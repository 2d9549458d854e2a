/** PT-49: replay of a page table that is logged entry by entry gives the state that the log was taken from (facts pagetable-semantics.md §8). */
import { sumOf } from "../iotlb/table-walk.ts";
import type { TablePage } from "../iotlb/tables.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

/** What a record says of tables follows from the records before it. */
const told =
	(what: "slot" | "linked" | "unlinked" | "freed" | "read") =>
	(
		{ world }: Context,
		record: LogRecord<
			| "slot.written"
			| "slot.cleared"
			| "table.linked"
			| "table.unlinked"
			| "table.freed"
			| "table.read"
		>,
	): Outcome => {
		const { dom, table } = record.data;
		const tables = world.iotlb.tables.get(dom);
		if (tables === undefined) return SKIP;
		const page = tables.pages.get(table);
		const problem =
			page === undefined
				? "no record allocated that table"
				: what === "linked"
					? misLinked(page, record as LogRecord<"table.linked">)
					: what === "unlinked" && page.life === "linked"
						? "an entry of a linked table still leads to it"
						: undefined;
		if (problem === undefined) return undefined;
		return broken(
			`${dom} ${table} ${record.seq}`,
			`#${record.seq} (${record.type}) speaks of table ${table} of ${dom}, but ${problem}: replaying the log does not give the state it was taken from`,
			[dom],
			[page?.freedSeq ?? 0],
		);
	};

function misLinked(
	page: TablePage,
	{ data }: LogRecord<"table.linked">,
): string | undefined {
	for (const { table, slot } of page.from.values())
		if (table === data.parent && slot === data.slot) return undefined;
	return `slot ${data.slot} of table ${data.parent} does not lead to it`;
}

/** The state that the writer of the log says it holds is the one that replay came to. */
function sameState(
	{ world }: Context,
	{ data, seq }: LogRecord<"table.summed">,
): Outcome {
	const tables = world.iotlb.tables.get(data.dom);
	if (tables === undefined) return SKIP;
	const found = sumOf(tables);
	if (
		found.tables === data.tables &&
		found.entries === data.entries &&
		found.sum === Number(data.sum)
	)
		return undefined;
	const of = (one: { tables: number; entries: number }): string =>
		`${one.entries} entries in ${one.tables} tables`;
	return broken(
		`${data.dom} ${seq}`,
		`the writer of the log holds ${of(data)} for ${data.dom} at #${seq}, replaying its records gives ${of(found)}${found.tables === data.tables && found.entries === data.entries ? ", and other words in them" : ""}: a change is in no record`,
		[data.dom],
		[],
	);
}

/** The row. */
export const SAME_STATE: Invariant = {
	id: "PT-49",
	when: "S",
	severity: "error",
	entries: true,
	on: {
		"slot.written": told("slot"),
		"slot.cleared": told("slot"),
		"table.linked": told("linked"),
		"table.unlinked": told("unlinked"),
		"table.freed": told("freed"),
		"table.read": told("read"),
		"table.summed": sameState,
	},
	sentence:
		"Replaying the records gives the state they were taken from: allocations, links and lost races are records.",
	harm: "whatever is judged after that is judged on another state than the real one",
	source: ["DESIGN: one log, three readers", "facts pagetable §8, row 49"],
	brokenBy: "table runs unlogged-link, unlogged-sweep (fault switches)",
};
