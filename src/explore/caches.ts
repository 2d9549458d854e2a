/**
 * What hardware may hold, as one bit per possible entry (facts pagetable-semantics.md §5.1): leaf entries per size, directory
 * (paging-structure cache) entries per level, negative entries (caching mode), device-TLB entries.
 *
 * `saturate` adds everything that walks could have put there at this moment. A history that caches all and evicts nothing covers
 * every other one, since filling and evicting never hinder anybody; so the set of possible entries is exact for every single
 * entry, and hardware fills need no interleaving (test/explore/hardware.test.ts compares with explicit fills and evictions).
 * Dirty writes do change memory: they are moves of their own.
 */
import {
	EMPTY,
	GARBAGE,
	LEAF,
	type Model,
	STATUS,
	TABLE,
	type Table,
	cover,
	entriesAt,
} from "./model.ts";
import type { Placements } from "./placements.ts";

/** What a cached entry says. Targets count from 0; then come these two. */
export type EntryKind = "leaf" | "walk" | "device";
/** A possible cache entry. */
export interface Entry {
	readonly kind: EntryKind;
	readonly level: number;
	readonly prefix: number;
	/** Leaf, device: target number, model.targets.length = garbage, one more = negative. Walk: table number. */
	readonly to: number;
	/** The entry remembers that the dirty bit is set: a write goes through without touching memory. */
	readonly dirty: boolean;
	/** Pages it translates. */
	readonly pages: number;
}

/** An invalidation: which pages, what is dropped, restricted to a level (TTL) or not. */
export interface Invalidation {
	readonly pages: number;
	readonly scope: "leaf" | "walk" | "all" | "device";
	readonly level: number | undefined;
}

type BitOf = (
	kind: EntryKind,
	level: number,
	prefix: number,
	to: number,
	dirty: boolean,
) => number;

export interface Caches {
	readonly entries: readonly Entry[];
	/** First byte of the bits in the state, and how many bytes. */
	readonly at: number;
	readonly bytes: number;
	/** Adds what walks can put in now. Returns the pages at which a walk can fault. */
	saturate(s: Uint8Array): number;
	/** For each byte, the bits that this invalidation lets stay. */
	keepMask(invalidation: Invalidation): Uint8Array;
	/** Tables (mask) whose every possible directory entry this invalidation drops. */
	tablesDropped(invalidation: Invalidation): number;
	/** Tells whether hardware may hold a pointer to the table; the entry's number, or -1. */
	holder(s: Uint8Array, table: number): number;
	/** Entries that a write through table entry (level, prefix, target) would leave behind, with the dirty bit known; -1 if none. */
	leafBit(level: number, prefix: number, to: number, dirty: boolean): number;
	/** True if hardware keeps directory entries (else walk bits are walks in flight). */
	readonly directory: boolean;
}

export const hasBit = (s: Uint8Array, at: number, bit: number): boolean =>
	((s[at + (bit >> 3)] as number) & (1 << (bit & 7))) !== 0;
export function setBit(s: Uint8Array, at: number, bit: number): void {
	const byte = at + (bit >> 3);
	s[byte] = (s[byte] as number) | (1 << (bit & 7));
}
export function clearBit(s: Uint8Array, at: number, bit: number): void {
	const byte = at + (bit >> 3);
	s[byte] = (s[byte] as number) & ~(1 << (bit & 7));
}

const has = (model: Model, move: string): boolean =>
	(model.scenario.hardware as readonly string[]).includes(move);

