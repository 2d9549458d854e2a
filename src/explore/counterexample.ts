/**
 * Shortest counterexamples: the fewest steps that break an invariant, found without reduction, and then the hardware fills that the
 * violating cache entry needs, put at the moments when hardware made them.
 */
import { hasBit } from "./caches.ts";
import { STATUS } from "./model.ts";
import type { Scenario } from "./scenario-schema.ts";
import { type Limits, search } from "./search.ts";
import {
	MOVE,
	type TableSystem,
	detailOf,
	kindOf,
	processOf,
	tableSystem,
} from "./table-system.ts";

/** One move of a counterexample: a step of a thread, or something hardware did. */
export interface CounterMove {
	readonly by: string;
	readonly text: string;
	/** The system's move; -1 for a fill. */
	readonly move: number;
	/** The cache entry that was filled; -1 for a move. */
	readonly fill: number;
}

/** A way to break an invariant. */
export interface Counterexample {
	readonly id: string;
	readonly message: string;
	/** Fewest steps of threads and dirty writes, then the fills they need. */
	readonly moves: readonly CounterMove[];
	/** The cache entry that shows it; -1 when none does. */
	readonly witness: number;
	readonly system: TableSystem;
}

/** Finds a shortest counterexample for `id`; undefined when there is none within the limits. Throws ScenarioError. */
export function counterexample(
	scenario: Scenario,
	id: string,
	options: { readonly now: () => number; readonly limits: Limits },
): Counterexample | undefined {
	const system = tableSystem(scenario, { explicit: false });
	const result = search(system, {
		reduce: false,
		limits: options.limits,
		now: options.now,
		until: new Set([id]),
	});
	const found = result.found.find((f) => f.id === id);
	if (found === undefined) return undefined;
	const trail = replay(system, found.moves);
	const fills = found.witness < 0 ? [] : fillsOf(system, trail, found.witness);
	const moves: CounterMove[] = [];
	for (let i = 0; i <= found.moves.length; i++) {
		if (i > 0) {
			const move = found.moves[i - 1] as number;
			moves.push({
				...describe(system, trail[i - 1] as Uint8Array, move),
				move,
				fill: -1,
			});
		}
		for (const fill of fills)
			if (fill.after === i)
				moves.push({
					by: "hardware",
					text: fillText(system, fill.bit),
					move: -1,
					fill: fill.bit,
				});
	}
	return { id, message: found.message, moves, witness: found.witness, system };
}

/** The states along a path, the start first. */
export function replay(
	system: TableSystem,
	moves: readonly number[],
): Uint8Array[] {
	const state = new Uint8Array(system.bytes);
	system.initial(state);
	const trail = [state.slice()];
	for (const move of moves) {
		system.apply(state, move);
		trail.push(state.slice());
	}
	system.raised.length = 0;
	return trail;
}

interface Fill {
	readonly bit: number;
	/** Number of moves made before it. */
	readonly after: number;
}

/** The fills that put `bit` there: itself, and the directory entries it was reached through when memory no longer led there. */
function fillsOf(
	system: TableSystem,
	trail: readonly Uint8Array[],
	bit: number,
): Fill[] {
	const { caches, model } = system;
	let after = trail.length - 1;
	// An entry that the violating move itself made possible is there after that move.
	while (after > 0 && hasBit(trail[after - 1] as Uint8Array, caches.at, bit))
		after--;
	const entry = caches.entries[bit];
	const state = trail[after];
	if (entry === undefined || state === undefined) return [];
	const parent = caches.entries.findIndex(
		(e, n) =>
			e.kind === "walk" &&
			e.level === entry.level + 1 &&
			(e.pages & entry.pages) !== 0 &&
			hasBit(state, caches.at, n),
	);
	const own = { bit, after };
	const via = caches.entries[parent];
	if (via === undefined) return [own];
	const linked = state[model.tables[via.to]?.status ?? 0] === STATUS.linked;
	return linked ? [own] : [...fillsOf(system, trail, parent), own];
}

/** A cache entry in words. */
export function fillText(system: TableSystem, bit: number): string {
	const { caches, model } = system;
	const entry = caches.entries[bit];
	if (entry === undefined) return "?";
	const pages = [...Array(model.pages).keys()].filter(
		(p) => entry.pages & (1 << p),
	);
	const range = `page${pages.length > 1 ? "s" : ""} ${pages.join(", ")}`;
	if (entry.kind === "walk") {
		const how = caches.directory ? "caches" : "is in the middle of a walk with";
		return `${how} the pointer to ${model.tables[entry.to]?.name} for ${range}`;
	}
	const words = [...model.targets, "garbage", "not present"];
	const where = entry.kind === "device" ? "in the device's TLB" : "as a leaf";
	return `caches ${words[entry.to]} for ${range} (level ${entry.level}) ${where}`;
}

/** A move in words. */
export function describe(
	system: TableSystem,
	before: Uint8Array,
	move: number,
): { readonly by: string; readonly text: string } {
	const { model, programs, sites } = system;
	const process = processOf(move);
	const thread = model.threads[process];
	if (kindOf(move) === MOVE.perform)
		return {
			by: "hardware",
			text: `carries out: ${sites[detailOf(move)]?.text}`,
		};
	if (thread === undefined)
		return { by: "device", text: `writes page ${detailOf(move) >> 6}` };
	const operation = programs[process]?.[before[thread.pc] as number];
	const part =
		operation?.source.verb === "flush"
			? operation.first
				? ": issued"
				: ": completed"
			: "";
	return { by: thread.name, text: `${operation?.text ?? "?"}${part}` };
}
