/**
 * Turns a thread's steps into operations: atomic changes of the state vector, each with its footprint. Control steps (goto, tests
 * of registers, return) are made together with the operation before them, so they cost no states.
 */
import type { Caches, Invalidation } from "./caches.ts";
import type { Checks } from "./checks.ts";
import type { DirtyHardware } from "./dirty.ts";
import {
	type Footprint,
	NOTHING,
	OPEN,
	RCU,
	type Resources,
	reads,
	union,
	writes,
} from "./footprint.ts";
import type { Memory, Raise } from "./memory.ts";
import {
	EMPTY,
	GARBAGE,
	MAX_TABLES,
	type Model,
	STATUS,
	TABLE,
	type ThreadModel,
	isLeaf,
	isTable,
	mask32,
	pageMask,
	setMask32,
	valueOf,
} from "./model.ts";
import { slotParts } from "./placements.ts";
import { ScenarioError } from "./scenario-file.ts";
import type { Step } from "./scenario-schema.ts";

/** A value or slot that may go through a register. */
export type Operand = (s: Uint8Array) => number;
/** Where a slot is: its table's number when known before the run, else -1. */
export interface Place {
	readonly table: number;
	readonly index: number;
	resolve(s: Uint8Array): number;
}

/** An invalidation that a step issues; `at`: state byte 0 idle, 1 issued, 2 performed; then 2 bytes: tables unlinked at issue. */
export interface Site {
	readonly at: number;
	readonly invalidation: Invalidation;
	readonly keep: Uint8Array;
	/** Tables (mask) whose every possible directory entry is dropped. */
	readonly tables: number;
	readonly footprint: Footprint;
	readonly text: string;
}

/** One atomic operation of a thread. */
export interface Operation {
	/** Position in the list of steps. */
	readonly step: number;
	/** It is the first operation of its step. */
	readonly first: boolean;
	readonly text: string;
	readonly footprint: Footprint;
	/** Footprint while this table is private. */
	readonly privately?:
		| { readonly table: number; readonly footprint: Footprint }
		| undefined;
	/** Where the thread goes on; undefined: next operation. */
	readonly control?: (s: Uint8Array) => number;
	readonly enabled?: (s: Uint8Array) => boolean;
	/** Number of outcomes (default 1). */
	readonly choices?: (s: Uint8Array) => number;
	/** Performs it; may return the operation to go on with. */
	readonly run?: (s: Uint8Array, choice: number) => number | undefined | void;
	/** For logs and texts. */
	readonly source: Step;
	readonly site?: number;
	/** It changes neither memory nor caches nor what devices do. */
	readonly quiet?: boolean;
	/** The slot it reads. */
	readonly place?: Place;
}

export interface Parts {
	readonly model: Model;
	readonly caches: Caches;
	readonly memory: Memory;
	readonly resources: Resources;
	readonly checks: Checks;
	readonly dirty: DirtyHardware;
	readonly raise: Raise;
	/** All sites, numbered; new ones are added by compiling. */
	readonly sites: Site[];
	/** Takes bytes of the state. */
	readonly take: (n: number) => number;
	/** Names of thread results; index 0 = none. */
	readonly results: string[];
}

type Draft = Omit<Operation, "step" | "first" | "source" | "text">;

/** Compiles one thread. Throws ScenarioError for unknown names. */
export function compileThread(
	parts: Parts,
	thread: ThreadModel,
	number: number,
): Operation[] {
	const operations: Operation[] = [];
	const labels = new Map<string, number>();
	let at = 0;
	const drafts: { step: Step; index: number; list: Draft[] }[] = [];
	const jump = (label: string) => {
		const to = labels.get(label);
		if (to !== undefined) return to;
		if (label === "end") return operations.length;
		throw new ScenarioError(
			`${parts.model.scenario.name}: thread ${thread.name} has no label ${label}`,
		);
	};
	const scope = new ThreadScope(parts, thread, number, jump);
	thread.steps.forEach((step, index) => {
		const list = scope.drafts(step);
		if (step.label !== undefined) labels.set(step.label, at);
		at += list.length;
		drafts.push({ step, index, list });
	});
	for (const { step, index, list } of drafts)
		list.forEach((draft, i) =>
			operations.push({
				...draft,
				step: index,
				first: i === 0,
				source: step,
				text: stepText(step),
			}),
		);
	if (operations.length > 250)
		throw new ScenarioError(
			`thread ${thread.name} has more than 250 operations`,
		);
	for (const label of scope.targets) jump(label);
	return operations;
}

