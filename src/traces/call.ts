/** One call of the user program, from a line of calls.ndjson (facts/trace-formats.md §2) or from a pair of `lab: B`/`lab: E` markers. */
import type { U64, U64Range } from "../vocabulary/fields.ts";
import { u64 } from "../vocabulary/fields.ts";

/** A call. Times in nanoseconds since boot; `errno` 0 is success; `known`: the outcome is known from the start. */
export interface Call {
	readonly t: number;
	readonly tEnd: number;
	readonly tid: number;
	readonly name: string;
	readonly args: { readonly [name: string]: unknown };
	out: { readonly [name: string]: unknown };
	ret: number;
	errno: number;
	readonly known: boolean;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number =>
	Number.isSafeInteger(value) && (value as number) >= 0;

/** Reads one line of calls.ndjson; undefined when it is not a call. NOTE records are read past: their text is never looked at. */
export function parseCall(text: string): Call | "note" | undefined {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		return undefined;
	}
	if (!isObject(value)) return undefined;
	const { t, tid, call, args, out, ret, errno } = value;
	if (call === "NOTE") return "note";
	const tEnd = value["t_end"] ?? t;
	if (!isCount(t) || !isCount(tEnd) || !isCount(tid) || tEnd < t)
		return undefined;
	if (typeof call !== "string" || call === "" || call.length > 100)
		return undefined;
	return {
		t,
		tEnd,
		tid,
		name: call,
		args: isObject(args) ? args : {},
		out: isObject(out) ? out : {},
		ret: typeof ret === "number" ? ret : 0,
		errno: isCount(errno) ? errno : 0,
		known: true,
	};
}

/** A count among the arguments or results, or NaN. */
export function countOf(
	fields: { readonly [name: string]: unknown },
	name: string,
): number {
	const value = fields[name];
	return isCount(value) ? value : Number.NaN;
}

/** A text among the arguments or results, or "". */
export function textOf(
	fields: { readonly [name: string]: unknown },
	name: string,
): string {
	const value = fields[name];
	return typeof value === "string" ? value : "";
}

/** A 64-bit value (hex text or number), or undefined. */
export function wideOf(
	fields: { readonly [name: string]: unknown },
	name: string,
): U64 | undefined {
	return wide(fields[name]);
}

function wide(value: unknown): U64 | undefined {
	if (isCount(value)) return value;
	if (typeof value !== "string" || !/^0x[0-9a-f]{1,16}$/i.test(value))
		return undefined;
	return u64(BigInt(value));
}

/** A list of inclusive ranges, or undefined. */
export function rangesOf(
	fields: { readonly [name: string]: unknown },
	name: string,
): U64Range[] | undefined {
	const value = fields[name];
	if (!Array.isArray(value)) return undefined;
	const ranges: U64Range[] = [];
	for (const item of value) {
		if (!Array.isArray(item)) return undefined;
		const start = wide(item[0]);
		const last = wide(item[1]);
		if (start === undefined || last === undefined) return undefined;
		ranges.push([start, last]);
	}
	return ranges;
}
