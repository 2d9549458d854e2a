/**
 * The search field's language: words separated by blanks, all of which must match.
 *
 *   type:dom.*          the type, `*` for any characters
 *   actor:group:7       the acting name contains this
 *   op:12   op:replace  belongs to operation 12 / to any operation of that name
 *   iova:0xfee          a field of the data starts with (or, for names, contains) this
 *   -type:obj.ref       not
 *   "two words"         free text, anywhere in the line, upper and lower case alike
 */
import type { LogIndex } from "./log-index.ts";
import type { Spans } from "./spans.ts";

/** One condition of a query. */
export interface Condition {
	readonly key: "type" | "actor" | "op" | "text" | "field";
	/** For `field`, its name. */
	readonly field: string;
	readonly value: string;
	readonly negated: boolean;
}

/** Tells whether the record at a position matches. */
export type Matcher = (at: number) => boolean;

const WORD = /(-?)(?:([A-Za-z][\w.-]*):)?(?:"([^"]*)"|(\S+))/g;

/** Reads a query. Any text is a query; what is not `key:value` is searched for as text. */
export function parseQuery(text: string): Condition[] {
	return [...text.matchAll(WORD)]
		.map(([, minus, key, quoted, plain]) =>
			condition(minus === "-", key, quoted ?? plain ?? ""),
		)
		.filter((part) => part.value !== "");
}

function condition(
	negated: boolean,
	key: string | undefined,
	value: string,
): Condition {
	if (key === "type" || key === "actor" || key === "op")
		return { key, field: "", value, negated };
	if (key === undefined) return { key: "text", field: "", value, negated };
	return { key: "field", field: key, value, negated };
}

/** Makes a matcher over an index. Cheap conditions (columns) are tried before those that read the line. */
export function matcherOf(
	conditions: readonly Condition[],
	index: LogIndex,
	spans: Spans,
): Matcher {
	const order = ["type", "actor", "op", "field", "text"];
	const parts = conditions
		.toSorted((a, b) => order.indexOf(a.key) - order.indexOf(b.key))
		.map((part) => {
			const matches = positive(part, index, spans);
			return part.negated ? (at: number) => !matches(at) : matches;
		});
	return (at) => parts.every((part) => part(at));
}

function positive(part: Condition, index: LogIndex, spans: Spans): Matcher {
	switch (part.key) {
		case "type": {
			const pattern = globOf(part.value);
			const wanted = memo(index.types.names, (name) => pattern.test(name));
			return (at) => wanted(index.type[at] as number);
		}
		case "actor": {
			const wanted = memo(index.actors.names, (name) =>
				name.includes(part.value),
			);
			return (at) => wanted(index.actor[at] as number);
		}
		case "op":
			return operationMatcher(part.value, index, spans);
		case "field": {
			const mark = `"${part.field.toLowerCase()}":`;
			const value = part.value.toLowerCase();
			return (at) => fieldMatches(index.textAt(at).toLowerCase(), mark, value);
		}
		case "text": {
			const wanted = part.value.toLowerCase();
			return (at) => index.textAt(at).toLowerCase().includes(wanted);
		}
	}
}

function operationMatcher(
	value: string,
	index: LogIndex,
	spans: Spans,
): Matcher {
	if (/^\d+$/.test(value)) {
		const op = Number(value);
		return (at) => index.op[at] === op || index.seq[at] === op;
	}
	const pattern = globOf(value);
	return (at) => {
		const number = spans.numberOfOp(index.op[at] as number);
		return number >= 0 && pattern.test(spans.name[number] as string);
	};
}

/** `"key":` somewhere in the line, followed by the value: at its start, or anywhere inside a string. */
function fieldMatches(line: string, mark: string, value: string): boolean {
	for (
		let from = line.indexOf(mark);
		from >= 0;
		from = line.indexOf(mark, from + 1)
	) {
		const start = from + mark.length;
		if (line.startsWith(value, start)) return true;
		if (line[start] !== '"') continue;
		const inside = line.slice(start + 1, line.indexOf('"', start + 1));
		if (
			value.startsWith("0x") ? inside.startsWith(value) : inside.includes(value)
		)
			return true;
	}
	return false;
}

function globOf(text: string): RegExp {
	const escaped = text.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
	return new RegExp(`^${escaped.replaceAll("*", ".*")}$`, "i");
}

/** Remembers a test per name: tables of names only grow. */
function memo(
	names: readonly string[],
	test: (name: string) => boolean,
): (id: number) => boolean {
	const known: boolean[] = [];
	return (id) => {
		for (let next = known.length; next <= id; next++)
			known.push(test(names[next] as string));
		return known[id] as boolean;
	};
}
