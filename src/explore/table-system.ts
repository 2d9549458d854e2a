/**
 * A page-table scenario as a system to explore. Processes: the threads, in order, then hardware. Hardware's fills and evictions are
 * not moves but a closure after every step (caches.ts), unless `explicit` asks for each as a move of its own; dirty writes are
 * always moves.
 */
import {
	type Caches,
	buildCaches,
	clearBit,
	hasBit,
	setBit,
} from "./caches.ts";
import { type Checks, buildChecks } from "./checks.ts";
import { buildDirty } from "./dirty.ts";
import {
	type Footprint,
	NOTHING,
	conflict,
	resourcesOf,
	union,
	writes,
} from "./footprint.ts";
import { buildMemory, type Memory, type Raise } from "./memory.ts";
import { type Model, STATUS, buildModel } from "./model.ts";
import {
	type Operation,
	type Parts,
	type Site,
	compileThread,
	jumpsBack,
} from "./operations.ts";
import { perform } from "./steps-hardware.ts";
import { placementsOf } from "./placements.ts";
import { buildQueue, inQueue } from "./queue.ts";
import { ScenarioError } from "./scenario-error.ts";
import type { Scenario } from "./scenario-schema.ts";
import { type Symmetry, symmetryOf } from "./symmetry.ts";
import type { Raised, System } from "./system.ts";

/** Kinds of move; a move is process << 20 | kind << 16 | detail. */
export const MOVE = {
	step: 0,
	perform: 1,
	dirty: 2,
	fill: 3,
	evict: 4,
} as const;
export const moveOf = (process: number, kind: number, detail: number): number =>
	(process << 20) | (kind << 16) | detail;
export const processOf = (move: number): number => move >> 20;
export const kindOf = (move: number): number => (move >> 16) & 15;
export const detailOf = (move: number): number => move & 0xffff;

/** Options: `explicit` makes hardware's fills and evictions moves. */
export interface TableSystemOptions {
	readonly explicit: boolean;
}

/** A compiled page-table scenario. */
export interface TableSystem extends System {
	/** Symmetry of copies, when there is any; used by reduced searches. */
	readonly symmetry: Symmetry | undefined;
	readonly model: Model;
	readonly caches: Caches;
	readonly checks: Checks;
	readonly memory: Memory;
	readonly sites: readonly Site[];
	readonly programs: readonly (readonly Operation[])[];
	readonly results: readonly string[];
}

/** Compiles a scenario. Throws ScenarioError. */
export function tableSystem(
	scenario: Scenario,
	options: TableSystemOptions,
): TableSystem {
	const model = buildModel(scenario);
	const placements = placementsOf(model);
	const raised: Raised[] = [];
	const known = new Set<string>();
	const raise: Raise = (id, message, witness) => {
		if (known.has(id)) return;
		known.add(id);
		raised.push({ id, message: message(), witness: witness?.() ?? -1 });
	};
	let end = model.end;
	const take = (n: number) => {
		end += n;
		return end - n;
	};
	const caches = buildCaches(model, placements, end);
	take(caches.bytes);
	let first: Uint8Array | undefined;
	const start = () => {
		first ??= startState(model, caches, end, !options.explicit);
		return first;
	};
	const checks = buildChecks(
		model,
		caches,
		placements,
		!options.explicit,
		start,
		raise,
	);
	const sites: Site[] = [];
	const results = [""];
	const parts: Parts = {
		model,
		caches,
		checks,
		sites,
		queue: undefined,
		take,
		results,
		raise,
		memory: buildMemory(model, caches, raise),
		resources: resourcesOf(model, placements),
		dirty: buildDirty(model, caches, placements, raise),
	};
	const compiled = model.threads.map((thread, i) =>
		compileThread(parts, thread, i),
	);
	const loose = model.threads.some(({ steps }) =>
		steps.some(({ verb }) => verb === "issue"),
	);
	parts.queue = buildQueue(sites, loose, take);
	const programs =
		parts.queue === undefined
			? compiled
			: compiled.map((program) => inQueue(sites, program));
	end = (end + 3) & ~3;
	return {
		...behaviour(parts, programs, options),
		bytes: end,
		processes: model.threads.length + 1,
		environment: 1,
		acyclic:
			!options.explicit && !parts.dirty.enabled && !programs.some(jumpsBack),
		raised,
		symmetry: symmetryOf(
			model,
			caches,
			sites,
			programs,
			startState(model, caches, end, !options.explicit),
		),
		model,
		caches,
		checks,
		memory: parts.memory,
		sites,
		programs,
		results,
		initial(s) {
			s.set(startState(model, caches, end, !options.explicit));
			model.threads.forEach((thread, i) =>
				settle(s, thread.pc, programs[i] ?? []),
			);
			checks.step(s);
		},
	};
}

