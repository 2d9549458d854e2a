/**
 * Symmetry of copies: threads made with `instances` differ only in names (`U#`, `a#`, page `#`), so renaming copies turns runs into runs.
 * A state is replaced by the one in which the copies stand in the order of their local progress. Copies that tie are left as they are:
 * sound, and a little less reduction. Safety only.
 */
import type { Caches } from "./caches.ts";
import { clearBit, hasBit, setBit } from "./caches.ts";
import { LEAF, type Model, TABLE, isLeaf, isTable } from "./model.ts";
import type { Operation, Site } from "./operations.ts";

/** What brings a state to its representative, and all renamings (for outcomes). */
export interface Symmetry {
	canonicalize(s: Uint8Array): void;
	/** Calls `act` for every renaming of a state. */
	orbit(s: Uint8Array, act: (renamed: Uint8Array) => void): void;
}

/** One family of copies: threads, and for copy k the table, target and page that are its own (-1: none). */
interface Family {
	readonly threads: readonly number[];
	readonly tables: readonly (readonly number[])[];
	readonly targets: readonly (readonly number[])[];
	readonly pages: boolean;
}

/** A renaming: where each thing goes. */
interface Renaming {
	readonly thread: readonly number[];
	readonly table: readonly number[];
	readonly target: readonly number[];
	readonly page: readonly number[];
}

/** Finds the symmetry of a model; undefined when there is none that is sure. */
export function symmetryOf(
	model: Model,
	caches: Caches,
	sites: readonly Site[],
	programs: readonly (readonly Operation[])[],
	start: Uint8Array,
): Symmetry | undefined {
	// Sites hold per-thread invalidations; copies that flush are not renamed.
	if (model.threads.length > 6) return undefined;
	const family = familyOf(model, programs);
	if (family === undefined) return undefined;
	const orders = permutations(family.threads.length);
	const renamings = orders.map((order) => renamingOf(model, family, order));
	const apply = renamings.map((r) => renamer(model, caches, sites, r));
	const scratch = new Uint8Array(start.length);
	for (const rename of apply) {
		rename(start, scratch);
		if (scratch.some((byte, i) => byte !== start[i])) return undefined;
	}
	const keys = family.threads.map((t) => model.threads[t]?.pc ?? 0);
	const results = family.threads.map((t) => model.threads[t]?.result ?? 0);
	const indexOf = new Map(orders.map((order, i) => [order.join(), i]));
	const base = family.threads.map((_, k) => k);
	return {
		canonicalize(s) {
			const key = (k: number): number =>
				((s[keys[k] as number] as number) << 8) |
				(s[results[k] as number] as number);
			const order = [...base].sort((a, b) => key(a) - key(b) || a - b);
			// order[j] is the copy that comes to place j.
			const place = base.map((k) => order.indexOf(k));
			const which = indexOf.get(place.join()) ?? 0;
			if (place.every((p, k) => p === k)) return;
			apply[which]?.(s, scratch);
			s.set(scratch);
		},
		orbit(s, act) {
			for (const rename of apply) {
				rename(s, scratch);
				act(scratch);
			}
		},
	};
}

function permutations(n: number): number[][] {
	if (n === 0) return [[]];
	return permutations(n - 1).flatMap((rest) =>
		Array.from({ length: n }, (_, at) => [
			...rest.slice(0, at),
			n - 1,
			...rest.slice(at),
		]),
	);
}

