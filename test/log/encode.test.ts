/** Writing lines as bytes: every length of number, texts of every sort, free-form values, and no code generation. */
import { afterEach, expect, test, vi } from "vitest";
import { putJson } from "../../src/log/json-encode.ts";
import { jsonText } from "../../src/log/json-text.ts";
import { putChecked } from "../../src/log/encode-line.ts";
import { LineBytes } from "../../src/log/line-bytes.ts";
import {
	decodeLine,
	encodeRecord,
	fieldPlans,
} from "../../src/log/record-line.ts";
import { CHAIN_START } from "../../src/log/seal.ts";
import { sealFacts, type TimedFact } from "../../src/log/write.ts";
import {
	type FieldKind,
	hexOf,
	isOfKind,
	type Json,
	u64,
} from "../../src/vocabulary/fields.ts";
import {
	type LogRecord,
	RECORD_FIELDS,
	recordProblem,
	type RecordType,
} from "../../src/vocabulary/records.ts";
import { mapOperation } from "./samples.ts";

/** What is written, into a buffer that is too small for it. */
function written(write: (out: LineBytes) => unknown): string {
	const out = new LineBytes(1);
	write(out);
	return out.written.toString();
}

test("integers of every length", () => {
	for (let digits = 1; digits <= 16; digits++)
		for (const value of [10 ** (digits - 1), 10 ** digits - 1, 7 ** digits])
			for (const n of [value, -value].filter(Number.isSafeInteger))
				expect(written((out) => out.int(n))).toBe(String(n));
	expect(written((out) => out.int(0))).toBe("0");
	expect(written((out) => out.int(-0))).toBe("0");
});

test("64-bit values of every length", () => {
	const values = [0n, 0xffff_ffff_ffff_ffffn];
	for (let bits = 0n; bits < 64n; bits++)
		values.push(1n << bits, (1n << bits) - 1n, 0xfedc_ba98_7654_3210n >> bits);
	for (const value of values)
		expect(written((out) => out.hex(u64(value)))).toBe(`"${hexOf(value)}"`);
});

test("texts of every sort, short and long", () => {
	for (const unit of [
		"a",
		'"',
		"\\",
		"\n",
		"\u007f",
		"é",
		"😀",
		"\ud800",
		"z\u2028",
	])
		for (const count of [0, 1, 47, 48, 95, 96, 97, 3000]) {
			const text = `map ${unit.repeat(count)}`;
			expect(written((out) => out.quoted(text))).toBe(JSON.stringify(text));
			expect(written((out) => out.text(text))).toBe(
				Buffer.from(text).toString(),
			);
		}
});

const nested = (depth: number): Json => (depth === 0 ? 1 : [nested(depth - 1)]);

test("free-form values: checked as the schema does, written as jsonText does", () => {
	const values: unknown[] = [
		{ b: 1, a: [true, false, null, "x", -1.5, 1e300, -0, 2 ** 60], "": {} },
		{ "\u00e9": [], e: [[]], "\ud800": "\udfff" },
		new Date(0),
		Object.create({ inherited: 1 }),
		nested(32),
		nested(33),
		nested(34),
		Number.NaN,
		Number.POSITIVE_INFINITY,
		1n,
		undefined,
		() => 1,
		{ a: undefined },
		{ a: Symbol("s") },
		[undefined],
		// oxlint-disable-next-line no-sparse-arrays
		[1, , 2],
	];
	const good = values.filter((value) => {
		let done = false;
		const text = written((out) => {
			done = putJson(out, value, 0);
		});
		expect(done).toBe(isOfKind("json", value));
		if (done) expect(text).toBe(jsonText(value as Json));
		return done;
	});
	expect(good).toHaveLength(6);
});

test("a record's own actor is no excuse for a field of another kind", () => {
	const [, , map] = mapOperation(0);
	const actor = "ctx:1";
	const wrong = { ...map, actor, data: { ...map?.data, dom: actor } };
	expect(() => sealFacts(CHAIN_START, [wrong as TimedFact])).toThrow(
		/data\.dom is not a domain/,
	);
});

