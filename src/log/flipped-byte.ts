/**
 * Finds the one byte that was changed in a sealed batch, by putting every other value in its place until the seal's SHA-256
 * comes out right. What it finds is certain; that it finds nothing means that more than one byte changed, or that the batch is too
 * large to try (BUDGET).
 */
import type { Hash } from "node:crypto";
import { SEAL_TAIL_LENGTH } from "./seal.ts";

/** A changed byte: where (in the bytes given) and what belongs there. */
export interface FlippedByte {
	readonly at: number;
	readonly byte: number;
}

/** Bytes to hash at most, times trials: some seconds. */
const BUDGET = 3e9;
/** What one trial costs beside its bytes, in bytes. */
const TRIAL_COST = 2000;
const TAIL_KEY = Buffer.from(',"hash":"');

/**
 * Looks for the byte in `bytes`, which start behind the last good seal; `sum` is the hash over everything before them. `from` and `to`
 * bound where it may be; `sealFrom` is where the batch's seal may start at the earliest.
 */
export function findFlippedByte(
	sum: Hash,
	bytes: Buffer,
	from: number,
	to: number,
	sealFrom: number,
): FlippedByte | undefined {
	const ends = sealEnds(bytes, sealFrom, to);
	for (const end of ends) {
		const found = flippedTail(sum, bytes, end);
		if (found !== undefined) return found;
	}
	for (const end of ends) {
		const found = flippedBody(sum, bytes, from, Math.min(to, end), end);
		if (found !== undefined) return found;
	}
	return undefined;
}

/** Where the hashed part of the batch may end: before each `,"hash":"`, and where one must have been by its length. */
function sealEnds(bytes: Buffer, sealFrom: number, to: number): number[] {
	const ends = new Set<number>();
	let at = sealFrom;
	for (let i = 0; i < 2; i++) {
		at = bytes.indexOf(TAIL_KEY, at);
		if (at < 0) break;
		ends.add(at++);
	}
	for (const lineEnd of [
		bytes.indexOf(0x0a, sealFrom),
		to,
		to - 1,
		bytes.length,
		bytes.length - 1,
	])
		if (lineEnd - SEAL_TAIL_LENGTH >= 0) ends.add(lineEnd - SEAL_TAIL_LENGTH);
	return [...ends];
}

/** The changed byte is in the seal line behind what its hash covers: the hash itself, the punctuation, the newline. */
function flippedTail(
	sum: Hash,
	bytes: Buffer,
	end: number,
): FlippedByte | undefined {
	const right = Buffer.from(
		`,"hash":"${digestOn(sum, bytes.subarray(0, end))}"}\n`,
	);
	let found: FlippedByte | undefined;
	for (let i = 0; i < right.length; i++) {
		const byte = right[i] as number;
		if (bytes[end + i] === byte) continue;
		if (found !== undefined || end + i >= bytes.length) return undefined;
		found = { at: end + i, byte };
	}
	return found;
}

function flippedBody(
	sum: Hash,
	bytes: Buffer,
	from: number,
	to: number,
	end: number,
): FlippedByte | undefined {
	const start = end + TAIL_KEY.length;
	const want = bytes.toString("latin1", start, start + 64);
	if (!/^[0-9a-f]{64}$/.test(want)) return undefined;
	return findChangedByte(sum, bytes.subarray(0, end), from, to, want);
}

/** The byte in [from, to) of `bytes` that has to be another for the hash over them, from `sum` on, to be `want` (hex). */
export function findChangedByte(
	sum: Hash,
	bytes: Buffer,
	from: number,
	to: number,
	want: string,
): FlippedByte | undefined {
	const hashed = Buffer.from(bytes);
	let budget = BUDGET;
	// Single bits first: that is what memory and disks flip.
	for (const values of [BITS, ALL]) {
		const before = sum.copy().update(hashed.subarray(0, from));
		for (let at = from; at < to; at++) {
			const was = hashed[at] as number;
			for (const value of values) {
				budget -= hashed.length - at + TRIAL_COST;
				if (budget < 0) return undefined;
				const byte = values === BITS ? was ^ value : value;
				if (byte === was) continue;
				hashed[at] = byte;
				if (digestOn(before, hashed.subarray(at)) === want) return { at, byte };
			}
			hashed[at] = was;
			before.update(hashed.subarray(at, at + 1));
		}
	}
	return undefined;
}

const digestOn = (sum: Hash, bytes: Uint8Array): string =>
	sum.copy().update(bytes).digest("hex");

const BITS = Array.from({ length: 8 }, (_, bit) => 1 << bit);
const ALL = Array.from({ length: 256 }, (_, byte) => byte);