/** A step in words: its `as`, or the verb and its arguments. */
export function stepText(step: Step): string {
	if (step.as !== undefined) return step.as;
	const args =
		typeof step.args === "object"
			? Object.entries(step.args)
					.filter(([, v]) => v !== undefined)
					.map(([k, v]) => `${k} ${Array.isArray(v) ? v.join(",") : v}`)
					.join(" ")
			: step.args === true
				? ""
				: String(step.args);
	return `${step.verb} ${args}`.trim();
}

const pagesOfProgress = (
	args: Extract<Step, { verb: "done" }>["args"],
): readonly (number | string)[] => {
	if ("map" in args) return args.map;
	return "unmap" in args ? args.unmap : args.fail;
};

class ThreadScope {
	readonly #parts: Parts;
	readonly #thread: ThreadModel;
	readonly #number: number;
	readonly #jump: (label: string) => number;
	/** Sites of bare `issue` steps, which `wait` completes. */
	readonly #open: number[] = [];
	readonly targets: string[] = [];

	constructor(
		parts: Parts,
		thread: ThreadModel,
		number: number,
		jump: (label: string) => number,
	) {
		this.#parts = parts;
		this.#thread = thread;
		this.#number = number;
		this.#jump = jump;
	}

	drafts(step: Step): Draft[] {
		const acts = this.#memoryStep(step) ?? this.#hardwareStep(step);
		if (acts !== undefined) return acts;
		const rest = this.#syncStep(step) ?? this.#controlStep(step) ?? [];
		return rest.map((draft) => ({ ...draft, quiet: true }));
	}

