/** Where each table may ever be linked, from the start state and from every step that writes a table pointer. */
import type { Step } from "./scenario-schema.ts";
import { type Model, TABLE, entriesAt, isTable, valueOf } from "./model.ts";

/** For each table, the entries (of the level above its own) under which it may stand, ascending. The root has none. */
export type Placements = readonly (readonly number[])[];

/** Splits `T[1]` or `$r[1]`. */
export function slotParts(text: string): {
	readonly register: boolean;
	readonly name: string;
	readonly index: number;
} {
	const match = /^(\$?)([^[.]+)[[.](\d+)\]?$/.exec(text);
	return {
		register: match?.[1] === "$",
		name: match?.[2] ?? "",
		index: Number(match?.[3] ?? 0),
	};
}

/** Works the placements out: a fixpoint over links of tables in tables. A pointer that goes through a register may stand anywhere. */
export function placementsOf(model: Model): Placements {
	const places = model.tables.map(() => new Set<number>());
	const links: [from: number, index: number, to: number][] = [];
	model.tables.forEach((table, from) =>
		table.holds.forEach((value, index) => {
			if (isTable(value)) links.push([from, index, value - TABLE]);
		}),
	);
	const anywhere = new Set<number>();
	noteLinks(model, links, anywhere);
	for (const table of anywhere) {
		const level = (model.tables[table]?.level ?? 1) + 1;
		for (let p = 0; p < entriesAt(model, level); p++) places[table]?.add(p);
	}
	for (let round = 0; round < model.levels; round++)
		for (const [from, index, to] of links)
			if (from === 0) places[to]?.add(index);
			else
				for (const p of places[from] ?? [])
					places[to]?.add(p * model.fanout + index);
	return places.map((set) => [...set].sort((a, b) => a - b));
}

function noteLinks(
	model: Model,
	links: [number, number, number][],
	anywhere: Set<number>,
): void {
	const names = model.tables.map((t) => t.name);
	const note = (slot: string, text: string, origin: Step["origin"]) => {
		if (text.startsWith("$")) {
			model.tables.forEach((_, t) => t > 0 && anywhere.add(t));
			return;
		}
		const value = valueOf(model.scenario, names, text, origin);
		if (!isTable(value)) return;
		const { register, name, index } = slotParts(slot);
		if (register) anywhere.add(value - TABLE);
		else {
			const from = names.indexOf(name);
			const to = value - TABLE;
			// A pointer of the wrong level is a violation (PT-2), and nothing that hardware could keep.
			if (model.tables[from]?.level === (model.tables[to]?.level ?? 0) + 1)
				links.push([from, index, to]);
		}
	};
	for (const thread of model.threads)
		for (const { verb, args, origin } of thread.steps) {
			if (verb === "write" || verb === "cas" || verb === "swap")
				note(args.slot, args.value, origin);
			if (verb === "fill")
				for (const [i, text] of Object.entries(args.except ?? {}))
					note(`${args.table}[${i}]`, text, origin);
			if (verb === "fill" && !args.value.startsWith("$"))
				for (let i = 0; i < model.fanout; i++)
					note(`${args.table}[${i}]`, args.value, origin);
		}
}
