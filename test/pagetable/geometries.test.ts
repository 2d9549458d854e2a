/**
 * The algebra over geometries that nobody chose: random formats, granules, widths, page sizes, quirks and long operation lists. Fold =
 * repeated reduce (answers and effects included), macro = micro, old states stay valid, lookups of a warm edit = lookups of the state,
 * encode∘decode of every word in memory.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { TableRequest } from "../../src/pagetable/config.ts";
import type { Effect, Step } from "../../src/pagetable/events.ts";
import { PageTableConfigError } from "../../src/pagetable/policy.ts";
import type { PageTable } from "../../src/pagetable/state.ts";
import { eachPage } from "../../src/pagetable/store.ts";
import {
	applyOp,
	applyStep,
	beginEdit,
	commitEdit,
	createTable,
	finishEdit,
	lookup,
	reduce,
	type TableOp,
} from "../../src/pagetable/table.ts";
import { pictureOf } from "./support.ts";

const lpaeSizes = fc.constantFrom(
	0x40201000n,
	0x2004000n,
	0x20010000n,
	0x40020010000n,
	0x1000n,
	0x40001000n,
	0x14000n,
	0x62215000n,
);
const lpae = fc.record({
	format: fc.constantFrom(
		"arm64_s1" as const,
		"arm64_s2" as const,
		"arm32_s1" as const,
		"arm32_s2" as const,
		"arm_mali" as const,
	),
	pageSizes: lpaeSizes,
	ias: fc.integer({ min: 14, max: 52 }),
	oas: fc.constantFrom(32, 36, 40, 42, 44, 48, 52),
	coherent: fc.boolean(),
	quirks: fc.subarray(["ARM_NS", "ARM_TTBR1", "ARM_HD"]),
});
const v7s = fc.record({
	format: fc.constant("arm_v7s" as const),
	pageSizes: fc.constantFrom(0x1111000n, 0x111000n, 0x101000n, 0x1001000n),
	ias: fc.integer({ min: 24, max: 34 }),
	oas: fc.integer({ min: 30, max: 35 }),
	coherent: fc.boolean(),
	quirks: fc.constantFrom([], ["ARM_NS"], ["NO_PERMS", "ARM_MTK_EXT"]),
});
const amd = fc.constantFrom<TableRequest>(
	{ format: "amd_v1" },
	{ format: "amd_v2", levels: 4 },
	{ format: "amd_v2", levels: 5 },
);
const vtd = fc
	.record({
		levels: fc.constantFrom(3, 4, 5),
		firstStage: fc.boolean(),
		superpage: fc.constantFrom(0, 1, 2),
		forceSnoop: fc.boolean(),
		coherent: fc.boolean(),
		narrower: fc.integer({ min: 0, max: 8 }),
	})
	.map(
		({ narrower, ...rest }): TableRequest => ({
			format: "vtd",
			...rest,
			gaw: 12 + 9 * rest.levels - narrower,
		}),
	);

/** A table that the allocators agree to make. */
const geometry: fc.Arbitrary<PageTable> = fc
	.oneof<fc.Arbitrary<TableRequest>[]>(lpae, lpae, v7s, amd, vtd)
	.map((request) => {
		try {
			return createTable(request);
		} catch (error) {
			if (error instanceof PageTableConfigError) return undefined;
			throw error;
		}
	})
	.filter((table) => table !== undefined);

/** Long enough for the edit's caches to be warm. */
const LENGTH = { minLength: 60, maxLength: 90 };

/** Operations in three crowded windows: low, high and in the middle of what the table reaches. */
function operations(table: PageTable): fc.Arbitrary<TableOp[]> {
	const { pageSizes, ias, oas, geometry: shape } = table.config;
	const smallest = pageSizes[0] as number;
	const next = Math.min(pageSizes[1] ?? smallest * 64, 8192);
	const base = shape.iovaBase ?? 0;
	const reach = Math.min(2 ** (ias - 12), 2 ** 40);
	const window = Math.min(4 * next, reach);
	const starts = [0, Math.floor(reach / 2 / window) * window, reach - window];
	const iova = fc
		.tuple(fc.constantFrom(...starts), fc.nat(), fc.boolean())
		.map(([start, offset, isAligned]) => {
			const unit = isAligned ? Math.min(next, window) : smallest;
			return base + start + ((offset * unit) % window);
		});
	const size = fc.oneof(
		fc.integer({ min: 1, max: 24 }).map((pages) => pages * smallest),
		fc.constantFrom(next, 2 * next),
	);
	const skew = fc.constantFrom(0, 7 * smallest);
	const outputs = 2 ** Math.min(oas - 13, 30);
	const map = fc
		.record({ iova, size, skew, prot: fc.constantFrom(1, 2, 3, 7, 11, 19, 35) })
		.map(
			(op): TableOp => ({
				type: "map",
				iova: op.iova,
				size: op.size,
				prot: op.prot,
				pa: ((op.iova - base) % outputs) + op.skew,
			}),
		);
	const unmap = fc.record({ type: fc.constant("unmap" as const), iova, size });
	return fc.array(fc.oneof(map, map, unmap), LENGTH);
}

const cases = geometry.chain((table) =>
	operations(table).map((ops) => ({ table, ops })),
);
/** One operation on its own edit: answer, effects, the state after. */
function single(
	table: PageTable,
	op: TableOp,
	steps: Step[] | null,
): { answer: number; effects: Effect[]; after: PageTable; hazard: boolean } {
	const edit = beginEdit(table);
	const effects: Effect[] = [];
	edit.effects = effects;
	edit.steps = steps;
	const answer = applyOp(edit, op);
	return { answer, effects, after: finishEdit(edit), hazard: edit.hazard };
}

test("a warm fold, single reduces and atomic steps agree; old states stay valid", () => {
	fc.assert(
		fc.property(cases, ({ table, ops }) => {
			const warm = beginEdit(table);
			let state = table;
			let micro = table;
			const held: [PageTable, unknown][] = [[table, pictureOf(table)]];
			for (const [i, op] of ops.entries()) {
				const effects: Effect[] = [];
				warm.effects = effects;
				const answer = applyOp(warm, op);
				const steps: Step[] = [];
				const alone = single(state, op, steps);
				expect([alone.answer, alone.effects]).toEqual([answer, effects]);
				expect(alone.hazard).toBe(warm.hazard);
				state = i % 2 === 0 ? alone.after : reduce(state, op);
				const replay = beginEdit(micro);
				for (const step of steps) applyStep(replay, step);
				micro = finishEdit(replay);
				for (const at of [op.iova, op.iova + op.size - 1, op.iova + op.size])
					expect(lookup(warm, at)).toBe(lookup(state, at));
				if (i % 15 === 0) {
					const snapshot = commitEdit(warm);
					held.push([snapshot, pictureOf(state)]);
				}
				// What follows a touch of foreign memory has no meaning.
				if (warm.hazard) break;
			}
			const end = pictureOf(state);
			expect(pictureOf(finishEdit(warm))).toEqual(end);
			expect(pictureOf(micro)).toEqual(end);
			for (const [old, picture] of held)
				expect(pictureOf(old)).toEqual(picture);
			const { codec } = table.config;
			eachPage(state.store, (page) => {
				for (const line of page.lines)
					for (const word of line)
						if (word !== 0) expect(codec.fromRaw(codec.raw(word))).toBe(word);
			});
		}),
		{ numRuns: 60 },
	);
}, 60_000);
