/** Checks at their boundaries: one byte, one page, one operation further, and they would be wrong. Each of these let a changed check live. */
import { expect, test } from "vitest";
import { createIommuSystem } from "../../src/index.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { runScenarioNamed } from "../../src/scenarios/runs.ts";
import { threeInOneGroup } from "../../src/scenarios/setting.ts";
import {
	attach,
	bound,
	CTX,
	DEV1,
	GROUP,
	H1,
	header,
	IOAS,
} from "../world/build.ts";

const idsOf = (found: readonly { readonly id: string }[]): string[] => [
	...new Set(found.map(({ id }) => id)),
];
function faulty(scenario: string, wrong: string, omit = "") {
	const { header: head, records } = runScenario(runScenarioNamed(scenario), {
		engine: "compiled",
		set: { wrong, omit },
	});
	return { ids: idsOf(verifyRecords(head, records).violations), records };
}

test("IOP-10: an area may end where the aperture ends, and not a byte later", () => {
	const { records } = faulty("sibling-region", "");
	const areas = records.filter(({ type }) => type === "area.claimed");
	const last = Math.max(
		...areas.map(({ data }) => Number((data as { last: number }).last)),
	);
	const ending = (at: number) =>
		faulty("sibling-region", `dom.created#3:apertureLast=${at}`).ids;
	expect(ending(last)).toEqual([]);
	expect(ending(last - 1)).toEqual(["IOP-10"]);
});

test("REF-6: an area in an address space that is gone names it", () => {
	expect(faulty("tour", "area.claimed#1:ioas=ctx:1/ioas:6@1").ids).toContain(
		"REF-6",
	);
	expect(faulty("tour", "").ids).toEqual([]);
});

test("ACC-2, ACC-3: a pin that ends where an area begins is not on it", () => {
	const system = createIommuSystem({ topology: threeInOneGroup() });
	const ctx = system.open();
	const ioas = system.ioasAlloc({ ctx });
	const area = (iova: string) =>
		system.map({ ctx, ioas, iova, length: "0x1000", va: iova, prot: 3 });
	area("0x100000");
	area("0x101000");
	area("0x102000");
	const access = system.accessCreate({ ctx, pinning: true });
	system.accessAttach({ ctx, access, ioas });
	system.accessPin({ ctx, access, iova: "0x101000", length: "0x1000" });
	for (const iova of ["0x100000", "0x102000"])
		system.unmap({ ctx, ioas, iova, length: "0x1000" });
	const report = verifyRecords(system.header, system.records);
	expect(report.violations).toEqual([]);
	const checked = (id: string) =>
		report.invariants.find((one) => one.id === id)?.checked;
	expect(checked("ACC-2")).toBeGreaterThan(0);
	expect(checked("ACC-3")).toBeGreaterThan(0);
});

test("IOP-15: an operation may map what it builds itself while another one runs", () => {
	const twoAtOnce = (own: boolean) => {
		const b = bound();
		const other = b.add("op.begin", { op: "map", args: {} });
		const mine = b.add("op.begin", { op: "map", args: {} });
		const area = { ioas: IOAS, iova: 0x1000, last: 0x1fff, prot: 3 } as const;
		b.inside(mine, () => b.add("area.claimed", area));
		b.inside(own ? mine : other, () =>
			b.add("dom.map", {
				dom: "domain:3",
				iova: 0x1000,
				pa: 0x9000,
				len: 0x1000,
			}),
		);
		return idsOf(verifyRecords(header(), b.records).violations);
	};
	expect(twoAtOnce(true)).not.toContain("IOP-15");
	expect(twoAtOnce(false)).toContain("IOP-15");
});

test("HWP-5: a hwpt whose domain its IOAS does not fill, too", () => {
	expect(faulty("only-one-attached", "", "iopt.dom.added#1").ids).toEqual(
		expect.arrayContaining(["HWP-4", "HWP-5"]),
	);
	const { header: head, records } = runScenario(
		runScenarioNamed("only-one-attached"),
		{ engine: "compiled", set: { omit: "iopt.dom.added#1" } },
	);
	const { violations } = verifyRecords(head, records);
	expect(violations.find(({ id }) => id === "HWP-5")?.message).toMatch(
		/is on .* but its domain:\d+ is not filled by it/,
	);
});

test("RSV-2: a device whose regions nobody tells, and that reserved nothing, is unexplained; one that reserved is not", () => {
	const judged = (reserves: boolean) => {
		const b = bound();
		if (reserves) attach(b, DEV1, true);
		else
			b.op("attach", () => {
				b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt: H1 });
				b.add("ig.list.add", { ctx: CTX, group: GROUP, dev: DEV1, hwpt: H1 });
				b.add("dev.attached", { dev: DEV1, hwpt: H1, first: true });
			});
		const untold = { topology: { known: "partial" as const, groups: [] } };
		return idsOf(verifyRecords(header(untold), b.records).unexplained);
	};
	expect(judged(false)).toContain("RSV-2");
	expect(judged(true)).not.toContain("RSV-2");
});
