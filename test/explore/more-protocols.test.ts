/**
 * Protocols that do not ship, written from docs/scenarios.md alone, with the answer worked out by hand from facts pagetable-semantics.md §2, §4 - §6, §8: three and
 * four levels, wrong ranges, hints, readers, races, hardware parameters. Each is [what, file, verdict, ids, cells of the reach table].
 */
import { describe, expect, test } from "vitest";
import { explore } from "../../src/explore/explore.ts";
import { parseScenario } from "../../src/explore/scenario-file.ts";

/** `step page`: what a DMA sees there. */
type Cells = Readonly<Record<string, string>>;
type Protocol = readonly [
	what: string,
	file: string,
	verdict: "holds" | "violated",
	ids: readonly string[],
	cells?: Cells,
];

const TWO = `
name: two-levels
root: { 0: T }
tables: { T: { holds: { all: old } }, U: {} }`;
const BLOCK = `
name: block
root: { 0: old }
tables: { T: {} }`;
/** root[0] -> D (level 2) -> T, U: pages 0 to 3. */
const THREE = `
name: three-levels
geometry: { levels: 3 }
root: { 0: D }
tables:
  D: { level: 2, holds: { 0: T, 1: U } }
  T: { holds: { all: old } }
  U: { holds: { all: old } }`;
const HUGE = `
name: huge
geometry: { levels: 3 }
root: { 0: old }
tables: { D: { level: 2 }, T: {} }`;
const SPREAD = `
name: two-slots
geometry: { slots: 2 }
root: { 0: T, 1: U }
tables: { T: { holds: { all: old } }, U: { holds: { all: old } } }`;
const one = (...steps: string[]): string =>
	`threads:\n  - name: t\n    steps:\n${steps.map((s) => `      - ${s}\n`).join("")}`;
const many = (...threads: (readonly string[])[]): string =>
	`threads:\n${threads
		.map(
			(steps, i) =>
				`  - name: t${i}\n    steps:\n${steps.map((s) => `      - ${s}\n`).join("")}`,
		)
		.join("")}`;

