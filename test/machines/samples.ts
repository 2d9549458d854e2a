/**
 * Situations for each machine: pairs of (context, event) that make its guards answer in every combination that captured runs, their cross
 * products and small perturbations can make them. One pair a combination is kept.
 */
import {
	type AnyDefinition,
	eachNode,
	edgesOf,
} from "../../machines/define.ts";
import { mapEdges } from "./mutants.ts";

/** A context and an event. */
export interface Sample {
	readonly context: object;
	readonly event: { readonly type: string };
}
/** What runs showed of each machine, by id. */
export type Captured = Map<
	string,
	{ contexts: object[]; events: Map<string, { readonly type: string }[]> }
>;

const PER_TYPE = 30;
const CONTEXTS = 40;

/** A copy of a definition that notes contexts and events it was run with. */
export function capturing(
	definition: AnyDefinition,
	into: Captured,
): AnyDefinition {
	const seen = {
		contexts: [] as object[],
		events: new Map<string, { readonly type: string }[]>(),
	};
	into.set(definition.id, seen);
	let count = 0;
	const note = (context: object, event: { readonly type: string }): object => {
		const list = seen.events.get(event.type) ?? [];
		seen.events.set(event.type, list);
		// Spread over the run: every event at first, then ever fewer.
		count++;
		if (list.length < PER_TYPE && (list.length < 15 || count % 7 === 0))
			list.push(event);
		if (
			seen.contexts.length < CONTEXTS &&
			(seen.contexts.length < 20 || count % 11 === 0)
		)
			seen.contexts.push(context);
		return {};
	};
	const changed = mapEdges(definition, (edge) => ({
		...edge,
		actions: ["note", ...(edge.actions ?? [])],
	}));
	return { ...changed, actions: { ...definition.actions, note } };
}

type Fields = { readonly [name: string]: unknown };

function* variantsOf(value: unknown): Generator<unknown> {
	if (typeof value === "boolean") yield !value;
	else if (Array.isArray(value)) {
		yield [];
		yield value.slice(0, 1);
		yield [...value, ...value];
	} else if (typeof value === "number") {
		yield 0;
		yield 1;
		yield 2;
	} else if (value !== null && value !== undefined && typeof value === "object")
		yield {};
	if (value === null) yield 1;
	else if (typeof value !== "boolean") yield null;
}

/** `fields` itself, then with one field changed, two levels deep. */
function* perturbed(fields: Fields, depth = 2): Generator<Fields> {
	yield fields;
	for (const [name, value] of Object.entries(fields)) {
		if (
			name === "type" ||
			name === "answer" ||
			name === "ask" ||
			name === "iopt" ||
			name === "mem"
		)
			continue;
		for (const other of variantsOf(value)) yield { ...fields, [name]: other };
		if (
			depth > 1 &&
			value !== null &&
			typeof value === "object" &&
			!Array.isArray(value)
		)
			for (const inner of perturbed(value as Fields, depth - 1))
				yield { ...fields, [name]: inner };
	}
}

/** The guards that stand on some edge of an event. */
function guardsOf(
	definition: AnyDefinition,
): (type: string) => readonly string[] {
	const by = new Map<string, Set<string>>();
	eachNode(definition.config, (_path, node) => {
		for (const event of Object.keys(node.on ?? {}))
			for (const { guard } of edgesOf(node, event))
				if (guard !== undefined)
					by.set(event, (by.get(event) ?? new Set()).add(guard));
	});
	return (type) => [...(by.get(type) ?? [])];
}

function vector(
	definition: AnyDefinition,
	guards: (type: string) => readonly string[],
	{ context, event }: Sample,
): string {
	return guards(event.type)
		.map((name) => {
			try {
				return definition.guards[name]!(context, event) ? "1" : "0";
			} catch {
				return "x";
			}
		})
		.join("");
}

/** Answers that entities give, whether or not a run brought them. */
const VALUES: readonly unknown[] = [
	{ swMsi: 5, conflict: false },
	{ swMsi: undefined, conflict: true },
	{ swMsi: undefined, conflict: false },
	{ last: true },
	{ last: false },
	{ unused: true },
	{ first: true, blk: null },
	{ first: true, blk: "domain:9" },
	{ first: false, blk: null },
	{ hwpt: null, list: [], msi: null },
	{ hwpt: "ctx:1/hwpt:9@1", list: ["device:0000:01:00.0"], msi: null },
	{ hwpt: "ctx:1/hwpt:9@1", list: ["device:0000:01:00.0"], msi: 1 },
	{ hwpt: "ctx:1/hwpt:9@1", list: [], msi: 1 },
	{ ofGroup: ["device:a", "device:b"], empty: false },
	{ ofGroup: [], empty: false },
	{ ofGroup: [], empty: true },
	"ctx:1/idev:1@1",
	"ctx:1/ioas:4@1",
	"ctx:1/hwpt:6@1",
	{ more: true },
	{ more: false },
	[],
	["ctx:1/idev:1@1"],
	["ctx:1/hwpt:6@1", "ctx:1/ioas:4@1"],
];
const HOW = ["attach", "replace", "detach", "block", "release"] as const;

