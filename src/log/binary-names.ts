/**
 * Names in the binary codec: each distinct one stands in a file once and is a number from then on. Writer and reader build the same
 * table in the same order. A full table is emptied at the start of a batch, which the batch says.
 */
import { type FieldKind, isOfKind } from "../vocabulary/fields.ts";
import { LogError } from "./error.ts";
import type { ByteReader, ByteWriter } from "./binary-bytes.ts";
import { kindBit } from "./byte-text.ts";

/** Names by number. Only grows; what is beyond a size somebody remembers does not concern him. */
export interface NameTable {
	readonly list: string[];
	/** For writers; made from the list when first needed. */
	index: Map<string, number> | undefined;
}

/** An empty table. */
export const nameTable = (): NameTable => ({ list: [], index: undefined });

/** How many names a table holds before it is emptied: bounds memory in a log of millions of names. */
export const NAMES_MAX = 1 << 16;
/** Longer texts are written where they stand: they are hardly ever said twice. */
const NAME_LENGTH_MAX = 200;

/** Brings a table back to a size, after an append that was not made. */
export function rollBack(table: NameTable, size: number): void {
	for (const text of table.list.splice(size)) table.index?.delete(text);
}

/** Writes a name: 0 and the text, or its number from 1; the first number not given yet defines it, with the text. */
export function writeName(
	out: ByteWriter,
	table: NameTable,
	text: string,
	lengthMax: number = NAME_LENGTH_MAX,
): void {
	if (text.length > lengthMax) {
		out.byte(0);
		out.text(text);
		return;
	}
	table.index ??= new Map(table.list.map((name, i) => [name, i]));
	const known = table.index.get(text);
	if (known !== undefined) {
		out.count(known + 1);
		return;
	}
	table.index.set(text, table.list.length);
	table.list.push(text);
	out.count(table.list.length);
	out.text(text);
}

/** Reads names, and checks that each is of the kind its field asks for: once a name and kind. */
export class NameReader {
	readonly #in: ByteReader;
	table: NameTable;
	#kinds: number[] = [];
	/** The text of the name read last, when it has no number. */
	#plain = "";

	constructor(input: ByteReader, table: NameTable, size: number) {
		this.#in = input;
		this.table = { list: table.list.slice(0, size), index: undefined };
	}

	/** Starts an empty table. */
	reset(): void {
		this.table = nameTable();
		this.#kinds = [];
	}

	/** The number of the next name, defining it if need be; -1 for a text without number (`text(-1)`). */
	number(): number {
		const input = this.#in;
		const { list } = this.table;
		const number = input.count() - 1;
		if (number < list.length && number >= 0) return number;
		if (number < 0) this.#plain = input.text();
		else if (number === list.length) {
			list.push(input.text());
			this.#kinds[number] = 0;
		} else throw new LogError("damaged", `name ${number} is not defined yet`);
		return number;
	}

	/** The text of a number. */
	text(number: number): string {
		return number < 0 ? this.#plain : (this.table.list[number] as string);
	}

	/** The next name, which must be of that kind. */
	named(kind: FieldKind, bit: number): string {
		// Nearly every name has a number of one or two bytes and was found to be of the kind before.
		const input = this.#in;
		const { bytes, position } = input;
		const first = bytes[position] as number;
		const second = bytes[position + 1] as number;
		const number =
			first < 0x80
				? first - 1
				: second < 0x80
					? (first & 0x7f) + (second << 7) - 1
					: -1;
		const kinds = number < 0 ? 0 : this.#kinds[number];
		if (kinds !== undefined && (kinds & bit) !== 0) {
			input.position = position + (first < 0x80 ? 1 : 2);
			return this.table.list[number] as string;
		}
		return this.#checked(kind, bit);
	}

	#checked(kind: FieldKind, bit: number): string {
		const number = this.number();
		const text = this.text(number);
		if (number >= 0 && ((this.#kinds[number] ?? 0) & bit) !== 0) return text;
		if (!isOfKind(kind, text))
			throw new LogError(
				"bad-record",
				`${JSON.stringify(text)} is not a ${kind}`,
			);
		if (number >= 0) this.#kinds[number] = (this.#kinds[number] ?? 0) | bit;
		return text;
	}

	/** The next name, which must be an actor's. */
	actor(): string {
		return this.named("actor", ACTOR_BIT);
	}
}

const ACTOR_BIT = kindBit("actor");
