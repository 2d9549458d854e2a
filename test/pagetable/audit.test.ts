/**
 * Every audited row of facts §8 has an operation sequence that breaks it — what 6.12 really does, or a policy switch, or micro records of
 * a faulty kernel — and one that does not.
 */
import { describe, expect, test } from "vitest";
import {
	auditDestroyed,
	auditEncoding,
	auditState,
	type Finding,
} from "../../src/pagetable/audit.ts";
import {
	auditEffects,
	auditGrowth,
	auditMap,
	auditSweep,
	auditUnmap,
} from "../../src/pagetable/audit-operation.ts";
import type { TableRequest } from "../../src/pagetable/config.ts";
import { coreUnmap } from "../../src/pagetable/core.ts";
import type { Edit } from "../../src/pagetable/edit.ts";
import type { Effect, Step } from "../../src/pagetable/events.ts";
import { newGather } from "../../src/pagetable/gather.ts";
import type { PolicyOverrides } from "../../src/pagetable/policy.ts";
import type { PageTable } from "../../src/pagetable/state.ts";
import {
	applyStep,
	beginEdit,
	commitEdit,
	createTable,
} from "../../src/pagetable/table.ts";

const ARM: TableRequest = {
	format: "arm64_s1",
	pageSizes: 0x40201000n,
	ias: 48,
	oas: 48,
};
const ARM_HD: TableRequest = { ...ARM, quirks: ["ARM_HD"] };
const V7S: TableRequest = { format: "arm_v7s", pageSizes: 0x1111000n };
const AMD: TableRequest = { format: "amd_v1" };
const AMD2: TableRequest = { format: "amd_v2" };
const VTD: TableRequest = { format: "vtd", levels: 4 };
const M2 = 512;

const open = (request: TableRequest, policy: PolicyOverrides = {}): Edit =>
	beginEdit(createTable(request, policy));
/** One driver call of map_pages. */
function map(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	count = 1,
	prot = 3,
): number {
	return edit.config.driver.map(edit, iova, pa, size, count, prot);
}
const idsOf = (findings: readonly Finding[]): string[] => [
	...new Set(findings.map((finding) => finding.id)),
];
/** Audits a map call: findings of the call itself and of the state it leaves. */
function mapIds(
	edit: Edit,
	iova: number,
	pa: number,
	size: number,
	count = 1,
	replaces = false,
): string[] {
	const before = commitEdit(edit);
	const effects: Effect[] = [];
	edit.effects = effects;
	const ret = map(edit, iova, pa, size, count);
	edit.effects = null;
	const call = {
		iova,
		pa,
		size: size * count,
		ret,
		mapped: edit.mapped,
		replaces,
	};
	return idsOf([
		...auditMap(before, commitEdit(edit), call, effects),
		...auditEffects(effects),
	]);
}
function unmapIds(edit: Edit, iova: number, size: number): string[] {
	const before = commitEdit(edit);
	const effects: Effect[] = [];
	edit.effects = effects;
	const reported = coreUnmap(edit, iova, size);
	edit.effects = null;
	const findings = auditUnmap(before, commitEdit(edit), {
		iova,
		size,
		reported,
	});
	return idsOf([...findings, ...auditEffects(effects)]);
}
const stateIds = (edit: Edit): string[] => idsOf(auditState(edit));
function steps(request: TableRequest, list: readonly Step[]): PageTable {
	const edit = open(request);
	for (const step of list) applyStep(edit, step);
	return commitEdit(edit);
}

