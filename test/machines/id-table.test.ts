/** The table of object ids does what a map does, and equal contents are equal data. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
	idFree,
	idGet,
	idNumbers,
	idSet,
	type IdTable,
	idTableOf,
	idValues,
	lowestFree,
} from "../../machines/id-table.ts";

const id = fc.integer({ min: 1, max: 200 });
const move = fc.oneof(
	fc.constant(["take"] as const),
	fc.tuple(fc.constant("set" as const), id),
	fc.tuple(fc.constant("free" as const), id),
);

test("any moves", () => {
	fc.assert(
		fc.property(fc.array(move, { maxLength: 300 }), (moves) => {
			const map = new Map<number, string | null>();
			let table: IdTable<string | null> = [];
			const free = (): number => {
				let at = 1;
				while (map.has(at)) at++;
				return at;
			};
			for (const [i, [what, at = free()]] of moves.entries()) {
				expect(lowestFree(table)).toBe(free());
				if (what === "free") {
					map.delete(at);
					table = idFree(table, at);
				} else {
					const value = i % 3 === 0 ? null : `${i}`;
					map.set(at, value);
					table = idSet(table, at, value);
				}
				expect(idGet(table, at)).toBe(map.get(at));
			}
			const sorted = [...map].sort(([a], [b]) => a - b);
			expect(idNumbers(table)).toEqual(sorted.map(([n]) => n));
			expect(idValues(table)).toEqual(sorted.map(([, value]) => value));
			// However it came about.
			expect(JSON.stringify(table)).toBe(JSON.stringify(idTableOf(sorted)));
		}),
	);
});