function startState(
	model: Model,
	caches: Caches,
	bytes: number,
	saturate: boolean,
): Uint8Array {
	const s = new Uint8Array(bytes);
	const link = (number: number): void => {
		const table = model.tables[number];
		if (table === undefined || s[table.status] === STATUS.linked) return;
		s[table.status] = STATUS.linked;
		for (const value of table.holds)
			if (value > 0 && value < 32) link(value - 1);
	};
	for (const table of model.tables) s.set(table.holds, table.slots);
	link(0);
	for (const [name, at] of model.vars) s[at] = model.scenario.vars[name] ?? 0;
	if (saturate) caches.saturate(s);
	return s;
}

/** Runs control steps until the thread stands before a real operation or its end. */
function settle(
	s: Uint8Array,
	pcAt: number,
	program: readonly Operation[],
): void {
	for (let n = 0; n <= program.length; n++) {
		const pc = s[pcAt] as number;
		const control = program[pc]?.control;
		if (control === undefined) return;
		const to = control(s);
		s[pcAt] = to < 0 ? pc + 1 : to;
	}
	const { source } = program[s[pcAt] as number] as Operation;
	throw new ScenarioError(
		`${source.origin?.join(".")}: goes round and round without doing anything`,
		source.origin,
	);
}

/** For each thread and position, everything it may still touch. */
function futuresOf(
	programs: readonly (readonly Operation[])[],
	sites: readonly Site[],
): Footprint[][] {
	return programs.map((program) => {
		const late = program
			.filter((o) => o.source.verb === "issue" && o.site !== undefined)
			.map((o) => (sites[o.site as number] as Site).footprint);
		const jumps = jumpsBack(program);
		const whole = union(...program.map((o) => o.footprint), ...late);
		const futures: Footprint[] = [];
		for (let pc = program.length; pc >= 0; pc--) {
			const rest = program.slice(pc).map((o) => o.footprint);
			futures[pc] = jumps ? whole : union(...rest, ...late);
			if (pc === program.length && late.length === 0) futures[pc] = NOTHING;
		}
		return futures;
	});
}

type Behaviour = Pick<
	System,
	"moves" | "apply" | "independent" | "commute" | "ended"
>;

