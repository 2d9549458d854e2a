import { expect, test } from "vitest";
import { createTraveller, worldAt } from "../../src/replay/travel.ts";
import { bisect, shrink } from "../../src/replay/shrink.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { runScenarioNamed } from "../../src/scenarios/runs.ts";
import type { World } from "../../src/world/types.ts";

const { header, records } = runScenario(runScenarioNamed("laggard-detach"), {
	flow: "posted-v2",
	engine: "compiled",
});
const show = (world: World): unknown => [
	world.seq,
	[...world.groups.map.values()].map(({ dom, owner, ocnt }) => [
		dom,
		owner,
		ocnt,
	]),
	[...world.devices.map.values()].map(({ hw, hwpt }) => [hw, hwpt]),
	[...world.domains.map.values()].map(({ mapped, hwCount }) => [
		mapped,
		hwCount,
	]),
	[...world.ioases.map.values()].map(({ areas, resv, doms }) => [
		areas.count,
		resv.length,
		doms,
	]),
];

test("a traveller with snapshots sees what folding from the start sees, in any order of visits", () => {
	const traveller = createTraveller(header, records, 10);
	const visits = [
		0,
		1,
		57,
		9,
		10,
		11,
		records.length,
		100,
		57,
		3,
		records.length + 50,
	];
	for (const seq of visits)
		expect([seq, show(traveller.at(seq))]).toEqual([
			seq,
			show(worldAt(header, records, seq)),
		]);
});

test("bisect gives the first prefix that violates", () => {
	const found = bisect(header, records, "GRP-8");
	const seq = found?.lastSeq ?? 0;
	const ids = (upTo: number): string[] =>
		verifyRecords(header, records.slice(0, upTo)).violations.map(
			({ id }) => id,
		);
	expect(ids(seq)).toContain("GRP-8");
	expect(ids(seq - 1)).not.toContain("GRP-8");
	expect(bisect(header, records, "PT-32")).toBeUndefined();
	expect(() => bisect(header, records, "GRP-99")).toThrow(
		/no invariant GRP-99/,
	);
});

test("shrink gives a smaller, well-formed log that breaks the same invariant", () => {
	const small = shrink(header, records, "GRP-8");
	expect(small?.complete).toBe(true);
	expect(small?.records.length).toBeLessThan(25);
	small?.records.forEach((record, i) => expect(record.seq).toBe(i + 1));
	const begun = new Set<number>();
	for (const record of small?.records ?? []) {
		if (record.type === "op.begin") begun.add(record.seq);
		else if (record.op !== 0) expect(begun.has(record.op)).toBe(true);
	}
	expect(
		verifyRecords(header, small?.records ?? []).violations.map(({ id }) => id),
	).toContain("GRP-8");
	expect(shrink(header, records, "PT-32")).toBeUndefined();
});
