/**
 * Canonical JSON text: no blanks, keys of free-form objects sorted by UTF-16 code unit, strings and numbers as JSON.stringify
 * writes them. One value has one text, so equal records have equal bytes and a hash over bytes is a hash over facts.
 */
import type { Json } from "../vocabulary/fields.ts";

// Everything JSON.stringify would escape: controls, quote, backslash, and surrogates (it escapes those that are alone).
// oxlint-disable-next-line no-control-regex
const NEEDS_ESCAPE = /[\u0000-\u001f"\\\ud800-\udfff]/;

/** A JSON string literal. */
export function quote(text: string): string {
	return NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/** Canonical text of a free-form value. Members that are undefined are left out, as JSON.stringify does. */
export function jsonText(value: Json | undefined): string {
	if (typeof value === "string") return quote(value);
	if (typeof value !== "object" || value === null)
		return JSON.stringify(value) ?? "null";
	if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
	const members = value as { readonly [key: string]: Json | undefined };
	const keys = Object.keys(members).filter((key) => members[key] !== undefined);
	const parts = keys
		.sort()
		.map((key) => `${quote(key)}:${jsonText(members[key])}`);
	return `{${parts.join(",")}}`;
}

const LITERALS = /(?:true|false|null)/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// oxlint-disable-next-line no-control-regex
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
const BLANK = /[ \t\n\r]*/y;
/** Deeper than any record (MAX_JSON_DEPTH of the vocabulary is 32), shallow enough for the stack. */
const DEPTH_MAX = 200;

/**
 * Position (from 0) of the first character that makes `text` no JSON, for error messages: JSON.parse tells it only sometimes.
 * Gives `text.length` when the text ends too early or no fault was found.
 */
export function jsonFaultAt(text: string): number {
	let at = 0;
	const take = (pattern: RegExp): boolean => {
		pattern.lastIndex = at;
		const found = pattern.exec(text);
		if (found) at += found[0].length;
		return found !== null;
	};
	const takeChar = (char: string): boolean => {
		if (text[at] !== char) return false;
		at++;
		return true;
	};
	const string = (): boolean => take(STRING) && takeChar('"');
	const list = (close: string, item: () => boolean): boolean => {
		take(BLANK);
		if (takeChar(close)) return true;
		for (;;) {
			if (!item()) return false;
			take(BLANK);
			if (takeChar(close)) return true;
			if (!takeChar(",")) return false;
		}
	};
	const member = (depth: number): boolean => {
		take(BLANK);
		if (!string()) return false;
		take(BLANK);
		return takeChar(":") && value(depth);
	};
	const value = (depth: number): boolean => {
		take(BLANK);
		if (depth > DEPTH_MAX) return false;
		if (text[at] === '"') return string();
		if (takeChar("{")) return list("}", () => member(depth + 1));
		if (takeChar("[")) return list("]", () => value(depth + 1));
		return take(LITERALS) || take(NUMBER);
	};
	if (value(0)) take(BLANK);
	return at;
}
