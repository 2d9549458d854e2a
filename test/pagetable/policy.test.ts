/** Policy switches (facts §9) and the life of tables (facts §4): what each value does to the same calls. */
import { describe, expect, test } from "vitest";
import type { TableRequest } from "../../src/pagetable/config.ts";
import { coreMap, coreUnmap, coreUnmapFast } from "../../src/pagetable/core.ts";
import type { Edit } from "../../src/pagetable/edit.ts";
import type { Effect } from "../../src/pagetable/events.ts";
import {
	endGracePeriod,
	newGather,
	syncGather,
} from "../../src/pagetable/gather.ts";
import {
	PageTableConfigError,
	type PolicyOverrides,
} from "../../src/pagetable/policy.ts";
import {
	beginEdit,
	commitEdit,
	createTable,
	lookup,
} from "../../src/pagetable/table.ts";
import { tablesPerLevel } from "../../src/pagetable/state.ts";
import { leavesIn } from "../../src/pagetable/walk.ts";
import { ERRNO } from "../../src/vocabulary/errno.ts";

const ARM: TableRequest = {
	format: "arm64_s1",
	pageSizes: 0x40201000n,
	ias: 48,
	oas: 48,
};
const M2 = 512;
const open = (request: TableRequest, policy: PolicyOverrides = {}): Edit =>
	beginEdit(createTable(request, policy));
function effectsOf(edit: Edit, body: () => void): Effect[] {
	const effects: Effect[] = [];
	edit.effects = effects;
	body();
	edit.effects = null;
	return effects;
}

describe("partialUnmap", () => {
	const block = (policy: PolicyOverrides): Edit => {
		const edit = open(ARM, policy);
		coreMap(edit, M2, M2, M2, 3);
		return edit;
	};
	test("split: a table takes the block's place, only the page is invalidated", () => {
		const edit = block({ partialUnmap: "split" });
		const effects = effectsOf(edit, () =>
			expect(coreUnmap(edit, M2 + 3, 1)).toBe(1),
		);
		expect(effects).toEqual([
			["A", 4096, 4],
			["P", M2 + 3, 1, 1],
			["SY", M2 + 3, M2 + 3, 1],
		]);
		expect(leavesIn(edit, 0, 4096)).toHaveLength(511);
		expect([lookup(edit, M2 + 2), lookup(edit, M2 + 3)]).toEqual([M2 + 2, -1]);
	});
	test("refuse (6.13+): a warning, 0, the block stays", () => {
		const edit = block({ partialUnmap: "refuse" });
		const effects = effectsOf(edit, () =>
			expect(coreUnmap(edit, M2 + 3, 1)).toBe(0),
		);
		expect(effects[0]).toEqual(["!", "__arm_lpae_unmap"]);
		expect(leavesIn(edit, 0, 4096)).toHaveLength(1);
	});
	test("larger: the whole block, its size returned", () => {
		const edit = block({ partialUnmap: "larger" });
		expect(coreUnmap(edit, M2 + 3, 1)).toBe(M2);
		expect(leavesIn(edit, 0, 4096)).toEqual([]);
	});
	test("v7s refuses sections and large pages alike", () => {
		const edit = open({ format: "arm_v7s" }, { partialUnmap: "refuse" });
		coreMap(edit, 0, 0, 16, 3);
		coreMap(edit, 256, 256, 256, 3);
		expect(coreUnmap(edit, 3, 1)).toBe(0);
		expect(coreUnmap(edit, 259, 1)).toBe(0);
		expect([lookup(edit, 3), lookup(edit, 259)]).toEqual([3, 259]);
	});
});

