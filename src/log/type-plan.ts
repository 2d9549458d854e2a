/** What the fast path knows about each record type: its keys as bytes, and the objects it fills again and again. */
import type { FieldKind } from "../vocabulary/fields.ts";
import { kindBit, type Literal, literal, type Name } from "./byte-text.ts";
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
	/** The name read here last: the likeliest to come again. */
	last: Name | undefined;
}

/** A record type as bytes. */
export interface TypePlan {
	/** `dom.map","actor":` */
	readonly head: Literal;
	readonly fields: readonly Field[];
	/** One reusable record per set of optional fields that are there. */
	readonly variants: Map<number, Mutable>;
	whole: Mutable;
	/** The type that followed this one last. */
	successor: TypePlan | undefined;
	lastActor: Name | undefined;
}

/** Prepares a record type. */
export function typePlan(type: string): TypePlan {
	const fields = fieldPlans(type).map(({ name, kind, optional, key }) => ({
		name,
		kind,
		bit: kindBit(kind),
		optional,
		first: literal(key),
		next: literal(`,${key}`),
		last: undefined,
	}));
	const all = 2 ** fields.length - 1;
	const whole = variant(type, fields, all);
	return {
		head: literal(`${type}","actor":`),
		fields,
		variants: new Map([[all, whole]]),
		whole,
		successor: undefined,
		lastActor: undefined,
	};
}

/** An empty record of a type with the fields of `mask` (bit i = field i). */
export function variant(
	type: string,
	fields: readonly Field[],
	mask: number,
): Mutable {
	const data: Record<string, unknown> = {};
	fields.forEach((field, i) => {
		if ((mask & (1 << i)) !== 0) data[field.name] = undefined;
	});
	return { seq: 0, t: 0, type, actor: "", op: 0, data };
}
