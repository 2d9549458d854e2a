/**
 * What a step may touch: the basis of partial-order reduction. Resources are the address region under each root slot (its
 * entry, and everything hardware may hold for it), each table page, each lock and variable, the RCU state, the list of open
 * operations, and the order of the invalidation queue. Two steps of which neither writes what the other touches commute, and neither can enable or hinder the other.
 */
import type { Model } from "./model.ts";
import { cover } from "./model.ts";
import type { Placements } from "./placements.ts";

/** Read and written resources: regions and tables in `…Low`, the rest in `…High`. */
export interface Footprint {
	readonly readLow: number;
	readonly writeLow: number;
	readonly readHigh: number;
	readonly writeHigh: number;
}

export const NOTHING: Footprint = {
	readLow: 0,
	writeLow: 0,
	readHigh: 0,
	writeHigh: 0,
};
const REGION_BITS = 8;
export const RCU = 1;
export const OPEN = 2;
export const QUEUE = 4;
const NAMED = 3;

export const reads = (low: number, high = 0): Footprint => ({
	...NOTHING,
	readLow: low,
	readHigh: high,
});
export const writes = (low: number, high = 0): Footprint => ({
	...NOTHING,
	writeLow: low,
	writeHigh: high,
});

export function union(...all: readonly Footprint[]): Footprint {
	let { readLow, writeLow, readHigh, writeHigh } = NOTHING;
	for (const f of all) {
		readLow |= f.readLow;
		writeLow |= f.writeLow;
		readHigh |= f.readHigh;
		writeHigh |= f.writeHigh;
	}
	return { readLow, writeLow, readHigh, writeHigh };
}

export const conflict = (a: Footprint, b: Footprint): boolean =>
	(a.writeLow & (b.readLow | b.writeLow)) !== 0 ||
	(b.writeLow & a.readLow) !== 0 ||
	(a.writeHigh & (b.readHigh | b.writeHigh)) !== 0 ||
	(b.writeHigh & a.readHigh) !== 0;

/** The resources of a model by name. */
export interface Resources {
	/** Regions that these pages lie in, with every table that may stand there. */
	ofPages(pages: number): number;
	table(table: number): number;
	/** The pages of these tables (mask). */
	ofTables(tables: number): number;
	/** Regions in which a table may ever be linked. */
	regionsOf(table: number): number;
	/** Everything under a slot: table -1 = reached through a register. */
	slot(table: number, index: number): number;
	readonly everything: number;
	named(name: string): number;
}

/** The resources of a model; regions come from the placements. */
export function resourcesOf(model: Model, placements: Placements): Resources {
	const allRegions = (1 << model.rootSlots) - 1;
	const regions = model.tables.map((table, number) => {
		let mask = 0;
		const perSlot = model.fanout ** (model.levels - table.level - 1);
		for (const p of placements[number] ?? [])
			mask |= 1 << Math.floor(p / perSlot);
		return mask;
	});
	return build(model, regions, allRegions);
}

function build(
	model: Model,
	regions: readonly number[],
	allRegions: number,
): Resources {
	const tableBit = (table: number): number =>
		table === 0 ? 0 : 1 << (REGION_BITS + table);
	const within = (mask: number): number => {
		let low = mask;
		regions.forEach((r, table) => {
			if ((r & mask) !== 0) low |= tableBit(table);
		});
		return low;
	};
	const order = [...model.locks.keys(), ...model.vars.keys()];
	let everything = allRegions;
	model.tables.forEach((_, table) => {
		everything |= tableBit(table);
	});
	return {
		everything,
		table: tableBit,
		ofTables: (tables) =>
			model.tables.reduce(
				(low, _, t) => (tables & (1 << t) ? low | tableBit(t) : low),
				0,
			),
		regionsOf: (table) => regions[table] ?? 0,
		ofPages(pages) {
			let mask = 0;
			for (let i = 0; i < model.rootSlots; i++)
				if ((cover(model, model.levels, i) & pages) !== 0) mask |= 1 << i;
			return within(mask);
		},
		slot(table, index) {
			if (table < 0) return everything;
			if (table === 0) return within(1 << index);
			const own = tableBit(table) | (regions[table] ?? 0);
			return (model.tables[table]?.level ?? 1) > 1
				? own | within(regions[table] ?? 0)
				: own;
		},
		named: (name) => 1 << (NAMED + order.indexOf(name)),
	};
}
