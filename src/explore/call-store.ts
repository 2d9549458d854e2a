/**
 * Where the fields of all entities stand while calls are explored. A state holds one number a field that ever changes (its place); a field
 * that never does has none and costs nothing. Reads and writes of one move are noted, so that moves can be remembered by what
 * they depend on (call-memo.ts) and compared for independence (call-futures.ts).
 */

/**
 * Text that is equal for equal values: bigints, maps and sets included, keys in the order they were made, what is undefined left out. Written
 * out by hand, since every move asks for some: JSON.stringify with a replacer takes several times as long.
 */
function textOf(value: unknown): string {
	switch (typeof value) {
		case "string":
			return `${value.length}"${value}`;
		case "bigint":
			return `${value}n`;
		case "object":
			return value === null ? "null" : textOfObject(value);
		default:
			return String(value);
	}
}

function textOfObject(value: object): string {
	let text = "";
	if (Array.isArray(value)) {
		for (const inner of value) text += `${textOf(inner)},`;
		return `[${text}]`;
	}
	if (value instanceof Map || value instanceof Set)
		return `${value instanceof Map ? "map" : "set"}${textOfObject([...value])}`;
	for (const [key, inner] of Object.entries(value))
		if (inner !== undefined) text += `${key}:${textOf(inner)},`;
	return `{${text}}`;
}

/** Numbers values: equal values have equal numbers. The first of equal objects is known by identity, which saves its text. */
export class Numbering<T> {
	readonly values: T[] = [];
	readonly #numbers = new Map<unknown, number>();
	readonly #texts = new Map<string, number>();

	of(value: T): number {
		const known = this.#numbers.get(value);
		if (known !== undefined) return known;
		if (typeof value !== "object" || value === null)
			return this.#add(value, value);
		const text = textOf(value);
		const equal = this.#texts.get(text);
		if (equal !== undefined) return equal;
		this.#texts.set(text, this.values.length);
		return this.#add(value, value);
	}

	#add(key: unknown, value: T): number {
		const number = this.values.length;
		this.values.push(value);
		this.#numbers.set(key, number);
		return number;
	}
}

/** Numbers objects by what their fields hold: most fields are known by identity, so this costs less than the text of the whole. */
export class FieldNumbering {
	readonly #fields = new Numbering<unknown>();
	readonly #numbers = new Map<string | object, number>();
	/** What the fields held the last time, and its numbers: most have not changed. */
	readonly #lastValues: unknown[] = [];
	readonly #lastNumbers: number[] = [];

	of(object: object): number {
		const same = this.#numbers.get(object);
		if (same !== undefined) return same;
		let key = "";
		let i = 0;
		for (const field in object) {
			const value = (object as Record<string, unknown>)[field];
			if (i === this.#lastValues.length || value !== this.#lastValues[i]) {
				this.#lastNumbers[i] = this.#fields.of(value);
				this.#lastValues[i] = value;
			}
			key += `${this.#lastNumbers[i]} `;
			i++;
		}
		const equal = this.#numbers.get(key);
		if (equal !== undefined) return equal;
		const number = this.#numbers.size;
		this.#numbers.set(key, number);
		this.#numbers.set(object, number);
		return number;
	}
}

/** More fields changed than the state has room for: build the system again with more. */
export class StoreFull extends Error {
	override readonly name = "StoreFull";
}

/** Values of one field; 0 is what it was at the start. */
const VALUES_MAX = 0xffff;

/** The fields, and what the move under way has done to them. */
export class Store {
	readonly #values: Numbering<unknown>[] = [];
	readonly names: string[] = [];
	/** Place of each field in the state; -1 for one that has never changed. */
	readonly places: number[] = [];
	/** Fields with a place so far, and how many a state has room for; places count from `base`. */
	placed = 0;
	room = 0;
	base = 0;
	/** Called when a field gets a place: what was remembered before does not ask for it. */
	onPlace: (field: number, place: number) => void = () => {};

	#words: Uint16Array = new Uint16Array(0);
	/** Fields read before they were written, and fields written, in order. */
	readonly reads: number[] = [];
	readonly writes: number[] = [];
	readonly #written: unknown[] = [];
	readonly #readIn: number[] = [];
	readonly #writtenIn: number[] = [];
	#move = 0;

	/** Adds a field with its start value. */
	add(name: string, value: unknown): number {
		const field = this.names.length;
		this.names.push(name);
		const numbering = new Numbering<unknown>();
		numbering.of(value);
		this.#values.push(numbering);
		this.places.push(-1);
		this.#readIn.push(0);
		this.#writtenIn.push(0);
		return field;
	}

	/** A move starts from the state in `words`. */
	begin(words: Uint16Array): void {
		this.#words = words;
		this.#move++;
		this.reads.length = 0;
		this.writes.length = 0;
	}

	#number(field: number): number {
		const place = this.places[field] as number;
		return place < 0 ? 0 : (this.#words[place] as number);
	}

	read(field: number): unknown {
		if (this.#writtenIn[field] === this.#move) return this.#written[field];
		if (this.#readIn[field] !== this.#move) this.#note(field);
		return this.#values[field]?.values[this.#number(field)];
	}

	#note(field: number): void {
		this.#readIn[field] = this.#move;
		this.reads.push(field);
	}

	write(field: number, value: unknown): void {
		if (this.#writtenIn[field] !== this.#move) this.writes.push(field);
		this.#writtenIn[field] = this.#move;
		this.#written[field] = value;
	}

	/**
	 * Ends the move: `write(place, number)` for every field that has another value now. A write of what is there already counts as a
	 * read.
	 */
	commit(write: (place: number, number: number) => void): void {
		for (const field of this.writes) {
			const number = (this.#values[field] as Numbering<unknown>).of(
				this.#written[field],
			);
			if (number > VALUES_MAX)
				throw new Error(`${this.names[field]} takes too many values`);
			if (number !== this.#number(field)) write(this.#place(field), number);
			else if (this.#readIn[field] !== this.#move) this.#note(field);
		}
	}

	#place(field: number): number {
		const known = this.places[field] as number;
		if (known >= 0) return known;
		if (this.placed === this.room) throw new StoreFull();
		const place = this.base + this.placed++;
		this.places[field] = place;
		this.onPlace(field, place);
		return place;
	}
}
