/** Steps that read and write page-table memory and that free tables. */
import { RCU, reads, union, writes } from "./footprint.ts";
import { EMPTY, pageMask } from "./model.ts";
import type { Draft, Operand, Place } from "./operations.ts";
import { ScenarioError } from "./scenario-error.ts";
import type { Step } from "./scenario-schema.ts";
import type { Scope } from "./scope.ts";

export function memoryDrafts(scope: Scope, step: Step): Draft[] | undefined {
	const { memory, model } = scope.parts;
	switch (step.verb) {
		case "clear": {
			const { slot, assume } =
				typeof step.args === "string"
					? { slot: step.args, assume: undefined }
					: step.args;
			return [store(scope, scope.place(slot), () => EMPTY, false, assume)];
		}
		case "write": {
			const { slot, assume } = step.args;
			const value = scope.operand(step.args.value);
			return [store(scope, scope.place(slot), value, true, assume)];
		}
		case "unlink": {
			const table = scope.table(step.args);
			if (table === 0)
				throw new ScenarioError(
					"root stands in no slot: it cannot be unlinked",
				);
			const run = (s: Uint8Array) => {
				const parent = memory.parentOf(s, table);
				if (parent !== undefined) memory.store(s, parent[0], parent[1], EMPTY);
			};
			const { resources } = scope.parts;
			const low =
				resources.ofPages(pageMask(model, "all")) | resources.table(table);
			return [{ footprint: union(writes(low), reads(0, RCU)), run }];
		}
		case "cas":
			return [compareAndSwap(scope, step.args)];
		case "swap": {
			const place = scope.place(step.args.slot);
			const value = scope.operand(step.args.value);
			const saw = scope.register(step.args.saw);
			const stored = store(scope, place, value);
			const run = (s: Uint8Array) => {
				s[saw] = memory.load(
					s,
					place.resolve(s),
					place.index,
					scope.thread.name,
				);
				stored.run?.(s, 0);
			};
			return [{ ...stored, run }];
		}
		case "read": {
			const place = scope.place(step.args.slot);
			const into = scope.register(step.args.into);
			const run = (s: Uint8Array) => {
				s[into] = scope.load(s, place);
			};
			return [{ footprint: scope.readPrint(place), run, place, quiet: true }];
		}
		case "fill":
			return [fill(scope, step.args)];
		case "free":
		case "recycle":
			return [giveBack(scope, step.args, step.verb)];
		default:
			return undefined;
	}
}

function store(
	scope: Scope,
	place: Place,
	value: Operand,
	plain = false,
	assume?: "full" | "empty",
): Draft {
	const { memory, checks } = scope.parts;
	const run = (s: Uint8Array) => {
		const table = place.resolve(s);
		if (table < 0) return scope.throughNothing(s, table, place);
		const v = value(s);
		if (plain) checks.plainStore(s, table, place.index, v);
		if (assume !== undefined) checks.assumed(s, table, place.index, assume);
		memory.store(s, table, place.index, v);
	};
	return { footprint: scope.writePrint(place), ...scope.privately(place), run };
}

function compareAndSwap(
	scope: Scope,
	args: Extract<Step, { verb: "cas" }>["args"],
): Draft {
	const { memory } = scope.parts;
	const place = scope.place(args.slot);
	const expected = scope.operand(args.expect);
	const value = scope.operand(args.value);
	const saw = args.saw === undefined ? -1 : scope.register(args.saw);
	if (args.else !== undefined) scope.targets.push(args.else);
	const run = (s: Uint8Array) => {
		const found = scope.load(s, place);
		if (saw >= 0) s[saw] = found;
		if (found === expected(s)) {
			memory.store(s, place.resolve(s), place.index, value(s));
			return undefined;
		}
		return args.else === undefined ? undefined : scope.jump(args.else);
	};
	return { footprint: scope.writePrint(place), ...scope.privately(place), run };
}

function fill(
	scope: Scope,
	args: Extract<Step, { verb: "fill" }>["args"],
): Draft {
	const { memory, model } = scope.parts;
	const table = scope.table(args.table);
	const size = model.tables[table]?.size ?? 0;
	const all = scope.operand(args.value);
	const except = Object.entries(args.except ?? {}).map(
		([i, text]) => [Number(i), scope.operand(text)] as const,
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
	return { footprint: scope.writePrint(place), ...scope.privately(place), run };
}

function giveBack(
	scope: Scope,
	args: string | readonly string[],
	verb: "free" | "recycle",
): Draft {
	const { memory, resources } = scope.parts;
	const texts = typeof args === "string" ? [args] : args;
	const values = texts.map((text) => scope.operand(text));
	let low = 0;
	for (const text of texts) {
		if (text.startsWith("$")) low = resources.everything;
		else {
			const table = scope.table(text);
			low |= resources.table(table) | resources.regionsOf(table);
		}
	}
	const run = (s: Uint8Array) => {
		for (const value of values) memory[verb](s, value(s), scope.number);
	};
	const draft = { footprint: union(writes(low), reads(0, RCU)), run };
	const only = texts.length === 1 ? (texts[0] as string) : "$";
	if (only.startsWith("$")) return draft;
	const table = scope.table(only);
	const footprint = union(writes(resources.table(table)), reads(0, RCU));
	return { ...draft, privately: { table, footprint } };
}
