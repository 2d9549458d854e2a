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
/** Fields that hold requester ids: a PCI device's bus, device and function as a number. */
const REQUESTER = new Set(["sid", "aliases"]);
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
	readonly #requesters = new Map<number, number>();
	readonly #segments: string[] = [];
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
		if (typeof value === "number" && REQUESTER.has(key))
			return this.#requester(value);
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

	/** A device keeps the shape of its name: a PCI address stays one, whose requester id is replaced alike. */
	#device(name: string): string {
		const known = this.#names.get(name);
		if (known !== undefined) return known;
		const requester = requesterIn(name);
		const made =
			requester === undefined
				? `${DEVICE}device-${this.#count("device")}`
				: DEVICE + this.#address(name, this.#requester(requester));
		this.#names.set(name, made);
		return made;
	}

	/** Segments count down from ffff: the same bus, device and function exist in each. */
	#address(name: string, requester: number): string {
		const segment = name.slice(DEVICE.length, DEVICE.length + 4).toLowerCase();
		let number = this.#segments.indexOf(segment);
		if (number < 0) number = this.#segments.push(segment) - 1;
		const digits = (0xffff - number).toString(16);
		return `${digits}:${hex2(requester >> 8)}:${hex2((requester >> 3) & 31)}.${requester & 7}`;
	}

	/** A requester id goes the way of the device that it names; one that names none of this log gets a number all the same. */
	#requester(id: number): number {
		const known = this.#requesters.get(id);
		if (known !== undefined) return known;
		const made = this.#count("device");
		this.#requesters.set(id, made);
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

/** The requester id in a PCI address; undefined for other names. */
function requesterIn(name: string): number | undefined {
	const parts = /^device:[\da-f]{4}:([\da-f]{2}):([\da-f]{2})\.([0-7])$/i.exec(
		name,
	);
	if (parts === null) return undefined;
	const [bus, slot] = [parts[1], parts[2]].map((digits) =>
		Number.parseInt(digits as string, 16),
	) as [number, number];
	return (bus << 8) | (slot << 3) | Number(parts[3]);
}

const hex2 = (value: number): string =>
	(value & 0xff).toString(16).padStart(2, "0");
