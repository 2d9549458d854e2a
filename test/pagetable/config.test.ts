/** What the allocators settle from a request, and what they refuse (facts §1.1). */
import { describe, expect, test } from "vitest";
import { coreMap } from "../../src/pagetable/core.ts";
import type { TableRequest } from "../../src/pagetable/config.ts";
import { PageTableConfigError } from "../../src/pagetable/policy.ts";
import {
	beginEdit,
	createTable,
	lookup,
	settleConfig,
} from "../../src/pagetable/table.ts";

const arm = (request: Partial<TableRequest>): TableRequest => ({
	format: "arm64_s1",
	pageSizes: 0x40201000n,
	ias: 48,
	oas: 48,
	...request,
});

describe("Arm", () => {
	test.each([
		["CPU page size wins", 0x40000000n | 0x4000n | 0x1000n, [1, 262144]],
		[
			"else the smallest larger one",
			0x10000n | 0x4000n | 0x2000000n,
			[4, 8192],
		],
		["64K without 4T at 48 output bits", 0x40020010000n, [16, 131072]],
	])("%s", (_name, pageSizes, sizes) => {
		expect(settleConfig(arm({ pageSizes })).pageSizes).toEqual(sizes);
	});
	test("4T blocks need more than 48 output bits, and widths are capped", () => {
		const wide = settleConfig(
			arm({ pageSizes: 0x40020010000n, ias: 52, oas: 52 }),
		);
		expect(wide.pageSizes.at(-1)).toBe(2 ** 30);
		expect(settleConfig(arm({ ias: 52, oas: 52 }))).toMatchObject({
			ias: 48,
			oas: 48,
		});
	});
	test.each([
		[30, 2, 9],
		[32, 1, 2],
		[39, 1, 9],
		[42, 0, 3],
		[48, 0, 9],
	])(
		"stage 1 with %i input bits starts at level %i, root of 2^%i",
		(ias, rootLevel, rootBits) => {
			expect(settleConfig(arm({ ias })).geometry).toMatchObject({
				rootLevel,
				rootBits,
			});
		},
	);
	test.each([
		[40, 1, 10],
		[43, 1, 13],
		[44, 0, 5],
	])(
		"stage 2 with %i input bits: level %i, root of 2^%i",
		(ias, rootLevel, rootBits) => {
			expect(
				settleConfig(arm({ format: "arm64_s2", ias })).geometry,
			).toMatchObject({ rootLevel, rootBits });
		},
	);
	test("Mali always starts at level 0, with one root entry when there is less to walk", () => {
		const mali = settleConfig(arm({ format: "arm_mali", ias: 33, oas: 40 }));
		expect(mali.geometry).toMatchObject({ rootLevel: 0, rootBits: 0 });
	});
	test.each<[string, Partial<TableRequest>]>([
		["no granule", { pageSizes: 0x200000n }],
		["an odd output size", { oas: 41 }],
		[
			"a quirk of stage 1 on stage 2",
			{ format: "arm64_s2", quirks: ["ARM_NS"] },
		],
		["a quirk nobody knows", { quirks: ["ARM_MAGIC"] }],
		["outer write-back with a snooping walker", { quirks: ["ARM_OUTER_WBWA"] }],
		["too wide a 32-bit table", { format: "arm32_s1", ias: 33, oas: 40 }],
		["too wide an output for Mali", { format: "arm_mali", oas: 44 }],
		["too little input for any table", { ias: 2 }],
	])("refuses %s", (_name, request) => {
		expect(() => settleConfig(arm(request))).toThrow(PageTableConfigError);
	});
	test("no more input than a page: a walk from level 4, in which nothing can be mapped (as the C code does)", () => {
		const table = createTable(arm({ ias: 12 }));
		expect(table.config.geometry).toMatchObject({ rootLevel: 4, rootBits: 9 });
		const edit = beginEdit(table);
		edit.effects = [];
		expect(coreMap(edit, 0, 0, 1, 3)).toBe(-22);
		expect(edit.effects[0]).toEqual(["!", "__arm_lpae_map"]);
		expect(lookup(edit, 0)).toBe(-1);
	});
});

describe("others", () => {
	test("v7s: quirks and widths", () => {
		expect(
			settleConfig({ format: "arm_v7s", pageSizes: 0x111000n }).pageSizes,
		).toEqual([1, 16, 256]);
		expect(() => settleConfig({ format: "arm_v7s", ias: 33 })).toThrow(
			/too many/,
		);
		expect(() =>
			settleConfig({ format: "arm_v7s", quirks: ["ARM_MTK_EXT"] }),
		).toThrow(/NO_PERMS/);
		const mtk = settleConfig({
			format: "arm_v7s",
			ias: 34,
			oas: 35,
			quirks: ["ARM_MTK_EXT", "NO_PERMS"],
		});
		expect(mtk.geometry.rootBits).toBe(14);
	});
	test("AMD and VT-d: levels", () => {
		expect(() => settleConfig({ format: "amd_v2", levels: 3 })).toThrow(
			/4 or 5/,
		);
		expect(() => settleConfig({ format: "vtd", levels: 9 })).toThrow(/levels/);
		expect(
			settleConfig({ format: "vtd", levels: 5, superpage: 0 }).pageSizes,
		).toEqual([1]);
		expect(settleConfig({ format: "amd_v1" }).pageSizes).toHaveLength(39);
	});
	test("a new table has a root, linked, and nothing else", () => {
		const { counts, root } = createTable(arm({ format: "arm64_s2", ias: 43 }));
		expect(root).toBe(1);
		expect(counts).toMatchObject({
			linked: 1,
			allocated: 1,
			livePages: 16,
			private: 0,
		});
	});
});
