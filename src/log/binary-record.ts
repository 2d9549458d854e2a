/** Records in the binary codec: type, time since the record before, actor and operation as small numbers, fields by their table. */
import {
	isOfKind,
	type Json,
	type U64,
	type U64Range,
} from "../vocabulary/fields.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { ByteReader, ByteWriter } from "./binary-bytes.ts";
import { type NameReader, type NameTable, writeName } from "./binary-names.ts";
import { LogError } from "./error.ts";
import type { JsonSlot } from "./json-bytes.ts";
import { jsonText } from "./json-text.ts";
import { schemaName, schemaOf } from "./binary-schema.ts";
import { fieldPlans } from "./record-line.ts";
import { type Field, type Mutable, variant } from "./type-plan.ts";

/** Writes a record that was checked. `t` is written as the difference to `lastT`. */
export function writeRecord(
	out: ByteWriter,
	names: NameTable,
	record: LogRecord,
	lastT: number,
): void {
	writeName(out, names, schemaName(record.type), Number.POSITIVE_INFINITY);
	out.int(record.t - lastT);
	writeName(out, names, record.actor);
	out.int(record.seq - record.op);
	const data = record.data as Readonly<Record<string, unknown>>;
	const plans = fieldPlans(record.type);
	// One bit for each optional field, in the order of the table.
	let mask = 0;
	let bit = 1;
	for (const { name, optional } of plans) {
		if (!optional) continue;
		if (data[name] !== undefined) mask |= bit;
		bit <<= 1;
	}
	if (bit > 1) out.count(mask);
	for (const { name, kind } of plans) {
		const value = data[name];
		if (value !== undefined) writeValue(out, names, kind, value);
	}
}

function writeValue(
	out: ByteWriter,
	names: NameTable,
	kind: Field["kind"],
	value: unknown,
): void {
	switch (kind) {
		case "count":
			return out.count(value as number);
		case "int":
			return out.int(value as number);
		case "hex":
			return out.hex(value as U64);
		case "flag":
			return out.byte(value === true ? 1 : 0);
		case "json":
			return out.text(jsonText(value as Json));
		case "ranges":
			out.count((value as readonly U64Range[]).length);
			for (const [start, last] of value as readonly U64Range[]) {
				out.hex(start);
				out.hex(last);
			}
			return;
		case "actors":
			out.count((value as readonly string[]).length);
			for (const actor of value as readonly string[])
				writeName(out, names, actor);
			return;
		default:
			return writeName(out, names, value as string);
	}
}

/** A record type for reading. */
interface BinaryPlan {
	readonly type: string;
	readonly fields: readonly Field[];
	readonly optionals: number;
	readonly fill: Fill;
	readonly variants: Map<number, Mutable>;
	readonly whole: Mutable;
}

/** Reads records. They are reused, as those of LineDecoder are. */
export class RecordReader {
	readonly #in: ByteReader;
	readonly #names: NameReader;
	/** By the number of the type's name; emptied with the table. */
	#plans: (BinaryPlan | undefined)[] = [];
	readonly #byName = new Map<string, BinaryPlan>();

	constructor(input: ByteReader, names: NameReader) {
		this.#in = input;
		this.#names = names;
	}

	/** The table of names was emptied. */
	reset(): void {
		this.#plans = [];
	}

	/** The next record. Throws LogError `damaged` or `bad-record`. */
	read(seq: number, lastT: number): LogRecord {
		const input = this.#in;
		const names = this.#names;
		const plan = this.#plan(names.number());
		const t = lastT + input.int();
		const actor = names.actor();
		const op = seq - input.int();
		const all = 2 ** plan.optionals - 1;
		const mask = plan.optionals === 0 ? 0 : input.count();
		let record = plan.whole;
		if (mask !== all)
			record = plan.variants.get(mask) ?? this.#variant(plan, mask);
		plan.fill(input, names, record.data, mask);
		record.seq = seq;
		record.t = t;
		record.actor = actor;
		record.op = op;
		if (t < 0 || op < 0)
			throw new LogError("bad-record", "t or op is negative", { seq });
		return record as unknown as LogRecord;
	}

