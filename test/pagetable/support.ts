/** Helpers of the page-table tests: one request per format and geometry, random operations, and a full picture of a state. */
import fc from "fast-check";
import type { TableRequest } from "../../src/pagetable/config.ts";
import { eachPage } from "../../src/pagetable/store.ts";
import type { PageTable } from "../../src/pagetable/state.ts";
import type { TableOp } from "../../src/pagetable/table.ts";

/** A request by a name for test titles. */
export const REQUESTS: Readonly<Record<string, TableRequest>> = {
	"arm64 s1 4K": {
		format: "arm64_s1",
		pageSizes: 0x40201000n,
		ias: 48,
		oas: 48,
	},
	"arm64 s1 16K, no snoop": {
		format: "arm64_s1",
		pageSizes: 0x2004000n,
		ias: 47,
		oas: 48,
		coherent: false,
	},
	"arm64 s1 64K 52 bits": {
		format: "arm64_s1",
		pageSizes: 0x40020010000n,
		ias: 52,
		oas: 52,
	},
	"arm64 s1 HD": {
		format: "arm64_s1",
		pageSizes: 0x40201000n,
		ias: 39,
		oas: 40,
		quirks: ["ARM_HD"],
	},
	"arm64 s2 concatenated": {
		format: "arm64_s2",
		pageSizes: 0x40201000n,
		ias: 40,
		oas: 40,
	},
	"arm32 s1": { format: "arm32_s1", pageSizes: 0x40201000n, ias: 32, oas: 40 },
	mali: { format: "arm_mali", pageSizes: 0x40201000n, ias: 48, oas: 40 },
	v7s: { format: "arm_v7s", pageSizes: 0x1111000n, ias: 32, oas: 32 },
	"amd v1": { format: "amd_v1" },
	"amd v2": { format: "amd_v2", levels: 4 },
	"vtd 4 levels": { format: "vtd", levels: 4 },
	"vtd 3 levels, no snoop": {
		format: "vtd",
		levels: 3,
		superpage: 1,
		coherent: false,
		forceSnoop: true,
	},
	"vtd first stage": { format: "vtd", levels: 4, firstStage: true },
};

/** Everything a state holds, as plain data: tables, states, words, counters. */
export function pictureOf(table: PageTable): unknown {
	const pages: unknown[] = [];
	eachPage(table.store, (page) => {
		const words: [number, number][] = [];
		page.lines.forEach((line, i) => {
			line.forEach((word, j) => {
				if (word !== 0) words.push([(i << page.lineShift) + j, word]);
			});
		});
		pages.push([page.id, page.level, page.state, words]);
	});
	const { root, mode, nextTable, counts } = table;
	return { root, mode, nextTable, counts: structuredClone(counts), pages };
}

/** Smallest page of a request in frames. */
export const granuleOf = (request: TableRequest): number => {
	const sizes = request.pageSizes;
	if (sizes === undefined) return 1;
	return Number(sizes & -sizes) / 4096;
};

/** Core operations around the edges of tables of all levels, in one crowded window: overlaps, holes and partial unmaps are frequent. */
export function arbitraryOps(request: TableRequest): fc.Arbitrary<TableOp[]> {
	const granule = granuleOf(request);
	const per = granule === 1 ? 512 : granule === 4 ? 2048 : 8192;
	const unit = request.format === "arm_v7s" ? 256 : per * granule;
	const length = fc.oneof(
		fc.integer({ min: 1, max: 20 }).map((n) => n * granule),
		fc.constantFrom(1, 2).map((n) => n * unit),
	);
	const iova = fc
		.tuple(
			fc.integer({ min: 0, max: 3 }),
			fc.oneof(fc.constant(0), fc.integer({ min: 0, max: unit / granule - 1 })),
		)
		.map(([block, page]) => block * unit + page * granule);
	const map = fc
		.record({
			type: fc.constant("map" as const),
			iova,
			size: length,
			prot: fc.constantFrom(1, 2, 3, 7, 11),
		})
		.chain((op) =>
			fc
				.constantFrom(0, 7 * granule)
				.map((skew) => ({ ...op, pa: 16 * unit + op.iova + skew })),
		);
	const unmap = fc.record({
		type: fc.constant("unmap" as const),
		iova,
		size: length,
	});
	return fc.array(fc.oneof(map, map, unmap), { minLength: 1, maxLength: 25 });
}
