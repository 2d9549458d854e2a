/** iommu_pgsize and the core loops (facts §3; PT-21, PT-22). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	coreMap,
	coreUnmap,
	pageCount,
	pageSizeIndex,
	type CoreCall,
} from "../../src/pagetable/core.ts";
import { newGather } from "../../src/pagetable/gather.ts";
import { beginEdit, createTable, lookup } from "../../src/pagetable/table.ts";
import { ERRNO } from "../../src/vocabulary/errno.ts";
import { REQUESTS } from "./support.ts";

const SIZES = [1, 512, 262144];

describe("page-size choice", () => {
	test("PT-22: fits, and no larger aligned size could start here", () => {
		fc.assert(
			fc.property(
				fc.integer({ min: 0, max: 2 ** 30 }),
				fc.integer({ min: 0, max: 2 ** 30 }),
				fc.integer({ min: 1, max: 2 ** 22 }),
				fc.boolean(),
				(iova, skewed, size, aligned) => {
					const pa = aligned ? iova + 2 ** 31 : skewed;
					const index = pageSizeIndex(SIZES, iova, pa, size);
					const chosen = SIZES[index] as number;
					const count = pageCount(SIZES, index, iova, pa, size);
					expect(count).toBeGreaterThan(0);
					expect(count * chosen).toBeLessThanOrEqual(size);
					for (const larger of SIZES.slice(index + 1))
						expect(
							larger > size || iova % larger !== 0 || pa % larger !== 0,
						).toBe(true);
					const next = SIZES[index + 1];
					if (next === undefined || (iova - pa) % next !== 0) return;
					const end = iova + count * chosen;
					// Stops at the first place where the next size can start and fits.
					const first = Math.floor(iova / next) * next + next;
					if (first + next <= iova + size) expect(end).toBe(first);
				},
			),
		);
	});
	test("no size fits: the caller learns it, as the kernel's BUG would tell", () => {
		expect(pageSizeIndex([16], 3, 3, 16)).toBe(-1);
	});
});

describe("loops", () => {
	test.each(Object.entries(REQUESTS))(
		"%s: a failed map leaves its range as before",
		(_name, request) => {
			const edit = beginEdit(createTable(request));
			const unit = edit.config.pageSizes[0] as number;
			edit.allocationsLeft = 0;
			const ret = coreMap(edit, 0, unit, 4 * unit, 3);
			edit.allocationsLeft = Number.POSITIVE_INFINITY;
			// A table of one level has nothing to allocate.
			if (ret !== 0) {
				expect(ret).toBe(-ERRNO.ENOMEM);
				expect(lookup(edit, 0)).toBe(-1);
			}
		},
	);
	test("PT-21: the sum of the calls is the result, and only a 0 ends it early", () => {
		const edit = beginEdit(
			createTable({ format: "arm64_s1", pageSizes: 0x40201000n }),
		);
		const calls: CoreCall[] = [];
		expect(coreMap(edit, 500, 500, 1000, 3, calls)).toBe(0);
		expect(calls).toEqual([
			["m", 1, 12, 0, 12],
			["m", 512, 1, 0, 512],
			["m", 1, 476, 0, 476],
		]);
		const undone: CoreCall[] = [];
		// The 2M call takes the half-filled table whole and stops at the hole behind it.
		expect(coreUnmap(edit, 500, 2000, newGather(), undone)).toBe(1036);
		expect(undone).toEqual([
			["u", 1, 12, 12],
			["u", 512, 3, 1024],
			["u", 512, 1, 0],
		]);
	});
	test("the last page of a TTBR1 window: end + 1 wraps, so the gather is synced before it", () => {
		const request = {
			format: "arm64_s1",
			pageSizes: 0x40201000n,
			ias: 39,
			quirks: ["ARM_TTBR1"],
		} as const;
		const edit = beginEdit(createTable(request));
		const top = 2 ** 52;
		expect(coreMap(edit, top - 4, 16, 4, 3)).toBe(0);
		edit.effects = [];
		expect(coreUnmap(edit, top - 4, 4)).toBe(4);
		expect(edit.effects).toEqual([
			["P", top - 4, 1, 4],
			["SY", top - 4, top - 2, 1],
			["SY", top - 1, top - 1, 1],
		]);
	});
	test("misaligned requests are refused before any driver call", () => {
		const edit = beginEdit(
			createTable({ format: "arm64_s1", pageSizes: 0x20010000n }),
		);
		expect(coreMap(edit, 1, 16, 16, 3)).toBe(-ERRNO.EINVAL);
		expect(coreMap(edit, 16, 16, 8, 3)).toBe(-ERRNO.EINVAL);
		expect(coreUnmap(edit, 1, 16)).toBe(0);
	});
});
