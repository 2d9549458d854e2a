/** What the steps of one thread refer to: places, values, registers, tables and variables by name, and what touching them may mean. */
import { type Footprint, RCU, reads, union, writes } from "./footprint.ts";
import { GARBAGE, TABLE, type ThreadModel, isTable, valueOf } from "./model.ts";
import type { Operand, Operation, Parts, Place } from "./operations.ts";
import { slotParts } from "./placements.ts";
import { ScenarioError } from "./scenario-error.ts";

/** The names of one thread. Every look-up throws ScenarioError for a name that does not exist. */
export class Scope {
	readonly parts: Parts;
	readonly thread: ThreadModel;
	readonly number: number;
	/** The operation a label stands for. */
	readonly jump: (label: string) => number;
	/** Sites of bare `issue` steps, which `wait` completes. */
	readonly open: number[] = [];
	/** Labels that steps jump to. */
	readonly targets: string[] = [];

	constructor(
		parts: Parts,
		thread: ThreadModel,
		number: number,
		jump: (label: string) => number,
	) {
		this.parts = parts;
		this.thread = thread;
		this.number = number;
		this.jump = jump;
	}

	throughNothing(s: Uint8Array, table: number, place: Place): void {
		const value = place.held?.(s) ?? GARBAGE;
		const { index } = place;
		this.parts.memory.watch?.({ act: "stray", table: -1, index, value });
		this.parts.raise(
			table === -1 ? "PT-3" : "PT-28",
			() =>
				`${this.thread.name} uses ${table === -1 ? "an empty slot or a leaf" : "garbage read from a freed page"} as a table pointer (entry ${place.index})`,
		);
	}

	load(s: Uint8Array, place: Place): number {
		const table = place.resolve(s);
		if (table >= 0)
			return this.parts.memory.load(s, table, place.index, this.thread.name);
		this.throughNothing(s, table, place);
		return GARBAGE;
	}

	place(text: string): Place {
		const { register, name, index } = slotParts(text);
		const { model } = this.parts;
		if (register) {
			const at = this.register(name);
			const resolve = (s: Uint8Array) => {
				const value = s[at] as number;
				if (isTable(value)) return value - TABLE;
				return value === GARBAGE ? -2 : -1;
			};
			const held = (s: Uint8Array) => s[at] as number;
			return { table: -1, index, resolve, held };
		}
		const table = this.table(name);
		if (index >= (model.tables[table]?.size ?? 0))
			throw new ScenarioError(
				`${text} does not exist; ${name} has ${model.tables[table]?.size} slots`,
			);
		return { table, index, resolve: () => table };
	}

	operand(text: string): Operand {
		if (text.startsWith("$")) {
			const at = this.register(text.slice(1));
			return (s) => s[at] as number;
		}
		const value = this.constant(text);
		return () => value;
	}

	constant(text: string): number {
		const { model } = this.parts;
		return valueOf(
			model.scenario,
			model.tables.map((t) => t.name),
			text,
		);
	}

	table(name: string): number {
		const { model } = this.parts;
		const table = model.tables.findIndex((t) => t.name === name);
		if (table < 0)
			throw new ScenarioError(
				`no table ${name}; there are ${model.tables.map((t) => t.name).join(", ")}`,
			);
		return table;
	}

	target(name: string): number {
		const target = this.parts.model.targets.indexOf(name);
		if (target < 0) throw new ScenarioError(`no target ${name}`);
		return target;
	}

	register(name: string): number {
		const at = this.thread.registers.get(name);
		if (at === undefined)
			throw new ScenarioError(
				`thread ${this.thread.name} never reads anything into register ${name}`,
			);
		return at;
	}

	var(name: string): number {
		const at = this.parts.model.vars.get(name);
		if (at === undefined) throw new ScenarioError(`no variable ${name}`);
		return at;
	}

	named(names: readonly string[]): number {
		let high = 0;
		for (const name of names) high |= this.parts.resources.named(name);
		return high;
	}

	privately(place: Place): { privately?: Operation["privately"] } {
		if (place.table <= 0) return {};
		const bit = this.parts.resources.table(place.table);
		return { privately: { table: place.table, footprint: writes(bit) } };
	}

	writePrint(place: Place): Footprint {
		const low = this.parts.resources.slot(place.table, place.index);
		return union(writes(low), reads(0, RCU));
	}

	readPrint(place: Place): Footprint {
		const { resources } = this.parts;
		if (place.table > 0) return reads(resources.table(place.table), RCU);
		if (place.table === 0) return reads(1 << place.index);
		return reads(resources.everything, RCU);
	}
}
