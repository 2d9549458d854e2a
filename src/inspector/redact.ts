/**
 * Replaces what a log says about whose machine it is: device and host names, kernel pointers, task names. The same name is
 * always replaced by the same stand-in, so that the log still reads, folds and is judged as before; which stand-in belongs to
 * which name is not in the result.
 *
 * What is kept: IOVAs, lengths, ids and order (the subject of the log). Physical addresses are kept pages apart but moved by one
 * secret distance, so adjacency and alignment up to 1 GiB survive and the machine's memory layout does not.
 */

/** One log's replacements; use one for all lines of a log (and of a recording). */
export interface Redactor {
	/** A line of NDJSON in, the same line without names out. A line that is not JSON becomes a note of that. */
	line(text: string): string;
}

const DEVICE = "device:";
const TASK = "task:";
/** Kernel addresses of x86-64 and arm64: the upper half of the address space. */
const KERNEL_POINTER = /\b(?:0x)?ffff[\da-f]{12}\b/gi;
const PCI_ADDRESS = /\b[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[0-7]\b/gi;
/** Header fields (objects) that say where a recording was made. */
const HEADER_TEXT = new Set(["source"]);
/** Fields that hold a physical address. */
const PHYSICAL = new Set(["pa"]);
/** Fields that hold free text of people or programs. */
const FREE_TEXT = new Set(["task", "what", "why", "event"]);

const GIB = 2 ** 30;
const SHIFT_MAX = 512;

/** Makes a redactor. `random` gives a whole number below its argument; it decides the distance that physical addresses move. */
export function redactor(random: (below: number) => number): Redactor {
	return new NameBook((1 + random(SHIFT_MAX)) * GIB);
}

class NameBook implements Redactor {
	readonly #names = new Map<string, string>();
	readonly #counts = new Map<string, number>();
	readonly #shiftBytes: number;

	constructor(shiftBytes: number) {
		this.#shiftBytes = shiftBytes;
	}

	line(text: string): string {
		let value: unknown;
		try {
			value = JSON.parse(text);
		} catch {
			return '{"redacted":"a line that was not JSON"}';
		}
		return JSON.stringify(this.#value("", value));
	}

	#value(key: string, value: unknown): unknown {
		if (typeof value === "string") return this.#text(key, value);
		if (Array.isArray(value))
			return value.map((item) => this.#value(key, item));
		if (typeof value !== "object" || value === null) return value;
		if (HEADER_TEXT.has(key)) return { redacted: true };
		return Object.fromEntries(
			Object.entries(value).map(([name, item]) => [
				this.#key(name),
				this.#value(name, item),
			]),
		);
	}

	/** Names can be keys too (a topology by device). */
	#key(name: string): string {
		return name.startsWith(DEVICE) ? this.#text("", name) : name;
	}

	#text(key: string, text: string): string {
		if (text.startsWith(DEVICE)) return this.#device(text);
		if (text.startsWith(TASK)) return TASK + this.#standIn("task", text);
		if (text.startsWith("iommu:"))
			return `iommu:${this.#standIn("unit", text)}`;
		if (PHYSICAL.has(key) && /^0x[\da-f]{1,13}$/.test(text))
			return `0x${(Number(text) + this.#shiftBytes).toString(16)}`;
		if (FREE_TEXT.has(key)) return this.#standIn(key, text);
		return text
			.replace(KERNEL_POINTER, (pointer) => this.#pointer(pointer))
			.replace(PCI_ADDRESS, (name) =>
				this.#device(DEVICE + name).slice(DEVICE.length),
			);
	}

	/** A kernel pointer stays hex of 64 bits, so that a field which must be a number still is one. */
	#pointer(text: string): string {
		const digits = text.toLowerCase().replace("0x", "");
		const known = this.#names.get(digits);
		const number =
			known ?? this.#count("pointer").toString(16).padStart(12, "0");
		this.#names.set(digits, number);
		return `${text.slice(0, text.length - digits.length)}ffff${number}`;
	}

	/** A device keeps the shape of its name: a PCI address stays one. */
	#device(name: string): string {
		const known = this.#names.get(name);
		if (known !== undefined) return known;
		const number = this.#count("device");
		const pci = /^device:[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[0-7]$/i.test(name);
		const made = pci
			? `${DEVICE}ffff:${hex2(number >> 8)}:${hex2((number >> 3) & 31)}.${number & 7}`
			: `${DEVICE}device-${number}`;
		this.#names.set(name, made);
		return made;
	}

	#standIn(kind: string, text: string): string {
		const key = `${kind} ${text}`;
		const known = this.#names.get(key);
		if (known !== undefined) return known;
		const made = `${kind}-${this.#count(kind)}`;
		this.#names.set(key, made);
		return made;
	}

	#count(kind: string): number {
		const next = (this.#counts.get(kind) ?? 0) + 1;
		this.#counts.set(kind, next);
		return next;
	}
}

const hex2 = (value: number): string =>
	(value & 0xff).toString(16).padStart(2, "0");
