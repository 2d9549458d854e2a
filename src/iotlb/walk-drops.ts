/** What an invalidation takes from the walks of a tag (facts pagetable-semantics.md §5.2). */
import type { Hardware } from "./hardware.ts";
import { takenFrom } from "./leftovers.ts";
import { goesTo, type Reach } from "./reach.ts";
import { ANY_DEVICE, subtract, type Invalidation } from "./state.ts";
import { reachOf, spanOf, type TablePage, type Tables } from "./tables.ts";
import {
	GARBAGE,
	entryOf,
	keep,
	keepStale,
	meets,
	type StaleEntry,
	type Walker,
} from "./walks.ts";

/** A command and how far it reaches into the tag at hand. */
export interface Reaching {
	readonly command: Invalidation;
	readonly reach: Reach;
}

/** Facts §5.2 for a paging-structure entry. */
export function dropsDirectory(
	hardware: Hardware,
	{ command, reach }: Reaching,
	entry: { readonly start: number; readonly n: number },
): boolean {
	if (command.kind === "devtlb") return false;
	const touches = meets(entry, command.start, command.n);
	// A walk in flight is over before any covering invalidation completes.
	if (!hardware.directory) return touches;
	if (reach.walk === "none") return false;
	return touches || hardware.ih0NonLeafScope === "domain";
}

/** The blocks of a leaf, negative or device entry that an invalidation leaves: none, all, or the ends of a run. */
function leftOf(
	tables: Tables,
	hardware: Hardware,
	{ command, reach }: Reaching,
	entry: StaleEntry,
): StaleEntry[] {
	const isDevice = entry.kind === "device";
	if ((isDevice ? reach.device : reach.leaf) === "none") return [entry];
	if (isDevice && !goesTo(command, entry.sid)) return [entry];
	const named = levelOfTtl(tables, command.ttl);
	if (
		named !== undefined &&
		hardware.tlbiTTL === "honoured" &&
		named !== entry.level
	)
		return [entry];
	const taken = takenFrom(
		entry,
		command,
		isDevice || hardware.smallFlushDropsLargeLeaf,
	);
	if (taken === undefined || !meets(entry, taken.start, taken.n))
		return [entry];
	return subtract([entry], taken.start, taken.n).map(({ start, n }) => ({
		...entry,
		start,
		n,
		pa: entry.pa < 0 ? entry.pa : entry.pa + (start - entry.start),
	}));
}

/** The level that a TTL names: 3 = page, 2 = block of the level above, 1 = of the next (facts §5.3). */
function levelOfTtl(
	tables: Tables,
	ttl: number | undefined,
): number | undefined {
	if (ttl === undefined || ttl === 0) return undefined;
	const { leafLevel, down } = tables.config.geometry;
	return leafLevel - (3 - ttl) * down;
}

/**
 * An invalidation has completed. `limit`: entries that a walk may have filled after this record stay (usually its issue; ∞ when
 * nobody reached the tag any more).
 */
export function dropWalks(
	walker: Walker,
	reaching: Reaching,
	limit: number,
	seq: number,
	devices: () => readonly number[],
): void {
	const { command } = reaching;
	const { tables, walks, hardware } = walker;
	const stale = [...walks.entries];
	const doomed: StaleEntry[] = [];
	const taken: StaleEntry[] = [];
	for (const [key, entry] of stale) {
		if (entry.seq > limit) continue;
		if (entry.kind === "directory") {
			if (!dropsDirectory(hardware, reaching, entry)) continue;
			walks.entries.delete(key);
			doomed.push(entry);
			continue;
		}
		const left = leftOf(tables, hardware, reaching, entry);
		if (left.length === 1 && left[0] === entry) continue;
		walks.entries.delete(key);
		for (const one of left) keep(walks, one);
		taken.push(entry);
	}
	// What only walks through a pointer that is gone now could reach stays where the command does not reach it.
	for (const entry of doomed)
		for (const reached of reachedBy(walker, entry, seq)) {
			const left =
				reached.kind === "directory"
					? dropsDirectory(hardware, reaching, reached)
						? []
						: [reached]
					: leftOf(tables, hardware, reaching, reached);
			for (const one of left) keepStale(walker, one);
			if (left.length !== 1 || left[0] !== reached) taken.push(reached);
		}
	// The device may have taken it over until the command was carried out; commands queued after it come later.
	if (taken.length > 0 && command.kind !== "devtlb")
		for (const sid of devices())
			for (const entry of taken)
				if (entry.kind === "leaf")
					keep(walks, { ...entry, kind: "device", sid, seq: command.seq });
}

/** Everything that walks through a stale pointer can fill now. */
function reachedBy(
	walker: Walker,
	entry: StaleEntry,
	seq: number,
): StaleEntry[] {
	const { tables, hardware } = walker;
	const list: StaleEntry[] = [];
	const descend = (page: TablePage, base: number): void => {
		const span = spanOf(tables, page.level);
		const size = reachOf(tables, page) / span;
		if (page.life === "freed") {
			list.push(garbageEntry(page, base, size * span, span, seq));
			return;
		}
		const slots = hardware.negative
			? Array.from({ length: size }, (_, i) => i)
			: [...page.words.keys()];
		for (const slot of slots) {
			const word = page.words.get(slot) ?? 0;
			const one = entryOf(tables, page, base, slot, word, seq, seq);
			if (one === undefined) continue;
			list.push(one);
			const child =
				one.kind === "directory" ? tables.pages.get(one.table) : undefined;
			if (child?.level === page.level + tables.config.geometry.down)
				descend(child, one.start);
		}
	};
	const page = tables.pages.get(entry.table);
	if (page !== undefined) descend(page, entry.start);
	return list;
}

const garbageEntry = (
	page: TablePage,
	start: number,
	n: number,
	unit: number,
	seq: number,
): StaleEntry => ({
	kind: "leaf",
	level: page.level,
	start,
	n,
	unit,
	pa: GARBAGE,
	table: 0,
	rights: 0,
	dirty: false,
	sid: ANY_DEVICE,
	seq,
	since: seq,
});

/** Tables unlinked before an invalidation that spares no walk cache was issued: does it cover every pointer to them (PT-30)? */
export function noteFlushed(
	walker: Pick<Walker, "tables" | "hardware">,
	reaching: Reaching,
): void {
	const { command, reach } = reaching;
	const { tables, hardware } = walker;
	if (reach.walk === "none") return;
	for (const page of tables.waiting) {
		if (page.flushed) continue;
		if (page.unlinkedSeq > command.seq) continue;
		const n = reachOf(tables, page);
		const covered = page.bases.every((start) =>
			dropsDirectory(hardware, reaching, { start, n }),
		);
		if (covered) page.flushed = true;
		else if (command.by !== undefined)
			page.missed = new Set([...page.missed, command.by]);
	}
}
