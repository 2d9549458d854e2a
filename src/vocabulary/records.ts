/**
 * The record: one past-tense fact, one line of the log (DESIGN §2). Types, canonical key order and the schema check all
 * come from the three tables of records-core, records-iommufd and records-hardware.
 */
import type { DataOf, FieldKind, FieldTable } from "./fields.ts";
import { isOfKind } from "./fields.ts";
import type { ActorId } from "./ids.ts";
import { isActorId } from "./ids.ts";
import { CORE_RECORDS } from "./records-core.ts";
import { HARDWARE_RECORDS } from "./records-hardware.ts";
import { IOMMUFD_RECORDS } from "./records-iommufd.ts";

/** Every record type with its fields in canonical order. */
export const RECORD_FIELDS = {
	...CORE_RECORDS,
	...IOMMUFD_RECORDS,
	...HARDWARE_RECORDS,
} as const;

/** The name of a record type, such as `dom.map`. */
export type RecordType = keyof typeof RECORD_FIELDS;
/** The `data` of a record type. */
export type RecordData<T extends RecordType> = T extends RecordType
	? DataOf<(typeof RECORD_FIELDS)[T]>
	: never;

/**
 * One record. `seq` is dense from 1 (the header is 0); `t` is in nanoseconds since the epoch named in the header; `op` is the
 * `seq` of the `op.begin` it belongs to, 0 for none.
 */
export type LogRecord<T extends RecordType = RecordType> = T extends RecordType
	? {
			readonly seq: number;
			readonly t: number;
			readonly type: T;
			readonly actor: ActorId;
			readonly op: number;
			readonly data: RecordData<T>;
		}
	: never;

/** A record before the log has given it `seq` and `t`. */
export type Fact<T extends RecordType = RecordType> = T extends RecordType
	? {
			readonly type: T;
			readonly actor: ActorId;
			readonly op?: number;
			readonly data: RecordData<T>;
		}
	: never;

/** Makes a fact; exists for its type inference. */
export function fact<T extends RecordType>(
	type: T,
	actor: ActorId,
	data: RecordData<T>,
): Fact<T> {
	return { type, actor, data } as Fact<T>;
}

/** Tells whether `text` names a record type of this version. */
export const isRecordType = (text: string): text is RecordType =>
	Object.hasOwn(RECORD_FIELDS, text);

const isCount = (value: unknown): boolean =>
	Number.isSafeInteger(value) && (value as number) >= 0;

function dataProblem(table: FieldTable, data: object): string | undefined {
	const fields = data as Record<string, unknown>;
	for (const name of Object.keys(table)) {
		const spec = table[name] as string;
		const optional = spec.endsWith("?");
		const kind = (optional ? spec.slice(0, -1) : spec) as FieldKind;
		const value = fields[name];
		if (value === undefined) {
			if (!optional) return `data.${name} is missing (expected ${kind})`;
		} else if (!isOfKind(kind, value)) return `data.${name} is not a ${kind}`;
	}
	for (const name of Object.keys(fields))
		if (!Object.hasOwn(table, name))
			return `data.${name} is not a field of this type`;
	return undefined;
}

/**
 * Checks a value (64-bit fields already in memory form) against the schema. Returns undefined when it is a record, else one
 * sentence that says which field is wrong and what was expected.
 */
export function recordProblem(value: unknown): string | undefined {
	if (typeof value !== "object" || value === null || Array.isArray(value))
		return "not an object";
	const { seq, t, type, actor, op, data, ...rest } = value as Record<
		string,
		unknown
	>;
	if (!isCount(seq)) return "seq is not a safe integer ≥ 0";
	if (!isCount(t)) return "t is not a safe integer ≥ 0 (nanoseconds)";
	if (typeof type !== "string") return "type is not a string";
	if (!isRecordType(type)) return `unknown record type ${JSON.stringify(type)}`;
	if (typeof actor !== "string" || !isActorId(actor))
		return "actor is not a well-formed name";
	if (!isCount(op)) return "op is not a safe integer ≥ 0";
	if (typeof data !== "object" || data === null || Array.isArray(data))
		return "data is not an object";
	const extra = Object.keys(rest)[0];
	if (extra !== undefined) return `${extra} is not a field of a record`;
	return dataProblem(RECORD_FIELDS[type], data);
}
