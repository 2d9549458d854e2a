/**
 * Turns a definition into a flat table: one row a (configuration, event), each row the ordered candidate transitions with
 * their guard and action functions. Same functions as XState runs, same selection rules (innermost state first, exact event
 * before `*`, first guard that holds), no actor, no allocation but the new context, which is made by a generated literal.
 *
 * Not supported, and refused when compiling: two parallel regions that answer one event, entry actions on inner states.
 */
import type { StateValue } from "xstate";
import type {
	AnyDefinition,
	Edge,
	Guard,
	StateNode,
	Update,
} from "./define.ts";
import { edgesOf, resolveTarget } from "./define.ts";
import { HOT_AFTER, type HotRow, hotRow } from "./hot-row.ts";

/** One candidate transition of a row. */
export interface Rule {
	readonly guard: Guard<object> | undefined;
	readonly actions: readonly Update<object>[];
	/** Index of the configuration after it. */
	readonly next: number;
}
/** A compiled machine. Row of (configuration c, event e) is `rows[c * events.length + e]`; event 0 is "any other". */
export interface CompiledMachine {
	readonly id: string;
	readonly events: readonly string[];
	readonly eventIndex: { readonly [event: string]: number };
	/** Names of the configurations: leaf paths, joined with "|" when there are regions. */
	readonly names: readonly string[];
	readonly initial: number;
	readonly rows: readonly (readonly Rule[])[];
	/** The context a run starts with. */
	readonly start: (input: unknown) => object;
	/** Sees a context that a run starts or goes on with: the first one tells which fields there are, and `merge` is made. */
	readonly learn: (context: object) => void;
	/** A context with some fields changed; undefined before the fields are known, and where code may not be generated. */
	merge: Merge | undefined;
	/** The fields of the context. */
	fields: readonly string[];
	/** How often each row was taken by the table, and the functions of those that were taken often. */
	readonly taken: Uint32Array;
	readonly hot: (HotRow | undefined)[];
}
/** Makes a context out of one and the fields that change. */
export type Merge = (context: object, changes: object) => object;

interface Leaf {
	readonly path: string;
	readonly node: StateNode;
}

const join = (path: string, name: string): string =>
	path === "" ? name : `${path}.${name}`;

function leavesOf(node: StateNode, path: string): Leaf[] {
	const names = Object.keys(node.states ?? {});
	if (names.length === 0) return [{ path, node }];
	return names.flatMap((name) =>
		leavesOf(node.states![name]!, join(path, name)),
	);
}

function nodeAt(root: StateNode, path: string): StateNode {
	let node = root;
	if (path !== "")
		for (const name of path.split(".")) node = node.states![name]!;
	return node;
}

/** Follows `initial` down to a leaf. */
function settle(root: StateNode, path: string): string {
	let node = nodeAt(root, path);
	let at = path;
	while (node.initial !== undefined) {
		at = join(at, node.initial);
		node = node.states![node.initial]!;
	}
	return at;
}

/** The edges that a leaf's region offers for an event, innermost first, each with the path of its source. */
function candidates(
	root: StateNode,
	leaf: string,
	top: string,
	event: string,
): { edge: Edge; source: string }[] {
	const found: { edge: Edge; source: string }[] = [];
	for (
		let path = leaf;
		;
		path = path.slice(0, Math.max(0, path.lastIndexOf(".")))
	) {
		const node = nodeAt(root, path);
		for (const key of event === "*" ? ["*"] : [event, "*"])
			for (const edge of edgesOf(node, key)) found.push({ edge, source: path });
		if (path === top) return found;
	}
}

class Compiler {
	readonly definition: AnyDefinition;
	readonly regions: { top: string; leaves: Leaf[] }[];
	constructor(definition: AnyDefinition) {
		const { config } = definition;
		this.definition = definition;
		this.regions =
			config.type === "parallel"
				? Object.keys(config.states ?? {}).map((name) => ({
						top: name,
						leaves: leavesOf(config.states![name]!, name),
					}))
				: [{ top: "", leaves: leavesOf(config, "") }];
	}

	/** The configuration with `leaf` in its region and the rest as in `from`. */
	move(from: readonly number[], leaf: string): number {
		let index = 0;
		for (const [r, region] of this.regions.entries()) {
			const at = region.leaves.findIndex(({ path }) => path === leaf);
			index = index * region.leaves.length + (at < 0 ? from[r]! : at);
		}
		return index;
	}

	rule(
		from: readonly number[],
		index: number,
		{ edge, source }: { edge: Edge; source: string },
	): Rule {
		const { guards, actions, config } = this.definition;
		const run = [...(edge.actions ?? [])];
		let next = index;
		if (edge.target !== undefined) {
			const target = resolveTarget(source, edge.target);
			const leaf = settle(config, target);
			next = this.move(from, leaf);
			if (target !== source || edge.reenter)
				run.push(...(nodeAt(config, leaf).entry ?? []));
		}
		return {
			guard: edge.guard === undefined ? undefined : guards[edge.guard],
			actions: run.map((name) => actions[name]!),
			next,
		};
	}

	row(from: readonly number[], index: number, event: string): Rule[] {
		const { config, id } = this.definition;
		const offers = this.regions.map((region, r) =>
			candidates(config, region.leaves[from[r]!]!.path, region.top, event),
		);
		const answering = offers.filter((list) => list.length > 0);
		if (answering.length > 1)
			throw new Error(
				`${id}: two regions answer ${event}; give them events of their own`,
			);
		const list = answering[0] ?? [];
		const top =
			this.regions.length > 1 ? candidates(config, "", "", event) : [];
		const rules = [...list, ...top].map((c) => this.rule(from, index, c));
		const certain = rules.findIndex((rule) => rule.guard === undefined);
		return certain < 0 ? rules : rules.slice(0, certain + 1);
	}
}