function behaviour(
	parts: Parts,
	programs: readonly (readonly Operation[])[],
	options: TableSystemOptions,
): Behaviour {
	const { model, caches, checks, dirty, sites } = parts;
	const { threads } = model;
	const futures = futuresOf(programs, sites);
	// Hardware may carry an invalidation out from its issue on; with one thread nothing happens before it is waited for.
	const alone = programs.length === 1;
	const bare = programs.map((program) =>
		program.flatMap((o) =>
			o.site !== undefined && (o.source.verb === "issue" || !alone)
				? [o.site]
				: [],
		),
	);
	const busyHardware = options.explicit || dirty.enabled;
	const device = writes(parts.resources.everything);
	let scratch: Uint8Array | undefined;
	const explicit = explicitMoves(model, caches);

	/** What a thread's next step touches; undefined while hardware may carry out something it has issued. */
	function next(s: Uint8Array, process: number): Footprint | undefined {
		const thread = threads[process];
		const operation = programs[process]?.[s[thread?.pc ?? 0] as number];
		if (thread === undefined || operation === undefined) return undefined;
		for (const site of bare[process] ?? [])
			if (s[(sites[site] as Site).at] === 1) return undefined;
		const { footprint, privately } = operation;
		if (privately === undefined) return footprint;
		const status = s[model.tables[privately.table]?.status ?? 0];
		return status === STATUS.private ? privately.footprint : footprint;
	}

	function hardwareMoves(s: Uint8Array, out: Int32Array): number {
		let n = 0;
		if (dirty.enabled)
			for (let page = 0; page < model.pages; page++) {
				const ways = dirty.options(s, page);
				for (let w = 0; w < ways; w++)
					out[n++] = moveOf(threads.length, MOVE.dirty, page * 64 + w);
			}
		if (!options.explicit) return n;
		scratch ??= new Uint8Array(s.length);
		return explicit(s, scratch, out, n);
	}

	function apply(s: Uint8Array, move: number): void {
		const process = processOf(move);
		const detail = detailOf(move);
		let quiet = false;
		switch (kindOf(move)) {
			case MOVE.step: {
				const program = programs[process] ?? [];
				quiet = program[s[threads[process]?.pc ?? 0] as number]?.quiet === true;
				const pcAt = threads[process]?.pc ?? 0;
				const pc = s[pcAt] as number;
				const to = program[pc]?.run?.(s, detail);
				s[pcAt] = typeof to === "number" ? to : pc + 1;
				settle(s, pcAt, program);
				break;
			}
			case MOVE.perform:
				perform(parts, s, detail);
				break;
			case MOVE.dirty:
				dirty.write(s, detail >> 6, detail & 63);
				break;
			case MOVE.fill:
				setBit(s, caches.at, detail);
				break;
			default:
				clearBit(s, caches.at, detail);
		}
		if (quiet) return;
		if (!options.explicit) caches.saturate(s);
		if (kindOf(move) <= MOVE.dirty) {
			checks.step(s);
			dirty.lost(s, kindOf(move) === MOVE.step ? "PT-47" : "PT-45");
		}
	}

	return {
		apply,
		moves(s, process, out) {
			const thread = threads[process];
			if (thread === undefined) return hardwareMoves(s, out);
			let n = 0;
			const operation = programs[process]?.[s[thread.pc] as number];
			if (operation !== undefined && operation.enabled?.(s) !== false) {
				const choices = operation.choices?.(s) ?? 1;
				for (let c = 0; c < choices; c++)
					out[n++] = moveOf(process, MOVE.step, c);
			}
			for (const site of bare[process] ?? [])
				if (s[(sites[site] as Site).at] === 1)
					out[n++] = moveOf(process, MOVE.perform, site);
			return n;
		},
		independent(s, process) {
			const footprint = next(s, process);
			if (footprint === undefined) return false;
			if (busyHardware && conflict(footprint, device)) return false;
			for (let p = 0; p < threads.length; p++) {
				if (p === process) continue;
				const pc = s[threads[p]?.pc ?? 0] as number;
				if (conflict(footprint, futures[p]?.[pc] ?? NOTHING)) return false;
			}
			return true;
		},
		commute(s, a, b) {
			const one = next(s, a);
			const other = next(s, b);
			return one !== undefined && other !== undefined && !conflict(one, other);
		},
		ended(s) {
			const stuck = threads.filter(
				(t, i) => (s[t.pc] as number) < (programs[i]?.length ?? 0),
			);
			if (stuck.length > 0)
				parts.raise(
					"DEADLOCK",
					() => `${stuck.map((t) => t.name).join(" and ")} cannot go on`,
				);
			checks.ended(s);
		},
	};
}

/** Every single fill that a walk could make now, and every eviction of what is there. */
function explicitMoves(model: Model, caches: Caches) {
	const evict = model.scenario.hardware.includes("evict");
	const keepLeaf = model.scenario.hardware.includes("cacheLeaf");
	return (
		s: Uint8Array,
		scratch: Uint8Array,
		out: Int32Array,
		from: number,
	): number => {
		let n = from;
		scratch.set(s);
		caches.saturate(scratch);
		for (let bit = 0; bit < caches.entries.length; bit++) {
			if (caches.entries[bit]?.kind !== "walk" && !keepLeaf) continue;
			if (hasBit(s, caches.at, bit)) {
				if (evict) out[n++] = moveOf(model.threads.length, MOVE.evict, bit);
			} else if (hasBit(scratch, caches.at, bit))
				out[n++] = moveOf(model.threads.length, MOVE.fill, bit);
		}
		return n;
	};
}
