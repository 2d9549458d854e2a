/**
 * Random command sequences on random topologies: what must always hold, and a failing command leaves the objects as they were (LOG-3).
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { areasOf } from "../../machines/iopt.ts";
import { treeValues } from "../../machines/iopt-tree.ts";
import type { Host } from "../../machines/ops/types.ts";
import { ConformJudge } from "../../src/replay/conform/judging.ts";
import { objectState } from "../../src/replay/conform/sweep.ts";
import type { Topology } from "../../src/vocabulary/header.ts";
import type { DeviceId, GroupId } from "../../src/vocabulary/ids.ts";
import { groupOf, K4, Kit, VA } from "./kit.ts";

const SLOTS = 12;
const id = fc.integer({ min: 1, max: SLOTS });
const iova = fc
	.integer({ min: 0, max: 24 })
	.map((n) => 0x100_0000n + BigInt(n) * 0x800n);
const length = fc.integer({ min: 1, max: 10 }).map((n) => BigInt(n) * 0x800n);
const dev = fc.integer({ min: 1, max: 5 });
const command = fc.oneof(
	fc.record({ op: fc.constant("ioas" as const) }),
	fc.record({
		op: fc.constant("map" as const),
		id,
		iova,
		length,
		flags: fc.constantFrom(6, 7, 7, 7, 5),
	}),
	fc.record({ op: fc.constant("unmap" as const), id, iova, length }),
	fc.record({ op: fc.constant("bind" as const), dev }),
	fc.record({ op: fc.constant("attach" as const), dev, id }),
	fc.record({ op: fc.constant("detach" as const), dev }),
	fc.record({
		op: fc.constant("hwpt" as const),
		id,
		on: id,
		flags: fc.constantFrom(0, 0, 1, 2),
	}),
	fc.record({ op: fc.constant("destroy" as const), id }),
	fc.record({
		op: fc.constant("huge" as const),
		id,
		on: fc.constantFrom(0 as const, 1 as const),
	}),
	fc.record({
		op: fc.constant("mock" as const),
		id,
		flags: fc.integer({ min: 0, max: 3 }),
	}),
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** Two groups: `n` members behind one driver, one more device behind another. */
const topology = fc
	.record({
		n: fc.integer({ min: 1, max: 4 }),
		driver: fc.constantFrom("vtd", "smmu-v3", "amd-vi"),
		other: fc.constantFrom("vtd", "smmu-v3", "amd-vi"),
	})
	.map(({ n, driver, other }): Topology => {
		const [first] = groupOf(n).groups;
		const single = {
			group: "group:8" as GroupId,
			driver: other,
			members: [{ dev: "device:5" as DeviceId, resv: [] }],
		};
		return { groups: [{ ...first!, driver }, single], known: "complete" };
	});

/** Performs a command; the errno, or "ok" for anything else. A bind of a bound device is the file layer's to refuse. */
function perform(k: Kit, c: Command): string {
	const known = (n: number): DeviceId | undefined => {
		const name = `device:${n}` as DeviceId;
		return k.s.host.devs.has(name) ? name : undefined;
	};
	const text = (r: unknown): string => (typeof r === "string" ? r : "ok");
	// Most often an object of the wanted kind, else whatever has the number.
	const pick = (n: number, ...types: string[]): number => {
		const objs = [...(k.s.host.ctxs.get(k.ctx)?.objs.values() ?? [])];
		const fit = objs.filter((o) => types.includes(o.type));
		return n === SLOTS || fit.length === 0 ? n : (fit[n % fit.length]?.id ?? n);
	};
	switch (c.op) {
		case "ioas":
			return text(k.ioas());
		case "map":
			return k.map(
				pick(c.id, "ioas"),
				c.iova,
				c.length,
				VA + (c.iova & 0xfffn),
				c.flags,
			);
		case "unmap":
			return k
				.unmap(pick(c.id, "ioas"), c.iova, c.length)
				.split(" ")[0] as string;
		case "bind": {
			const name = known(c.dev);
			if (name === undefined || k.s.host.devs.get(name)?.idev !== undefined)
				return "ok";
			return text(k.bind(name));
		}
		case "attach": {
			const name = known(c.dev);
			return name === undefined
				? "ok"
				: text(k.attach(name, pick(c.id, "ioas", "hwpt")));
		}
		case "detach": {
			const name = known(c.dev);
			return name === undefined ? "ok" : k.detach(name);
		}
		case "hwpt":
			return text(k.hwpt(pick(c.id, "idev"), pick(c.on, "ioas"), c.flags));
		case "destroy":
			return k.destroy(c.id);
		case "huge":
			return k.hugePages(pick(c.id, "ioas"), c.on);
		case "mock":
			return text(k.mock(pick(c.id, "ioas", "hwpt"), c.flags));
	}
}

