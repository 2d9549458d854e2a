/** PT-4, PT-24 … PT-27, PT-30, PT-52, PT-53: the end of table pages that are logged entry by entry (facts pagetable-semantics.md §4). */
import { type TablePage, type Tables } from "../iotlb/tables.ts";
import { spacesOf } from "../iotlb/state.ts";
import { mayWalk, type Walker } from "../iotlb/walks.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { walkersOf } from "../world/apply-tables.ts";
import type { TableEffect } from "../world/table-effect.ts";
import type { World } from "../world/types.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";
import { effectOf, named } from "./table-acts.ts";

/** What a check of table.freed needs. */
interface Freed {
	readonly page: TablePage;
	readonly effect: TableEffect;
	readonly dom: DomainId;
	readonly seq: number;
}
/** A check of a table that was freed. */
const atFree =
	(test: (freed: Freed, context: Context) => Outcome) =>
	(context: Context, { data, seq }: LogRecord<"table.freed">): Outcome => {
		const effect = effectOf(context.world);
		if (effect?.page === undefined) return SKIP;
		return test({ page: effect.page, effect, dom: data.dom, seq }, context);
	};

/** PT-25 for tables that are logged entry by entry. */
export const freedWhileWalked = atFree(
	({ page, effect, dom, seq }, { world }) => {
		if (spacesOf(world.iotlb, dom).length === 0 || effect.was === "freed")
			return SKIP;
		if (effect.walked !== true) return undefined;
		const since =
			page.unlinkedSeq > 0
				? `unlinked at #${page.unlinkedSeq}, and no invalidation of its pointers that started after that has completed`
				: "an entry still points to it";
		return broken(
			`${dom} ${page.id} ${seq}`,
			`${named(dom, page.id)} was freed while hardware may still walk through it: ${since}`,
			[dom],
			[page.unlinkedSeq],
		);
	},
);

/** PT-24. */
export const freedLinked = atFree(({ page, effect, dom, seq }) =>
	effect.was !== "linked"
		? undefined
		: broken(
				`${dom} ${page.id} ${seq}`,
				`${named(dom, page.id)} was freed while it was linked`,
				[dom],
				[],
			),
);

/** PT-27: readers that were inside when the table was unlinked still are. */
export const freedUnderReader = atFree(({ page, effect, dom, seq }) =>
	(effect.readers ?? []).length === 0
		? undefined
		: broken(
				`${dom} ${page.id} ${seq}`,
				`${named(dom, page.id)} was freed while reader ${effect.readers?.join(", ")}, inside since before it was unlinked at #${page.unlinkedSeq}, may still read it`,
				[dom],
				[page.unlinkedSeq],
			),
);

/** PT-30. */
export const freedByWrongSync = atFree(({ page, effect, dom, seq }) =>
	effect.was !== "unlinked"
		? SKIP
		: effect.missed !== true
			? undefined
			: broken(
					`${dom} ${page.id} ${seq}`,
					`${named(dom, page.id)} was freed after a flush of another range by the same task: none since it was unlinked at #${page.unlinkedSeq} covers what it mapped`,
					[dom],
					[page.unlinkedSeq],
				),
);

/** PT-53, of table pages. */
export const freedTwice = atFree(({ page, effect, dom, seq }) =>
	effect.was !== "freed"
		? undefined
		: broken(
				`${dom} ${page.id} ${seq}`,
				`${named(dom, page.id)} was freed twice`,
				[dom],
				[page.freedSeq],
			),
);

/** PT-52: the driver lost a table: no entry leads to it, no record says that the driver knows. */
export function lostTable(world: World, dom: string): Outcome {
	const tables = world.iotlb.tables.get(dom as DomainId);
	if (tables === undefined) return SKIP;
	for (const page of tables.waiting)
		if (!page.claimed && !isBelowClaimed(tables, page))
			return broken(
				`${dom} ${page.id}`,
				`${named(dom as DomainId, page.id)} is out of the tree since #${page.unlinkedSeq}, and nobody unlinked it: its pointer was overwritten, the table and its pages are lost`,
				[dom as DomainId],
				[page.unlinkedSeq],
			);
	return undefined;
}

/** A table below one that was unlinked on purpose goes with it. */
function isBelowClaimed(tables: Tables, page: TablePage): boolean {
	for (const { table } of page.from.values()) {
		const parent = tables.pages.get(table);
		if (parent === undefined || parent.life === "linked") continue;
		// A damaged log may link tables in a ring.
		if (parent.level + tables.config.geometry.down !== page.level) continue;
		if (
			parent.life === "freed" ||
			parent.claimed ||
			isBelowClaimed(tables, parent)
		)
			return true;
	}
	return false;
}

/** PT-26: no walk-cache entry leads to a freed page. */
export function walksFreed(world: World, dom: string): Outcome {
	const tables = world.iotlb.tables.get(dom as DomainId);
	if (tables === undefined) return SKIP;
	const walkers = walkersOf(world, dom as DomainId);
	if (walkers.length === 0) return SKIP;
	for (const page of freedAndNamed(tables, walkers)) {
		if (walkers.some((walker) => mayWalk(walker, page)))
			return broken(
				`${dom} ${page.id}`,
				`hardware may walk ${named(dom as DomainId, page.id)}, which was freed at #${page.freedSeq}`,
				[dom as DomainId],
				[page.unlinkedSeq, page.freedSeq],
			);
	}
	return undefined;
}

/** Freed tables that some entry, in memory or cached, still names. */
function* freedAndNamed(
	tables: Tables,
	walkers: readonly Walker[],
): Generator<TablePage> {
	if (tables.freed.size === 0) return;
	for (const page of tables.freed)
		if (page.from.size > 0 || page.id === tables.root) yield page;
	for (const { walks } of walkers)
		for (const entry of walks.entries.values()) {
			if (entry.kind !== "directory") continue;
			const page = tables.pages.get(entry.table);
			if (page?.life === "freed") yield page;
		}
}

/** PT-4: memory that is no table was given to the page allocator. */
export function freedData(
	{ world }: Context,
	record: LogRecord<"data.freed">,
): Outcome {
	const { data, seq, actor } = record;
	const tables = world.iotlb.tables.get(data.dom);
	if (tables === undefined) return SKIP;
	const what =
		data.pa === undefined
			? "an address read from a freed page"
			: `0x${data.pa.toString(16)}, which a leaf maps`;
	return broken(
		`${data.dom} ${seq}`,
		`${actor} freed ${what} as if it were a table of ${data.dom}`,
		[actor, data.dom],
		[],
	);
}