	#plan(number: number): BinaryPlan {
		const known = number < 0 ? undefined : this.#plans[number];
		if (known !== undefined) return known;
		const name = this.#names.text(number);
		let plan = this.#byName.get(name);
		if (plan === undefined) {
			const { type, fields } = schemaOf(name);
			const optionals = fields.filter(({ optional }) => optional).length;
			plan = {
				type,
				fields,
				optionals,
				fill: compiledFill(name, type, fields) ?? loopFill(fields),
				variants: new Map(),
				whole: variant(type, fields, 2 ** fields.length - 1),
			};
			this.#byName.set(name, plan);
		}
		if (number >= 0) this.#plans[number] = plan;
		return plan;
	}

	#variant(plan: BinaryPlan, mask: number): Mutable {
		let bit = 1;
		let present = 0;
		for (const [i, { optional }] of plan.fields.entries()) {
			if (!optional || (mask & bit) !== 0) present |= 1 << i;
			if (optional) bit <<= 1;
		}
		if (mask >= bit)
			throw new LogError("damaged", "a field that the type does not have");
		const made = variant(plan.type, plan.fields, present);
		plan.variants.set(mask, made);
		return made;
	}
}

/** Reads the fields that are there into `data`. */
type Fill = (
	input: ByteReader,
	names: NameReader,
	data: Record<string, unknown>,
	mask: number,
) => void;

/** How a field is read. */
type ReadValue = (
	input: ByteReader,
	names: NameReader,
	field: Field,
) => unknown;
const READ: { readonly [kind: string]: ReadValue } = {
	hex: (input) => input.hex(),
	count: (input) => input.count(),
	int: (input) => input.int(),
	flag: (input) => input.byte() === 1,
	ranges: (input) => list(input, () => [input.hex(), input.hex()]),
	actors: (input, names) => list(input, () => names.actor()),
};
const readName: ReadValue = (_, names, field) =>
	names.named(field.kind, field.bit);

function list<T>(input: ByteReader, item: () => T): T[] {
	const items: T[] = [];
	for (let left = input.count(); left > 0; left--) {
		items.push(item());
		input.check();
	}
	return items;
}

/** A free-form value: kept as bytes, checked and parsed when somebody asks for it. */
function readJson(input: ByteReader, slot: JsonSlot): void {
	const length = input.count();
	const start = input.position;
	input.position += length >> 1;
	input.check();
	slot.defer(input.bytes, start, input.position, parsedJson);
}

/** The loop over a table, where code may not be generated. */
function loopFill(fields: readonly Field[]): Fill {
	return (input, names, data, mask) => {
		let bit = 1;
		for (const field of fields) {
			const there = !field.optional || (mask & bit) !== 0;
			if (field.optional) bit <<= 1;
			if (!there) continue;
			if (field.slot === undefined)
				data[field.name] = (READ[field.kind] ?? readName)(input, names, field);
			else readJson(input, field.slot);
		}
	};
}

type Factory = (
	fields: readonly Field[],
	read: typeof READ,
	json: typeof readJson,
) => Fill;
/** Compiled once, not once a reader: a new function would be slow again. One for each layout that this program writes; files may have others. */
const factories = new Map<string, Factory>();

/** The same, compiled: see compile-plan.ts for why, and why that is safe. */
function compiledFill(
	name: string,
	type: string,
	fields: readonly Field[],
): Fill | undefined {
	try {
		let factory = factories.get(name);
		if (factory === undefined) {
			// oxlint-disable-next-line no-new-func
			factory = new Function(
				"fields",
				"READ",
				"readJson",
				fillSource(fields),
			) as Factory;
			if (name === schemaName(type)) factories.set(name, factory);
		}
		return factory(fields, READ, readJson);
	} catch (error) {
		if (error instanceof EvalError) return undefined;
		throw error;
	}
}

function fillSource(fields: readonly Field[]): string {
	let bit = 1;
	const steps = fields.map(
		({ name, kind, bit: kindBits, optional, slot }, i) => {
			const simple = {
				hex: "r.hex()",
				count: "r.count()",
				int: "r.int()",
				flag: "r.byte()===1",
			}[kind as string];
			const value =
				simple ??
				(READ[kind] === undefined
					? `n.named("${kind}",${kindBits})`
					: `READ.${kind}(r,n)`);
			const step =
				slot === undefined
					? `d.${name}=${value};`
					: `readJson(r,fields[${i}].slot);`;
			if (!optional) return step;
			const test = `if(m&${bit})`;
			bit <<= 1;
			return `${test}${step}`;
		},
	);
	return `"use strict";return function(r,n,d,m){${steps.join("")}}`;
}

function parsedJson(text: string): Json {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new LogError("bad-record", "a free-form value is no JSON", { cause });
	}
	if (!isOfKind("json", value))
		throw new LogError("bad-record", "a free-form value is too deep");
	return value as Json;
}
