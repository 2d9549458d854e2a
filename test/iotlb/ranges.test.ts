/** Invalidation range encodings: what a command reaches always covers what was asked (PT-39). The golden rows are in test/replay/vectors.test.ts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	EMPTY_RANGE,
	encodeAmdRange,
	encodeAtcRange,
	encodeSmmuRange,
	encodeVtdRange,
} from "../../src/iotlb/ranges.ts";

const range = fc
	.tuple(fc.nat(2 ** 30), fc.nat(2 ** 20), fc.integer({ min: 1, max: 2 ** 20 }))
	.map(([high, low, size]) => {
		const start = high * 2 ** 8 + low;
		return { start, last: start + size - 1 };
	});

describe("every encoding covers its range", () => {
	test("VT-d: naturally aligned power of two", () => {
		fc.assert(
			fc.property(range, (asked) => {
				const { addr, pages, mask } = encodeVtdRange(asked);
				expect(pages).toBe(2 ** mask);
				expect(addr % pages).toBe(0);
				expect(addr).toBeLessThanOrEqual(asked.start);
				expect(addr + pages - 1).toBeGreaterThanOrEqual(asked.last);
			}),
		);
	});
	test("AMD: the lowest zero above the page gives the size", () => {
		fc.assert(
			fc.property(range, (asked) => {
				const { frame, sizeBit } = encodeAmdRange(asked);
				let size = 1;
				if (sizeBit === 1)
					for (size = 2; Math.floor(frame / (size / 2)) % 2 === 1; ) size *= 2;
				const start = Math.floor(frame / size) * size;
				expect(start).toBeLessThanOrEqual(asked.start);
				expect(start + size - 1).toBeGreaterThanOrEqual(asked.last);
			}),
		);
	});
	test("ATC: the smallest aligned span", () => {
		fc.assert(
			fc.property(range, (asked) => {
				const { addr, log2 } = encodeAtcRange(asked);
				expect(addr).toBeLessThanOrEqual(asked.start);
				expect(addr + 2 ** log2 - 1).toBeGreaterThanOrEqual(asked.last);
				const half = 2 ** (log2 - 1);
				if (log2 > 0)
					expect(Math.floor(asked.start / half)).not.toBe(
						Math.floor(asked.last / half),
					);
			}),
		);
	});
	test("SMMUv3: commands tile the range without a gap; non-leaf may add one page", () => {
		fc.assert(
			fc.property(
				range,
				fc.constantFrom(12, 14, 16),
				fc.boolean(),
				(asked, shift, leaf) => {
					const unit = 2 ** (shift - 12);
					const start = Math.floor(asked.start / unit) * unit;
					const length = (asked.last - asked.start + 1) * unit;
					const { size, commands } = encodeSmmuRange(
						start,
						length,
						shift,
						leaf,
					);
					expect(size).toBe(length);
					let at = start;
					for (const { va, scale, num } of commands) {
						expect(va).toBe(at);
						expect(num).toBeGreaterThanOrEqual(0);
						expect(num).toBeLessThan(31);
						at += (num + 1) * 2 ** scale * unit;
					}
					const extra = (at - start - length) / unit;
					expect(leaf ? [0] : [0, 1]).toContain(extra);
				},
			),
		);
	});
	test("an empty gather: VT-d wraps to more than any mask, AMD flushes everything", () => {
		expect(encodeVtdRange(EMPTY_RANGE)).toEqual({
			addr: 0,
			pages: 2 ** 53,
			mask: 53,
		});
		expect(encodeAmdRange(EMPTY_RANGE)).toEqual({
			frame: 2 ** 51 - 1,
			sizeBit: 1,
		});
	});
});
