/**
 * The fast way to write record lines: checks a record against its table and writes it in one walk, with names checked and quoted once
 * and remembered. Gives undefined for whatever it does not find in order; the general path (`recordProblem`, `encodeRecord`) then
 * accepts it or says what is wrong. A property test holds the two together.
 */
import {
	type FieldKind,
	hexOf,
	isOfKind,
	isU64,
	type Json,
	type U64,
	type U64Range,
} from "../vocabulary/fields.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { kindBit } from "./byte-text.ts";
import { jsonText, quote } from "./json-text.ts";
import { fieldPlans } from "./record-line.ts";

/** A name that was seen before: quoted, and the bits of the kinds it was found to be. */
interface Known {
	readonly quoted: string;
	kinds: number;
}

/** Names remembered at most; then all are forgotten. A cache: nothing but speed depends on it. */
const KNOWN_MAX = 1 << 16;
const known = new Map<string, Known>();

function nameText(
	kind: FieldKind,
	bit: number,
	value: unknown,
): string | undefined {
	if (typeof value !== "string") return undefined;
	let found = known.get(value);
	if (found === undefined) {
		if (known.size >= KNOWN_MAX) known.clear();
		found = { quoted: quote(value), kinds: 0 };
		known.set(value, found);
	}
	if ((found.kinds & bit) === 0) {
		if (!isOfKind(kind, value)) return undefined;
		found.kinds |= bit;
	}
	return found.quoted;
}

const ACTOR_BIT = kindBit("actor");
const isCount = (value: unknown): value is number =>
	Number.isSafeInteger(value) && (value as number) >= 0;

function valueText(
	kind: FieldKind,
	bit: number,
	value: unknown,
): string | undefined {
	switch (kind) {
		case "count":
			return isCount(value) ? String(value) : undefined;
		case "int":
			return Number.isSafeInteger(value) ? String(value) : undefined;
		case "hex":
			return isU64(value) ? `"${hexOf(value as U64)}"` : undefined;
		case "flag":
			return value === true ? "true" : value === false ? "false" : undefined;
		case "text":
			return typeof value === "string" ? quote(value) : undefined;
		case "json":
			return isOfKind("json", value) ? jsonText(value as Json) : undefined;
		case "ranges":
			if (!isOfKind("ranges", value)) return undefined;
			return `[${(value as readonly U64Range[]).map(([a, b]) => `["${hexOf(a)}","${hexOf(b)}"]`).join(",")}]`;
		case "actors":
			return isOfKind("actors", value)
				? `[${(value as readonly string[]).map(quote).join(",")}]`
				: undefined;
		default:
			return nameText(kind, bit, value);
	}
}

interface Plan {
	readonly head: string;
	readonly fields: readonly {
		readonly name: string;
		readonly kind: FieldKind;
		readonly bit: number;
		readonly optional: boolean;
		readonly first: string;
		readonly next: string;
	}[];
}
const plans = new Map<string, Plan>();

function planOf(type: string): Plan | undefined {
	let plan = plans.get(type);
	if (plan !== undefined) return plan;
	const fields = fieldPlans(type);
	if (fields.length === 0) return undefined;
	plan = {
		head: `,"type":"${type}","actor":`,
		fields: fields.map(({ name, kind, optional, key }) => ({
			name,
			kind,
			bit: kindBit(kind),
			optional,
			first: key,
			next: `,${key}`,
		})),
	};
	plans.set(type, plan);
	return plan;
}

/** Checks a record and writes its line, without newline; undefined when something is not in order. */
export function checkedLine(record: LogRecord): string | undefined {
	const { seq, t, type, actor, op } = record;
	const plan = planOf(type);
	if (plan === undefined || !isCount(seq) || !isCount(t) || !isCount(op))
		return undefined;
	const who = nameText("actor", ACTOR_BIT, actor);
	const data = record.data as Readonly<Record<string, unknown>> | undefined;
	if (who === undefined || typeof data !== "object" || data === null)
		return undefined;
	let text = "";
	let present = 0;
	for (const { name, kind, bit, optional, first, next } of plan.fields) {
		const value = data[name];
		if (value === undefined) {
			if (!optional) return undefined;
			continue;
		}
		const written = valueText(kind, bit, value);
		if (written === undefined) return undefined;
		text += (present++ === 0 ? first : next) + written;
	}
	// Fields that are no part of the type, or there but undefined: the general path decides.
	let own = 0;
	for (const _ in data) own++;
	return own === present
		? `{"seq":${seq},"t":${t}${plan.head}${who},"op":${op},"data":{${text}}}`
		: undefined;
}
