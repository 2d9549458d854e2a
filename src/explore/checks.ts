/**
 * The invariants that are judged while exploring, beyond those that are wrong acts on memory (memory.ts). Ids are those of
 * facts pagetable-semantics.md §8. What a page sees is what a DMA to it can reach now: a target, `fault`, `garbage` (a walk or an
 * entry through a freed page), `conflict` (two sizes valid at once on hardware below BBM level 2).
 */
import { type Caches, type Invalidation, hasBit } from "./caches.ts";
import type { Raise } from "./memory.ts";
import {
	type Model,
	STATUS,
	TABLE,
	cover,
	isLeaf,
	isTable,
	LEAF,
	mask32,
	pageMask,
} from "./model.ts";
import type { Placements } from "./placements.ts";

/** What each page can reach, as a mask: bit n = target n, then garbage, fault, conflict. */
export type Sight = Int32Array;

export interface Checks {
	/** What a DMA to each page can reach; valid until the next call. */
	sight(s: Uint8Array): Sight;
	/** Names of the bits of a sight. */
	readonly words: readonly string[];
	/** The value a walk of memory alone finds for a page: value byte, or EMPTY. */
	walk(s: Uint8Array, page: number): number;
	plainStore(s: Uint8Array, table: number, index: number, value: number): void;
	/** A block takes the place of a table assumed empty (PT-29); a block-size unmap clears a table assumed full (PT-17). */
	assumed(
		s: Uint8Array,
		table: number,
		index: number,
		what: "full" | "empty",
	): void;
	mapped(s: Uint8Array, pages: number, to: number, thread: number): void;
	unmapped(s: Uint8Array, pages: number, thread: number): void;
	issued(s: Uint8Array, invalidation: Invalidation): void;
	/** After every move: pages in use must stay usable. */
	step(s: Uint8Array): void;
	/** When nothing is left to do. */
	ended(s: Uint8Array): void;
}

