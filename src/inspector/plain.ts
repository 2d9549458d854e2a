/**
 * Any value as plain JSON of bounded size, at once: what an inspected system hands over are live references that change later
 * (field-notes §2.5).
 */

const DEPTH_MAX = 6;
const ITEMS_MAX = 200;
const TEXT_MAX = 2000;

/** A JSON value. */
export type Plain =
	| null
	| boolean
	| number
	| string
	| readonly Plain[]
	| { readonly [key: string]: Plain };

/** Copies a value. Cycles, functions and what is too deep or too long become short notes; never throws. */
export function plainOf(value: unknown): Plain {
	return copy(value, 0, new Set());
}

function copy(value: unknown, depth: number, around: Set<object>): Plain {
	switch (typeof value) {
		case "string":
			return value.length <= TEXT_MAX
				? value
				: `${value.slice(0, TEXT_MAX)}… (${value.length} characters)`;
		case "number":
			return Number.isFinite(value) ? value : String(value);
		case "boolean":
			return value;
		case "bigint":
			return `${value}n`;
		case "undefined":
			return null;
		case "object":
			return value === null ? null : copyObject(value, depth, around);
		default:
			return `[${typeof value}]`;
	}
}

function copyObject(value: object, depth: number, around: Set<object>): Plain {
	if (around.has(value)) return "[circular]";
	if (depth >= DEPTH_MAX) return "[deeper]";
	if (value instanceof Error) return `${value.name}: ${value.message}`;
	if (isActor(value)) return `[actor ${value.id}]`;
	around.add(value);
	try {
		return copyParts(value, depth, around);
	} catch (error) {
		return `[unreadable: ${error instanceof Error ? error.message : "?"}]`;
	} finally {
		around.delete(value);
	}
}

const isActor = (value: object): value is { id: string } =>
	"sessionId" in value && "send" in value && "id" in value;

function copyParts(value: object, depth: number, around: Set<object>): Plain {
	const inner = (item: unknown): Plain => copy(item, depth + 1, around);
	if (value instanceof Map)
		return [...value].slice(0, ITEMS_MAX).map((pair) => pair.map(inner));
	if (value instanceof Set || Array.isArray(value))
		return [...value].slice(0, ITEMS_MAX).map(inner);
	if (value instanceof Date) return String(value.getTime());
	const entries = Object.entries(value).slice(0, ITEMS_MAX);
	return Object.fromEntries(entries.map(([key, item]) => [key, inner(item)]));
}