/** Lists every entry there could be: walk entries first, from the highest level down, so that one pass saturates. */
function universe(model: Model, placements: Placements): Entry[] {
	const entries: Entry[] = [];
	const garbage = model.targets.length;
	const tos = model.personality.cachingMode ? garbage + 2 : garbage + 1;
	const dirty = has(model, "dirty") ? [false, true] : [false];
	for (let level = model.levels; level > 1; level--)
		for (let prefix = 0; prefix < entriesAt(model, level); prefix++) {
			const pages = cover(model, level, prefix);
			model.tables.forEach((table, to) => {
				if (table.level === level - 1 && placements[to]?.includes(prefix))
					entries.push({
						kind: "walk",
						level,
						prefix,
						to,
						dirty: false,
						pages,
					});
			});
		}
	const kinds: EntryKind[] = ["leaf"];
	if (has(model, "cacheDevice")) kinds.push("device");
	for (const kind of kinds)
		for (let level = model.levels; level >= 1; level--)
			for (let prefix = 0; prefix < entriesAt(model, level); prefix++)
				for (let to = 0; to < tos; to++)
					for (const d of to < garbage && kind === "leaf" ? dirty : [false])
						entries.push({
							kind,
							level,
							prefix,
							to,
							dirty: d,
							pages: cover(model, level, prefix),
						});
	return entries;
}

/** Builds the caches of a model; their bits start at byte `at` of the state. */
export function buildCaches(
	model: Model,
	placements: Placements,
	at: number,
): Caches {
	const entries = universe(model, placements);
	const bytes = (entries.length + 7) >> 3;
	const key = (k: EntryKind, l: number, p: number, to: number, d: boolean) =>
		`${k} ${l} ${p} ${to} ${d}`;
	const numbers = new Map(
		entries.map((e, n) => [key(e.kind, e.level, e.prefix, e.to, e.dirty), n]),
	);
	const bitOf = (k: EntryKind, l: number, p: number, to: number, d: boolean) =>
		numbers.get(key(k, l, p, to, d)) ?? -1;
	const garbage = model.targets.length;
	const walkEntries = entries
		.map((entry, bit) => ({ entry, bit }))
		.filter(({ entry }) => entry.kind === "walk");
	const walkBits = Int32Array.from(walkEntries, (w) => w.bit);
	const walkTo = Int32Array.from(walkEntries, (w) => w.entry.to);
	const walkPrefix = Int32Array.from(walkEntries, (w) => w.entry.prefix);
	const keepLeaf = has(model, "cacheLeaf");
	const notLeaf = new Uint8Array(bytes);
	entries.forEach((entry, bit) => {
		if (entry.kind !== "leaf") setBit(notLeaf, 0, bit);
	});
	const directory = has(model, "cacheDirectory");
	const pairs = devicePairs(entries, bitOf);

	const tables = model.tables.map((table, number) =>
		tableReader(model, table, number, bitOf, garbage),
	);
	const readTable = (s: Uint8Array, number: number, base: number): number =>
		tables[number]?.(s, at, base) ?? 0;

	return {
		entries,
		at,
		bytes,
		directory,
		leafBit: (level, prefix, to, dirty) =>
			bitOf("leaf", level, prefix, to, dirty),
		saturate(s) {
			if (!keepLeaf)
				for (let i = 0; i < bytes; i++)
					s[at + i] = (s[at + i] as number) & (notLeaf[i] as number);
			let faults = readTable(s, 0, 0);
			for (let i = 0; i < walkBits.length; i++)
				if (hasBit(s, at, walkBits[i] as number))
					faults |= readTable(s, walkTo[i] as number, walkPrefix[i] as number);
			for (const [leaf, device] of pairs)
				if (hasBit(s, at, leaf)) setBit(s, at, device);
			return faults;
		},
		keepMask: (invalidation) =>
			keepMask(model, entries, bytes, invalidation, directory),
		tablesDropped(invalidation) {
			let mask = (1 << model.tables.length) - 1;
			for (const { entry } of walkEntries)
				if (!drops(model, entry, invalidation, directory))
					mask &= ~(1 << entry.to);
			return mask;
		},
		holder(s, table) {
			for (const { entry, bit } of walkEntries)
				if (entry.to === table && hasBit(s, at, bit)) return bit;
			return -1;
		},
	};
}