	#memoryStep(step: Step): Draft[] | undefined {
		const { memory, model } = this.#parts;
		switch (step.verb) {
			case "clear": {
				const { slot, assume } =
					typeof step.args === "string"
						? { slot: step.args, assume: undefined }
						: step.args;
				return [this.#store(this.#place(slot), () => EMPTY, false, assume)];
			}
			case "write": {
				const { slot, assume } = step.args;
				const value = this.#operand(step.args.value);
				return [this.#store(this.#place(slot), value, true, assume)];
			}
			case "unlink": {
				const table = this.#table(step.args);
				const run = (s: Uint8Array) => {
					const parent = memory.parentOf(s, table);
					if (parent !== undefined)
						memory.store(s, parent[0], parent[1], EMPTY);
				};
				const { resources } = this.#parts;
				const low =
					resources.ofPages(pageMask(model, "all")) | resources.table(table);
				return [{ footprint: union(writes(low), reads(0, RCU)), run }];
			}
			case "cas":
				return [this.#cas(step.args)];
			case "swap": {
				const place = this.#place(step.args.slot);
				const value = this.#operand(step.args.value);
				const saw = this.#register(step.args.saw);
				const store = this.#store(place, value);
				const run = (s: Uint8Array) => {
					s[saw] = memory.load(
						s,
						place.resolve(s),
						place.index,
						this.#thread.name,
					);
					store.run?.(s, 0);
				};
				return [{ ...store, run }];
			}
			case "read": {
				const place = this.#place(step.args.slot);
				const into = this.#register(step.args.into);
				const run = (s: Uint8Array) => {
					s[into] = this.#load(s, place);
				};
				return [{ footprint: this.#readPrint(place), run, place, quiet: true }];
			}
			case "fill":
				return [this.#fill(step.args)];
			case "free":
			case "recycle":
				return [this.#free(step.args, step.verb)];
			default:
				return undefined;
		}
	}

	#hardwareStep(step: Step): Draft[] | undefined {
		const { model, resources, dirty } = this.#parts;
		switch (step.verb) {
			case "flush": {
				const site = this.#site(step.args, stepText(step));
				return [this.#issue(site), this.#complete([site])];
			}
			case "issue": {
				const site = this.#site(step.args, stepText(step));
				this.#open.push(site);
				return [this.#issue(site)];
			}
			case "wait":
				return [this.#complete([...this.#open])];
			case "dma": {
				if (typeof step.args === "string") {
					const stopped = step.args === "stop" ? 1 : 0;
					const run = (s: Uint8Array) => {
						s[model.dma] = stopped;
					};
					return [{ footprint: writes(resources.everything), run }];
				}
				const { page, write } = step.args;
				const pages = pageMask(model, [page]);
				const low = resources.ofPages(pages);
				if (!write) return [{ footprint: reads(low), run: () => {} }];
				return [
					{
						footprint: writes(low),
						choices: (s) => Math.max(1, dirty.options(s, page)),
						run: (s, choice) => dirty.write(s, page, choice),
					},
				];
			}
			case "dirty": {
				const sweep = "sweep" in step.args;
				const place = this.#place(
					"sweep" in step.args ? step.args.sweep : step.args.set,
				);
				const clear = "sweep" in step.args && step.args.clear;
				const run = (s: Uint8Array) => {
					const value = this.#load(s, place);
					const table = place.resolve(s);
					if (sweep) dirty.sweep(s, table, place.index, value, clear);
					else if (isLeaf(value)) dirty.mark(s, table, place.index);
				};
				return [
					{
						footprint: this.#writePrint(place),
						run,
						place,
						...this.#private(place),
					},
				];
			}
			case "report":
				return [
					{
						footprint: writes(resources.everything),
						run: (s) => dirty.report(s),
					},
				];
			default:
				return undefined;
		}
	}

	#syncStep(step: Step): Draft[] | undefined {
		const { model, resources, memory, checks } = this.#parts;
		const thread = this.#thread;
		const bit = 1 << this.#number;
		switch (step.verb) {
			case "reader": {
				const run = (s: Uint8Array) => {
					if (step.args === "enter")
						s[thread.reader] = (s[thread.reader] as number) + 1;
					else this.#leave(s, bit);
				};
				return [{ footprint: writes(0, RCU), run }];
			}
			case "grace": {
				const begin: Draft = {
					footprint: writes(0, RCU),
					run: (s) => {
						s[thread.grace] = memory.openReaders(s) & ~bit;
					},
				};
				const wait: Draft = {
					footprint: writes(0, RCU),
					enabled: (s) => s[thread.grace] === 0,
					run: () => {},
				};
				if (step.args === "begin") return [begin];
				return step.args === "wait" ? [wait] : [begin, wait];
			}
			case "lock":
			case "unlock": {
				const at = model.locks.get(step.args);
				if (at === undefined) throw new ScenarioError(`no lock ${step.args}`);
				const footprint = writes(0, resources.named(step.args));
				if (step.verb === "unlock")
					return [{ footprint, run: (s) => void (s[at] = 0) }];
				const enabled = (s: Uint8Array) => s[at] === 0;
				return [{ footprint, enabled, run: (s) => void (s[at] = 1) }];
			}
			case "set": {
				const pairs = Object.entries(step.args).map(
					([k, v]) => [this.#var(k), v] as const,
				);
				const high = this.#named(Object.keys(step.args));
				const run = (s: Uint8Array) => {
					for (const [at, v] of pairs) s[at] = v;
				};
				return [{ footprint: writes(0, high), run }];
			}
			case "await": {
				const pairs = Object.entries(step.args).map(
					([k, v]) => [this.#var(k), v] as const,
				);
				const high = this.#named(Object.keys(step.args));
				const enabled = (s: Uint8Array) =>
					pairs.every(([at, v]) => s[at] === v);
				return [{ footprint: reads(0, high), enabled, run: () => {} }];
			}
			case "begin": {
				const pages = pageMask(
					model,
					"map" in step.args ? step.args.map : step.args.unmap,
				);
				const run = (s: Uint8Array) =>
					setMask32(s, thread.open, mask32(s, thread.open) | pages);
				return [{ footprint: writes(0, OPEN), run }];
			}
			case "done": {
				const isMap = "map" in step.args;
				const pages = pageMask(model, pagesOfProgress(step.args));
				const to =
					"map" in step.args && step.args.to !== undefined
						? this.#target(step.args.to)
						: -1;
				const low = resources.ofPages(pages);
				const run = (s: Uint8Array) => {
					setMask32(s, thread.open, mask32(s, thread.open) & ~pages);
					if (isMap) checks.mapped(s, pages, to, this.#number);
					else if ("unmap" in step.args)
						checks.unmapped(s, pages, this.#number);
				};
				return [{ footprint: union(reads(low), writes(0, OPEN)), run }];
			}
			default:
				return undefined;
		}
	}

	#controlStep(step: Step): Draft[] | undefined {
		const { results } = this.#parts;
		switch (step.verb) {
			case "nothing":
				return [{ footprint: NOTHING, control: () => -1 }];
			case "let": {
				const value = this.#operand(step.args.value);
				const at = this.#register(step.args.register);
				const control = (s: Uint8Array) => {
					s[at] = value(s);
					return -1;
				};
				return [{ footprint: NOTHING, control }];
			}
			case "goto": {
				this.targets.push(step.args);
				return [{ footprint: NOTHING, control: () => this.#jump(step.args) }];
			}
			case "return": {
				const text = String(step.args);
				if (!results.includes(text)) results.push(text);
				const result = results.indexOf(text);
				const control = (s: Uint8Array) => {
					s[this.#thread.result] = result;
					return this.#jump("end");
				};
				return [{ footprint: NOTHING, control }];
			}
			case "if":
			case "unless":
				return [this.#test(step.args, step.verb === "if")];
			default:
				return undefined;
		}
	}

	#test(args: Extract<Step, { verb: "if" }>["args"], wanted: boolean): Draft {
		this.targets.push(args.goto);
		if (args.var !== undefined) {
			const at = this.#var(args.var);
			const run = (s: Uint8Array) =>
				(s[at] === Number(args.is)) === wanted
					? this.#jump(args.goto)
					: undefined;
			return { footprint: reads(0, this.#named([args.var])), run };
		}
		const value = this.#operand(args.value ?? "");
		const is = this.#predicate(String(args.is));
		return {
			footprint: NOTHING,
			control: (s) => (is(value(s)) === wanted ? this.#jump(args.goto) : -1),
		};
	}

	#predicate(text: string): (value: number) => boolean {
		if (text === "table") return isTable;
		if (text === "leaf") return isLeaf;
		if (text === "garbage") return (v) => v === GARBAGE;
		const wanted = this.#constant(text);
		return (v) => v === wanted;
	}

	#leave(s: Uint8Array, bit: number): void {
		const { model } = this.#parts;
		const at = this.#thread.reader;
		if (s[at] === 0) return;
		s[at] = (s[at] as number) - 1;
		if (s[at] !== 0) return;
		for (const t of model.tables)
			s[t.readers] = (s[t.readers] as number) & ~bit;
		for (const t of model.threads) s[t.grace] = (s[t.grace] as number) & ~bit;
	}

	#store(
		place: Place,
		value: Operand,
		plain = false,
		assume?: "full" | "empty",
	): Draft {
		const { memory, checks } = this.#parts;
		const run = (s: Uint8Array) => {
			const table = place.resolve(s);
			if (table < 0) return this.#throughNothing(table, place);
			const v = value(s);
			if (plain) checks.plainStore(s, table, place.index, v);
			if (assume !== undefined) checks.assumed(s, table, place.index, assume);
			memory.store(s, table, place.index, v);
		};
		return { footprint: this.#writePrint(place), ...this.#private(place), run };
	}

	#throughNothing(table: number, place: Place): void {
		this.#parts.raise(
			table === -1 ? "PT-3" : "PT-28",
			() =>
				`${this.#thread.name} uses ${table === -1 ? "an empty slot or a leaf" : "garbage read from a freed page"} as a table pointer (entry ${place.index})`,
		);
	}

	#load(s: Uint8Array, place: Place): number {
		const table = place.resolve(s);
		if (table >= 0)
			return this.#parts.memory.load(s, table, place.index, this.#thread.name);
		this.#throughNothing(table, place);
		return GARBAGE;
	}

	#cas(args: Extract<Step, { verb: "cas" }>["args"]): Draft {
		const { memory } = this.#parts;
		const place = this.#place(args.slot);
		const expected = this.#operand(args.expect);
		const value = this.#operand(args.value);
		const saw = args.saw === undefined ? -1 : this.#register(args.saw);
		if (args.else !== undefined) this.targets.push(args.else);
		const run = (s: Uint8Array) => {
			const found = this.#load(s, place);
			if (saw >= 0) s[saw] = found;
			if (found === expected(s)) {
				memory.store(s, place.resolve(s), place.index, value(s));
				return undefined;
			}
			return args.else === undefined ? undefined : this.#jump(args.else);
		};
		return { footprint: this.#writePrint(place), ...this.#private(place), run };
	}

	#fill(args: Extract<Step, { verb: "fill" }>["args"]): Draft {
		const { memory, model } = this.#parts;
		const table = this.#table(args.table);
		const size = model.tables[table]?.size ?? 0;
		const all = this.#operand(args.value);
		const except = Object.entries(args.except ?? {}).map(
			([i, text]) => [Number(i), this.#operand(text)] as const,
		);
		for (const [i] of except)
			if (!(i >= 0 && i < size))
				throw new ScenarioError(`fill: ${args.table} has no slot ${i}`);
		const run = (s: Uint8Array) => {
			for (let i = 0; i < size; i++) {
				const one = except.find(([n]) => n === i)?.[1] ?? all;
				memory.store(s, table, i, one(s));
			}
		};
		const place: Place = { table, index: 0, resolve: () => table };
		return { footprint: this.#writePrint(place), ...this.#private(place), run };
	}

	#free(args: string | readonly string[], verb: "free" | "recycle"): Draft {
		const { memory, resources } = this.#parts;
		const texts = typeof args === "string" ? [args] : args;
		const values = texts.map((text) => this.#operand(text));
		let low = 0;
		for (const text of texts) {
			if (text.startsWith("$")) low = resources.everything;
			else {
				const table = this.#table(text);
				low |= resources.table(table) | resources.regionsOf(table);
			}
		}
		const run = (s: Uint8Array) => {
			for (const value of values) memory[verb](s, value(s));
		};
		const draft = { footprint: union(writes(low), reads(0, RCU)), run };
		const only = texts.length === 1 ? (texts[0] as string) : "$";
		if (only.startsWith("$")) return draft;
		const table = this.#table(only);
		const footprint = union(writes(resources.table(table)), reads(0, RCU));
		return { ...draft, privately: { table, footprint } };
	}

	#site(
		args: {
			pages: "all" | readonly (number | string)[];
			scope: Invalidation["scope"];
			level?: number | undefined;
		},
		text: string,
	): number {
		const { model, resources, caches, sites, take } = this.#parts;
		const pages = pageMask(model, args.pages);
		const invalidation = { pages, scope: args.scope, level: args.level };
		const domain =
			model.personality.ih0NonLeafScope === "domain" && args.scope !== "leaf";
		const low = domain ? resources.everything : resources.ofPages(pages);
		sites.push({
			at: take(3),
			invalidation,
			keep: caches.keepMask(invalidation),
			tables: caches.tablesDropped(invalidation),
			footprint: writes(low),
			text,
		});
		return sites.length - 1;
	}

	#issue(number: number): Draft {
		const { model, sites, checks } = this.#parts;
		const site = sites[number] as Site;
		const run = (s: Uint8Array) => {
			let unlinked = 0;
			for (let t = 0; t < MAX_TABLES && t < model.tables.length; t++)
				if (isUnflushed(s[model.tables[t]?.status ?? 0] as number))
					unlinked |= 1 << t;
			s[site.at] = 1;
			s[site.at + 1] = unlinked & 255;
			s[site.at + 2] = unlinked >> 8;
			checks.issued(s, site.invalidation);
		};
		const { writeLow } = site.footprint;
		return { footprint: reads(writeLow), run, site: number };
	}

	#complete(numbers: readonly number[]): Draft {
		const { sites } = this.#parts;
		const run = (s: Uint8Array) => {
			for (const number of numbers) {
				const site = sites[number] as Site;
				if (s[site.at] === 1) perform(this.#parts, s, site);
				s.fill(0, site.at, site.at + 3);
			}
		};
		const footprint = union(
			...numbers.map((n) => (sites[n] as Site).footprint),
		);
		return { footprint, run };
	}

	#private(place: Place): { privately?: Operation["privately"] } {
		if (place.table <= 0) return {};
		const bit = this.#parts.resources.table(place.table);
		return { privately: { table: place.table, footprint: writes(bit) } };
	}

	#writePrint(place: Place): Footprint {
		const low = this.#parts.resources.slot(place.table, place.index);
		return union(writes(low), reads(0, RCU));
	}

	#readPrint(place: Place): Footprint {
		const { resources } = this.#parts;
		if (place.table > 0) return reads(resources.table(place.table), RCU);
		if (place.table === 0) return reads(1 << place.index);
		return reads(resources.everything, RCU);
	}

	#place(text: string): Place {
		const { register, name, index } = slotParts(text);
		const { model } = this.#parts;
		if (register) {
			const at = this.#register(name);
			const resolve = (s: Uint8Array) => {
				const value = s[at] as number;
				if (isTable(value)) return value - TABLE;
				return value === GARBAGE ? -2 : -1;
			};
			return { table: -1, index, resolve };
		}
		const table = this.#table(name);
		if (index >= (model.tables[table]?.size ?? 0))
			throw new ScenarioError(
				`${model.scenario.name}: ${text} does not exist; ${name} has ${model.tables[table]?.size} slots`,
			);
		return { table, index, resolve: () => table };
	}

	#operand(text: string): Operand {
		if (text.startsWith("$")) {
			const at = this.#register(text.slice(1));
			return (s) => s[at] as number;
		}
		const value = this.#constant(text);
		return () => value;
	}

	#constant(text: string): number {
		const { model } = this.#parts;
		return valueOf(
			model.scenario,
			model.tables.map((t) => t.name),
			text,
		);
	}

	#table(name: string): number {
		const { model } = this.#parts;
		const table = model.tables.findIndex((t) => t.name === name);
		if (table < 0)
			throw new ScenarioError(
				`${model.scenario.name}: no table ${name}; there are ${model.tables.map((t) => t.name).join(", ")}`,
			);
		return table;
	}

	#target(name: string): number {
		const target = this.#parts.model.targets.indexOf(name);
		if (target < 0) throw new ScenarioError(`no target ${name}`);
		return target;
	}

	#register(name: string): number {
		const at = this.#thread.registers.get(name);
		if (at === undefined)
			throw new ScenarioError(
				`${this.#parts.model.scenario.name}: thread ${this.#thread.name} never reads anything into register ${name}`,
			);
		return at;
	}

