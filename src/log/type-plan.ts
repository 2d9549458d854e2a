/**
 * What the fast path knows about each record type: its keys as bytes, the objects it fills again and again, and a function that reads
 * such a line from its actor on. That function is compiled from the type's table (compile-plan.ts) or, where code may not be
 * generated (a browser page with a strict policy), a loop over the table: same results, about 1.4 times slower.
 */
import type { FieldKind } from "../vocabulary/fields.ts";
import { UNPARSED, type Unparsed } from "../vocabulary/later.ts";
import {
	kindBit,
	type Literal,
	literal,
	type Name,
	nameIs,
} from "./byte-text.ts";
import { compileRead } from "./compile-plan.ts";
import { JsonSlot } from "./json-bytes.ts";
import { FAIL, type LineReader } from "./line-reader.ts";
import { fieldPlans } from "./record-line.ts";

/** A record that is overwritten by the next one of its kind. */
export type Mutable = {
	seq: number;
	t: number;
	type: string;
	actor: string;
	op: number;
	data: Record<string, unknown>;
};

/** A field as bytes. */
export interface Field {
	readonly name: string;
	readonly kind: FieldKind;
	readonly bit: number;
	readonly optional: boolean;
	/** `"name":` and `,"name":` */
	readonly first: Literal;
	readonly next: Literal;
	/** For `json` fields: where the value is kept. */
	readonly slot: JsonSlot | undefined;
	/** The name read here last: the likeliest to come again. */
	last: Name | undefined;
}

/** Reads a line from its actor on; undefined when it is not canonical. */
export type ReadLine = (
	reader: LineReader,
	seq: number,
	t: number,
) => Mutable | undefined;

/** A record type as bytes. */
export interface TypePlan {
	readonly type: string;
	/** `dom.map","actor":` */
	readonly head: Literal;
	readonly fields: readonly Field[];
	readonly read: ReadLine;
	/** The type that followed this one last. */
	successor: TypePlan | undefined;
}

const ACTOR_BIT = kindBit("actor");
const OP = literal(',"op":');
const DATA = literal(',"data":{');
const CLOSE = 0x7d;
const NEWLINE = 0x0a;

/** The fields of a record type, each with room for what was read last. */
export function recordFields(type: string): readonly Field[] {
	return fieldPlans(type).map(({ name, kind, optional, key }) => ({
		name,
		kind,
		bit: kindBit(kind),
		optional,
		first: literal(key),
		next: literal(`,${key}`),
		slot: kind === "json" ? new JsonSlot() : undefined,
		last: undefined,
	}));
}

/** Prepares a record type. `compiled`: false forces the loop (tests hold the two together). */
export function typePlan(type: string, compiled = true): TypePlan {
	const fields = recordFields(type);
	const read =
		(compiled ? compileRead(type, fields) : undefined) ??
		loopRead(type, fields);
	return {
		type,
		head: literal(`${type}","actor":`),
		fields,
		read,
		successor: undefined,
	};
}

/** An empty record of a type with the fields of `mask` (bit i = field i). Free-form values are parsed when they are asked for. */
export function variant(
	type: string,
	fields: readonly Field[],
	mask: number,
): Mutable {
	const data: Record<string, unknown> = {};
	fields.forEach(({ name, slot }, i) => {
		if ((mask & (1 << i)) === 0) return;
		if (slot === undefined) data[name] = undefined;
		else
			Object.defineProperty(data, name, {
				enumerable: true,
				configurable: true,
				get: () => slot.get(),
			});
	});
	const slots = fields.filter(({ slot }) => slot !== undefined);
	if (slots.length > 0) {
		const unparsed: Unparsed = (wanted) =>
			slots.find(({ name }) => name === wanted)?.slot?.text();
		Object.defineProperty(data, UNPARSED, { value: unparsed });
	}
	return { seq: 0, t: 0, type, actor: "", op: 0, data };
}

function loopRead(type: string, fields: readonly Field[]): ReadLine {
	const variants = new Map<number, Mutable>();
	const values: unknown[] = [];
	let lastActor: Name | undefined;
	return (reader, seq, t) => {
		const actor = reader.name(lastActor);
		if (
			actor === undefined ||
			!nameIs(actor, "actor", ACTOR_BIT) ||
			!reader.take(OP)
		)
			return undefined;
		lastActor = actor;
		const op = reader.count();
		if (op === FAIL || !reader.take(DATA)) return undefined;
		const mask = loopFields(reader, fields, actor, values);
		const { bytes, position } = reader;
		if (
			mask < 0 ||
			bytes[position] !== CLOSE ||
			bytes[position + 1] !== CLOSE ||
			bytes[position + 2] !== NEWLINE
		)
			return undefined;
		reader.position = position + 3;
		let record = variants.get(mask);
		if (record === undefined) {
			record = variant(type, fields, mask);
			variants.set(mask, record);
		}
		fields.forEach(({ name, slot }, i) => {
			if ((mask & (1 << i)) !== 0 && slot === undefined)
				(record as Mutable).data[name] = values[i];
		});
		return Object.assign(record, { seq, t, actor: actor.text, op });
	};
}

/** Reads the fields that are there into `values`; their mask, or FAIL. */
function loopFields(
	reader: LineReader,
	fields: readonly Field[],
	actor: Name,
	values: unknown[],
): number {
	let mask = 0;
	for (const [i, field] of fields.entries()) {
		if (!reader.take(mask === 0 ? field.first : field.next)) {
			if (!field.optional) return FAIL;
			continue;
		}
		const value = loopValue(reader, field, actor);
		if (value === undefined) return FAIL;
		values[i] = value;
		mask |= 1 << i;
	}
	return mask;
}

function loopValue(reader: LineReader, field: Field, actor: Name): unknown {
	switch (field.kind) {
		case "hex":
			return reader.hex();
		case "count": {
			const value = reader.count();
			return value === FAIL ? undefined : value;
		}
		case "int":
			return reader.int();
		case "flag":
			return reader.flag();
		case "json":
			return reader.json(field.slot as JsonSlot) ? true : undefined;
		case "ranges":
			return reader.ranges();
		case "actors":
			return reader.actors();
		default:
			return reader.named(field, actor);
	}
}
