import fc from "fast-check";
import { expect, test } from "vitest";
import { Heap } from "../../src/traces/heap.ts";
import { LineSplitter } from "../../src/traces/lines.ts";
import { HELD_MAX, Output } from "../../src/traces/output.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";

const lost = (n: number) => ({ n });

test("a fact settled later keeps its place; what comes behind waits", () => {
	const records: LogRecord[] = [];
	const out = new Output((record) => records.push(record));
	out.emit(1, "trace.lost", "host", lost(1), undefined);
	const place = out.reserve(2, "host", undefined);
	const op = { seq: 0 };
	out.begin(3, "host", { op: "map", args: {} }, op);
	out.emit(4, "op.commit", "host", {}, op);
	expect(records).toHaveLength(1);
	out.settle(place, "trace.lost", "host", lost(2));
	expect(records.map(({ seq, t, op: own }) => [seq, t, own])).toEqual([
		[1, 1, 0],
		[2, 2, 0],
		[3, 3, 3],
		[4, 4, 3],
	]);
});

test("a place given back leaves no hole; one never settled is given up in time", () => {
	const records: LogRecord[] = [];
	const out = new Output((record) => records.push(record));
	out.drop(out.reserve(1, "host", undefined));
	let abandoned = 0;
	out.reserve(1, "host", undefined, () => abandoned++);
	for (let i = 0; i < HELD_MAX + 10; i++)
		out.emit(i, "trace.lost", "host", lost(i), undefined);
	expect(abandoned).toBe(1);
	expect(records.length).toBe(HELD_MAX + 10);
	expect(records.at(-1)?.seq).toBe(HELD_MAX + 10);
});

test("the heap gives entries in order of key, equal ones in order of arrival", () => {
	fc.assert(
		fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (keys) => {
			const heap = new Heap<number>();
			for (const [index, key] of keys.entries()) heap.push(key, index);
			const got: number[] = [];
			while (heap.size > 0) got.push(heap.pop() as number);
			const expected = keys
				.map((key, index) => [key, index] as const)
				.toSorted((a, b) => a[0] - b[0] || a[1] - b[1])
				.map(([, index]) => index);
			expect(got).toEqual(expected);
		}),
	);
});

test("lines are the same however the bytes are cut", () => {
	fc.assert(
		fc.property(
			fc.array(fc.stringMatching(/^[a-z ]{0,12}$/), { minLength: 1 }),
			fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
			(lines, cuts) => {
				const bytes = Buffer.from(lines.join("\n"));
				const splitter = new LineSplitter();
				const got: string[] = [];
				const take = (buf: Uint8Array, start: number, end: number): void => {
					got.push(Buffer.from(buf.subarray(start, end)).toString());
				};
				let at = 0;
				for (let i = 0; at < bytes.length; i++) {
					const size = cuts[i % cuts.length] as number;
					splitter.feed(bytes.subarray(at, at + size), take);
					at += size;
				}
				splitter.finish(take);
				const expected = lines.at(-1) === "" ? lines.slice(0, -1) : lines;
				expect(got).toEqual(expected);
			},
		),
	);
});