/** Reads a table page as a walk does that came through entry `base`: sets the bits of what it found, returns where it can fault. */
function tableReader(
	model: Model,
	table: Table,
	number: number,
	bitOf: BitOf,
	garbage: number,
): (s: Uint8Array, at: number, base: number) => number {
	const { level, size, slots, status } = table;
	const prefixes = entriesAt(model, level);
	// Bit set by value v read under prefix p: bits[p << 8 | v]; -1 none.
	const bits = new Int32Array(prefixes << 8).fill(-1);
	const covers = new Int32Array(prefixes);
	for (let prefix = 0; prefix < prefixes; prefix++) {
		covers[prefix] = cover(model, level, prefix);
		const lost = bitOf("leaf", level, prefix, garbage, false);
		const row = bits.subarray(prefix << 8, (prefix + 1) << 8);
		row.fill(lost);
		row[EMPTY] = bitOf("leaf", level, prefix, garbage + 1, false);
		for (let v = TABLE; v < LEAF && level > 1; v++) {
			const walk = bitOf("walk", level, prefix, v - TABLE, false);
			if (walk >= 0) row[v] = walk;
		}
		for (let t = 0; t < garbage; t++) {
			row[LEAF + 2 * t] = bitOf("leaf", level, prefix, t, false);
			const known = bitOf("leaf", level, prefix, t, true);
			row[LEAF + 2 * t + 1] =
				known >= 0 ? known : (row[LEAF + 2 * t] as number);
		}
	}
	const fanout = number === 0 ? 0 : model.fanout;
	return (s, at, base) => {
		let faults = 0;
		const gone = (s[status] as number) >= STATUS.freed;
		for (let i = 0; i < size; i++) {
			const prefix = base * fanout + i;
			const value = gone ? GARBAGE : (s[slots + i] as number);
			if (value === EMPTY) faults |= covers[prefix] as number;
			const bit = bits[(prefix << 8) | value] as number;
			if (bit >= 0) {
				const byte = at + (bit >> 3);
				s[byte] = (s[byte] as number) | (1 << (bit & 7));
			}
		}
		return faults;
	};
}

/** Which leaf entry a device may take over into its own TLB. */
function devicePairs(
	entries: readonly Entry[],
	bitOf: (k: EntryKind, l: number, p: number, to: number, d: boolean) => number,
): [number, number][] {
	const pairs: [number, number][] = [];
	entries.forEach((e, bit) => {
		if (e.kind !== "leaf") return;
		const device = bitOf("device", e.level, e.prefix, e.to, false);
		if (device >= 0) pairs.push([bit, device]);
	});
	return pairs;
}

/** Facts §5.2: what a command must drop, and the model switches of §9. */
function drops(
	model: Model,
	entry: Entry,
	inv: Invalidation,
	directory: boolean,
): boolean {
	const { personality } = model;
	const touches = (entry.pages & inv.pages) !== 0;
	const within = (entry.pages & ~inv.pages) === 0;
	if (entry.kind === "device") return inv.scope === "device" && touches;
	if (inv.scope === "device") return false;
	if (entry.kind === "walk") {
		// A walk in flight is over before any covering invalidation completes.
		if (!directory) return touches;
		if (inv.scope === "leaf") return false;
		return touches || personality.ih0NonLeafScope === "domain";
	}
	if (inv.scope === "walk") return false;
	if (
		inv.level !== undefined &&
		personality.tlbiTTL === "honoured" &&
		inv.level !== entry.level
	)
		return false;
	return touches && (within || personality.smallFlushDropsLargeLeaf);
}

function keepMask(
	model: Model,
	entries: readonly Entry[],
	bytes: number,
	invalidation: Invalidation,
	directory: boolean,
): Uint8Array {
	const mask = new Uint8Array(bytes);
	entries.forEach((entry, bit) => {
		if (!drops(model, entry, invalidation, directory)) setBit(mask, 0, bit);
	});
	return mask;
}
