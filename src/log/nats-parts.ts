/**
 * Batches larger than a server's largest message go out in parts: consecutive messages of the subject, each of which names the last
 * one as the one it follows. A batch is there when its last part is, whole, since nothing else can come between; parts whose writer
 * died, or lost to another, are followed by something else and count for nothing.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { LogError } from "./error.ts";

const PART = "Ledger-Part";
const AFTER = "Ledger-After";
const FIRST = "Ledger-First";
/** Left for the headers of a message, which count as part of it. */
const HEADER_BYTES = 2048;
const PIECE_BYTES_MIN = 256;

/** What the headers of a part say. */
export interface Part {
	/** From 1 to `count`. */
	readonly number: number;
	readonly count: number;
	/** Stream sequence of the last message of the batch it goes on from, and of part 1 (0 in that part itself). */
	readonly after: number;
	readonly first: number;
}

/** Headers of a part. */
export function partHeaders({ number, count, after, first }: Part): MsgHdrs {
	const made = headers();
	made.set(PART, `${number}/${count}`);
	made.set(AFTER, String(after));
	made.set(FIRST, String(first));
	return made;
}

/** Reads the headers of a message; undefined when it is a whole one. */
export function partOf(found: MsgHdrs | undefined): Part | undefined {
	const text = found?.get(PART) ?? "";
	if (found === undefined || text === "") return undefined;
	const [number = 0, count = 0] = text.split("/").map(Number);
	const after = Number(found.get(AFTER));
	const first = Number(found.get(FIRST));
	return { number, count, after, first };
}

/**
 * Cuts a batch into the contents of messages of at most `bytesMax`, each with the seal it goes on from in front; one when it fits. Throws
 * LogError `too-large` when hardly anything would fit.
 */
export function cut(start: Buffer, batch: Buffer, bytesMax: number): Buffer[] {
	const room = bytesMax - HEADER_BYTES - start.length;
	if (room < PIECE_BYTES_MIN)
		throw new LogError(
			"too-large",
			`the server takes messages of ${bytesMax} bytes only`,
			{ hint: "Give it a larger max_payload; the default is 1 MiB." },
		);
	const pieces: Buffer[] = [];
	for (let at = 0; at < batch.length; at += room)
		pieces.push(Buffer.concat([start, batch.subarray(at, at + room)]));
	return pieces;
}

/** Puts parts together again: the start of the first, and what each holds behind it. */
export function joined(parts: readonly Uint8Array[]): Buffer {
	const [first = new Uint8Array()] = parts;
	const start = first.indexOf(0x0a) + 1;
	return Buffer.concat([
		first.subarray(0, start),
		...parts.map((part) => part.subarray(start)),
	]);
}

/** Collects the parts of batches from messages in their order. */
export class PartCollector {
	#parts: Uint8Array[] = [];
	#first = 0;

	/** Takes the next message; returns the whole batch when it ends with it. */
	take(
		at: number,
		data: Uint8Array,
		part: Part | undefined,
	): Uint8Array | undefined {
		if (part === undefined) {
			this.#parts = [];
			return data;
		}
		if (part.number === 1) {
			this.#parts = [];
			this.#first = at;
		} else if (
			part.first !== this.#first ||
			part.number !== this.#parts.length + 1
		) {
			// A part whose beginning is not there: of a batch that never was.
			this.#parts = [];
			this.#first = 0;
			return undefined;
		}
		this.#parts.push(data);
		return part.number === part.count ? joined(this.#parts) : undefined;
	}
}
