/** What an invalidation takes from the walks of a tag (facts pagetable-semantics.md §5.2). */
import type { Hardware } from "./hardware.ts";
import type { Invalidation } from "./state.ts";
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

/** Facts §5.2 for a paging-structure entry. `command` concerns this tag. */
export function dropsDirectory(
	hardware: Hardware,
	command: Invalidation,
	entry: { readonly start: number; readonly n: number },
): boolean {
	if (command.kind === "devtlb") return false;
	const touches = meets(entry, command.start, command.n);
	// A walk in flight is over before any covering invalidation completes.
	if (!hardware.directory) return touches;
	if (command.leafOnly) return false;
	return touches || hardware.ih0NonLeafScope === "domain";
}

/** The blocks of a leaf, negative or device entry that an invalidation leaves: none, all, or the ends of a run. */
function leftOf(
	tables: Tables,
	hardware: Hardware,
	command: Invalidation,
	entry: StaleEntry,
): StaleEntry[] {
	const isDevice = entry.kind === "device";
	if (isDevice !== (command.kind === "devtlb") || command.kind === "walk")
		return [entry];
	const named = levelOfTtl(tables, command.ttl);
	if (
		named !== undefined &&
		hardware.tlbiTTL === "honoured" &&
		named !== entry.level
	)
		return [entry];
	const { start, unit, n } = entry;
	const whole = isDevice || hardware.smallFlushDropsLargeLeaf;
	const from = (command.start - start) / unit;
	const to = (command.start + command.n - start) / unit;
	const first = Math.max(0, whole ? Math.floor(from) : Math.ceil(from));
	const end = Math.min(n / unit, whole ? Math.ceil(to) : Math.floor(to));
	if (first >= end) return [entry];
	const parts: StaleEntry[] = [];
	if (first > 0) parts.push(part(entry, 0, first));
	if (end < n / unit) parts.push(part(entry, end, n / unit));
	return parts;
}

const part = (entry: StaleEntry, first: number, end: number): StaleEntry => ({
	...entry,
	start: entry.start + first * entry.unit,
	n: (end - first) * entry.unit,
	pa: entry.pa < 0 ? entry.pa : entry.pa + first * entry.unit,
});

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
	command: Invalidation,
	limit: number,
	seq: number,
): void {
	const { tables, walks, hardware } = walker;
	const stale = [...walks.entries];
	const doomed: StaleEntry[] = [];
	const taken: StaleEntry[] = [];
	for (const [key, entry] of stale) {
		if (entry.seq > limit) continue;
		if (entry.kind === "directory") {
			if (!dropsDirectory(hardware, command, entry)) continue;
			walks.entries.delete(key);
			doomed.push(entry);
			continue;
		}
		const left = leftOf(tables, hardware, command, entry);
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
					? dropsDirectory(hardware, command, reached)
						? []
						: [reached]
					: leftOf(tables, hardware, command, reached);
			for (const one of left) keepStale(walker, one);
			if (left.length !== 1 || left[0] !== reached) taken.push(reached);
		}
	// The device may have taken it over until the command was carried out; commands queued after it come later.
	if (hardware.device && command.kind !== "devtlb")
		for (const entry of taken)
			if (entry.kind === "leaf")
				keep(walks, { ...entry, kind: "device", seq: command.seq });
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
	seq,
	since: seq,
});

/** Tables unlinked before an invalidation that spares no walk cache was issued: does it cover every pointer to them (PT-30)? */
export function noteFlushed(
	walker: Pick<Walker, "tables" | "hardware">,
	command: Invalidation,
): void {
	const { tables, hardware } = walker;
	if (command.kind === "devtlb" || command.leafOnly) return;
	for (const page of tables.waiting) {
		if (page.flushed) continue;
		if (page.unlinkedSeq > command.seq) continue;
		const n = reachOf(tables, page);
		const covered = page.bases.every((start) =>
			dropsDirectory(hardware, command, { start, n }),
		);
		if (covered) page.flushed = true;
		else if (command.by !== undefined)
			page.missed = new Set([...page.missed, command.by]);
	}
}