function eventsFor(
	definition: AnyDefinition,
	seen: { readonly events: Map<string, { readonly type: string }[]> },
) {
	const events: { readonly type: string }[] = [{ type: "unexpected" }];
	if (definition.events.includes("DONE"))
		for (const value of VALUES)
			events.push({ type: "DONE", value } as { type: string });
	for (const type of definition.events) {
		const list = seen.events.get(type) ?? [];
		if (list.length === 0)
			events.push({ type, errno: "EIO", step: "test", value: {} } as {
				type: string;
			});
		for (const one of list) {
			events.push(one);
			if (type === "FAILED")
				events.push({ ...one, errno: "EINVAL" } as { type: string });
			const { args } = one as { readonly args?: Fields };
			if (args?.["how"] !== undefined)
				for (const how of HOW)
					events.push({ ...one, args: { ...args, how } } as { type: string });
		}
	}
	return events;
}

/** Some samples for each answer of each guard: what to cross with one another. */
function tellingOf(
	definition: AnyDefinition,
	guards: (type: string) => readonly string[],
	kept: readonly Sample[],
): Sample[] {
	const enough = new Map<string, number>();
	return kept.filter((sample) => {
		let tells = false;
		[...vector(definition, guards, sample)].forEach((answer, guard) => {
			const key = `${sample.event.type} ${guard}${answer}`;
			const n = enough.get(key) ?? 0;
			if (n < 2) tells = true;
			enough.set(key, n + 1);
		});
		return tells;
	});
}

/** One sample a combination of guard answers, per event type. */
export function samplesOf(
	definition: AnyDefinition,
	captured: Captured,
): Sample[] {
	const seen = captured.get(definition.id) ?? {
		contexts: [],
		events: new Map(),
	};
	const contexts = [definition.start(SEED_INPUT), ...seen.contexts];
	const events = eventsFor(definition, seen);
	const guards = guardsOf(definition);
	const kept = new Map<string, Sample>();
	const start = definition.start(SEED_INPUT) as object;
	for (const [i, { context, event }] of (EXTRA[definition.id] ?? []).entries())
		kept.set(`extra ${i}`, { context: { ...start, ...context }, event });
	const offer = (sample: Sample): void => {
		const { value } = sample.event as { readonly value?: unknown };
		const shape =
			typeof value === "object" && value !== null
				? Object.keys(value).join()
				: typeof value;
		const key = `${sample.event.type} ${shape} ${vector(definition, guards, sample)}`;
		if (!kept.has(key)) kept.set(key, sample);
	};
	for (const event of events)
		for (const context of contexts) offer({ context, event });
	for (const { context, event } of Array.from(kept.values())) {
		for (const other of perturbed(context as Fields))
			offer({ context: other, event });
		for (const other of perturbed(event as unknown as Fields))
			offer({ context, event: other as { type: string } & Fields });
	}
	const telling = tellingOf(definition, guards, [...kept.values()]);
	for (const { event } of telling)
		for (const { context } of telling) offer({ context, event });
	return [...kept.values()];
}

/** Sagas of several shapes, and each place within them. */
const SAGA: readonly Sample[] = [
	...[[], [0], [2], [0, 1], [2, 0, 1], [1, 2], [0, 0]].map((counts) => ({
		context: {},
		event: { type: "BEGIN", counts } as { type: string },
	})),
	...[
		{ counts: [2], part: 0, k: 0, n: 0 },
		{ counts: [2], part: 0, k: 1, n: 1 },
		{ counts: [1, 0, 2], part: 0, k: 0, n: 0 },
		{ counts: [1, 0, 2], part: 2, k: 0, n: 1 },
		{ counts: [1, 0], part: 0, k: 0, n: 0 },
	].map((context) => ({
		context,
		event: { type: "DONE", value: { more: false } } as { type: string },
	})),
	{
		context: { counts: [2], part: 0, k: 1, n: 1 },
		event: { type: "FAILED", errno: "EBUSY", step: "saga.do" } as {
			type: string;
		},
	},
];

/** Situations that chance does not make. Contexts are completed with the machine's start. */
const EXTRA: { readonly [id: string]: readonly Sample[] } = {
	"iommu-group": [
		{
			context: { ctx: "ctx:1", list: ["device:a"] },
			event: { type: "ig.list.remove", dev: "device:a" } as { type: string },
		},
	],
	"auto-domain": [
		{
			context: { candidates: ["ctx:1/hwpt:1@1", "ctx:1/hwpt:2@1"] },
			event: { type: "FAILED", errno: "EINVAL", step: "ig.hwpt" } as {
				type: string;
			},
		},
	],
	"move-group": SAGA,
	"move-all": SAGA,
	evacuate: SAGA,
	"attach-pt": [
		{
			context: { respFailureDetaches: false, from: "ctx:1/hwpt:1@1" },
			event: { type: "FAILED", errno: "EFAULT", step: "resp" } as {
				type: string;
			},
		},
	],
};

/** Input that every entity can be started with. */
export const SEED_INPUT = {
	group: "group:1",
	members: [
		{ dev: "device:a", requireDirect: false },
		{ dev: "device:b", requireDirect: true },
	],
	kernelDrivers: 0,
	dev: "device:a",
	requireDirect: true,
	cc: true,
	dirty: true,
	hwpt: "ctx:1/hwpt:1@1",
	dom: "domain:1",
	ioas: "ctx:1/ioas:2@1",
	ctx: "ctx:1",
};
