import { expect, test } from "vitest";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS } from "../../src/scenarios/runs.ts";
import { fold, reduce } from "../../src/world/apply.ts";
import { createWorld, snapshotWorld } from "../../src/world/create.ts";
import { eachArea, type Area } from "../../src/world/areas.ts";
import { applyRecord } from "../../src/world/apply.ts";
import { visitRuns } from "../../src/world/memory.ts";
import type { World } from "../../src/world/types.ts";
import {
	attach,
	bound,
	Builder,
	DEV1,
	GROUP,
	H1,
	header,
	IOAS,
	map,
} from "./build.ts";

/** A world as plain data, page tables included: equal worlds print the same. */
function show(world: World): string {
	const tables = [
		world.groups,
		world.devices,
		world.igs,
		world.idevs,
		world.hwpts,
		world.pages,
		world.accesses,
		world.ctxs,
	].map((table) =>
		[...table.map.values()].map(({ own: _own, ...entity }) => entity),
	);
	const domains = [...world.domains.map.values()].map(
		({ own: _own, memory, ...domain }) => {
			const runs: number[][] = [];
			if (memory !== null)
				visitRuns(
					memory,
					0,
					2 ** 36,
					(iova, pa, n) => void runs.push([iova, pa, n]),
				);
			return { ...domain, runs };
		},
	);
	const ioases = [...world.ioases.map.values()].map(
		({ own: _own, areas, ...ioas }) => {
			const list: Omit<Area, "own">[] = [];
			eachArea(areas, ({ own: _own, ...area }) => void list.push(area));
			return { ...ioas, list };
		},
	);
	const text = {
		tables,
		domains,
		ioases,
		ops: [...world.ops.keys()],
		seq: world.seq,
	};
	return JSON.stringify(text, (_, value) =>
		typeof value === "bigint"
			? `${value}n`
			: value instanceof Map
				? [...value]
				: value,
	);
}

const logs = RUN_SCENARIOS.slice(0, 6).map(
	(scenario) =>
		[scenario.name, runScenario(scenario, { engine: "compiled" })] as const,
);

test.each(logs)(
	"%s: folding equals reducing, and old states stay as they were",
	(_, { header: head, records }) => {
		const states: { world: World; text: string }[] = [];
		let world = createWorld(head);
		for (const record of records) {
			world = reduce(world, record);
			states.push({ world, text: show(world) });
		}
		expect(show(fold(head, records))).toBe(show(world));
		for (const state of states) expect(show(state.world)).toBe(state.text);
	},
);

test("a snapshot of a world that goes on stays as it was", () => {
	const b = bound();
	attach(b, DEV1, true);
	map(b, 0x100000, 0x800000, 0x4000);
	const live = createWorld(header());
	const taken: { snapshot: World; text: string }[] = [];
	for (const record of b.records) {
		applyRecord(live, record);
		const snapshot = snapshotWorld(live);
		taken.push({ snapshot, text: show(snapshot) });
	}
	for (const { snapshot, text } of taken) expect(show(snapshot)).toBe(text);
	expect(show(live)).toBe(show(fold(header(), b.records)));
});

test("the fold rebuilds who is where from records alone", () => {
	const b = bound();
	attach(b, DEV1, true);
	map(b, 0x100000, 0x800000, 0x2000);
	const world = fold(header(), b.records);
	expect(world.groups.map.get(GROUP)).toMatchObject({
		dom: "domain:3",
		def: "domain:1",
		blk: "domain:2",
		owner: "ctx:1",
		ocnt: 3,
	});
	expect(world.devices.map.get(DEV1)).toMatchObject({
		hw: "domain:3",
		hwpt: H1,
	});
	expect(world.hwpts.map.get(H1)?.devices).toBe(1);
	expect(world.domains.map.get("domain:3")).toMatchObject({
		hwCount: 3,
		groupCount: 1,
		mapped: 2,
		ioas: IOAS,
	});
	expect(world.ops.size).toBe(0);
});

test("records about things never named before are applied as far as they make sense", () => {
	const b = new Builder();
	b.add("hw.attach", { dev: DEV1, dom: "domain:9" });
	b.add("dom.unmap", {
		dom: "domain:9",
		iova: 0x1000,
		len: 0x1000,
		unmapped: 0x1000,
	});
	b.add("dom.map", { dom: "domain:9", iova: 0x1001, pa: 0, len: 0x1000 });
	b.add("dom.map", {
		dom: "domain:9",
		iova: 0xffff_ffff_ffff_f000n,
		pa: 0,
		len: 0x1000,
	});
	b.add("resv.dropped", { ioas: IOAS, owner: DEV1 });
	b.add("area.gone", { ioas: IOAS, iova: 0 });
	b.add("ig.list.remove", { ctx: "ctx:4", group: GROUP, dev: DEV1 });
	b.add("obj.gone", { obj: "ctx:4/hwpt:3@1" });
	expect(() => fold(header({ origin: "import" }), b.records)).not.toThrow();
});