describe("structure of one state", () => {
	/** Two tables under the root of a VT-d table, as micro records; `word` of the second pointer decides what it leads to. */
	const twoTables = (second: number): Step[] => [
		{ type: "table.allocated", table: 2, level: 3, bits: 9, sizePages: 1 },
		{ type: "table.allocated", table: 3, level: 3, bits: 9, sizePages: 1 },
		{ type: "table.linked", table: 2, parent: 1, slot: 0, word: 2 * 4096 + 3 },
		{
			type: "table.linked",
			table: 3,
			parent: 1,
			slot: 1,
			word: second * 4096 + 3,
		},
	];
	test("PT-1 a table with two parents, PT-52 and one with none", () => {
		expect(idsOf(auditState(steps(VTD, twoTables(2))))).toEqual([
			"PT-1",
			"PT-52",
		]);
		expect(idsOf(auditState(steps(VTD, twoTables(3))))).toEqual([]);
	});
	test("PT-2 a pointer to a freed table", () => {
		const freed: Step[] = [
			...twoTables(3),
			{ type: "table.unlinked", table: 3 },
			{ type: "table.freed", table: 3 },
		];
		expect(idsOf(auditState(steps(VTD, freed)))).toEqual(["PT-2"]);
		const orderly: Step[] = [
			...twoTables(3),
			{ type: "slot.cleared", table: 1, slot: 1, count: 1 },
			...freed.slice(4),
		];
		expect(idsOf(auditState(steps(VTD, orderly)))).toEqual([]);
	});
	test("PT-5, PT-9 AMD v1: a small series over part of a larger one leaves orphans", () => {
		const edit = open(AMD);
		map(edit, M2, 0x1000, 16);
		expect(stateIds(edit)).toEqual([]);
		map(edit, M2, 0x2000, 2);
		expect(stateIds(edit)).toEqual(expect.arrayContaining(["PT-5", "PT-9"]));
	});
	test("PT-6 Arm does not check the alignment of a direct map call", () => {
		const edit = open(ARM);
		map(edit, M2, M2, M2);
		expect(stateIds(edit)).toEqual([]);
		map(edit, 2 * M2, 3 * M2 + 1, M2);
		expect(stateIds(edit)).toContain("PT-6");
	});
	test("PT-7 Arm checks the start of a run against OAS, not its end", () => {
		const edit = open({ ...ARM, oas: 40 });
		map(edit, 0, 2 ** 28 - 1, 1);
		expect(stateIds(edit)).toEqual([]);
		map(edit, 8, 2 ** 28 - 1, 1, 2);
		expect(stateIds(edit)).toEqual(["PT-7"]);
	});
	test("PT-8 stage 1 write-only comes back readable", () => {
		const edit = open(ARM);
		map(edit, 0, 100, 1, 1, 3);
		map(edit, 1, 101, 1, 1, 2);
		expect(idsOf(auditEncoding(edit, 0, 100, 3))).toEqual([]);
		expect(idsOf(auditEncoding(edit, 1, 101, 2))).toEqual(["PT-8"]);
	});
	test("PT-10 a v7s large page torn between two steps of its split", () => {
		const edit = open(V7S);
		map(edit, 0, 0x80000, 16);
		expect(stateIds(edit)).toEqual([]);
		applyStep(edit, { type: "slot.cleared", table: 2, slot: 3, count: 1 });
		expect(stateIds(edit)).toContain("PT-10");
	});
	test.each([ARM, VTD])("PT-11 the block defect of seed 5 (%s)", (request) => {
		for (const defect of [true, false]) {
			const edit = open(request, { iovaToPhysBlockDefect: defect });
			map(edit, M2, M2, M2);
			expect(stateIds(edit)).toEqual(defect ? ["PT-11"] : []);
		}
	});
	test("PT-52, PT-53 AMD v1: a dirty replica survives, a later unmap through it loses a table", () => {
		const edit = open(AMD);
		map(edit, 0x800, 0x100000, 0x400);
		edit.config.driver.hardwareWrite(edit, 0x800);
		map(edit, 0xa01, 0x100800, 1);
		expect(stateIds(edit)).not.toContain("PT-52");
		edit.config.driver.unmap(edit, 0x800, 1, 1, newGather());
		expect(stateIds(edit)).toContain("PT-52");
		edit.config.driver.destroy(edit);
		expect(idsOf(auditDestroyed(edit))).toEqual(["PT-53"]);
		const clean = open(AMD);
		map(clean, 0x800, 0x100000, 0x400);
		clean.config.driver.destroy(clean);
		expect(auditDestroyed(clean)).toEqual([]);
	});
});