/** Something of every kind, and what JavaScript lets pass for it. */
const SAMPLES: { readonly [K in FieldKind]: unknown } = {
	text: "t",
	count: 3,
	int: -4,
	hex: 5,
	flag: true,
	json: { a: 1 },
	ranges: [[0, 1]],
	actors: ["host"],
	errno: "EINVAL",
	actor: "host",
	group: "group:1",
	device: "device:a",
	domain: "domain:1",
	ctx: "ctx:1",
	hwpt: "ctx:1/hwpt:1@1",
	ioas: "ctx:1/ioas:1@1",
	idev: "ctx:1/idev:1@1",
	access: "ctx:1/access:1@1",
	faultQueue: "ctx:1/fault:1@1",
	pages: "ctx:1/pages:1",
	object: "ctx:1/ioas:1@1",
	iommu: "iommu:a",
};
/** An array with nothing at its last places. */
const holes = (...items: readonly unknown[]): unknown[] => {
	const list = [...items];
	list.length += 1;
	return list;
};
const ODD: readonly unknown[] = [
	...Object.values(SAMPLES),
	...[null, "", "constructor", "__proto__", 'device:"', "device:é", -0, 1.5],
	...[Number.NaN, 2 ** 53, 2n ** 53n, 2n ** 64n, [], {}, [[0]], [["a", 1]]],
	...[holes(), holes([0, 1]), holes("host"), new Date(0), new Map(), Symbol()],
	...[new String("host"), Object("host"), () => 1, "x".repeat(97)],
	JSON.parse('{"__proto__":{"a":1},"b":2}'),
];

test("every field of every type: written as the general path writes it, or left to it", () => {
	let written = 0;
	const check = (type: RecordType, data: unknown, actor: unknown = "host") => {
		const record = { seq: 5, t: 1, type, actor, op: 1, data } as LogRecord;
		const out = new LineBytes(1);
		if (!putChecked(out, 5, record)) return;
		written++;
		expect([type, data, recordProblem(record)]).toEqual([
			type,
			data,
			undefined,
		]);
		expect(out.written.toString()).toBe(`${encodeRecord(record)}\n`);
	};
	for (const type of Object.keys(RECORD_FIELDS) as RecordType[]) {
		const good = Object.fromEntries(
			fieldPlans(type).map(({ name, kind }) => [name, SAMPLES[kind]]),
		);
		check(type, good);
		for (const odd of ODD) {
			check(type, odd);
			check(type, good, odd);
			check(type, { ...good, extra: odd });
			check(type, Object.assign(Object.create({ extra: odd }), good));
			for (const name of Object.keys(good))
				check(type, { ...good, [name]: odd });
		}
	}
	expect(written).toBeGreaterThan(4000);
});

test.each([
	["ranges", [[0, 1]]],
	["actors", ["host"]],
] as const)("a hole in %s is nothing of that kind", (kind, items) => {
	expect(isOfKind(kind, items)).toBe(true);
	expect(isOfKind(kind, holes(...items))).toBe(false);
	expect(isOfKind(kind, holes())).toBe(false);
});

afterEach(() => {
	vi.unstubAllGlobals();
	vi.resetModules();
});

test("where code may not be generated, the bytes are the same", async () => {
	const facts = mapOperation(0);
	const { bytes } = sealFacts(CHAIN_START, facts);
	vi.resetModules();
	let refused = 0;
	vi.stubGlobal("Function", function refuse() {
		refused++;
		throw new EvalError("not here");
	});
	const fresh = await import("../../src/log/write.ts");
	expect(fresh.sealFacts(CHAIN_START, facts).bytes).toStrictEqual(bytes);
	// Once for each type of record, and not again.
	expect(refused).toBe(new Set(facts.map(({ type }) => type)).size);
});

test("a batch with one fact that is not in order is not written; others do not suffer from it", () => {
	const good = mapOperation(0);
	const bad = [...good.slice(0, 2), { ...good[2], data: { dom: "domain:1" } }];
	expect(() => sealFacts(CHAIN_START, bad as typeof good)).toThrow(
		/data\.iova is missing/,
	);
	const lines = sealFacts(CHAIN_START, good).bytes.toString().split("\n");
	expect(lines.slice(0, 4).map((line, i) => decodeLine(line, i + 1))).toEqual(
		good.map((fact, i) => ({ seq: i, ...fact })),
	);
});
