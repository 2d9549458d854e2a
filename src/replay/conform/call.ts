/**
 * A recorded call as the players hand it to the model, and what the model answers: fields in the recording's spelling.
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Range } from "../../../machines/iopt.ts";
import type { Answer } from "../../../machines/ops/types.ts";
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

/** Reads fields of a recorded structure; missing ones are a mistake of the recording. */
export class Fields {
	readonly #in: JsonObject;
	readonly #covered: (field: string) => boolean;
	constructor(fields: JsonObject, covered: (field: string) => boolean) {
		this.#in = fields;
		this.#covered = covered;
	}
	/** A field of at most 32 bits. */
	num(name: string): number {
		const value = this.#in[name];
		if (typeof value === "string") return Number(BigInt(value));
		if (typeof value !== "number") throw new Error(`field ${name} is missing`);
		return this.#covered(name) ? value : 0;
	}
	/** A byte array that recordings show as hex digits: 0 when all bytes are. */
	bytes(name: string): number {
		const value = this.#in[name];
		if (typeof value !== "string") throw new Error(`field ${name} is missing`);
		return this.#covered(name) ? Number(`0x${value}`) : 0;
	}
	/** A 64-bit field. */
	big(name: string): bigint {
		const value = this.#in[name];
		if (typeof value !== "string" && typeof value !== "number")
			throw new Error(`field ${name} is missing`);
		return this.#covered(name) ? BigInt(value) : 0n;
	}
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
