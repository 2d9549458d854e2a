/**
 * Every (state, event) pair of every machine, under every combination of guard answers that could be made: XState and the compiled table
 * agree, every guard has said yes and no, and no edge or guard can be deleted without one of these rows changing.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type StateValue, transition } from "xstate";
import {
	type CompiledMachine,
	compileMachine,
	configurationName,
	stepCompiled,
} from "../../machines/compile.ts";
import {
	type AnyDefinition,
	definitionProblems,
	eachNode,
	edgesOf,
	toXState,
} from "../../machines/define.ts";
import { HOT_AFTER } from "../../machines/hot-row.ts";
import { toTableActor } from "../../machines/table-actor.ts";
import { DEFINITIONS } from "./all.ts";
import { SCENARIO_ITEMS, SWITCHED } from "./corpus.ts";
import { mutantsOf } from "./mutants.ts";
import {
	capturing,
	type Captured,
	type Sample,
	samplesOf,
	SEED_INPUT,
} from "./samples.ts";

const captured: Captured = new Map();
const samples = new Map<string, Sample[]>();
const digests: Record<string, string> = {};
const FIXTURES = join(import.meta.dirname, "../fixtures/machines");

const asText = (value: unknown): string =>
	JSON.stringify(value, (_k, v) =>
		typeof v === "bigint" ? `0x${v.toString(16)}` : v,
	) ?? "";
/** What an observer sees of a context after an event: the step asked for or the answer, and the machine's own fields. */
const project = (context: object): string =>
	asText({ ...context, iopt: undefined });

/** Compares with a file of the repository; UPDATE=1 writes it anew. */
function pinned(name: string, text: string): void {
	const path = join(FIXTURES, name);
	if (process.env["UPDATE"] !== undefined || !existsSync(path)) {
		mkdirSync(dirname(path), { recursive: true });
		writeFileSync(path, text);
	}
	expect(
		text,
		`${name} changed; when that is meant: UPDATE=1 npx vitest run test/machines`,
	).toBe(readFileSync(path, "utf8"));
}

beforeAll(() => {
	const copies = new Map<AnyDefinition, AnyDefinition>();
	const substitute = (definition: AnyDefinition): AnyDefinition => {
		let copy = copies.get(definition);
		if (copy === undefined)
			copies.set(definition, (copy = capturing(definition, captured)));
		return copy;
	};
	for (const item of [...SCENARIO_ITEMS, ...SWITCHED])
		digests[item.name] = createHash("sha256")
			.update(item.run(substitute))
			.digest("hex")
			.slice(0, 16);
	for (const definition of DEFINITIONS)
		samples.set(definition.id, samplesOf(definition, captured));
});

function row(
	machine: CompiledMachine,
	at: number,
	{ context, event }: Sample,
): string {
	try {
		const after = stepCompiled(machine, at, context, event);
		return `${machine.names[after.at]} ${project(after.context)}`;
	} catch {
		return "throws";
	}
}

/** The `value` XState uses for a configuration's name. */
function valueOf(name: string): StateValue {
	const one = (path: string[]): StateValue =>
		path.length === 1 ? path[0]! : { [path[0]!]: one(path.slice(1)) };
	const regions = name.split("|").map((path) => one(path.split(".")));
	return regions.length === 1 ? regions[0]! : Object.assign({}, ...regions);
}

describe.each(
	DEFINITIONS.map((definition) => [definition.id, definition] as const),
)("%s", (id, definition) => {
	test("is whole", () => {
		expect(definitionProblems(definition)).toEqual([]);
	});

	test("every guard says yes and says no", () => {
		const said = (name: string, answer: boolean) =>
			samples.get(id)!.some(({ context, event }) => {
				try {
					return Boolean(definition.guards[name]!(context, event)) === answer;
				} catch {
					return false;
				}
			});
		const oneSided = Object.keys(definition.guards).filter(
			(name) => !said(name, true) || !said(name, false),
		);
		expect(oneSided).toEqual([]);
	});

	test("XState and the compiled table agree on every state and event", () => {
		const machine = compileMachine(definition);
		machine.start(SEED_INPUT);
		expect(machine.merge).toBeTypeOf("function");
		const spreading = compileMachine(definition);
		const hot = compileMachine(definition);
		hot.start(SEED_INPUT);
		hot.taken.fill(HOT_AFTER);
		const live = toXState(definition);
		const byTable = toTableActor(definition);
		for (const [at, name] of machine.names.entries())
			for (const sample of samples.get(id)!) {
				const compiled = row(machine, at, sample);
				expect(row(spreading, at, sample)).toBe(compiled);
				// The first run by the table makes the function, the second one uses it.
				expect(row(hot, at, sample)).toBe(compiled);
				expect(row(hot, at, sample)).toBe(compiled);
				for (const logic of [live, byTable]) {
					let actor = "throws";
					try {
						const from = logic.resolveState({
							value: valueOf(name),
							context: sample.context,
						});
						const [after] = transition(logic, from, sample.event);
						actor = `${configurationName(after.value)} ${project(after.context)}`;
					} catch {}
					expect(`${name} ${sample.event.type}: ${actor}`).toBe(
						`${name} ${sample.event.type}: ${compiled}`,
					);
				}
			}
		expect(hot.hot.filter((one) => one !== undefined).length).toBeGreaterThan(
			machine.names.length,
		);
	});

	test("no edge and no guard can go unnoticed", () => {
		const machine = compileMachine(definition);
		const rows = machine.names.map((_, at) =>
			samples.get(id)!.map((sample) => row(machine, at, sample)),
		);
		const concerns = (path: string, name: string) =>
			name
				.split("|")
				.some(
					(leaf) => path === "" || leaf === path || leaf.startsWith(`${path}.`),
				);
		const unnoticed = mutantsOf(definition).filter(
			({ definition: changed, path }) => {
				const other = compileMachine(changed);
				return other.names.every(
					(name, at) =>
						!concerns(path, name) ||
						samples
							.get(id)!
							.every((sample, s) => row(other, at, sample) === rows[at]![s]),
				);
			},
		);
		expect(unnoticed.map(({ name }) => name)).toEqual([]);
	});
});

test("the transitions are the ones that were reviewed", () => {
	const lines = DEFINITIONS.flatMap((definition) => {
		const found: string[] = [];
		eachNode(definition.config, (path, node) => {
			if (node.entry)
				found.push(`${definition.id}: ${path} asks ${node.entry.join(", ")}`);
			for (const event of Object.keys(node.on ?? {}))
				for (const { guard, target, actions = [] } of edgesOf(node, event))
					found.push(
						`${definition.id}: ${path || "(any)"} --${event}${guard ? ` [${guard}]` : ""}--> ${target ?? "(stays)"} / ${actions.join(", ")}`,
					);
		});
		return found;
	});
	pinned("transitions.txt", `${lines.join("\n")}\n`);
});

test("every scenario under every flow gives the records it gave when this model version was made", () => {
	pinned("digests.json", `${JSON.stringify(digests, undefined, "\t")}\n`);
});
