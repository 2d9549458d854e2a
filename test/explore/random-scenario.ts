/** Random small scenarios for the soundness properties: legal as data, mostly illegal as drivers. */
import fc from "fast-check";
import {
	type Scenario,
	scenarioSchema,
} from "../../src/explore/scenario-schema.ts";

const slots = ["root.0", "root.1", "T.0", "T.1", "U.0"];
const values = ["empty", "old", "new", "T", "U"];
const pages = fc.constantFrom([0], [1], [0, 1], [2], "all");

/** Steps that keep levels right: tables go into the root only. */
const writeStep = fc
	.tuple(fc.constantFrom(...slots), fc.constantFrom(...values))
	.map(([slot, value]) => ({
		slot,
		value:
			!slot.startsWith("root") && (value === "T" || value === "U")
				? "old"
				: value,
	}));

const invalidation = fc.record({
	pages,
	scope: fc.constantFrom("leaf", "walk", "all"),
});
const plainStep: fc.Arbitrary<object> = fc.oneof(
	fc.constantFrom(...slots).map((slot) => ({ clear: slot })),
	writeStep.map((write) => ({ write })),
	fc
		.tuple(writeStep, fc.constantFrom("empty", "old", "new"))
		.map(([write, expected]) => ({ cas: { ...write, expect: expected } })),
	invalidation.map((flush) => ({ flush })),
	invalidation.map((issue) => ({ issue })),
	fc.constant({ wait: true }),
	fc.constantFrom("T", "U").map((table) => ({ free: table })),
	fc.constantFrom("T", "U").map((table) => ({ unlink: table })),
	fc.constantFrom("enter", "exit").map((reader) => ({ reader })),
	fc.constantFrom(...slots).map((slot) => ({ read: { slot, into: "r" } })),
	fc.constant({ done: { unmap: [0] } }),
	fc.constant({ done: { map: [1], to: "new" } }),
	fc.constant({ begin: { map: [0, 1] } }),
	fc.constant({ set: { flag: 1 } }),
	fc.constant({ if: { var: "flag", is: 1, goto: "end" } }),
);
const followStep: fc.Arbitrary<object> = fc.oneof(
	fc.constant({ write: { slot: "$r.0", value: "new" } }),
	fc.constant({ read: { slot: "$r.1", into: "r" } }),
	fc.constant({ free: "$r" }),
);
/** Readers, unlinks, grace periods and frees, and little else. */
const readerStep: fc.Arbitrary<object> = fc.oneof(
	fc.constantFrom("enter", "exit").map((reader) => ({ reader })),
	fc.constant({ clear: "root.0" }),
	fc.constant({ flush: { pages: "all" } }),
	fc.constantFrom("begin", "wait").map((grace) => ({ grace })),
	fc.constant({ free: "T" }),
	fc.constant({ read: { slot: "T.0", into: "r" } }),
);
/** Commands of several threads, and what must not come before their completion. */
const queueStep: fc.Arbitrary<object> = fc.oneof(
	pages.map((list) => ({ issue: { pages: list } })),
	pages.map((list) => ({ flush: { pages: list } })),
	fc.constant({ wait: true }),
	fc.constantFrom("root.0", "T.0").map((slot) => ({ clear: slot })),
	fc.constant({ set: { flag: 1 } }),
	fc.constant({ await: { flag: 1 } }),
	fc.constant({ free: "T" }),
	fc.constant({ done: { unmap: [0] } }),
);
const dirtyStep: fc.Arbitrary<object> = fc.oneof(
	fc.constantFrom(...slots).map((slot) => ({ dirty: { sweep: slot } })),
	fc.constant({ report: true }),
);

/** One thread queues an invalidation, another one comes after it. */
const BEHIND: readonly object[][] = [
	[{ clear: "root.0" }, { issue: { pages: [0, 1] } }, { set: { flag: 1 } }],
	[{ await: { flag: 1 } }, { flush: { pages: [2] } }, { free: "T" }],
];

/** What a random scenario may contain. */
export interface RandomOptions {
	readonly threads: number;
	readonly steps: number;
	readonly dirty: boolean;
	readonly slots: number;
	/** Only steps about readers and grace periods. */
	readonly readers?: boolean;
	/** Only steps about invalidations that threads queue, and what hangs on them. */
	readonly queue?: boolean;
}

