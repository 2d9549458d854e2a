/** Names (of actors, devices, domains, …) as the bytes of their JSON text, checked and made once and remembered. */
import { type FieldKind, isOfKind } from "../vocabulary/fields.ts";
import { type Literal, literal } from "./byte-text.ts";
import { quote } from "./json-text.ts";

/** A name that was seen before: its JSON text, and the bits of the kinds it was found to be. */
interface KnownName {
	readonly quoted: Literal;
	kinds: number;
}

/** Names remembered at most; then all are forgotten. A cache: nothing but speed depends on it. */
const KNOWN_MAX = 1 << 16;
/** Longer names are left to the general path: so it is known how much room a record takes. */
export const NAME_BYTES_MAX = 64;
const known = new Map<string, KnownName>();

/** The bytes of a name of that kind; undefined for what is none, or a long one. */
export function nameOf(
	kind: FieldKind,
	bit: number,
	value: unknown,
): KnownName | undefined {
	if (typeof value !== "string" || value.length > NAME_BYTES_MAX)
		return undefined;
	let found = known.get(value);
	if (found !== undefined && (found.kinds & bit) !== 0) return found;
	if (!isOfKind(kind, value)) return undefined;
	if (found === undefined) {
		found = { quoted: literal(quote(value)), kinds: 0 };
		if (found.quoted.length > NAME_BYTES_MAX) return undefined;
		if (known.size >= KNOWN_MAX) known.clear();
		known.set(value, found);
	}
	found.kinds |= bit;
	return found;
}
