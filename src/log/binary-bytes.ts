/** Numbers and texts of the binary codec, as bytes: varints (7 bits a byte, low first), 64-bit values by their length, texts by theirs. */
import type { U64 } from "../vocabulary/fields.ts";
import { LogError } from "./error.ts";

const TWO_32 = 2 ** 32;
/** hi * 2^32 + lo is a safe integer below this. */
const HIGH_SAFE = 2 ** 21;

/** Collects bytes; grows as needed. */
export class ByteWriter {
	#bytes = Buffer.allocUnsafe(1024);
	length = 0;

	/** A copy of what was written. */
	taken(): Buffer {
		const bytes = Buffer.from(this.#bytes.subarray(0, this.length));
		this.length = 0;
		return bytes;
	}

	#room(count: number): void {
		if (this.length + count <= this.#bytes.length) return;
		const bytes = Buffer.allocUnsafe(
			Math.max(this.#bytes.length * 2, this.length + count),
		);
		this.#bytes.copy(bytes, 0, 0, this.length);
		this.#bytes = bytes;
	}

	/** One byte. */
	byte(value: number): void {
		this.#room(1);
		this.#bytes[this.length++] = value;
	}

	/** A safe integer ≥ 0. */
	count(value: number): void {
		this.#room(8);
		let rest = value;
		while (rest >= 0x80) {
			this.#bytes[this.length++] = (rest % 0x80) | 0x80;
			rest = Math.floor(rest / 0x80);
		}
		this.#bytes[this.length++] = rest;
	}

	/** A safe integer of either sign: the sign in the first byte. */
	int(value: number): void {
		this.byte(value < 0 ? 1 : 0);
		this.count(Math.abs(value));
	}

	/** A 64-bit value: how many bytes, then they, low first. */
	hex(value: U64): void {
		this.#room(9);
		const at = this.length++;
		if (typeof value === "bigint") {
			this.#bytes.writeBigUInt64LE(value, this.length);
			this.length += 8;
		} else
			for (let rest = value; rest > 0; rest = Math.floor(rest / 0x100))
				this.#bytes[this.length++] = rest % 0x100;
		this.#bytes[at] = this.length - at - 1;
	}

	/** A text: its length in bytes, then UTF-8. Lone surrogates are kept (as JSON text keeps them). */
	text(value: string): void {
		const bytes = isWellFormed(value)
			? Buffer.from(value)
			: Buffer.from(JSON.stringify(value));
		this.count(bytes.length * 2 + (isWellFormed(value) ? 0 : 1));
		this.bytes(bytes);
	}

	/** Bytes as they are. */
	bytes(some: Uint8Array): void {
		this.#room(some.length);
		this.#bytes.set(some, this.length);
		this.length += some.length;
	}
}

const LONE_SURROGATE = /\p{Surrogate}/u;
const isWellFormed = (text: string): boolean => !LONE_SURROGATE.test(text);

/** Reads what ByteWriter wrote. Throws LogError `damaged` when it would read behind `end`. */
export class ByteReader {
	bytes: Buffer = Buffer.alloc(0);
	position = 0;
	end = 0;

	/** Reads [start, end) from now on. */
	use(bytes: Buffer, start: number, end: number): void {
		this.bytes = bytes;
		this.position = start;
		this.end = end;
	}

	/** Throws when less was there than was read. */
	check(): void {
		if (this.position > this.end)
			throw new LogError("damaged", "a record runs over the end of its batch");
	}

	/** One byte. */
	byte(): number {
		return this.bytes[this.position++] as number;
	}

	/** A safe integer ≥ 0. */
	count(): number {
		const { bytes } = this;
		let byte = bytes[this.position++] as number;
		let value = byte & 0x7f;
		for (let shift = 7; byte >= 0x80 && shift < 28; shift += 7) {
			byte = bytes[this.position++] as number;
			value |= (byte & 0x7f) << shift;
		}
		for (let scale = 2 ** 28; byte >= 0x80; scale *= 0x80) {
			byte = bytes[this.position++] as number;
			value += (byte & 0x7f) * scale;
			if (!Number.isSafeInteger(value))
				throw new LogError("damaged", "a number is too long");
		}
		return value;
	}

	/** A safe integer of either sign. */
	int(): number {
		return this.byte() === 1 ? -this.count() : this.count();
	}

	/** A 64-bit value. */
	hex(): U64 {
		const { bytes } = this;
		const start = this.position + 1;
		const length = bytes[this.position] as number;
		if (length > 8)
			throw new LogError("damaged", "a 64-bit value of more than 8 bytes");
		this.position = start + length;
		let low = 0;
		for (let i = Math.min(length, 3) - 1; i >= 0; i--)
			low = (low << 8) | (bytes[start + i] as number);
		if (length > 3) low += (bytes[start + 3] as number) * 0x1000000;
		let high = 0;
		for (let i = length - 1; i >= 4; i--)
			high = high * 0x100 + (bytes[start + i] as number);
		return high < HIGH_SAFE
			? high * TWO_32 + low
			: (BigInt(high) << 32n) | BigInt(low);
	}

	/** A text. */
	text(): string {
		const length = this.count();
		const start = this.position;
		this.position += length >> 1;
		this.check();
		const text = this.bytes.toString("utf8", start, this.position);
		return length % 2 === 0 ? text : quoted(text);
	}
}

function quoted(text: string): string {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		// Said below, with what is no string.
	}
	if (typeof value !== "string")
		throw new LogError("damaged", "a text is not quoted as it says");
	return value;
}
