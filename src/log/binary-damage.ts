/**
 * Finds out what happened to a binary log at the place where it stops being whole: one byte that, put back, makes the seal right again
 * (certain, as in damage.ts), or `damaged`.
 *
 * Not found: several changes in one batch; swapped and missing batches are "damaged" too.
 */
import type { Hash } from "node:crypto";
import {
	FRAME,
	frameEnd,
	HASH_BYTES,
	HEAD_BYTES,
	LENGTH_BYTES,
	readSealFrame,
	SEAL_BYTES_MIN,
	sealSize,
	SIGNATURE,
} from "./binary-frames.ts";
import { LogError } from "./error.ts";
import { findChangedByte, type FlippedByte } from "./flipped-byte.ts";
import type { Seal } from "./seal.ts";

/** The place, and what is known there. */
export interface DamagedFrames {
	/** Hash over everything before `rest`. */
	readonly sum: Hash;
	/** From behind the last good seal to the end of what there is. */
	readonly rest: Buffer;
	/** Where `rest` starts in the log; 0: with the signature. */
	readonly offset: number;
	/** The first frame in it, from 1, and the first record in doubt. */
	readonly frame: number;
	readonly seq: number;
}

/** What happened. */
export function explainFrames(place: DamagedFrames): LogError {
	const { offset, frame, seq, rest } = place;
	const fix = flippedHead(place) ?? flippedContent(place);
	if (fix === undefined)
		return new LogError(
			"damaged",
			`the batch at byte ${offset} was changed, in more than one byte`,
			{
				seq,
				line: frame,
				hint:
					offset === 0
						? "Not even the header is whole: nothing can be kept."
						: "What lies before is whole; `iommu-ledger log repair --cut` keeps that.",
				damage: { goodBytes: offset, lastBatch: isLast(rest, place) },
			},
		);
	const mended = Buffer.from(rest);
	mended[fix.at] = fix.byte;
	return flippedByte(place, fix, isLast(mended, place));
}

/** What stands where the signature of a binary log must be: a flipped byte of it, or no log. */
export function badSignature(
	bytes: Buffer,
	faults: readonly number[],
): LogError {
	const [at = 0, ...more] = faults;
	const place = { offset: 0, rest: bytes, seq: 0, frame: 1 };
	const fix = { at, byte: SIGNATURE[at] as number };
	return more.length === 0
		? flippedByte(place, fix, false)
		: new LogError("not-a-log", "the signature of a binary log is missing", {
				seq: 0,
			});
}

function flippedByte(
	{ offset, rest, seq, frame }: Omit<DamagedFrames, "sum">,
	{ at, byte }: FlippedByte,
	lastBatch: boolean,
): LogError {
	const fix = { offset: offset + at, byte };
	return new LogError(
		"flipped-byte",
		`byte ${fix.offset} was changed: it is ${hex(rest[at])} and was ${hex(byte)}`,
		{
			seq,
			line: frame,
			column: at + 1,
			hint: "Put back, it fits: nothing else changed. `iommu-ledger log repair` does that.",
			damage: { goodBytes: offset, lastBatch, fix },
		},
	);
}

const hex = (byte = 0): string => `0x${byte.toString(16).padStart(2, "0")}`;
const firstFrame = ({ offset }: DamagedFrames): number =>
	offset === 0 ? SIGNATURE.length : 0;

/**
 * Tells whether the last append alone is concerned. Frames cannot be followed past a broken one, so seals are looked for at every byte:
 * one is told by its length, the complement and its own size.
 */
function isLast(bytes: Buffer, { seq }: DamagedFrames): boolean {
	const seals: Seal[] = [];
	for (let at = bytes.indexOf(FRAME.seal); at >= 0; ) {
		const next = frameEnd(bytes, at, bytes.length);
		if (
			typeof next === "number" &&
			next - at >= SEAL_BYTES_MIN &&
			sealSize(bytes, at) === next - at
		)
			seals.push(readSealFrame(bytes.subarray(at, next)));
		at = bytes.indexOf(FRAME.seal, at + 1);
	}
	const [seal] = seals;
	const before = Math.max(seq - 1, 0);
	return (
		seal === undefined ||
		(seals.length === 1 && seal.seq - seal.count === before)
	);
}

/** Starts of the frames up to the first seal, as far as they can be followed, and the seal's end. */
function framesOf(
	bytes: Buffer,
	from: number,
): { starts: number[]; sealEnd: number | undefined } {
	const starts: number[] = [];
	for (let at = from; at + HEAD_BYTES <= bytes.length; ) {
		starts.push(at);
		const next = frameEnd(bytes, at, bytes.length);
		if (typeof next !== "number") break;
		if (bytes[at] === FRAME.seal) return { starts, sealEnd: next };
		at = next;
	}
	return { starts, sealEnd: undefined };
}

/** The byte is in a frame's kind or length: few values can be right, each is tried. */
function flippedHead(place: DamagedFrames): FlippedByte | undefined {
	const { rest } = place;
	const from = firstFrame(place);
	const { starts } = framesOf(rest, from);
	for (const start of starts)
		for (const fix of headFixes(rest, start)) {
			const mended = Buffer.from(rest);
			mended[fix.at] = fix.byte;
			const { sealEnd } = framesOf(mended, from);
			if (sealEnd !== undefined && fits(place.sum, mended, sealEnd)) return fix;
		}
	return undefined;
}

function headFixes(bytes: Buffer, start: number): FlippedByte[] {
	const kinds = Object.values(FRAME).map((byte) => ({ at: start, byte }));
	const lengths = Array.from({ length: LENGTH_BYTES }, (_, i) => {
		const at = start + 1 + i;
		const other = at + LENGTH_BYTES;
		return [
			{ at, byte: ~(bytes[other] as number) & 0xff },
			{ at: other, byte: ~(bytes[at] as number) & 0xff },
		];
	});
	return [...kinds, ...lengths.flat()].filter(
		({ at, byte }) => bytes[at] !== byte,
	);
}

function fits(sum: Hash, bytes: Buffer, sealEnd: number): boolean {
	const hashAt = sealEnd - HASH_BYTES;
	return sum
		.copy()
		.update(bytes.subarray(0, hashAt))
		.digest()
		.equals(bytes.subarray(hashAt, sealEnd));
}

/** The byte is in what the frames hold, or in the seal's hash. */
function flippedContent(place: DamagedFrames): FlippedByte | undefined {
	const { sum, rest } = place;
	const { sealEnd } = framesOf(rest, firstFrame(place));
	if (sealEnd === undefined) return undefined;
	const hashAt = sealEnd - HASH_BYTES;
	const right = sum.copy().update(rest.subarray(0, hashAt)).digest();
	const wrong = [...right.keys()].filter((i) => right[i] !== rest[hashAt + i]);
	const [only] = wrong;
	if (wrong.length === 1 && only !== undefined)
		return { at: hashAt + only, byte: right[only] as number };
	return findChangedByte(
		sum,
		rest.subarray(0, hashAt),
		0,
		hashAt,
		rest.toString("hex", hashAt, sealEnd),
	);
}
