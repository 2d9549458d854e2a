/** Arbitrary records of every type for property tests, hostile strings and the edges of 64 bits included. */
import fc from "fast-check";
import { ERRNO } from "../../src/vocabulary/errno.ts";
import type { FieldKind, Json } from "../../src/vocabulary/fields.ts";
import { u64 } from "../../src/vocabulary/fields.ts";
import {
	type LogRecord,
	RECORD_FIELDS,
	type RecordType,
} from "../../src/vocabulary/records.ts";
import type { TimedFact } from "../../src/log/write.ts";

const number = fc.oneof(
	fc.nat(9),
	fc.nat(999_999_999),
	fc.maxSafeNat(),
	fc.constantFrom(
		0,
		999_999_999,
		1_000_000_000,
		999_999_999_999_999,
		Number.MAX_SAFE_INTEGER,
	),
);
const small = fc.nat(99_999);
const hex = fc
	.oneof(
		fc.nat(0xffff_ffff),
		fc.maxSafeNat(),
		fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
		fc.constantFrom(
			0,
			2 ** 28,
			2 ** 28 - 1,
			2 ** 52,
			Number.MAX_SAFE_INTEGER,
			2n ** 53n,
			0xffff_ffff_ffff_ffffn,
		),
	)
	.map((value) => u64(value));
const text = fc.oneof(
	fc.string({ unit: "grapheme" }),
	fc.string({ unit: "binary" }),
	fc.constantFrom(
		"",
		"a",
		'"',
		"\\",
		"\n",
		"\u0000",
		"\ud800",
		"\udfff\ud800",
		"\u2028",
		"é",
		"😀",
		'{"seal":1',
		"map",
		"x".repeat(3000),
	),
);
// Bus names may be anything but control characters (vocabulary/ids.ts).
// oxlint-disable no-control-regex
const busName = fc.oneof(
	fc.constantFrom(
		"0000:01:00.0",
		"0000:02:00.1",
		"ü",
		'"\\',
		"😀",
		"a".repeat(200),
		']}"}',
		"\ud800",
	),
	fc
		.string({ unit: "grapheme", minLength: 1, maxLength: 20 })
		.filter((s) => /^[^\u0000-\u001f\u007f]{1,100}$/u.test(s)),
);
const ctx = small.map((n) => `ctx:${n}`);
const objectOf = (kind: string) =>
	fc
		.tuple(ctx, small, small)
		.map(([c, id, gen]) => `${c}/${kind}:${id}@${gen}`);
const names = {
	group: small.map((n) => `group:${n}`),
	device: busName.map((s) => `device:${s}`),
	domain: small.map((n) => `domain:${n}`),
	ctx,
	hwpt: objectOf("hwpt"),
	ioas: objectOf("ioas"),
	idev: objectOf("idev"),
	access: objectOf("access"),
	faultQueue: objectOf("fault-queue"),
	pages: fc.tuple(ctx, small).map(([c, n]) => `${c}/pages:${n}`),
	iommu: fc.constantFrom("iommu:dmar0", "iommu:ä", "iommu:x"),
};
const object = fc.oneof(
	names.hwpt,
	names.ioas,
	names.idev,
	names.access,
	names.faultQueue,
);
const actor = fc.oneof(
	object,
	...Object.values(names),
	fc.constantFrom("host", "task:qemu-1", "task: "),
);
const plainZero = (value: unknown): unknown =>
	JSON.parse(JSON.stringify(value));
// JSON has one zero; and numbers with exponents and deep nesting are to be met.
const json = fc
	.oneof(
		fc.jsonValue({ maxDepth: 4 }),
		fc.constantFrom(
			{},
			[],
			null,
			1e300,
			5e-324,
			-1.5e-9,
			1e21,
			{ b: 1, a: { d: [], c: "}" } },
			["]", '"', "\\"],
			{ __proto__x: 1 },
		),
	)
	.map((value) => plainZero(value) as Json);

const KINDS: { readonly [K in FieldKind]: fc.Arbitrary<unknown> } = {
	count: number,
	int: fc.oneof(
		fc.integer(),
		fc.maxSafeInteger().map((n) => (n === 0 ? 0 : n)),
	),
	hex,
	text,
	flag: fc.boolean(),
	errno: fc.constantFrom(...Object.keys(ERRNO)),
	json,
	ranges: fc.array(fc.tuple(hex, hex), { maxLength: 4 }),
	actor,
	actors: fc.array(actor, { maxLength: 4 }),
	object,
	...names,
};

const dataOf = (type: RecordType): fc.Arbitrary<Record<string, unknown>> => {
	const table = RECORD_FIELDS[type] as Readonly<Record<string, string>>;
	const fields = Object.fromEntries(
		Object.entries(table).map(([name, spec]) => [
			name,
			KINDS[spec.replace("?", "") as FieldKind],
		]),
	);
	const requiredKeys = Object.keys(table).filter(
		(name) => !table[name]?.endsWith("?"),
	);
	return fc.record(fields, { requiredKeys, noNullPrototype: true });
};

/** Every record type of the vocabulary. */
export const RECORD_TYPES = Object.keys(RECORD_FIELDS) as RecordType[];

/** A record of a type. Fields are made from the tables, so TypeScript cannot see that they fit. */
export const recordOf = (type: RecordType): fc.Arbitrary<LogRecord> =>
	fc.record(
		{
			seq: number,
			t: number,
			type: fc.constant(type),
			actor,
			op: number,
			data: dataOf(type),
		},
		{ noNullPrototype: true },
	) as unknown as fc.Arbitrary<LogRecord>;

/** A record of any type. */
export const anyRecord: fc.Arbitrary<LogRecord> = fc
	.constantFrom(...RECORD_TYPES)
	.chain(recordOf);

/** A fact of any type, for appending. */
export const anyFact: fc.Arbitrary<TimedFact> = anyRecord.map(
	({ t, type, actor: who, op, data }) =>
		({ t, type, actor: who, op, data }) as TimedFact,
);
