/**
 * A free-form value that may never be asked for. Parsing the arguments of every operation costs more than all else that is done about an
 * `op.begin`, and hardly any check looks at them: whoever keeps them keeps their text when the reader of the log has not parsed it yet.
 */
import type { Json } from "./fields.ts";

/** A value as it is, or the JSON text it stands in. Plain data. */
export type Later = { readonly value: unknown } | { readonly text: string };

/** Under this key the data of a record that a reader fills again and again tells the text of a field that is not parsed yet. */
export const UNPARSED: unique symbol = Symbol("text of a free-form field");
/** What stands under it. */
export type Unparsed = (field: string) => string | undefined;

/** Keeps a free-form field of a record for later. */
export function keepForLater<K extends string>(
	data: { readonly [F in K]?: Json | undefined },
	field: K,
): Later {
	const text = (data as { readonly [UNPARSED]?: Unparsed })[UNPARSED]?.(field);
	return text === undefined ? { value: data[field] } : { text };
}

/** The value. */
export const laterValue = (later: Later): unknown =>
	"text" in later ? JSON.parse(later.text) : later.value;