/** The one family of copies, when everything else in the scenario speaks of all its members alike. */
function familyOf(
	model: Model,
	programs: readonly (readonly Operation[])[],
): Family | undefined {
	const { scenario } = model;
	const many = scenario.threads.filter((t) => t.instances > 1);
	const [copied] = many;
	if (copied === undefined || many.length > 1) return undefined;
	const n = copied.instances;
	const threads = Array.from({ length: n }, (_, k) =>
		model.threads.findIndex((t) => t.name === `${copied.name}${k + 1}`),
	);
	const text = JSON.stringify(copied.steps);
	const pages = /\[\\?"#\\?"|[.[]#/.test(text);
	// Renaming pages is renaming slots only where there is one directory slot.
	if (pages && (model.levels !== 2 || model.rootSlots !== 1)) return undefined;
	if (pages && n >= model.fanout) return undefined;
	const stems = [...text.matchAll(/([A-Za-z_][A-Za-z0-9_-]*)#/g)].map(
		(m) => m[1] ?? "",
	);
	const own = (names: readonly string[]) =>
		[...new Set(stems)]
			.map((stem) => threads.map((_, k) => names.indexOf(`${stem}${k + 1}`)))
			.filter((list) => list.every((i) => i >= 0));
	const tables = own(model.tables.map((t) => t.name));
	const targets = own(model.targets);
	const named = [...tables, ...targets].length;
	if (named !== new Set(stems).size) return undefined;
	const family = { threads, tables, targets, pages };
	const flushes = threads.some((t) =>
		programs[t]?.some((o) => o.site !== undefined),
	);
	if (flushes || !othersAgree(model, family)) return undefined;
	return family;
}

/** Nobody else names a copy's own things, and `live`, `keep` and other threads' pages hold all of the copies' pages or none. */
function othersAgree(model: Model, family: Family): boolean {
	const { scenario } = model;
	const names = [
		...family.tables.flat().map((t) => model.tables[t]?.name),
		...family.targets.flat().map((t) => model.targets[t]),
	];
	const others = model.threads
		.filter((_, i) => !family.threads.includes(i))
		.map((t) => JSON.stringify(t.steps));
	if (others.some((text) => names.some((n) => text.includes(n ?? "\0"))))
		return false;
	if (!family.pages) return true;
	const ours = family.threads.map((_, k) => k + 1);
	const even = (list: string): boolean => {
		const pages = list.split(",").map(Number);
		const shared = ours.filter((p) => pages.includes(p)).length;
		return shared === 0 || shared === ours.length;
	};
	for (const text of others) {
		const left = text
			.replaceAll(/root[.[]0/g, "")
			.replaceAll(/\[(\d+(?:,\d+)*)\]/g, (whole: string, list: string) =>
				even(list) ? "" : whole,
			);
		if (/[.[]\d/.test(left)) return false;
	}
	return scenario.live.length + scenario.keep.length === 0;
}

/** The renaming that brings copy k to place[k]. Copies count from 1 in names and pages. */
function renamingOf(
	model: Model,
	family: Family,
	place: readonly number[],
): Renaming {
	const identity = (n: number) => Array.from({ length: n }, (_, i) => i);
	const thread = identity(model.threads.length);
	const table = identity(model.tables.length);
	const target = identity(model.targets.length);
	const page = identity(model.pages);
	const move = (to: number[], list: readonly number[]): void =>
		place.forEach((p, k) => {
			to[list[k] as number] = list[p] as number;
		});
	move(thread, family.threads);
	for (const list of family.tables) move(table, list);
	for (const list of family.targets) move(target, list);
	if (family.pages)
		move(
			page,
			place.map((_, k) => k + 1),
		);
	return { thread, table, target, page };
}

/** Makes the function that writes the renamed state. */
function renamer(
	model: Model,
	caches: Caches,
	sites: readonly Site[],
	r: Renaming,
): (from: Uint8Array, to: Uint8Array) => void {
	const value = (v: number): number => {
		if (isTable(v)) return TABLE + (r.table[v - TABLE] as number);
		if (!isLeaf(v)) return v;
		const target = r.target[(v - LEAF) >> 1] ?? (v - LEAF) >> 1;
		return LEAF + 2 * target + ((v - LEAF) & 1);
	};
	const values = Uint8Array.from({ length: 256 }, (_, v) => value(v));
	const bits = bitsOf(caches, r);
	const mask = (m: number, by: readonly number[]): number =>
		by.reduce((sum, to, i) => (m & (1 << i) ? sum | (1 << to) : sum), 0);
	/** [from, to] of plain bytes, of value bytes, of page masks, of thread masks, of table masks. */
	const plain: [number, number][] = [];
	const valued: [number, number][] = [];
	const pageMasks: [number, number][] = [];
	const threadMasks: [number, number][] = [];
	model.threads.forEach((a, i) => {
		const b = model.threads[r.thread[i] as number] ?? a;
		plain.push([a.pc, b.pc], [a.result, b.result], [a.reader, b.reader]);
		threadMasks.push([a.grace, b.grace]);
		pageMasks.push([a.open, b.open]);
		for (const [name, at] of a.registers)
			valued.push([at, b.registers.get(name) ?? at]);
	});
	model.tables.forEach((a, i) => {
		const b = model.tables[r.table[i] as number] ?? a;
		plain.push([a.status, b.status]);
		threadMasks.push([a.readers, b.readers], [a.missed, b.missed]);
		for (let slot = 0; slot < a.size; slot++)
			valued.push([
				a.slots + slot,
				b.slots + (a.level === 1 ? (r.page[slot] ?? slot) : slot),
			]);
	});
	pageMasks.push(
		[model.wrote, model.wrote],
		[model.collected, model.collected],
	);
	return (from, to) => {
		to.set(from);
		for (const [a, b] of plain) to[b] = from[a] as number;
		for (const [a, b] of valued) to[b] = values[from[a] as number] as number;
		for (const [a, b] of threadMasks) to[b] = mask(from[a] as number, r.thread);
		for (const [a, b] of pageMasks) {
			const wide =
				(from[a] as number) |
				((from[a + 1] as number) << 8) |
				((from[a + 2] as number) << 16) |
				((from[a + 3] as number) << 24);
			const moved = mask(wide, r.page);
			for (let byte = 0; byte < 4; byte++)
				to[b + byte] = (moved >>> (8 * byte)) & 255;
		}
		for (const site of sites) {
			const wide =
				(from[site.at + 1] as number) | ((from[site.at + 2] as number) << 8);
			const moved = mask(wide, r.table);
			to[site.at + 1] = moved & 255;
			to[site.at + 2] = moved >> 8;
		}
		for (let bit = 0; bit < bits.length; bit++)
			if (hasBit(from, caches.at, bit))
				setBit(to, caches.at, bits[bit] as number);
			else clearBit(to, caches.at, bits[bit] as number);
	};
}

/** Where each cache entry goes. */
function bitsOf(caches: Caches, r: Renaming): Int32Array {
	const key = (
		kind: string,
		level: number,
		prefix: number,
		to: number,
		dirty: boolean,
	) => `${kind} ${level} ${prefix} ${to} ${dirty}`;
	const numbers = new Map(
		caches.entries.map((e, i) => [
			key(e.kind, e.level, e.prefix, e.to, e.dirty),
			i,
		]),
	);
	return Int32Array.from(caches.entries, (e, i) => {
		const prefix = e.level === 1 ? (r.page[e.prefix] ?? e.prefix) : e.prefix;
		const to =
			e.kind === "walk" ? (r.table[e.to] ?? e.to) : (r.target[e.to] ?? e.to);
		return numbers.get(key(e.kind, e.level, prefix, to, e.dirty)) ?? i;
	});
}