describe("map", () => {
	test("into what is free breaks nothing, in any format", () => {
		for (const request of [ARM, V7S, AMD, AMD2, VTD]) {
			const edit = open(request);
			expect(mapIds(edit, 0, 0x40000, 1, 4)).toEqual([]);
			expect(stateIds(edit)).toEqual([]);
		}
	});
	test("PT-3 VT-d: a page map walks into the data of a superpage", () => {
		const edit = open(VTD);
		map(edit, M2, M2, M2);
		expect(mapIds(edit, M2 + 3, 99, 1)).toContain("PT-3");
	});
	test("PT-4 AMD v2: a block over a block frees the mapped page; AMD v1 does not", () => {
		for (const request of [AMD2, AMD]) {
			const edit = open(request);
			map(edit, M2, M2, M2);
			const ids = mapIds(edit, M2, 4 * M2, M2);
			expect(ids.includes("PT-4")).toBe(request === AMD2);
		}
	});
	test("PT-12 VT-d: already set, the old entry stays, success", () => {
		const edit = open(VTD);
		map(edit, 5, 100, 1);
		expect(mapIds(edit, 5, 200, 1)).toEqual(["PT-12"]);
		const strict = open(VTD, { mapOverLeaf: "eexist" });
		map(strict, 5, 100, 1);
		expect(mapIds(strict, 5, 200, 1)).toEqual([]);
	});
	test("PT-13 Arm: tables of earlier slots are gone when a later one is taken", () => {
		const edit = open(ARM);
		map(edit, M2, 7, 1);
		map(edit, 2 * M2, 2 * M2, M2);
		expect(mapIds(edit, M2, 8 * M2, M2, 2)).toEqual(["PT-13"]);
		expect(mapIds(edit, 2 * M2, 8 * M2, M2)).toEqual([]);
	});
	test("PT-14 AMD v1 replaces a leaf without a flush; with the switch it flushes", () => {
		for (const mapOverLeaf of ["replace", "replaceFlush"] as const) {
			const edit = open(AMD, { mapOverLeaf });
			map(edit, 5, 100, 1);
			expect(mapIds(edit, 5, 200, 1)).toEqual(
				mapOverLeaf === "replace" ? ["PT-14"] : [],
			);
		}
	});
	test("PT-28 Arm: a block lands while a page map holds the table", () => {
		const edit = open(ARM);
		map(edit, M2 + 3, 7, 1);
		edit.config.driver.unmap(edit, M2 + 3, 1, 1, null);
		const effects: Effect[] = [];
		edit.effects = effects;
		edit.armRace({
			at: "read",
			k: 3,
			run: (raced) => void map(raced, M2, M2, M2),
		});
		expect(map(edit, M2, 9, 1)).toBe(0);
		edit.disarmRace();
		expect(idsOf(auditEffects(effects))).toEqual(["PT-28"]);
	});
	test("PT-29 Arm: a block over a table with live pages", () => {
		const edit = open(ARM);
		map(edit, M2 + 3, 7, 1);
		expect(mapIds(edit, M2, M2, M2)).toContain("PT-29");
		const emptied = open(ARM);
		map(emptied, M2 + 3, 7, 1);
		coreUnmap(emptied, M2 + 3, 1);
		expect(mapIds(emptied, M2, M2, M2)).toEqual([]);
		const declared = open(ARM);
		map(declared, M2 + 3, 7, 1);
		expect(mapIds(declared, M2, M2, M2, 1, true)).not.toContain("PT-29");
	});
	test("PT-47 VT-d: a superpage over dirty pages forgets that they are dirty", () => {
		for (const dirty of [true, false]) {
			const edit = open(VTD, { levelChoice: "asked" });
			map(edit, M2, M2, 1, 512);
			if (dirty) edit.config.driver.hardwareWrite(edit, M2 + 9);
			expect(mapIds(edit, M2, M2, M2, 1, true).includes("PT-47")).toBe(dirty);
		}
	});
	test("PT-51 AMD v1: a page over a block flushes the page only", () => {
		const edit = open(AMD);
		map(edit, M2, M2, M2);
		expect(mapIds(edit, M2 + 3, 99, 1)).toContain("PT-51");
		const same = open(AMD, { mapOverLeaf: "replaceFlush" });
		map(same, M2, M2, M2);
		expect(mapIds(same, M2, 4 * M2, M2)).toEqual([]);
	});
});

