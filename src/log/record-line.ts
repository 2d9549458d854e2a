/**
 * The record line: canonical NDJSON, one record a line. Key order is seq, t, type, actor, op, data; `data` in the order of its
 * table (src/vocabulary); optional fields that are absent are left out. 64-bit values are numbers or bigints in memory and
 * "0x…" text in the line; only this codec converts.
 *
 * This is the readable, general path. scan-line.ts does the same for canonical lines many times faster; a property test holds
 * the two together.
 */
import type { FieldKind, Json, U64, U64Range } from "../vocabulary/fields.ts";
import { hexOf, isU64, u64FromHex } from "../vocabulary/fields.ts";
import {
	isRecordType,
	type LogRecord,
	RECORD_FIELDS,
	recordProblem,
} from "../vocabulary/records.ts";
import { FORMAT_VERSION } from "../vocabulary/header.ts";
import { LogError } from "./error.ts";
import { jsonFaultAt, jsonText, quote } from "./json-text.ts";
import { upcastRecord } from "./upcast.ts";

/** One field of a record type, ready for encoding and decoding. */
export interface FieldPlan {
	readonly name: string;
	readonly kind: FieldKind;
	readonly optional: boolean;
	/** `"name":` */
	readonly key: string;
}

function plansOf(type: keyof typeof RECORD_FIELDS): readonly FieldPlan[] {
	return Object.entries(RECORD_FIELDS[type] as Record<string, string>).map(
		([name, spec]) => {
			const optional = spec.endsWith("?");
			const kind = (optional ? spec.slice(0, -1) : spec) as FieldKind;
			return { name, kind, optional, key: `"${name}":` };
		},
	);
}

const PLANS: ReadonlyMap<string, readonly FieldPlan[]> = new Map(
	(Object.keys(RECORD_FIELDS) as (keyof typeof RECORD_FIELDS)[]).map((type) => [
		type,
		plansOf(type),
	]),
);

/** The fields of a record type in canonical order; empty for an unknown type. */
export const fieldPlans = (type: string): readonly FieldPlan[] =>
	PLANS.get(type) ?? [];

function valueText(kind: FieldKind, value: unknown): string {
	switch (kind) {
		case "count":
		case "int":
		case "flag":
			return String(value);
		case "hex":
			return `"${hexOf(value as U64)}"`;
		case "json":
			return jsonText(value as Json);
		case "ranges":
			return `[${(value as readonly U64Range[]).map(([a, b]) => `["${hexOf(a)}","${hexOf(b)}"]`).join(",")}]`;
		case "actors":
			return `[${(value as readonly string[]).map(quote).join(",")}]`;
		default:
			return quote(value as string);
	}
}

/**
 * Writes a record as its canonical line, without newline. The record is taken as it is: check it first (`recordProblem`) when it
 * does not come from typed code; stores do. -0 becomes 0.
 */
export function encodeRecord(record: LogRecord): string {
	const data = record.data as Readonly<Record<string, unknown>>;
	let text = "";
	for (const plan of fieldPlans(record.type)) {
		const value = data[plan.name];
		if (value === undefined) continue;
		text += text === "" ? plan.key : `,${plan.key}`;
		text += valueText(plan.kind, value);
	}
	const { seq, t, type, actor, op } = record;
	return `{"seq":${seq},"t":${t},"type":"${type}","actor":${quote(actor)},"op":${op},"data":{${text}}}`;
}

/** `undefined` = not canonical hex text; the schema check then names the field. */
function fromText(kind: FieldKind, value: unknown): unknown {
	if (kind === "hex")
		return typeof value === "string" ? u64FromHex(value) : undefined;
	if (kind !== "ranges" || !Array.isArray(value)) return value;
	return value.map((range: unknown) =>
		Array.isArray(range) ? range.map((end) => fromText("hex", end)) : range,
	);
}

/** Replaces hex text by 64-bit values, in place. Returns the name of a field that is none. */
function convertHex(
	type: string,
	data: Record<string, unknown>,
): string | undefined {
	for (const { name, kind } of fieldPlans(type)) {
		if ((kind !== "hex" && kind !== "ranges") || !Object.hasOwn(data, name))
			continue;
		const value = fromText(kind, data[name]);
		if (kind === "hex" && !isU64(value)) return name;
		data[name] = value;
	}
	return undefined;
}

/**
 * Brings a parsed line into memory form, in place (64-bit text becomes values), and checks the schema. Returns undefined when it is
 * a record, else one sentence that says what is wrong.
 */
export function parsedRecordProblem(value: unknown): string | undefined {
	if (typeof value === "object" && value !== null) {
		const { type, data } = value as Record<string, unknown>;
		if (
			typeof type === "string" &&
			isRecordType(type) &&
			typeof data === "object" &&
			data !== null
		) {
			const bad = convertHex(type, data as Record<string, unknown>);
			if (bad !== undefined)
				return `data.${bad} is not a hex ("0x…", lower case, no leading zeros, at most 64 bits)`;
		}
	}
	return recordProblem(value);
}

function columnOf(text: string, problem: string): number | undefined {
	const field = /^(?:data\.)?([A-Za-z]+) /.exec(problem)?.[1];
	const at = field === undefined ? -1 : text.lastIndexOf(`"${field}":`);
	return at < 0 ? undefined : at + 1;
}

/** Parses JSON. Throws LogError `bad-line` with the column of the first character that does not fit. */
export function parseJsonLine(text: string, line: number): unknown {
	try {
		return JSON.parse(text);
	} catch (cause) {
		const at = jsonFaultAt(text);
		const found =
			at >= text.length
				? "the line ends too early"
				: `unexpected ${JSON.stringify(text[at])}`;
		throw new LogError("bad-line", `no JSON: ${found}`, {
			line,
			column: at + 1,
			hint: "`iommu-ledger log check` tells what happened to the file.",
			cause,
		});
	}
}

/**
 * Reads one record line, canonical or not, and checks it against the schema. `line` counts from 1 and is for messages; `version`
 * is the format version of the log it is from. Throws
 * LogError: `bad-line` (no JSON), `bad-record` (no record of this version), each with line and column.
 */
export function decodeLine(
	text: string,
	line: number,
	version = FORMAT_VERSION,
): LogRecord {
	const value = upcastRecord(version, parseJsonLine(text, line));
	const problem = parsedRecordProblem(value);
	if (problem === undefined) return value as LogRecord;
	const seq = (value as { seq?: unknown } | null)?.seq;
	throw new LogError("bad-record", problem, {
		line,
		column: columnOf(text, problem),
		seq: typeof seq === "number" ? seq : undefined,
		hint: "The record does not fit its table in src/vocabulary; was the line edited, or written by a newer version?",
	});
}
