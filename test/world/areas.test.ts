import fc from "fast-check";
import { expect, test } from "vitest";
import {
	areaAt,
	areaMeeting,
	eachArea,
	insertArea,
	lastOf,
	newAreas,
	removeArea,
	shareAreas,
	type Area,
} from "../../src/world/areas.ts";

const area = (own: object, start: number, last: number): Area => ({
	own,
	start,
	last,
	prot: 3,
	pages: undefined,
	off: 0,
	sdom: undefined,
	state: "live",
	prevent: false,
	op: 0,
	seq: start + 1,
});
const step = fc.record({ slot: fc.nat(400), remove: fc.boolean() });

test("a list of areas answers as a plain map does", () => {
	fc.assert(
		fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
			const own = {};
			const list = newAreas(own);
			const plain = new Map<number, number>();
			for (const { slot, remove } of steps) {
				const start = slot * 10;
				if (remove)
					expect(removeArea(list, start) !== undefined).toBe(
						plain.delete(start),
					);
				else if (!plain.has(start)) {
					insertArea(list, area(own, start, start + (slot % 10)));
					plain.set(start, start + (slot % 10));
				}
			}
			const found: [unknown, unknown][] = [];
			eachArea(list, (one) => void found.push([one.start, one.last]));
			expect(found).toEqual([...plain].sort((a, b) => a[0] - b[0]));
			expect(list.count).toBe(plain.size);
			for (let at = 0; at < 4000; at += 37) {
				const meeting = [...plain]
					.filter(([start, last]) => start <= at + 20 && last >= at)
					.sort((a, b) => a[0] - b[0])[0];
				expect(areaMeeting(list, at, at + 20)?.start).toBe(meeting?.[0]);
				expect(areaAt(list, at)?.start).toBe(plain.has(at) ? at : undefined);
			}
		}),
		{ numRuns: 60 },
	);
});

test("a shared list does not see what the other one changes", () => {
	const own = {};
	const list = newAreas(own);
	for (let i = 0; i < 1000; i++)
		insertArea(list, area(own, i * 10, i * 10 + 9));
	const other = shareAreas(list, {});
	removeArea(other, 500);
	insertArea(other, area(other.own, 20_000, 20_009));
	expect([list.count, other.count]).toEqual([1000, 1000]);
	expect(areaAt(list, 500)?.start).toBe(500);
	expect(areaAt(other, 500)).toBeUndefined();
	expect(areaAt(list, 20_000)).toBeUndefined();
});

test("the end of a range is exact at the top of the address space", () => {
	expect(lastOf(0x1000, 0x1000)).toBe(0x1fff);
	expect(lastOf(0xffff_ffff_ffff_f000n, 4096)).toBe(0xffff_ffff_ffff_ffffn);
	expect(lastOf(0x1f_ffff_ffff_f000, 0x2000)).toBe(0x20_0000_0000_0fffn);
});