/** What must hold between operations, worked out from scratch. */
function check(host: Host): void {
	for (const ctx of host.ctxs.values()) {
		const objs = [...ctx.objs.values()];
		for (const o of objs) {
			if (o.type === "ioas") {
				let end = -1n;
				for (const area of areasOf(o.iopt)) {
					expect(area.start > end, "areas are disjoint and ascending").toBe(
						true,
					);
					end = area.last;
					expect(
						o.iopt.resv.some(
							(r) => r.start <= area.last && r.last >= area.start,
						),
					).toBe(false);
					expect(area.sdom !== undefined).toBe(o.iopt.doms.length > 0);
				}
				const users = objs.filter(
					(h) => h.type === "hwpt" && h.ioas === o.id,
				).length;
				expect(o.u, "IOAS counts its hwpts").toBe(1 + users);
			}
			if (o.type === "hwpt") {
				const attached = [...ctx.groups.values()]
					.filter((g) => g.hwpt === o.id)
					.reduce((n, g) => n + g.list.length, 0);
				const children = objs.filter(
					(h) => h.type === "hwpt" && h.parent === o.id,
				).length;
				expect(o.u, "hwpt counts devices and children").toBe(
					1 + attached + children,
				);
				if (o.auto) expect(attached, "no orphan").toBeGreaterThan(0);
			}
			if (o.type === "idev") {
				const listed = ctx.groups.get(o.group)?.list.includes(o.dev) === true;
				expect(o.u).toBe(listed ? 3 : 2);
			}
		}
		for (const g of ctx.groups.values()) {
			expect(g.list.length > 0).toBe(g.hwpt !== undefined);
			expect(g.ref).toBe(
				objs.filter((o) => o.type === "idev" && o.group === g.group).length,
			);
		}
	}
	for (const g of host.groups.values())
		for (const m of g.members)
			expect(host.devs.get(m)?.hw, "members use the group's domain").toBe(
				g.dom,
			);
	for (const p of treeValues(host.mem.pages)) {
		const held = new Set<number>();
		for (const iv of [...p.domIv, ...p.accIv])
			for (let i = iv.first; i <= iv.last; i++) held.add(i);
		expect(p.npin, "pinned = what someone stores").toBe(held.size);
	}
}

/** An unmap takes areas until the one that stops it (A11). */
const mayChange = (c: Command): boolean => c.op === "unmap";
/** A group's blocking domain stays once it is made, also when the bind fails later; so does the mock's counter. */
const comparable = (host: Host): string =>
	objectState({
		...host,
		domains: new Map([...host.domains].filter(([, d]) => d.kind !== "blocked")),
	});

test("the sequences are worth running: every command succeeds and fails often", () => {
	const seen = new Map<string, number>();
	for (const [topo, commands] of fc.sample(
		fc.tuple(topology, fc.array(command, { minLength: 50, maxLength: 60 })),
		{ numRuns: 120, seed: 7 },
	)) {
		const k = new Kit(topo);
		for (const c of commands) {
			const key = `${c.op} ${perform(k, c)}`;
			seen.set(key, (seen.get(key) ?? 0) + 1);
		}
	}
	const expected = [
		"map ok",
		"map EEXIST",
		"map EINVAL",
		"map ENOENT",
		"unmap ok",
		"unmap ENOENT",
		"bind ok",
		"attach ok",
		"attach EINVAL",
		"attach ENOENT",
		"hwpt ok",
		"hwpt EOPNOTSUPP",
		"destroy ok",
		"destroy EBUSY",
		"huge ok",
		"huge EINVAL",
		"mock ok",
		"mock EADDRINUSE",
	];
	expect(expected.filter((key) => (seen.get(key) ?? 0) < 5)).toEqual([]);
});

test("invariants hold after every command, and what fails changes nothing", () => {
	fc.assert(
		fc.property(
			topology,
			fc.array(command, { maxLength: 60 }),
			(topo, commands) => {
				const k = new Kit(topo);
				for (const c of commands) {
					const before = k.s.host;
					const outcome = perform(k, c);
					check(k.s.host);
					if (outcome !== "ok" && !mayChange(c) && k.s.host !== before)
						expect(comparable(k.s.host), `${c.op} ${outcome}`).toBe(
							comparable(before),
						);
				}
			},
		),
		{ numRuns: 150 },
	);
}, 60_000);

test("the invariant catalogue agrees", () => {
	fc.assert(
		fc.property(
			topology,
			fc.array(command, { maxLength: 60 }),
			(topo, commands) => {
				const judge = new ConformJudge("property", topo);
				const k = new Kit(topo, (facts) => judge.next(facts));
				for (const c of commands) perform(k, c);
				const errors = judge.finish().map((v) => `${v.id}: ${v.message}`);
				expect(errors).toEqual([]);
			},
		),
		{ numRuns: 80 },
	);
}, 60_000);

test("closing a context leaves nothing pinned, counted or owned", () => {
	fc.assert(
		fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
			const k = new Kit();
			for (const c of commands) perform(k, c);
			expect(k.s.close(3, 0)).toBe(true);
			expect(k.s.host.ctxs.size).toBe(0);
			expect(k.s.host.mem.pages).toBeUndefined();
			expect([...k.s.host.domains.keys()]).toEqual(["domain:1"]);
			expect(k.s.host.devs.size).toBe(0);
		}),
		{ numRuns: 60 },
	);
}, 60_000);

test("IOVA choice: aligned, inside the allow list, free, and the lowest such address", () => {
	fc.assert(
		fc.property(
			fc.array(
				fc.record({
					iova: fc.integer({ min: 0, max: 40 }),
					n: fc.integer({ min: 1, max: 4 }),
				}),
				{ maxLength: 12 },
			),
			fc.integer({ min: 1, max: 6 }),
			(maps, pages) => {
				const k = new Kit();
				const a = k.ioas();
				for (const m of maps) k.map(a, BigInt(m.iova) * K4, BigInt(m.n) * K4);
				const used = new Set<number>();
				for (const area of areasOf(k.ioasOf(a).iopt))
					for (let p = area.start / K4; p <= area.last / K4; p++)
						used.add(Number(p));
				const step = 2 ** Math.ceil(Math.log2(pages));
				let want = step;
				const free = (p: number) =>
					Array.from({ length: pages }, (_, i) => p + i).every(
						(q) => !used.has(q),
					);
				while (!free(want)) want += step;
				k.map(a, 0n, BigInt(pages) * K4, VA, 6);
				const claimed = k.facts.find((f) => f.type === "area.claimed");
				expect(
					claimed?.type === "area.claimed" && Number(claimed.data.iova) / 4096,
				).toBe(want);
			},
		),
	);
});
