/**
 * The exact projection against concrete hardware: a small cache that walks, fills, evicts and carries out commands when it likes. Whatever it
 * holds at any moment must be among what the projection allows.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { spacesOf, walkerOf } from "../../src/iotlb/state.ts";
import { mayWalk, visitPossible } from "../../src/iotlb/walks.ts";
import { block, D, Exact, page, pointer } from "./exact.ts";

const TABLES = [4, 5, 6];
/** Pages that are looked at: two slots of two tables. */
const PAGES = [0, 1, 512, 513];

/** A cached leaf (`pa` -2: what a freed page said) or pointer. */
interface Cached {
	readonly kind: "leaf" | "pointer";
	readonly start: number;
	readonly n: number;
	readonly value: number;
}
interface Command {
	readonly inv: number;
	readonly start: number;
	readonly n: number;
	readonly leafOnly: boolean;
	done: boolean;
}

/** Memory and cache as they are. */
class Machine {
	/** Entries of table 3 and of the tables: negative = pointer, positive = target, 0 = nothing. */
	readonly memory = new Map<number, number[]>([
		[3, [0, 0]],
		...TABLES.map((t): [number, number[]] => [t, [0, 0]]),
	]);
	readonly freed = new Set<number>();
	cache: Cached[] = [];
	pending: Command[] = [];

	/** A walk for a page, from the root or from a cached pointer; each thing it reads may be kept. */
	walk(frame: number, viaCache: boolean, keep: number): void {
		const index = frame >= 512 ? 1 : 0;
		const base = index * 512;
		const via = viaCache
			? this.cache.find((one) => one.kind === "pointer" && one.start === base)
			: undefined;
		let table = -(via?.value ?? 0);
		if (via === undefined) {
			const entry = this.memory.get(3)?.[index] ?? 0;
			if (entry === 0) return;
			if (entry > 0)
				return void this.cache.push({
					kind: "leaf",
					start: base,
					n: 512,
					value: entry,
				});
			table = -entry;
			if (keep & 1)
				this.cache.push({ kind: "pointer", start: base, n: 512, value: entry });
		}
		if (this.freed.has(table)) {
			this.cache.push({ kind: "leaf", start: frame, n: 1, value: -2 });
			return;
		}
		const target = this.memory.get(table)?.[frame - base] ?? 0;
		if (target > 0 && keep & 2)
			this.cache.push({ kind: "leaf", start: frame, n: 1, value: target });
	}

	/** Hardware carries a queued command out, in order. */
	perform(command: Command): void {
		if (command.done) return;
		command.done = true;
		this.cache = this.cache.filter(
			(one) =>
				one.start >= command.start + command.n ||
				command.start >= one.start + one.n ||
				(one.kind === "pointer" && command.leafOnly),
		);
	}
}

const move = fc.oneof(
	{
		weight: 3,
		arbitrary: fc.record({
			do: fc.constant("page" as const),
			table: fc.nat(2),
			slot: fc.nat(1),
			pa: fc.nat(3),
		}),
	},
	{
		weight: 3,
		arbitrary: fc.record({
			do: fc.constant("entry" as const),
			slot: fc.nat(1),
			what: fc.nat(5),
		}),
	},
	{
		weight: 1,
		arbitrary: fc.record({
			do: fc.constant("free" as const),
			table: fc.nat(2),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			do: fc.constant("issue" as const),
			at: fc.nat(4),
			leafOnly: fc.boolean(),
		}),
	},
	{ weight: 2, arbitrary: fc.record({ do: fc.constant("complete" as const) }) },
	{ weight: 2, arbitrary: fc.record({ do: fc.constant("perform" as const) }) },
	{
		weight: 6,
		arbitrary: fc.record({
			do: fc.constant("walk" as const),
			page: fc.nat(3),
			cached: fc.boolean(),
			keep: fc.nat(3),
		}),
	},
	{
		weight: 1,
		arbitrary: fc.record({
			do: fc.constant("evict" as const),
			which: fc.nat(5),
		}),
	},
);
type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

function apply(log: Exact, machine: Machine, m: Move): void {
	const targets = [0, 1000, 2000, 3000];
	switch (m.do) {
		case "page": {
			const table = TABLES[m.table] as number;
			if (machine.freed.has(table)) return;
			const pa = targets[m.pa] as number;
			log.write(table, m.slot, pa === 0 ? 0 : page(pa));
			(machine.memory.get(table) as number[])[m.slot] = pa;
			return;
		}
		case "entry": {
			const table = TABLES[m.what] ?? 0;
			const pa = m.what === 3 ? 51_200 : 0;
			log.write(3, m.slot, table > 0 ? pointer(table) : pa > 0 ? block(pa) : 0);
			(machine.memory.get(3) as number[])[m.slot] = table > 0 ? -table : pa;
			return;
		}
		case "free": {
			const table = TABLES[m.table] as number;
			if (machine.freed.has(table)) return;
			machine.freed.add(table);
			log.add("table.freed", { dom: D, table });
			return;
		}
		case "issue": {
			const frame = PAGES[m.at];
			const fields =
				frame === undefined
					? {}
					: {
							gran: "page",
							addr: frame * 4096,
							mask: 0,
							...(m.leafOnly ? { ih: true } : {}),
						};
			const inv = log.issue(fields);
			machine.pending.push({
				inv,
				start: frame ?? 0,
				n: frame === undefined ? 4096 : 1,
				leafOnly: frame !== undefined && m.leafOnly,
				done: false,
			});
			return;
		}
		case "perform": {
			const next = machine.pending.find(({ done }) => !done);
			if (next !== undefined) machine.perform(next);
			return;
		}
		case "complete": {
			const next = machine.pending.shift();
			if (next === undefined) return;
			machine.perform(next);
			log.complete(next.inv);
			return;
		}
		case "walk":
			machine.walk(PAGES[m.page] as number, m.cached, m.keep);
			return;
		default:
			machine.cache.splice(m.which, 1);
	}
}

/** Two tables are linked, with a page each. */
const START: readonly Move[] = [
	{ do: "page", table: 0, slot: 0, pa: 1 },
	{ do: "page", table: 1, slot: 1, pa: 2 },
	{ do: "entry", slot: 0, what: 0 },
	{ do: "entry", slot: 1, what: 1 },
];

/** Is a cached entry among what the projection allows? */
function allowed(log: Exact, { kind, start, value }: Cached): boolean {
	return spacesOf(log.world.iotlb, D).some((space) => {
		const walker = walkerOf(log.world.iotlb, space);
		if (walker === undefined) return false;
		if (kind === "pointer") {
			const table = walker.tables.pages.get(-value);
			return table !== undefined && mayWalk(walker, table);
		}
		let found = false;
		visitPossible(walker, start, 1, { memory: true, holes: false }, (one) => {
			found ||=
				value === -2
					? one.what === "garbage"
					: one.what === "leaf" && one.pa + (start - one.start) === value;
		});
		return found;
	});
}

test("every concrete cache lies in the may-set", () => {
	let kept = 0;
	fc.assert(
		fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
			const log = new Exact();
			const machine = new Machine();
			for (const table of TABLES) log.table(table, 1);
			for (const first of START) apply(log, machine, first);
			for (const [i, m] of moves.entries()) {
				apply(log, machine, m);
				for (const one of machine.cache) {
					kept++;
					expect(
						allowed(log, one),
						`after move ${i} (${JSON.stringify(m)}): ${JSON.stringify(one)}`,
					).toBe(true);
				}
			}
		}),
		{ numRuns: 400 },
	);
	expect(kept).toBeGreaterThan(1000);
});
