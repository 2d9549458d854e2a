/**
 * Interning of short byte strings: a record line names its type and actor, and a log of a million lines has only some
 * dozens of types and some thousands of actors. No string is made for a name that is known already.
 */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const SLOTS_AT_START = 1024;

const decoder = new TextDecoder();

function hashOf(bytes: Uint8Array, start: number, end: number): number {
	let hash = FNV_OFFSET;
	for (let at = start; at < end; at++)
		hash = Math.imul(hash ^ (bytes[at] as number), FNV_PRIME);
	return hash >>> 0;
}

/** Gives each distinct byte string a small number, in order of appearance. */
export class Interner {
	/** The strings, by number. For a name with JSON escapes this is the unescaped text. */
	readonly names: string[] = [];
	readonly #bytes: Uint8Array[] = [];
	/** Open addressing: number + 1, 0 for free. */
	#slots = new Uint32Array(SLOTS_AT_START);

	/** The number of the name in `bytes[start, end)`, the inside of a JSON string. */
	of(bytes: Uint8Array, start: number, end: number): number {
		const mask = this.#slots.length - 1;
		let slot = hashOf(bytes, start, end) & mask;
		for (;;) {
			const taken = this.#slots[slot] as number;
			if (taken === 0) return this.#add(bytes.slice(start, end), slot);
			if (this.#isSame(taken - 1, bytes, start, end)) return taken - 1;
			slot = (slot + 1) & mask;
		}
	}

	#isSame(id: number, bytes: Uint8Array, start: number, end: number): boolean {
		const known = this.#bytes[id] as Uint8Array;
		const length = end - start;
		if (known.length !== length) return false;
		for (let at = 0; at < length; at++)
			if (known[at] !== bytes[start + at]) return false;
		return true;
	}

	#add(copy: Uint8Array, slot: number): number {
		const id = this.names.length;
		this.#bytes.push(copy);
		this.names.push(textOf(copy));
		this.#slots[slot] = id + 1;
		if ((id + 1) * 2 > this.#slots.length) this.#grow();
		return id;
	}

	#grow(): void {
		const slots = new Uint32Array(this.#slots.length * 2);
		const mask = slots.length - 1;
		for (const [id, bytes] of this.#bytes.entries()) {
			let slot = hashOf(bytes, 0, bytes.length) & mask;
			while (slots[slot] !== 0) slot = (slot + 1) & mask;
			slots[slot] = id + 1;
		}
		this.#slots = slots;
	}
}

const BACKSLASH = 0x5c;

function textOf(bytes: Uint8Array): string {
	const raw = decoder.decode(bytes);
	if (!bytes.includes(BACKSLASH)) return raw;
	try {
		return JSON.parse(`"${raw}"`) as string;
	} catch {
		return raw;
	}
}
