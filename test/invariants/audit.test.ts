/** The judge checks what was touched; the audit checks everything. Wherever a predicate must hold, both must say the same. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { audit } from "../../src/invariants/audit.ts";
import { CATALOGUE } from "../../src/invariants/catalogue.ts";
import { createJudge, type Judge } from "../../src/invariants/judge.ts";
import { FLOWS } from "../../src/orchestrator/switches.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS } from "../../src/scenarios/runs.ts";
import { fixed, runTable } from "../../src/scenarios/table-run.ts";
import { runCaches } from "../../src/scenarios/cache-run.ts";
import { CACHE_RUNS } from "../../src/scenarios/cache-runs.ts";
import { TABLE_RUNS } from "../../src/scenarios/table-runs.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import {
	bound,
	DEV1,
	DEV2,
	DEV3,
	GROUP,
	H1,
	H2,
	header,
	IOAS,
	IOAS_B,
	CTX,
	MSI,
	type Builder,
} from "../world/build.ts";

const timeOf = new Map(
	CATALOGUE.map((invariant) => [invariant.id, invariant.when]),
);

/** Broken state predicates as the judge has them, by id and subject. */
function standing(judge: Judge, when: readonly string[]): string[] {
	const list = [...judge.verdicts.standing.values()].filter((one) =>
		when.includes(timeOf.get(one.id) ?? ""),
	);
	return [...new Set(list.map((one) => `${one.id} ${one.subject}`))].sort();
}
const audited = (judge: Judge, when: ("S" | "O" | "Q")[]): string[] =>
	[
		...new Set(
			audit(judge.world, when).map(
				({ id, finding }) => `${id} ${finding.subject}`,
			),
		),
	].sort();

/** Judges and compares: after every step what must hold at steps, at rest everything. */
function agrees(head: LogHeader, records: readonly LogRecord[]): void {
	const judge = createJudge(head);
	for (const record of records) {
		judge.next(record);
		expect(
			standing(judge, ["S"]),
			`steps, after #${record.seq} ${record.type}`,
		).toEqual(audited(judge, ["S"]));
		if (judge.world.ops.size === 0 && record.type.startsWith("op."))
			expect(
				standing(judge, ["S", "O", "Q"]),
				`at rest, after #${record.seq} ${record.type}`,
			).toEqual(audited(judge, ["S", "O", "Q"]));
	}
}

test.each(RUN_SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
	"%s under every flow",
	(_, scenario) => {
		for (const flow of FLOWS) {
			const run = runScenario(scenario, { flow, engine: "compiled" });
			agrees(run.header, run.records);
		}
	},
);

test.each(TABLE_RUNS.map((run) => [run.name, run] as const))(
	"table run %s, and with its fix",
	(_, run) => {
		for (const one of [run, fixed(run)]) {
			const { header: head, records } = runTable(one);
			agrees(head, records);
		}
	},
);

test.each(CACHE_RUNS.map((run) => [run.name, run] as const))(
	"cache run %s, and with its fix",
	(_, run) => {
		for (const isFixed of [false, true]) {
			const { header: head, records } = runCaches(run, isFixed);
			agrees(head, records);
		}
	},
);

const devices = [DEV1, DEV2, DEV3] as const;
const pick = fc.record({
	what: fc.nat(13),
	dev: fc.nat(2),
	which: fc.boolean(),
	many: fc.nat(3),
});

/** One of the records that state predicates depend on, sensible or not. */
function scatter(
	b: Builder,
	{
		what,
		dev: d,
		which,
		many,
	}: { what: number; dev: number; which: boolean; many: number },
): void {
	const dev = devices[d] as (typeof devices)[number];
	const hwpt = which ? H1 : H2;
	const ioas = which ? IOAS : IOAS_B;
	const dom = which ? "domain:3" : "domain:4";
	switch (what) {
		case 0:
			return void b.add("hw.attach", { dev, dom });
		case 1:
			return void b.add("grp.domain.set", { group: GROUP, dom });
		case 2:
			return void b.add("ig.list.add", { ctx: CTX, group: GROUP, dev, hwpt });
		case 3:
			return void b.add("ig.list.remove", { ctx: CTX, group: GROUP, dev });
		case 4:
			return void b.add("ig.hwpt.set", { ctx: CTX, group: GROUP, hwpt });
		case 5:
			return void b.add("ig.hwpt.cleared", { ctx: CTX, group: GROUP });
		case 6:
			return void b.add("resv.added", { ioas, owner: dev, ranges: [MSI] });
		case 7:
			return void b.add("resv.dropped", { ioas, owner: dev });
		case 8:
			return void b.add("obj.ref", {
				obj: which ? hwpt : ioas,
				delta: 0,
				u: many,
			});
		case 9:
			return void b.add("iopt.dom.removed", { ioas, dom });
		case 10:
			return void b.add("iopt.dom.added", { ioas, dom });
		case 11:
			return void b.add("grp.owner.released", { group: GROUP, ocnt: many });
		case 12:
			return void b.add("grp.handle.set", {
				group: GROUP,
				pasid: "none",
				dev,
				dom,
			});
		default:
			return void b.add("grp.handle.cleared", { group: GROUP, pasid: "none" });
	}
}

test("random operations, most of them wrong", () => {
	fc.assert(
		fc.property(
			fc.array(fc.array(pick, { minLength: 1, maxLength: 4 }), {
				maxLength: 25,
			}),
			(ops) => {
				const b = bound();
				for (const steps of ops)
					b.op("x", () => steps.forEach((step) => scatter(b, step)));
				agrees(header(), b.records);
			},
		),
		{ numRuns: 150 },
	);
});
