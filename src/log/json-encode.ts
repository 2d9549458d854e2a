/** Free-form values as canonical bytes, checked on the way; json-text.ts says what canonical is. */
import { MAX_JSON_DEPTH } from "../vocabulary/fields.ts";
import type { LineBytes } from "./line-bytes.ts";

const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Writes a value; false, with some of it written, when it is no JSON or too deep. */
export function putJson(
	out: LineBytes,
	value: unknown,
	depth: number,
): boolean {
	switch (typeof value) {
		case "string":
			out.quoted(value);
			return true;
		case "number":
			return putNumber(out, value);
		case "boolean":
			out.text(value ? "true" : "false");
			return true;
		case "object":
			if (value === null) {
				out.text("null");
				return true;
			}
			if (depth > MAX_JSON_DEPTH) return false;
			return Array.isArray(value)
				? putArray(out, value, depth + 1)
				: putObject(out, value as Readonly<Record<string, unknown>>, depth + 1);
		default:
			return false;
	}
}

function putNumber(out: LineBytes, value: number): boolean {
	if (Number.isSafeInteger(value)) out.int(value);
	else if (Number.isFinite(value)) out.text(String(value));
	else return false;
	return true;
}

function putArray(
	out: LineBytes,
	items: readonly unknown[],
	depth: number,
): boolean {
	out.byte(OPEN_ARRAY);
	for (let i = 0; i < items.length; i++) {
		if (i > 0) out.byte(COMMA);
		if (!putJson(out, items[i], depth)) return false;
	}
	out.byte(CLOSE_ARRAY);
	return true;
}

function putObject(
	out: LineBytes,
	members: Readonly<Record<string, unknown>>,
	depth: number,
): boolean {
	const keys = Object.keys(members);
	if (!isSorted(keys)) keys.sort();
	out.byte(OPEN_OBJECT);
	for (let i = 0; i < keys.length; i++) {
		const key = keys[i] as string;
		if (i > 0) out.byte(COMMA);
		out.quoted(key);
		out.byte(COLON);
		if (!putJson(out, members[key], depth)) return false;
	}
	out.byte(CLOSE_OBJECT);
	return true;
}

function isSorted(keys: readonly string[]): boolean {
	for (let i = 1; i < keys.length; i++)
		if ((keys[i - 1] as string) > (keys[i] as string)) return false;
	return true;
}