describe("mapOverLeaf", () => {
	const map = (edit: Edit, pa: number): number =>
		edit.config.driver.map(edit, 5, pa, 1, 1, 3);
	test.each([
		["arm64_s1", {}, -ERRNO.EEXIST, 100, false],
		["amd_v1", {}, 0, 200, false],
		["amd_v1", { mapOverLeaf: "replaceFlush" }, 0, 200, true],
		["amd_v1", { mapOverLeaf: "eexist" }, -ERRNO.EEXIST, 100, false],
		["amd_v2", {}, 0, 200, true],
		["amd_v2", { mapOverLeaf: "eexist" }, -ERRNO.EEXIST, 100, false],
		["vtd", {}, 0, 100, false],
		["vtd", { mapOverLeaf: "eexist" }, -ERRNO.EEXIST, 100, false],
	] as const)("%s %j", (format, policy, ret, pa, flushes) => {
		const edit = open({ ...ARM, format }, policy);
		map(edit, 100);
		const effects = effectsOf(edit, () => expect(map(edit, 200)).toBe(ret));
		expect(lookup(edit, 5)).toBe(pa);
		expect(effects.some((effect) => effect[0] === "FL")).toBe(flushes);
	});
});

describe("holeOnUnmap and levelChoice", () => {
	test.each([
		["arm64_s1", {}, 0],
		["amd_v1", {}, 1],
		["amd_v1", { holeOnUnmap: "stop" }, 0],
		["amd_v2", {}, 1],
		["amd_v2", { holeOnUnmap: "stop" }, 0],
		["vtd", {}, 1],
	] as const)(
		"an empty last-level slot, %s %j: %i",
		(format, policy, expected) => {
			const edit = open({ ...ARM, format }, policy);
			coreMap(edit, 5, 7, 1, 3);
			expect(edit.config.driver.unmap(edit, 6, 1, 1, newGather())).toBe(
				expected,
			);
		},
	);
	test("VT-d: a missing table enlarges, or counts", () => {
		expect(coreUnmap(open({ format: "vtd" }), 7, 1)).toBe(2 ** 27);
		expect(
			coreUnmap(open({ format: "vtd" }, { holeOnUnmap: "count" }), 7, 1),
		).toBe(1);
	});
	test("VT-d: 512 pages become a superpage, unless the asked level is kept", () => {
		for (const levelChoice of ["derived", "asked"] as const) {
			const edit = open({ format: "vtd" }, { levelChoice });
			edit.config.driver.map(edit, M2, M2, 1, M2, 3);
			expect(leavesIn(edit, 0, 4096)).toHaveLength(
				levelChoice === "derived" ? 1 : M2,
			);
		}
	});
	test("a value that a driver does not know is refused by name", () => {
		expect(() =>
			createTable({ format: "vtd" }, { partialUnmap: "split" }),
		).toThrow(PageTableConfigError);
		expect(() =>
			createTable({ format: "vtd" }, { partialUnmap: "split" }),
		).toThrow(/partialUnmap=split.*known: larger/);
	});
});