describe("unmap", () => {
	test("of exactly what was mapped breaks nothing, in any format", () => {
		for (const request of [ARM, V7S, AMD, AMD2, VTD]) {
			const edit = open(request);
			map(edit, 0, 0x40000, 1, 4);
			expect(unmapIds(edit, 0, 4)).toEqual([]);
		}
	});
	test("PT-15 VT-d reports what lies beyond its reach without clearing it", () => {
		const edit = open({ ...VTD, levels: 3 });
		const last = 2 ** 27 - 1;
		map(edit, last, 7, 1);
		const before = commitEdit(edit);
		const reported = edit.config.driver.unmap(edit, last, 1, 2, newGather());
		const call = { iova: last, size: 2, reported };
		expect(idsOf(auditUnmap(before, commitEdit(edit), call))).toContain(
			"PT-15",
		);
		expect(unmapIds(edit, last, 1)).toEqual([]);
	});
	test("PT-16 VT-d: unmap of a hole grows to the missing level and takes neighbours; counting does not", () => {
		for (const holeOnUnmap of ["enlarge", "count"] as const) {
			const edit = open(VTD, { holeOnUnmap });
			map(edit, 2 * M2, 7, 1, 4);
			const ids = unmapIds(edit, 2 * M2 - 3, 1);
			expect(ids).toEqual(holeOnUnmap === "enlarge" ? ["PT-16"] : []);
		}
	});
	test("PT-17 a step that clears more than it reports", () => {
		const edit = open(ARM);
		map(edit, 0, 7, 1, 8);
		const before = commitEdit(edit);
		const reported = coreUnmap(edit, 0, 8);
		const after = commitEdit(edit);
		expect(
			idsOf(auditUnmap(before, after, { iova: 0, size: 8, reported })),
		).toEqual([]);
		expect(
			idsOf(auditUnmap(before, after, { iova: 0, size: 8, reported: 4 })),
		).toEqual(["PT-17"]);
	});
	test("PT-18 the policy refuses, and a table that split all the same", () => {
		const refusing = open(ARM, { partialUnmap: "refuse" });
		map(refusing, M2, M2, M2);
		const before = commitEdit(refusing);
		expect(unmapIds(refusing, M2, 1)).toEqual([]);
		const splitting = open(ARM);
		map(splitting, M2, M2, M2);
		const reported = coreUnmap(splitting, M2, 1);
		const call = { iova: M2, size: 1, reported };
		expect(idsOf(auditUnmap(before, commitEdit(splitting), call))).toContain(
			"PT-18",
		);
	});
	test("PT-19 a split that keeps nothing is no split", () => {
		const splitting = open(ARM);
		map(splitting, M2, M2, M2);
		const before = commitEdit(splitting);
		const taking = open(ARM, { partialUnmap: "larger" });
		map(taking, M2, M2, M2);
		const reported = coreUnmap(taking, M2, 1);
		expect(reported).toBe(M2);
		const call = { iova: M2, size: 1, reported };
		expect(idsOf(auditUnmap(before, commitEdit(taking), call))).toContain(
			"PT-19",
		);
		expect(unmapIds(splitting, M2, 1)).toEqual([]);
	});
	test("PT-50 v7s: the split loses the section's base, unless it is kept", () => {
		for (const v7sSplitBase of ["lost", "kept"] as const) {
			const edit = open(V7S, { v7sSplitBase });
			map(edit, 0x400, 0x80000, 256);
			const ids = unmapIds(edit, 0x400, 1);
			expect(ids).toEqual(v7sSplitBase === "lost" ? ["PT-50"] : []);
		}
	});
});

describe("growth and sweep", () => {
	test("PT-44 AMD v1 growth keeps the old root; a root that forgets it does not", () => {
		const edit = open(AMD);
		map(edit, 0, 7, 1);
		const before = commitEdit(edit);
		map(edit, 2 ** 40, 9, 1);
		expect(edit.mode).toBe(5);
		expect(auditGrowth(before, commitEdit(edit))).toEqual([]);
		const bad = beginEdit(before);
		const table = bad.allocate(3, 9, 1);
		bad.setRoot(table, 4);
		expect(idsOf(auditGrowth(before, commitEdit(bad)))).toEqual(["PT-44"]);
	});
	test("PT-48 a sweep changes dirty state only; an unmap in its place does not", () => {
		const edit = open(ARM_HD);
		map(edit, 0, 7, 1, 8);
		const before = commitEdit(edit);
		edit.config.driver.sweep(edit, 0, 8, false, () => undefined);
		expect(auditSweep(before, commitEdit(edit))).toEqual([]);
		coreUnmap(edit, 0, 1);
		expect(idsOf(auditSweep(before, commitEdit(edit)))).toEqual(["PT-48"]);
	});
});
