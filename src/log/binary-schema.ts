/**
 * How record types are named in a binary log: with their fields as the writer knew them, `dom.map(dom:domain,iova:hex,…,prot?:count)`. So a
 * file says itself how its records are laid out, and stays readable when a later version of the program gives a type more fields.
 */
import { isRecordType, type RecordType } from "../vocabulary/records.ts";
import { LogError } from "./error.ts";
import { fieldPlans } from "./record-line.ts";
import { type Field, recordFields } from "./type-plan.ts";

const names = new Map<string, string>();

/** The name of a type in a binary log. */
export function schemaName(type: string): string {
	let name = names.get(type);
	if (name === undefined) {
		const fields = fieldPlans(type).map(
			({ name: field, kind, optional }) =>
				`${field}${optional ? "?" : ""}:${kind}`,
		);
		name = `${type}(${fields.join(",")})`;
		names.set(type, name);
	}
	return name;
}

const NAME = /^([a-z0-9.]+)\((.*)\)$/;
const FIELD = /^([A-Za-z0-9]+)(\??):([A-Za-z0-9]+)$/;

/** A type as a file lays it out. */
export interface Schema {
	readonly type: RecordType;
	/** In the file's order; optional as the file says. */
	readonly fields: readonly Field[];
}

/** Reads such a name. Throws LogError `bad-record` when this program does not know the type, or not these fields of it. */
export function schemaOf(name: string): Schema {
	const [, type = "", list = ""] = NAME.exec(name) ?? [];
	if (!isRecordType(type))
		throw new LogError(
			"bad-record",
			`unknown record type ${JSON.stringify(name)}`,
		);
	const known = recordFields(type);
	const fields = (list === "" ? [] : list.split(",")).map((text) =>
		fieldOf(type, text, known),
	);
	if (new Set(fields.map((field) => field.name)).size < fields.length)
		throw new LogError("bad-record", `the log's ${type} has a field twice`);
	const missing = known.find(
		({ name: field, optional }) =>
			!optional && !fields.some((one) => one.name === field && !one.optional),
	);
	if (missing !== undefined)
		throw new LogError(
			"bad-record",
			`the log's ${type} has no ${missing.name}`,
			{ hint: "It was written by another version of this program." },
		);
	return { type, fields };
}

function fieldOf(type: string, text: string, known: readonly Field[]): Field {
	const [, name = "", mark = "", kind = ""] = FIELD.exec(text) ?? [];
	const field = known.find((one) => one.name === name && one.kind === kind);
	if (field === undefined)
		throw new LogError(
			"bad-record",
			`the log's ${type} has a field ${JSON.stringify(text)}, which this program does not know`,
			{ hint: "A later version wrote it: read it with that." },
		);
	return { ...field, optional: mark === "?" };
}