describe("tableFree: private, linked, unlinked, quarantined, freed", () => {
	/** A table under 2M of pages, then an unmap of the 2M; what is counted before and after the sync. */
	function lives(request: TableRequest, policy: PolicyOverrides): unknown[] {
		const edit = open(request, policy);
		coreMap(edit, M2, M2 + 7, M2, 3);
		const gather = newGather();
		const count = (): unknown => {
			const { linked, quarantined, freed, livePages } = commitEdit(edit).counts;
			return { linked, quarantined, freed, livePages };
		};
		const list = [count()];
		coreUnmapFast(edit, M2, M2, gather);
		list.push(count());
		syncGather(edit, gather);
		list.push(count());
		endGracePeriod(edit);
		list.push(count());
		return list;
	}
	const mapped = { linked: 4, quarantined: 0, freed: 0, livePages: 4 };
	const waiting = { linked: 3, quarantined: 1, freed: 0, livePages: 4 };
	const gone = { linked: 3, quarantined: 0, freed: 1, livePages: 3 };
	test("direct (Arm 6.12): gone before the call returns", () => {
		expect(lives(ARM, {})).toEqual([mapped, gone, gone, gone]);
	});
	test("counted per level while it lasts", () => {
		const edit = open(ARM, { tableFree: "gather" });
		coreMap(edit, M2, M2 + 7, M2, 3);
		const gather = newGather();
		coreUnmapFast(edit, M2, M2, gather);
		const at = (level: number, count = 1): number[] =>
			Array.from({ length: 8 }, (_, i) => (i === level ? count : 0));
		const none = at(-1);
		expect(tablesPerLevel(edit.counts)).toEqual({
			private: none,
			linked: [1, 1, 1, 0, 0, 0, 0, 0],
			unlinked: none,
			quarantined: at(3),
			freed: none,
		});
		syncGather(edit, gather);
		expect(tablesPerLevel(edit.counts)).toMatchObject({
			quarantined: none,
			freed: at(3),
		});
		edit.config.driver.destroy(edit);
		expect(tablesPerLevel(edit.counts)).toEqual({
			private: none,
			linked: none,
			unlinked: none,
			quarantined: none,
			freed: [1, 1, 1, 1, 0, 0, 0, 0],
		});
	});
	test.each([
		["gather", ARM],
		["gather", { format: "vtd" } as TableRequest],
	] as const)("%s: waits for the flush", (tableFree, request) => {
		expect(lives(request, { tableFree })).toEqual([
			mapped,
			waiting,
			gone,
			gone,
		]);
	});
	test.each([
		["Arm", ARM],
		["VT-d", { format: "vtd" } as TableRequest],
	] as const)(
		"rcu on %s: waits for the flush and then for the readers",
		(_name, request) => {
			expect(lives(request, { tableFree: "rcu" })).toEqual([
				mapped,
				waiting,
				waiting,
				gone,
			]);
		},
	);
	test("localList and direct (AMD): freed after or before the flush that ends the map", () => {
		const order = (
			format: "amd_v1" | "amd_v2",
			tableFree: "direct" | "localList",
		): string[] => {
			const edit = open({ format }, { tableFree });
			coreMap(edit, M2, M2 + 7, M2, 3);
			return effectsOf(edit, () => coreMap(edit, M2, M2, M2, 3)).map(
				(effect) => effect[0],
			);
		};
		expect(order("amd_v1", "localList")).toEqual(["FL", "F"]);
		expect(order("amd_v1", "direct")).toEqual(["F", "FL"]);
		expect(order("amd_v2", "direct")).toEqual(["F", "FL"]);
		expect(order("amd_v2", "localList")).toEqual(["FL", "F"]);
	});
	test("the three live-table frees of seed 1 and their records", () => {
		// Case 1: the loser of an install race frees a table that was never visible.
		const lost = open(ARM);
		const raced = effectsOf(lost, () => {
			lost.armRace({
				at: "cmpxchg",
				k: 1,
				run: (edit) => void edit.config.driver.map(edit, 1, 8, 1, 1, 3),
			});
			lost.config.driver.map(lost, 0, 7, 1, 1, 3);
			lost.disarmRace();
		});
		expect(raced.map((effect) => effect[0]).join("")).toBe("AAAAF");
		// Case 2: a block map finds a table: unlinked, walk cache invalidated, freed, block written.
		const over = open(ARM);
		coreMap(over, M2, 7, 1, 3);
		coreUnmap(over, M2, 1);
		over.steps = [];
		const replaced = effectsOf(over, () => coreMap(over, M2, M2, M2, 3));
		expect(replaced).toEqual([
			["W", M2, M2, 1],
			["F", 4096, 4],
		]);
		expect(over.steps.map((step) => step.type)).toEqual([
			"slot.cleared",
			"table.unlinked",
			"table.freed",
			"slot.cleared",
			"slot.written",
		]);
		over.steps = null;
		// Case 3: a block-sized unmap finds a table, holes and all, and reports the full size.
		const under = open(ARM);
		coreMap(under, M2, 7, 1, 3);
		const dropped = effectsOf(under, () =>
			expect(coreUnmap(under, M2, M2)).toBe(M2),
		);
		expect(dropped.slice(0, 2)).toEqual([
			["W", M2, M2, 1],
			["F", 4096, 4],
		]);
	});
});