export function buildChecks(
	model: Model,
	caches: Caches,
	placements: Placements,
	saturated: boolean,
	start: () => Uint8Array,
	raise: Raise,
): Checks {
	const { scenario, personality, tables, threads } = model;
	const garbage = model.targets.length;
	const words = [...model.targets, "garbage", "fault", "conflict"];
	const sightNow = new Int32Array(model.pages);
	/** Per page: levels of non-negative leaf entries (mask), and their targets (mask). */
	const levels = new Int32Array(model.pages);
	const targets = new Int32Array(model.pages);
	const keep = pageMask(model, scenario.keep, ["keep"]);
	const live = pageMask(model, scenario.live, ["live"]) | keep;
	const leaves = caches.entries
		.map((entry, bit) => ({ ...entry, bit }))
		.filter((entry) => entry.kind !== "walk");
	let scratch: Uint8Array | undefined;
	/** The state of the last look, closed over fills. */
	let looked: Uint8Array = new Uint8Array(0);

	function look(s: Uint8Array): Sight {
		let seen = s;
		if (!saturated) {
			scratch ??= new Uint8Array(s.length);
			scratch.set(s);
			seen = scratch;
		}
		looked = seen;
		const faults = caches.saturate(seen);
		for (let p = 0; p < model.pages; p++) {
			sightNow[p] = faults & (1 << p) ? 1 << (garbage + 1) : 0;
			levels[p] = 0;
			targets[p] = 0;
		}
		for (const e of leaves) {
			if (!hasBit(seen, caches.at, e.bit)) continue;
			for (let p = 0; p < model.pages; p++) {
				if ((e.pages & (1 << p)) === 0) continue;
				sightNow[p] = (sightNow[p] as number) | (1 << e.to);
				if (e.to >= garbage) continue;
				levels[p] = (levels[p] as number) | (1 << e.level);
				targets[p] = (targets[p] as number) | (1 << e.to);
			}
		}
		if (personality.bbm < 2)
			for (let p = 0; p < model.pages; p++)
				if (many(levels[p] as number))
					sightNow[p] = (sightNow[p] as number) | (1 << (garbage + 2));
		return sightNow;
	}

	function walk(s: Uint8Array, page: number): number {
		let number = 0;
		for (let level = model.levels; level > 0; level--) {
			const table = tables[number];
			if (table === undefined || (s[table.status] as number) >= STATUS.freed)
				return 255;
			const prefix = Math.floor(page / model.fanout ** (level - 1));
			const index = number === 0 ? prefix : prefix % model.fanout;
			const value = s[table.slots + index] as number;
			if (!isTable(value)) return value;
			number = value - TABLE;
		}
		return 255;
	}

	const busyElsewhere = (s: Uint8Array, page: number, thread: number) =>
		threads.some(
			(t, i) => i !== thread && (mask32(s, t.open) & (1 << page)) !== 0,
		);
	/** The cache entry through which a page reaches one of these targets. */
	const through = (page: number, mask: number): number =>
		leaves.find(
			(e) =>
				(e.pages & (1 << page)) !== 0 &&
				e.to < garbage &&
				(mask & (1 << e.to)) !== 0 &&
				hasBit(looked, caches.at, e.bit),
		)?.bit ?? -1;
	const targetName = (t: number): string => model.targets[t] ?? "?";
	const namesOf = (mask: number): string =>
		words.filter((_, i) => (mask & (1 << i)) !== 0).join(", ");
	const each = (pages: number, act: (page: number) => void): void => {
		for (let p = 0; p < model.pages; p++) if (pages & (1 << p)) act(p);
	};
	const allTargets = (1 << garbage) - 1;
	let startTargets: number[] | undefined;

	function used(page: number): void {
		const sight = sightNow[page] as number;
		if (sight & (1 << (garbage + 1)) && !personality.pri)
			raise("PT-19", () => `DMA to page ${page}, which is in use, can fault`);
		const sizes = many(levels[page] as number);
		if (sizes && personality.bbm < 2)
			raise(
				"PT-37",
				() =>
					`page ${page}: entries of two sizes at once on hardware of BBM level ${personality.bbm}`,
			);
		else if (sizes && many(targets[page] as number))
			raise(
				"PT-37",
				() =>
					`page ${page}: entries that differ in size and target (${namesOf(targets[page] as number)}) under live DMA`,
			);
		const wanted = startTargets?.[page] ?? 0;
		const other = sight & allTargets & ~wanted;
		if (keep & (1 << page) && other !== 0)
			raise(
				"PT-50",
				() =>
					`page ${page} must keep its translation but can reach ${namesOf(other)}`,
				() => through(page, other),
			);
	}

	/** The device refills from an IOTLB entry that leads elsewhere than memory. */
	function deviceFirst(s: Uint8Array, pages: number): void {
		look(s);
		for (const e of leaves) {
			if (e.kind !== "leaf" || e.to >= garbage) continue;
			if ((e.pages & pages) === 0 || !hasBit(looked, caches.at, e.bit))
				continue;
			each(e.pages & pages, (page) => {
				const value = walk(s, page);
				if (isLeaf(value) && (value - LEAF) >> 1 === e.to) return;
				raise(
					"PT-41",
					() =>
						`the device's TLB is invalidated for page ${page} while the IOTLB may still hold ${targetName(e.to)}: it refills from there`,
					() => e.bit,
				);
			});
		}
	}

	return {
		sight: look,
		words,
		walk,
		plainStore(s, table, index, value) {
			const t = tables[table];
			if (t === undefined || !isTable(value) || s[t.status] !== STATUS.linked)
				return;
			const old = s[t.slots + index] as number;
			if (old !== 0 && old !== value)
				raise(
					"PT-23",
					() =>
						`${t.name}[${index}] is not empty and a table is linked there by a plain store`,
				);
		},
		assumed(s, table, index, what) {
			const level = (tables[table]?.level ?? 1) - 1;
			const base = table === 0 ? 0 : (placements[table]?.[0] ?? 0);
			const place = base * model.fanout + index;
			tables.forEach((t, number) => {
				const status = s[t.status] as number;
				if (t.level !== level || !placements[number]?.includes(place)) return;
				if (status === STATUS.private || status >= STATUS.freed) return;
				let leavesThere = 0;
				for (let i = 0; i < t.size; i++)
					if (isLeaf(s[t.slots + i] as number)) leavesThere++;
				if (what === "empty" && leavesThere > 0)
					raise(
						"PT-29",
						() =>
							`a block replaces ${t.name}, assumed empty, but ${leavesThere} pages are mapped there`,
					);
				if (what === "full" && leavesThere < t.size)
					raise(
						"PT-17",
						() =>
							`a block-size unmap takes ${t.name}, assumed full, but only ${leavesThere} of ${t.size} pages are mapped: more bytes reported than unmapped`,
					);
			});
		},
		mapped(s, pages, to, thread) {
			const sight = look(s);
			each(pages, (page) => {
				const value = walk(s, page);
				const target = isLeaf(value) ? (value - LEAF) >> 1 : -1;
				if (to >= 0 && target !== to) {
					if (!busyElsewhere(s, page, thread))
						raise(
							"PT-12",
							() =>
								`map of page ${page} to ${targetName(to)} returned success, but memory does not say so`,
						);
					return;
				}
				const stale =
					(sight[page] as number) &
					allTargets &
					~(target < 0 ? 0 : 1 << target);
				if (stale !== 0 && !busyElsewhere(s, page, thread))
					raise(
						"PT-14",
						() =>
							`map of page ${page} returned while hardware may still reach ${namesOf(stale)}`,
						() => through(page, stale),
					);
				if (
					personality.cachingMode &&
					(sight[page] as number) & (1 << (garbage + 1))
				)
					raise(
						"PT-42",
						() =>
							`map of page ${page} returned while a cached "not present" remains`,
					);
			});
		},
		unmapped(s, pages, thread) {
			const sight = look(s);
			each(pages, (page) => {
				if (busyElsewhere(s, page, thread)) return;
				if (isLeaf(walk(s, page)))
					raise(
						"PT-15",
						() =>
							`unmap of page ${page} returned, but memory still translates it`,
					);
				const reached = (sight[page] as number) & allTargets;
				if (reached !== 0)
					raise(
						"PT-32",
						() =>
							`unmap of page ${page} returned while a DMA can still reach ${namesOf(reached)}`,
						() => through(page, reached),
					);
			});
		},
		issued(s, invalidation) {
			if (invalidation.scope === "device") deviceFirst(s, invalidation.pages);
			if (invalidation.scope !== "leaf") return;
			tables.forEach((table, number) => {
				const status = s[table.status] as number;
				const open =
					status === STATUS.unlinked ||
					(status >= STATUS.freed && caches.holder(s, number) >= 0);
				if (!open) return;
				for (const prefix of placements[number] ?? [])
					if (cover(model, table.level + 1, prefix) & invalidation.pages)
						raise(
							"PT-31",
							() =>
								`a leaf-only flush covers the range of ${table.name}, which was unlinked without a walk-cache flush since`,
						);
			});
		},
		step(s) {
			if (live === 0 || s[model.dma] !== 0) return;
			if (startTargets === undefined) {
				look(start());
				startTargets = [...sightNow].map((mask) => mask & allTargets);
			}
			look(s);
			each(live, used);
		},
		ended(s) {
			look(s);
			for (let p = 0; p < model.pages; p++)
				if (many(levels[p] as number) || many(targets[p] as number))
					raise(
						"PT-37",
						() =>
							`page ${p}: entries that differ in size or target (${namesOf(targets[p] as number)}) stay for ever`,
					);
		},
	};
}

/** More than one bit set. */
const many = (mask: number): boolean => (mask & (mask - 1)) !== 0;