const SINGLE: readonly Protocol[] = [
	[
		"merge in the middle of three levels, the neighbour in use",
		`${THREE}\nlive: [2, 3]\nkeep: [2, 3]\n${one("clear: D.0", "flush: { pages: [0, 1] }", "write: { slot: D.0, value: new }", "free: T")}`,
		"holds",
		[],
		{
			"1 0": "old fault",
			"2 0": "fault",
			"3 1": "new",
			"4 2": "old",
			"1 3": "old",
		},
	],
	[
		"a whole directory goes, half of its range is flushed",
		`${THREE}\n${one("unlink: D", "flush: { pages: [0, 1] }", "free: [D, T, U]")}`,
		"violated",
		["PT-25", "PT-26", "PT-30"],
		{
			"2 0": "fault",
			"2 2": "old fault",
			"3 2": "old fault garbage",
			"3 0": "fault",
		},
	],
	[
		"a whole directory goes, all of it flushed",
		`${THREE}\n${one("unlink: D", "flush: { pages: all }", "free: [D, T, U]")}`,
		"holds",
		[],
		{ "1 3": "old fault", "3 3": "fault" },
	],
	[
		"the directory is cut out and a table below it freed first",
		`${THREE}\n${one("unlink: T", "flush: { pages: [0, 1] }", "free: T", "unlink: D", "flush: { pages: all }", "free: [U, D]")}`,
		"holds",
		[],
		{ "3 0": "fault", "3 2": "old" },
	],
	[
		"IH=1 for the leaves, then IH=0 before the free: the hint was wrong all the same",
		`${TWO}\n${one("clear: root.0", "flush: { pages: all, scope: leaf }", "flush: { pages: all }", "free: T")}`,
		"violated",
		["PT-31"],
		{ "2 0": "old fault", "3 0": "fault", "4 0": "fault" },
	],
	[
		"IH=1 is enough for a page under a table that stays",
		`${TWO}\n${one("begin: { unmap: [0] }", "clear: T.0", "flush: { pages: [0], scope: leaf }", "done: { unmap: [0] }")}`,
		"holds",
		[],
		{ "2 0": "old fault", "3 0": "fault", "3 1": "old" },
	],
	[
		"split 1G, 2M, 4K, a flush of the right level after each swap",
		`${HUGE}\nlive: [1, 2, 3]\nkeep: [1, 2, 3]\n${one("fill: { table: D, value: old }", "cas: { slot: root.0, expect: old, value: D }", "flush: { pages: all, level: 3 }", "fill: { table: T, value: old }", "cas: { slot: D.0, expect: old, value: T }", "flush: { pages: [0, 1], level: 2 }", "begin: { unmap: [0] }", "clear: T.0", "flush: { pages: [0], level: 1 }", "done: { unmap: [0] }")}`,
		"holds",
		[],
		{
			"2 0": "old",
			"5 0": "old",
			"8 0": "old fault",
			"9 0": "fault",
			"9 1": "old",
			"9 3": "old",
		},
	],
	[
		"the same with the 1G entry never flushed",
		`${HUGE}\n${one("fill: { table: D, value: old }", "cas: { slot: root.0, expect: old, value: D }", "fill: { table: T, value: old }", "cas: { slot: D.0, expect: old, value: T }", "flush: { pages: [0, 1], level: 2 }", "begin: { unmap: [0] }", "clear: T.0", "flush: { pages: [0], level: 1 }", "done: { unmap: [0] }")}`,
		"violated",
		["PT-32", "PT-37"],
		{ "8 0": "old fault", "8 1": "old" },
	],
	[
		"the same on hardware that ignores the level",
		`${HUGE}\npersonality: { tlbiTTL: ignored }\n${one("fill: { table: D, value: old }", "cas: { slot: root.0, expect: old, value: D }", "fill: { table: T, value: old }", "cas: { slot: D.0, expect: old, value: T }", "flush: { pages: all, level: 2 }", "begin: { unmap: [0] }", "clear: T.0", "flush: { pages: [0], level: 1 }", "done: { unmap: [0] }")}`,
		"holds",
		[],
		{ "8 0": "fault" },
	],
	[
		"the wrong half is flushed",
		`${SPREAD}\n${one("unlink: T", "flush: { pages: [2, 3] }", "free: T")}`,
		"violated",
		["PT-25", "PT-26", "PT-30"],
		{ "2 0": "old fault", "3 0": "old fault garbage", "3 2": "old" },
	],
	[
		"the wrong half is flushed where IH=0 drops every directory entry: tables are safe, leaves are not",
		`${SPREAD}\npersonality: { ih0NonLeafScope: domain }\n${one("begin: { unmap: [0, 1] }", "unlink: T", "flush: { pages: [2, 3] }", "free: T", "done: { unmap: [0, 1] }")}`,
		"violated",
		["PT-32"],
		{ "4 0": "old fault" },
	],
	[
		"a flush of part of a block that leaves the cached block alone",
		`${BLOCK}\npersonality: { smallFlushDropsLargeLeaf: false }\n${one("begin: { unmap: [0, 1] }", "clear: root.0", "flush: { pages: [0] }", "done: { unmap: [0, 1] }")}`,
		"violated",
		["PT-32"],
		{ "3 0": "old fault", "3 1": "old fault" },
	],
	[
		"a flush of part of a block that drops it",
		`${BLOCK}\n${one("begin: { unmap: [0, 1] }", "clear: root.0", "flush: { pages: [0] }", "done: { unmap: [0, 1] }")}`,
		"holds",
		[],
		{ "3 0": "fault", "3 1": "fault" },
	],
	[
		"a table takes another one's place under live DMA",
		`${TWO}\nlive: [0, 1]\n${one("fill: { table: U, value: new }", "cas: { slot: root.0, expect: T, value: U }", "flush: { pages: all }", "free: T")}`,
		"holds",
		[],
		{ "1 0": "old", "2 0": "old new", "3 0": "new", "4 1": "new" },
	],
	[
		"the same, but only the page entries are flushed",
		`${TWO}\n${one("fill: { table: U, value: new }", "cas: { slot: root.0, expect: T, value: U }", "flush: { pages: all, scope: leaf }", "free: T")}`,
		"violated",
		["PT-25", "PT-26", "PT-31", "PT-37"],
		{ "3 0": "old new", "4 0": "old new garbage" },
	],
	[
		"break-before-make under live DMA with page requests",
		`${BLOCK}\nlive: [0, 1]\npersonality: { pri: true, bbm: 0 }\n${one("fill: { table: T, value: old }", "clear: root.0", "flush: { pages: all }", "write: { slot: root.0, value: T }")}`,
		"holds",
		[],
		{ "2 0": "old fault", "3 0": "fault", "4 0": "old" },
	],
	[
		"a swap without break on hardware of BBM level 1",
		`${BLOCK}\nlive: [0, 1]\npersonality: { bbm: 1 }\n${one("fill: { table: T, value: old }", "cas: { slot: root.0, expect: old, value: T }", "flush: { pages: all }")}`,
		"violated",
		["PT-37"],
		{ "1 0": "old", "2 0": "old conflict", "3 0": "old" },
	],
	[
		"the device's TLB is flushed before the IOMMU's",
		`${TWO}\nhardware: [walk, cacheLeaf, cacheDirectory, cacheDevice, evict]\n${one("begin: { unmap: [0] }", "clear: T.0", "flush: { pages: [0], scope: device }", "flush: { pages: [0] }", "done: { unmap: [0] }")}`,
		"violated",
		["PT-32", "PT-41"],
		{ "4 0": "old fault" },
	],
	[
		"two flushes, one issued too early, are waited for together",
		`${TWO}\n${one("begin: { unmap: [0] }", "issue: { pages: [0] }", "clear: T.0", "issue: { pages: [0] }", "wait: true", "done: { unmap: [0] }")}`,
		"holds",
		[],
		{ "3 0": "old fault", "5 0": "fault" },
	],
	[
		"a flush that is never waited for",
		`${TWO}\n${one("begin: { unmap: [0] }", "clear: T.0", "issue: { pages: [0] }", "done: { unmap: [0] }")}`,
		"violated",
		["PT-32"],
		{ "3 0": "old fault" },
	],
	[
		"hardware that keeps nothing needs no flush of pages",
		`${TWO}\nhardware: [walk]\n${one("begin: { unmap: [0] }", "clear: T.0", "done: { unmap: [0] }")}`,
		"holds",
		[],
		{ "2 0": "fault" },
	],
	[
		"but a walk may be on its way through a table that is freed",
		`${TWO}\nhardware: [walk, cacheLeaf]\n${one("clear: root.0", "free: T")}`,
		"violated",
		["PT-25", "PT-26"],
		{ "2 0": "old fault garbage" },
	],
	[
		"a leaf is followed as if it were a table",
		`${BLOCK}\n${one("read: { slot: root.0, into: r }", "write: { slot: $r.0, value: new }")}`,
		"violated",
		["PT-3"],
	],
	[
		"the page that a leaf maps is freed as a table",
		`${BLOCK}\n${one("swap: { slot: root.0, value: new, saw: r }", "flush: { pages: all }", "free: $r")}`,
		"violated",
		["PT-4"],
		{ "1 0": "old new", "3 0": "new" },
	],
	[
		"a table is linked twice",
		`${SPREAD}\n${one("unlink: U", "flush: { pages: [2, 3] }", "write: { slot: root.1, value: T }")}`,
		"violated",
		["PT-1"],
	],
	[
		"a freed table is linked again",
		`${TWO}\n${one("clear: root.0", "flush: { pages: all }", "free: T", "write: { slot: root.0, value: T }")}`,
		"violated",
		["PT-2", "PT-26"],
		{ "4 0": "garbage" },
	],
	[
		"a block map over a table that is not empty, declared empty",
		`${TWO}\n${one("clear: root.0", "flush: { pages: all }", "write: { slot: root.0, value: new, assume: empty }", "free: T")}`,
		"violated",
		["PT-29"],
	],
	[
		"four levels, the whole subtree in one batch",
		`name: four\ngeometry: { levels: 4 }\nroot: { 0: P }\ntables:\n  P: { level: 3, holds: { all: empty, 0: D } }\n  D: { level: 2, holds: { 0: T } }\n  T: { holds: { all: old } }\n${one("unlink: P", "flush: { pages: all, scope: walk }", "free: [P, D, T]")}`,
		"holds",
		[],
		// The leaf entries were not flushed.
		{ "2 0": "old fault", "3 0": "old fault", "3 7": "fault" },
	],
];

