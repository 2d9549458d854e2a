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
	const n = keys.length;
	const renamingAt = new Map(orders.map((order, i) => [codeOf(order), i]));
	const progress = new Uint16Array(n);
	const order = new Uint8Array(n);
	const place = new Uint8Array(n);
	return {
		canonicalize(s) {
			let sorted = true;
			for (let k = 0; k < n; k++) {
				progress[k] =
					((s[keys[k] as number] as number) << 8) |
					(s[results[k] as number] as number);
				if (k > 0 && (progress[k] as number) < (progress[k - 1] as number))
					sorted = false;
			}
			if (sorted) return;
			sortByProgress(progress, order);
			// order[j] is the copy that comes to place j.
			for (let j = 0; j < n; j++) place[order[j] as number] = j;
			apply[renamingAt.get(codeOf(place)) ?? 0]?.(s, scratch);
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

/** Copies by progress, those that tie as they stood: an insertion sort, since there are few. */
function sortByProgress(progress: Uint16Array, order: Uint8Array): void {
	for (let k = 0; k < order.length; k++) {
		let at = k;
		for (; at > 0; at--) {
			const before = order[at - 1] as number;
			if ((progress[before] as number) <= (progress[k] as number)) break;
			order[at] = before;
		}
		order[at] = k;
	}
}

/** A number for a permutation of at most eight. */
function codeOf(places: ArrayLike<number>): number {
	let code = 0;
	for (let k = 0; k < places.length; k++)
		code = code * 8 + (places[k] as number);
	return code;
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
	const movedBits = bits
		.map((to, bit) => (to === bit ? -1 : bit))
		.filter((bit) => bit >= 0);
	const byThread = maskMover(r.thread, 1);
	const byPage = maskMover(r.page, 4);
	const byTable = maskMover(r.table, 2);
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
	const bytes = pairs(plain.filter(([a, b]) => a !== b));
	const valueBytes = pairs(valued);
	const pageBytes = pairs(pageMasks);
	const threadBytes = pairs(threadMasks);
	const tableBytes = pairs(sites.map(({ at }) => [at + 1, at + 1]));
	return (from, to) => {
		to.set(from);
		for (let i = 0; i < bytes.length; i += 2)
			to[bytes[i + 1] as number] = from[bytes[i] as number] as number;
		for (let i = 0; i < valueBytes.length; i += 2)
			to[valueBytes[i + 1] as number] = values[
				from[valueBytes[i] as number] as number
			] as number;
		byThread(from, to, threadBytes);
		byPage(from, to, pageBytes);
		byTable(from, to, tableBytes);
		for (let i = 0; i < movedBits.length; i++) {
			const bit = movedBits[i] as number;
			if (hasBit(from, caches.at, bit))
				setBit(to, caches.at, bits[bit] as number);
			else clearBit(to, caches.at, bits[bit] as number);
		}
	};
}

/** [from, to, from, to, …] */
const pairs = (list: readonly (readonly [number, number])[]): Int32Array =>
	Int32Array.from(list.flat());

/** Moves the bits of masks that are `width` bytes long: one table a byte says where its eight bits go. */
function maskMover(
	by: readonly number[],
	width: number,
): (from: Uint8Array, to: Uint8Array, at: Int32Array) => void {
	const tables = Array.from({ length: width }, (_, byte) =>
		Int32Array.from({ length: 256 }, (_, v) => {
			let moved = 0;
			for (let bit = 0; bit < 8; bit++)
				if (v & (1 << bit) && by[8 * byte + bit] !== undefined)
					moved |= 1 << (by[8 * byte + bit] as number);
			return moved;
		}),
	);
	return (from, to, at) => {
		for (let i = 0; i < at.length; i += 2) {
			let moved = 0;
			for (let byte = 0; byte < width; byte++)
				moved |= (tables[byte] as Int32Array)[
					from[(at[i] as number) + byte] as number
				] as number;
			for (let byte = 0; byte < width; byte++)
				to[(at[i + 1] as number) + byte] = (moved >>> (8 * byte)) & 255;
		}
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