	#var(name: string): number {
		const at = this.#parts.model.vars.get(name);
		if (at === undefined) throw new ScenarioError(`no variable ${name}`);
		return at;
	}

	#named(names: readonly string[]): number {
		let high = 0;
		for (const name of names) high |= this.#parts.resources.named(name);
		return high;
	}
}

const isUnflushed = (status: number): boolean =>
	status === STATUS.unlinked || status === STATUS.missed;

/** Hardware carries the invalidation out: what it covers is gone, and tables unlinked before the issue count as flushed. */
export function perform(parts: Parts, s: Uint8Array, site: Site): void {
	const { caches, model } = parts;
	for (let i = 0; i < caches.bytes; i++)
		s[caches.at + i] = (s[caches.at + i] as number) & (site.keep[i] as number);
	s[site.at] = 2;
	if (site.invalidation.scope !== "all" && site.invalidation.scope !== "walk")
		return;
	const unlinked =
		(s[site.at + 1] as number) | ((s[site.at + 2] as number) << 8);
	for (let t = 0; t < model.tables.length; t++) {
		const table = model.tables[t];
		if (table === undefined || (unlinked & (1 << t)) === 0) continue;
		if (!isUnflushed(s[table.status] as number)) continue;
		s[table.status] = site.tables & (1 << t) ? STATUS.flushed : STATUS.missed;
	}
}
