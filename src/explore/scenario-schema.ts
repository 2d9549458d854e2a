/**
 * The shape of a scenario file: what docs/scenarios.md documents, word for word. A scenario is data: start state, driver
 * personality, concurrent threads of steps, the hardware moves that are allowed, and what is expected.
 */
import { z } from "zod";

const name = z
	.string()
	.regex(/^[A-Za-z_][A-Za-z0-9_#-]*$/, "a name: letters, digits, _ -");
const index = z.int().min(0).max(63);
/** `root[0]`, `T[1]`, or through a register: `$r[0]`; `root.0` says the same and needs no quotes in YAML braces. */
const slot = z
	.string()
	.regex(
		/^\$?[A-Za-z_][A-Za-z0-9_#-]*(?:\[[\d#]+\]|\.[\d#]+)$/,
		'a slot: "TABLE[INDEX]" or TABLE.INDEX, "$REGISTER[INDEX]" or $REGISTER.INDEX',
	);
/** `empty`, a table, a target, each target with `+dirty` at will, or `$register`. */
const value = z
	.string()
	.regex(
		/^\$?[A-Za-z_][A-Za-z0-9_#-]*(\+dirty)?$/,
		"a value: empty, TABLE, TARGET, TARGET+dirty or $REGISTER",
	);
/** A page of a step; with `instances`, a text such as "#" becomes a number. */
const page = z.union([index, z.string().regex(/^[\d#]+$/)]);
const pages = z.union([z.literal("all"), z.array(page).min(1)]);
const tableList = z.union([value, z.array(value).min(1)]);
const scope = z.enum(["leaf", "walk", "all", "device"]);
const invalidation = z.strictObject({
	pages,
	scope: scope.default("all"),
	level: z.int().min(1).max(4).optional(),
});
const progress = z.union([
	z.strictObject({ map: z.array(page).min(1), to: name.optional() }),
	z.strictObject({ unmap: z.array(page).min(1) }),
]);
const finish = z.union([
	...progress.options,
	z.strictObject({ fail: z.array(page).min(1) }),
]);

/** A test of a register or of a variable. */
const test = z
	.strictObject({
		value: value.optional(),
		var: name.optional(),
		is: z.union([z.string(), z.int()]),
		goto: name,
	})
	.superRefine((asked, ctx) => {
		const wrong = (message: string) =>
			ctx.addIssue({ code: "custom", message });
		if ((asked.value === undefined) === (asked.var === undefined))
			wrong("a test names a value or a var, one of them");
		if (asked.var !== undefined && typeof asked.is !== "number")
			wrong("a variable is compared with a number");
	});

/** One schema per verb; a step holds exactly one verb, and any of the common words. */
export const VERBS = {
	clear: z.union([
		slot,
		z.strictObject({ slot, assume: z.literal("full").optional() }),
	]),
	write: z.strictObject({ slot, value, assume: z.literal("empty").optional() }),
	cas: z.strictObject({
		slot,
		expect: value,
		value,
		else: name.optional(),
		saw: name.optional(),
	}),
	swap: z.strictObject({ slot, value, saw: name }),
	read: z.strictObject({ slot, into: name }),
	fill: z.strictObject({
		table: name,
		value,
		except: z.record(z.string(), value).optional(),
	}),
	flush: invalidation,
	issue: invalidation,
	wait: z.literal(true),
	unlink: name,
	free: tableList,
	recycle: tableList,
	reader: z.enum(["enter", "exit"]),
	grace: z.union([z.literal(true), z.enum(["begin", "wait"])]),
	dirty: z.union([
		z.strictObject({ set: slot }),
		z.strictObject({ sweep: slot, clear: z.boolean().default(true) }),
	]),
	report: z.literal(true),
	dma: z.union([
		z.enum(["stop", "resume"]),
		z.strictObject({ page: index, write: z.boolean().default(false) }),
	]),
	begin: progress,
	done: finish,
	return: z.union([z.string(), z.int()]),
	lock: name,
	unlock: name,
	set: z.record(name, z.int().min(0).max(255)),
	await: z.record(name, z.int().min(0).max(255)),
	if: test,
	unless: test,
	goto: name,
	let: z.strictObject({ register: name, value }),
	nothing: z.literal(true),
} as const;

/** The name of a verb. */
export type Verb = keyof typeof VERBS;
type StepOf<V extends Verb> = {
	readonly verb: V;
	readonly args: z.infer<(typeof VERBS)[V]>;
	readonly label?: string | undefined;
	readonly as?: string | undefined;
	readonly when?: string | undefined;
	/** Where it stands in the file. */
	readonly origin?: readonly (string | number)[];
};
/** A step: its verb and arguments, and the common words. */
export type Step = { [V in Verb]: StepOf<V> }[Verb];

const COMMON = z.object({
	label: name.optional(),
	as: z.string().optional(),
	when: z
		.string()
		.regex(/^!?[A-Za-z_][A-Za-z0-9_#-]*$/)
		.optional(),
});
const isVerb = (key: string): key is Verb => Object.hasOwn(VERBS, key);

const step = z
	.record(z.string(), z.unknown())
	.transform((raw, ctx): Step | typeof z.NEVER => {
		const keys = Object.keys(raw).filter(
			(k) => !Object.hasOwn(COMMON.shape, k),
		);
		const [verb, extra] = keys;
		if (verb === undefined || extra !== undefined || !isVerb(verb)) {
			const found = keys.length === 0 ? "none" : keys.join(", ");
			ctx.addIssue({
				code: "custom",
				message: `a step holds exactly one verb (found ${found}); verbs: ${Object.keys(VERBS).join(", ")}`,
			});
			return z.NEVER;
		}
		const args = VERBS[verb].safeParse(raw[verb]);
		const common = COMMON.safeParse(raw);
		for (const issue of [
			...(args.error?.issues.map((i) => ({ ...i, path: [verb, ...i.path] })) ??
				[]),
			...(common.error?.issues ?? []),
		])
			ctx.addIssue({
				code: "custom",
				message: issue.message,
				path: issue.path,
			});
		if (!args.success || !common.success) return z.NEVER;
		return { verb, args: args.data, ...common.data } as Step;
	});

const personality = z.strictObject({
	driver: z.enum(["generic", "vtd", "smmuv3", "amd"]).default("generic"),
	ih0NonLeafScope: z.enum(["range", "domain"]).default("range"),
	tlbiTTL: z.enum(["honoured", "ignored"]).default("honoured"),
	bbm: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(2),
	smallFlushDropsLargeLeaf: z.boolean().default(true),
	cachingMode: z.boolean().default(false),
	pri: z.boolean().default(false),
});
/** The driver personality and the parameters of its hardware (facts pagetable-semantics.md §5, §9). */
export type Personality = z.infer<typeof personality>;

const hardwareMove = z.enum([
	"walk",
	"cacheLeaf",
	"cacheDirectory",
	"cacheDevice",
	"evict",
	"dirty",
]);

const thread = z.strictObject({
	name,
	instances: z.int().min(1).max(6).default(1),
	steps: z.array(step).min(1).max(120),
});
/** A thread of steps; `instances` runs that many copies (`#` in names becomes the copy's number). */
export type Thread = z.infer<typeof thread>;

const reachRow = z.strictObject({
	step: z.int().min(0),
	pages: z.array(index).min(1),
	sees: z.array(z.string()),
});
const switchValue = z.union([z.boolean(), z.string(), z.number()]);
const expectation = z.strictObject({
	verdict: z.enum(["holds", "violated"]),
	ids: z.array(z.string()).default([]),
	states: z.int().min(1).optional(),
	depth: z.int().min(0).optional(),
	reach: z.array(reachRow).optional(),
	outcomes: z.array(z.record(z.string(), z.string())).optional(),
	/** Switches or parameters that turn a red scenario green. */
	fix: z.record(z.string(), switchValue).optional(),
});
/** What a scenario's author expects of it. */
export type Expectation = z.infer<typeof expectation>;

/** Names that mean something already. */
const TAKEN = new Set([
	"root",
	"empty",
	"leaf",
	"table",
	"garbage",
	"fault",
	"conflict",
]);

/** A whole scenario file. */
export const scenarioSchema = z
	.strictObject({
		name: z.string().min(1),
		title: z.string().optional(),
		question: z.string().optional(),
		source: z.string().optional(),
		geometry: z
			.strictObject({
				levels: z.int().min(2).max(4).default(2),
				slots: z.int().min(1).max(8).default(1),
				fanout: z.int().min(1).max(8).default(2),
			})
			.prefault({}),
		targets: z.array(name).min(1).max(40).default(["old", "new"]),
		root: z.record(z.string(), value).default({}),
		tables: z
			.record(
				name,
				z
					.strictObject({
						level: z.int().min(1).max(3).default(1),
						holds: z.record(z.string(), value).default({}),
					})
					.prefault({}),
			)
			.default({}),
		personality: personality.prefault({}),
		hardware: z
			.array(hardwareMove)
			.default(["walk", "cacheLeaf", "cacheDirectory", "evict"]),
		switches: z.record(name, z.boolean()).default({}),
		vars: z.record(name, z.int().min(0).max(255)).default({}),
		/** Pages that a device uses all the time: a fault there is a violation (PT-19) unless `pri`. */
		live: z.array(index).default([]),
		/** Live pages whose translation must also stay what it was at the start (PT-50). */
		keep: z.array(index).default([]),
		/** The thread whose steps the reach table follows; default: the only thread. */
		observe: name.optional(),
		threads: z.array(thread).min(1).max(6),
		expect: expectation.optional(),
	})
	.superRefine(({ tables, targets }, ctx) => {
		const wrong = (message: string, ...path: (string | number)[]) =>
			ctx.addIssue({ code: "custom", message, path });
		for (const table of Object.keys(tables)) {
			if (TAKEN.has(table))
				wrong(`${table} cannot be a table's name`, "tables", table);
			if (targets.includes(table))
				wrong(
					`${table} is the name of a target and of a table`,
					"tables",
					table,
				);
		}
		targets.forEach((target, i) => {
			if (TAKEN.has(target))
				wrong(`${target} cannot be a target's name`, "targets", i);
			if (targets.indexOf(target) < i)
				wrong(`two targets named ${target}`, "targets", i);
		});
	});
/** A parsed scenario. */
export type Scenario = z.infer<typeof scenarioSchema>;
