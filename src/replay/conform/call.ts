/**
 * A recorded call as the players hand it to the model, and what the model answers: fields in the recording's spelling.
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Range } from "../../../machines/iopt.ts";
import type { Answer } from "../../../machines/ops/types.ts";
import { overlay } from "./abi.ts";
import type { BitmapNote } from "./bitmap.ts";

/** Any JSON object. */
export type JsonObject = { readonly [key: string]: unknown };

/** What a call gives back, in the recording's spelling. Fields that are absent were not touched. */
export interface Reply {
	readonly ret: number;
	readonly errno: ErrnoName | null;
	readonly step?: string | undefined;
	/** Fields of the structure that were written. */
	readonly out?: { readonly [field: string]: unknown };
	readonly ranges?: readonly (readonly [string, string])[];
	readonly data?: string;
	readonly caps?: string;
	readonly bitmap?: BitmapNote | undefined;
	readonly faults?: readonly JsonObject[];
}

/** Reads fields of a recorded structure as far as the kernel copies them; missing or malformed ones are a mistake of the recording. */
export class Fields {
	readonly #in: JsonObject;
	readonly #covered: (field: string) => number;
	constructor(fields: JsonObject, covered: (field: string) => number) {
		this.#in = fields;
		this.#covered = covered;
	}
	/** A field of at most 32 bits. */
	num(name: string): number {
		return Number(this.big(name));
	}
	/** A byte array that recordings show as hex digits: 0 when all bytes are. */
	bytes(name: string): number {
		const value = this.#in[name];
		if (typeof value !== "string" || !/^[0-9a-f]+$/.test(value))
			throw new Error(`field ${name} is missing or no hex digits`);
		return Number(`0x${value.slice(0, 2 * this.#covered(name)) || "0"}`);
	}
	/** A field of at most 64 bits. */
	big(name: string): bigint {
		return overlay(0n, integer(this.#in, name), this.#covered(name));
	}
}

/** An unsigned integer of a recorded structure, written as a number or as hex text. */
export function integer(fields: JsonObject, name: string): bigint {
	const value = fields[name];
	if (typeof value === "string" && /^0x[0-9a-f]{1,16}$/.test(value))
		return BigInt(value);
	if (Number.isSafeInteger(value) && (value as number) >= 0)
		return BigInt(value as number);
	throw new Error(`field ${name} is missing or no unsigned integer`);
}

/** A structure of a recorded call, `in` or `out`; undefined when the recording shows none. */
export function structure(
	record: JsonObject,
	name: "in" | "out",
): JsonObject | undefined {
	const value = record[name];
	if (value === undefined) return undefined;
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new Error(`${name} is no structure`);
	return value as JsonObject;
}

/** Hex as recordings write 64-bit values. */
export const hex = (value: bigint): string => `0x${value.toString(16)}`;
/** Ranges as recordings write them. */
export const hexRanges = (
	ranges: readonly Range[],
): readonly (readonly [string, string])[] =>
	ranges.map((r) => [hex(r.start), hex(r.last)] as const);

/** A reply from a model's answer: 64-bit values as hex text. */
export function replyOf(answer: Answer, ret = 0): Reply {
	const out: Record<string, unknown> = {};
	for (const [name, value] of Object.entries(answer.out ?? {}))
		out[name] = typeof value === "bigint" ? hex(value) : value;
	return answer.errno === undefined
		? { ret, errno: null, out }
		: { ret: -1, errno: answer.errno, step: answer.step, out };
}
/** A plain refusal. */
export const refusal = (errno: ErrnoName): Reply => ({ ret: -1, errno });

/** A line as an object, or the sentence that says why it is none. */
export function parseLine(line: string): JsonObject | string {
	try {
		const value: unknown = JSON.parse(line);
		return typeof value === "object" && value !== null && !Array.isArray(value)
			? (value as JsonObject)
			: "not a JSON object";
	} catch (error) {
		return error instanceof Error ? error.message : "not JSON";
	}
}
