/**
 * The kinds of value a record field can have, their TypeScript types and their checks. One table per record type
 * (records-*.ts) is written in these kinds; canonical key order, validation, types and documentation all derive from it.
 */
import { isErrnoName, type ErrnoName } from "./errno.ts";
import type {
	AccessId,
	ActorId,
	CtxId,
	DeviceId,
	DomainId,
	FaultQueueId,
	GroupId,
	HwptId,
	IdevId,
	IoasId,
	IommuId,
	ObjectId,
	PagesId,
} from "./ids.ts";
import { isActorId, isActorOfKind } from "./ids.ts";

/**
 * A 64-bit value in memory: a plain number while it is a safe integer, a bigint above (so equal values are always of one type).
 * In the log it is text, lower case, no leading zeros: "0x0", "0xfee00000". Only the codec (src/log) converts.
 */
export type U64 = number | bigint;
/** An inclusive range [start, last]. */
export type U64Range = readonly [U64, U64];
/** Any JSON value; in the log with keys sorted. */
export type Json =
	| null
	| boolean
	| number
	| string
	| readonly Json[]
	| { readonly [key: string]: Json };

/** What each kind means in TypeScript. */
export interface KindTypes {
	/** A safe integer ≥ 0. */
	count: number;
	/** A safe integer of either sign. */
	int: number;
	/** A 64-bit value; hex text in the log. */
	hex: U64;
	text: string;
	flag: boolean;
	errno: ErrnoName;
	json: Json;
	ranges: readonly U64Range[];
	actor: ActorId;
	actors: readonly ActorId[];
	group: GroupId;
	device: DeviceId;
	domain: DomainId;
	ctx: CtxId;
	hwpt: HwptId;
	ioas: IoasId;
	idev: IdevId;
	access: AccessId;
	faultQueue: FaultQueueId;
	pages: PagesId;
	object: ObjectId;
	iommu: IommuId;
}

/** The name of a field kind; a trailing `?` makes the field optional. */
export type FieldKind = keyof KindTypes;
/** A field as written in a record table. */
export type FieldSpec = FieldKind | `${FieldKind}?`;
/** The fields of a record type, in canonical order. */
export type FieldTable = { readonly [name: string]: FieldSpec };

type Required_<T extends FieldTable> = {
	[K in keyof T as T[K] extends FieldKind ? K : never]: T[K];
};
type Optional_<T extends FieldTable> = {
	[K in keyof T as T[K] extends FieldKind ? never : K]: T[K];
};
type TypeOf<S> = S extends FieldKind
	? KindTypes[S]
	: S extends `${infer K extends FieldKind}?`
		? KindTypes[K]
		: never;

/** The TypeScript type of a record's `data`, derived from its table. */
export type DataOf<T extends FieldTable> = {
	readonly [K in keyof Required_<T>]: TypeOf<T[K]>;
} & {
	readonly [K in keyof Optional_<T>]?: TypeOf<T[K]>;
};

const U64_MAX = 0xffff_ffff_ffff_ffffn;
const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const HEX_TEXT = /^0x(?:0|[1-9a-f][0-9a-f]{0,15})$/;

/** Tells whether `value` is a 64-bit value in its one in-memory form. */
export function isU64(value: unknown): value is U64 {
	if (typeof value === "number")
		return Number.isSafeInteger(value) && value >= 0;
	return typeof value === "bigint" && value > SAFE_MAX && value <= U64_MAX;
}

/** Brings a number or bigint into the one in-memory form. Throws RangeError when it is negative, fractional or above 64 bits. */
export function u64(value: number | bigint): U64 {
	if (typeof value === "bigint" && value >= 0n && value <= SAFE_MAX)
		return Number(value);
	if (!isU64(value)) throw new RangeError(`not a 64-bit value: ${value}`);
	return value;
}

/** Reads hex text ("0x…", canonical) into the in-memory form; undefined when it is not canonical hex of at most 64 bits. */
export function u64FromHex(text: string): U64 | undefined {
	if (!HEX_TEXT.test(text)) return undefined;
	return text.length <= 15 ? Number(text) : u64(BigInt(text));
}

/** Writes a 64-bit value as the log does. */
export const hexOf = (value: U64): string => `0x${value.toString(16)}`;

/** Free-form values nest at most this deep. */
export const MAX_JSON_DEPTH = 32;

function isJson(value: unknown, depth: number): boolean {
	if (value === null || typeof value === "boolean" || typeof value === "string")
		return true;
	if (typeof value === "number") return Number.isFinite(value);
	if (typeof value !== "object" || depth > MAX_JSON_DEPTH) return false;
	const items: unknown[] = Array.isArray(value) ? value : Object.values(value);
	return areAll(items, (item) => isJson(item, depth + 1));
}

/** Not `every`: it would step over the holes of an array. */
function areAll(
	items: readonly unknown[],
	is: (item: unknown) => boolean,
): boolean {
	for (const item of items) if (!is(item)) return false;
	return true;
}

const isRange = (value: unknown): boolean =>
	Array.isArray(value) &&
	value.length === 2 &&
	isU64(value[0]) &&
	isU64(value[1]);

/** Tells whether `value` is of that kind. */
export function isOfKind(kind: FieldKind, value: unknown): boolean {
	switch (kind) {
		case "count":
			return Number.isSafeInteger(value) && (value as number) >= 0;
		case "int":
			return Number.isSafeInteger(value);
		case "hex":
			return isU64(value);
		case "text":
			return typeof value === "string";
		case "flag":
			return typeof value === "boolean";
		case "errno":
			return typeof value === "string" && isErrnoName(value);
		case "json":
			return isJson(value, 0);
		case "ranges":
			return Array.isArray(value) && areAll(value, isRange);
		case "actor":
			return typeof value === "string" && isActorId(value);
		case "actors":
			return (
				Array.isArray(value) &&
				areAll(value, (item) => typeof item === "string" && isActorId(item))
			);
		default:
			return typeof value === "string" && isActorOfKind(kind, value);
	}
}
