/** Scenarios that the explorer's benchmark scales: a block map against `n` page maps in one empty region. */
import {
	type Scenario,
	scenarioSchema,
} from "../../src/explore/scenario-schema.ts";

/** src/scenarios/library/block-against-page.yaml with n page threads; bench/spin/block-against-pages.pml is the same for Spin. */
export function blockAgainstPages(n: number): Scenario {
	const numbers = Array.from({ length: n + 1 }, (_, i) => i);
	const block = [
		{ begin: { map: numbers } },
		{ read: { slot: "root.0", into: "b" } },
		{ if: { value: "$b", is: "leaf", goto: "exists" } },
		{ unless: { value: "$b", is: "table", goto: "install" } },
		{ clear: "root.0" },
		{ flush: { pages: "all", scope: "all" } },
		{ free: "$b" },
		{ label: "install", write: { slot: "root.0", value: "block" } },
		{ done: { map: numbers, to: "block" } },
		{ return: 0 },
		{ label: "exists", done: { fail: numbers } },
		{ return: "-EEXIST" },
	];
	const page = [
		{ begin: { map: ["#"] } },
		{ read: { slot: "root.0", into: "d" } },
		{ if: { value: "$d", is: "leaf", goto: "exists" } },
		{ if: { value: "$d", is: "table", goto: "have" } },
		{
			cas: {
				slot: "root.0",
				expect: "empty",
				value: "T#",
				saw: "d",
				else: "lost",
			},
		},
		{ let: { register: "d", value: "T#" } },
		{ goto: "have" },
		{ label: "lost", free: "T#" },
		{ if: { value: "$d", is: "leaf", goto: "exists" } },
		{ label: "have", write: { slot: "$d.#", value: "page" } },
		{ done: { map: ["#"], to: "page" } },
		{ return: 0 },
		{ label: "exists", done: { fail: ["#"] } },
		{ return: "-EEXIST" },
	];
	return scenarioSchema.parse({
		name: `block-against-${n}-pages`,
		geometry: { fanout: n + 1 },
		tables: Object.fromEntries(numbers.slice(1).map((i) => [`T${i}`, {}])),
		targets: ["block", "page"],
		threads: [
			{ name: "block", steps: block },
			{ name: "page", instances: n, steps: page },
		],
	});
}