/** Compiles a definition. Throws Error when it uses what the table cannot express. */
export function compileMachine(definition: AnyDefinition): CompiledMachine {
	const compiler = new Compiler(definition);
	const { regions } = compiler;
	const sizes = regions.map(({ leaves }) => leaves.length);
	const total = sizes.reduce((a, b) => a * b, 1);
	const events = ["*", ...definition.events];
	const names: string[] = [];
	const rows: Rule[][] = [];
	for (let index = 0; index < total; index++) {
		const from: number[] = [];
		for (let r = sizes.length - 1, rest = index; r >= 0; r--) {
			from[r] = rest % sizes[r]!;
			rest = Math.floor(rest / sizes[r]!);
		}
		names.push(
			regions.map((region, r) => region.leaves[from[r]!]!.path).join("|"),
		);
		for (const event of events) rows.push(compiler.row(from, index, event));
	}
	const first = regions.map(({ top, leaves }) => {
		const leaf = settle(definition.config, top);
		return leaves.findIndex(({ path }) => path === leaf);
	});
	const machine: CompiledMachine = {
		id: definition.id,
		events,
		// No prototype: "constructor" is no event.
		eventIndex: Object.setPrototypeOf(
			Object.fromEntries(events.map((event, i) => [event, i])),
			null,
		),
		names,
		initial: first.reduce((index, at, r) => index * sizes[r]! + at, 0),
		rows,
		start(input) {
			const context = (definition.start as (input: unknown) => object)(input);
			machine.learn(context);
			return context;
		},
		learn(context) {
			if (machine.fields.length > 0) return;
			machine.fields = Object.keys(context);
			machine.merge = mergeOf(definition.id, machine.fields);
		},
		merge: undefined,
		fields: [],
		taken: new Uint32Array(rows.length),
		hot: rows.map(() => undefined),
	};
	return machine;
}

/**
 * Spreading one object over another takes V8 about a microsecond, ten times as long as writing a literal of known fields, and it is most of a step.
 * So the literal is generated (and a whole function for rows that are taken often, hot-row.ts). Names come from the definition alone and are quoted.
 * A field that the start does not have is a defect.
 */
function mergeOf(id: string, fields: readonly string[]): Merge | undefined {
	const names = fields.map((field) => JSON.stringify(field));
	const copy = names.map((name) => `${name}:c[${name}]`).join(",");
	const cases = names.map(
		(name) => `case ${name}:n[${name}]=g[${name}];break;`,
	);
	const body = `const n={${copy}};for(const k in g)switch(k){${cases.join("")}default:unknown(k)}return n;`;
	const unknown = (field: string): never => {
		throw new Error(`${id}: an action sets ${field}, which no start has`);
	};
	try {
		// Safe as said above; where a page forbids it, stepCompiled spreads.
		// oxlint-disable-next-line no-new-func
		return new Function("unknown", `"use strict";return (c,g)=>{${body}}`)(
			unknown,
		) as Merge;
	} catch (error) {
		if (error instanceof EvalError) return undefined;
		throw error;
	}
}

/** What one step of a compiled machine gives: the configuration and the context after it. */
export interface Stepped {
	readonly at: number;
	readonly context: object;
}

/** One step. An event that no rule takes changes nothing. */
export function stepCompiled(
	machine: CompiledMachine,
	at: number,
	context: object,
	event: { readonly type: string },
): Stepped {
	const e = machine.eventIndex[event.type] ?? 0;
	const row = at * machine.events.length + e;
	const hot = machine.hot[row];
	return hot === undefined
		? stepRow(machine, at, row, context, event)
		: hot(context, event);
}

/** One step by the table itself. A row that is taken again and again becomes a function. */
function stepRow(
	machine: CompiledMachine,
	at: number,
	row: number,
	context: object,
	event: object,
): Stepped {
	const { merge, rows, taken, hot } = machine;
	const rules = rows[row]!;
	if (merge !== undefined && ++taken[row]! > HOT_AFTER)
		hot[row] = hotRow(`${machine.id} ${row}`, machine.fields, at, rules);
	for (const rule of rules) {
		if (rule.guard !== undefined && !rule.guard(context, event)) continue;
		let after = context;
		for (const action of rule.actions) {
			const changes = action(after, event);
			after =
				merge === undefined ? { ...after, ...changes } : merge(after, changes);
		}
		return { at: rule.next, context: after };
	}
	return { at, context };
}

/** The configuration of a name as XState's `snapshot.value` spells it: the inverse of configurationName. */
export function stateValue(name: string): StateValue {
	const one = ([first, ...rest]: readonly string[]): StateValue =>
		rest.length === 0 ? first! : { [first!]: one(rest) };
	const regions = name.split("|").map((path) => one(path.split(".")));
	return regions.length === 1
		? regions[0]!
		: (Object.assign({}, ...regions) as StateValue);
}

/** The name of a configuration that XState's `snapshot.value` spells: as in `names`. */
export function configurationName(value: unknown): string {
	if (typeof value === "string") return value;
	const parts: string[] = [];
	for (const [name, inner] of Object.entries(value as object))
		parts.push(join(name, configurationName(inner)));
	return parts.join("|");
}