/** An arbitrary scenario within these bounds. */
export function randomScenario(options: RandomOptions): fc.Arbitrary<Scenario> {
	const step = options.dirty
		? fc.oneof(plainStep, dirtyStep)
		: fc.oneof(
				{ weight: 4, arbitrary: plainStep },
				{ weight: 1, arbitrary: followStep },
			);
	const special = options.queue === true ? queueStep : undefined;
	const plain = options.readers === true ? readerStep : step;
	const steps = fc.array(special ?? plain, {
		minLength: 1,
		maxLength: options.steps,
	});
	const thread =
		options.queue === true
			? fc
					.tuple(fc.constantFrom([], ...BEHIND), steps)
					.map(([first, rest]) => [...first, ...rest])
			: steps;
	return fc
		.record({
			threads: fc.array(thread, { minLength: 1, maxLength: options.threads }),
			root: fc.constantFrom("T", "old", "empty"),
			inT: fc.constantFrom("old", "empty", "new"),
			bbm: fc.constantFrom(0, 2),
			ttl: fc.constantFrom("honoured", "ignored"),
			scope: fc.constantFrom("range", "domain"),
			small: fc.boolean(),
			directory: fc.boolean(),
			keep: fc.boolean(),
		})
		.map((r) =>
			scenarioSchema.parse({
				name: "random",
				geometry: { slots: options.slots, fanout: 2 },
				root: { 0: r.root },
				tables: { T: { holds: { all: r.inT } }, U: { holds: { 0: "old" } } },
				vars: { flag: 0 },
				personality: {
					bbm: r.bbm,
					tlbiTTL: r.ttl,
					ih0NonLeafScope: r.scope,
					smallFlushDropsLargeLeaf: r.small,
				},
				hardware: [
					"walk",
					"cacheLeaf",
					"evict",
					...(r.directory ? ["cacheDirectory"] : []),
					...(options.dirty ? ["dirty"] : []),
				],
				keep: r.keep ? [1] : [],
				threads: r.threads.map((steps, i) => ({
					name: `t${i}`,
					steps: withRegister(steps, options.slots),
				})),
			}),
		);
}

/** Declares the register, and keeps to the slots that exist. */
function withRegister(steps: readonly object[], count: number): object[] {
	const text = JSON.stringify([
		{ let: { register: "r", value: "empty" } },
		...steps,
	]);
	const fitted =
		count > 1
			? text
			: text.replaceAll("root.1", "root.0").replaceAll("[2]", "[1]");
	return JSON.parse(fitted) as object[];
}

/** Copies of one thread, with tables, targets and pages of their own, beside one other thread. */
export function randomCopies(): fc.Arbitrary<Scenario> {
	const copied: fc.Arbitrary<object> = fc.oneof(
		fc.constant({ read: { slot: "root.0", into: "r" } }),
		fc.constant({
			cas: { slot: "root.0", expect: "empty", value: "U#", saw: "r" },
		}),
		fc.constant({ write: { slot: "U#.#", value: "a#" } }),
		fc.constant({ write: { slot: "$r.#", value: "a#" } }),
		fc.constant({ read: { slot: "$r.#", into: "r" } }),
		fc.constant({ free: "U#" }),
		fc.constantFrom("enter", "exit").map((reader) => ({ reader })),
		fc.constant({ begin: { map: ["#"] } }),
		fc.constant({ done: { map: ["#"], to: "a#" } }),
		fc.constant({ done: { unmap: ["#"] } }),
		fc.constantFrom("0", "-EEXIST").map((text) => ({ return: text })),
	);
	const other: fc.Arbitrary<object> = fc.oneof(
		fc.constant({ clear: "root.0" }),
		fc.constant({ write: { slot: "root.0", value: "old" } }),
		fc.constant({ flush: { pages: "all" } }),
		fc.constant({ free: "T" }),
		fc.constant({ grace: true }),
	);
	return fc
		.record({
			n: fc.constantFrom(2, 3),
			copied: fc.array(copied, { minLength: 1, maxLength: 4 }),
			other: fc.array(other, { minLength: 1, maxLength: 3 }),
			root: fc.constantFrom("T", "empty"),
		})
		.map((r) =>
			scenarioSchema.parse({
				name: "copies",
				geometry: { fanout: 4 },
				root: { 0: r.root },
				targets: ["old", "a1", "a2", "a3"],
				tables: { T: { holds: { all: "old" } }, U1: {}, U2: {}, U3: {} },
				threads: [
					{
						name: "copy",
						instances: r.n,
						steps: [{ let: { register: "r", value: "empty" } }, ...r.copied],
					},
					{ name: "other", steps: r.other },
				],
			}),
		);
}