const RACES: readonly Protocol[] = [
	[
		"two unmaps of one table, plain stores",
		`${TWO}\n${many(...[0, 1].map(() => ["read: { slot: root.0, into: r }", "unless: { value: $r, is: table, goto: end }", "clear: root.0", "flush: { pages: all }", "free: $r"]))}`,
		"violated",
		["PT-53"],
	],
	[
		"two unmaps of one table, atomic exchange",
		`${TWO}\n${many(...[0, 1].map(() => ["swap: { slot: root.0, value: empty, saw: r }", "unless: { value: $r, is: table, goto: end }", "flush: { pages: all }", "free: $r"]))}`,
		"holds",
		[],
	],
	[
		"a map writes into a table that an unmap takes away",
		`${TWO}\n${many(["read: { slot: root.0, into: r }", "unless: { value: $r, is: table, goto: end }", "write: { slot: $r.0, value: new }"], ["unlink: T", "flush: { pages: all }", "free: T"])}`,
		"violated",
		["PT-28"],
	],
	[
		"nested read sections: the outer one still protects",
		`${TWO}\n${many(["reader: enter", "reader: enter", "read: { slot: root.0, into: r }", "reader: exit", "unless: { value: $r, is: table, goto: out }", "read: { slot: $r.0, into: e }", "{ label: out, reader: exit }"], ["unlink: T", "flush: { pages: all }", "grace: true", "free: T"])}`,
		"holds",
		[],
	],
	[
		"a pointer carried out of the read section",
		`${TWO}\n${many(["reader: enter", "read: { slot: root.0, into: r }", "reader: exit", "unless: { value: $r, is: table, goto: end }", "read: { slot: $r.0, into: e }"], ["unlink: T", "flush: { pages: all }", "grace: true", "free: T"])}`,
		"violated",
		["PT-28"],
	],
	[
		"a grace period that began before the unlink",
		`${TWO}\n${many(["reader: enter", "read: { slot: root.0, into: r }", "unless: { value: $r, is: table, goto: out }", "read: { slot: $r.0, into: e }", "{ label: out, reader: exit }"], ["grace: begin", "unlink: T", "flush: { pages: all }", "grace: wait", "free: T"])}`,
		"violated",
		["PT-27"],
	],
	[
		"a grace period protects the reader, not the hardware",
		`${TWO}\n${many(["reader: enter", "read: { slot: root.0, into: r }", "reader: exit"], ["unlink: T", "grace: true", "free: T"])}`,
		"violated",
		["PT-25", "PT-26"],
	],
	[
		"two readers, one grace period for two tables",
		`${SPREAD}\n${many(...["root.0", "root.1"].map((s) => ["reader: enter", `read: { slot: ${s}, into: r }`, "unless: { value: $r, is: table, goto: out }", "read: { slot: $r.1, into: e }", "{ label: out, reader: exit }"]), ["unlink: T", "unlink: U", "flush: { pages: all }", "grace: true", "free: [T, U]"])}`,
		"holds",
		[],
	],
	[
		"an unrelated flush by another thread is no sync of mine",
		`${SPREAD}\n${many(["unlink: T", "flush: { pages: [0, 1] }", "free: T"], ["clear: U.0", "flush: { pages: [2] }"])}`,
		"holds",
		[],
	],
	[
		"my flush was issued before another thread's unlink",
		`${TWO}\nvars: { issued: 0, done: 0 }\n${many(["issue: { pages: all }", "set: { issued: 1 }", "wait: true", "set: { done: 1 }"], ["await: { issued: 1 }", "unlink: T", "await: { done: 1 }", "free: T"])}`,
		"violated",
		["PT-25", "PT-26"],
	],
	[
		"locks in opposite orders",
		`${TWO}\n${many(["lock: a", "lock: b", "unlock: b", "unlock: a"], ["lock: b", "lock: a", "unlock: a", "unlock: b"])}`,
		"violated",
		["DEADLOCK"],
	],
	[
		"observed among others: the write lands before or after",
		`${TWO}\nobserve: t0\n${many(["clear: T.0", "flush: { pages: [0] }"], ["write: { slot: T.0, value: new }"])}`,
		"holds",
		[],
		{ "0 0": "old new", "1 0": "old new fault", "2 0": "new fault" },
	],
];

const sorted = (words: Iterable<string>) => [...words].sort();

describe("protocols that do not ship", () => {
	for (const [what, file, verdict, ids, cells] of [...SINGLE, ...RACES])
		test(what, () => {
			const scenario = parseScenario(file, "f.yaml");
			const result = explore(scenario, { now: () => performance.now() });
			expect(result.complete).toBe(true);
			expect(sorted(result.violations.map(({ id }) => id))).toEqual(
				sorted(ids),
			);
			expect(result.verdict).toBe(verdict);
			const seen = Object.fromEntries(
				Object.keys(cells ?? {}).map((cell) => {
					const [step, page] = cell.split(" ").map(Number);
					const found = result.reach.find(
						(row) => row.step === step && row.page === page,
					);
					return [cell, sorted(found?.sees ?? ["no such row"]).join(" ")];
				}),
			);
			const wanted = Object.entries(cells ?? {}).map(([cell, words]) => [
				cell,
				sorted(words.split(" ")).join(" "),
			]);
			expect(seen).toEqual(Object.fromEntries(wanted));
		});
});
