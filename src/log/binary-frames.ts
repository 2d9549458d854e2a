/** Frames of the binary codec: what they look like, and the walk over them. */
import type { Seal } from "./seal.ts";

/** How a binary log starts. No text starts so. */
export const SIGNATURE: Buffer = Buffer.from("\x89iommu-ledger 1\n", "latin1");
/** Kinds of frame. */
export const FRAME = { header: 0x48, batch: 0x42, seal: 0x53 } as const;
/** kind, length, complement of the length. */
export const HEAD_BYTES = 9;
/** seq (double), count, size of the whole frame. Then the key, then the hash. */
export const SEAL_FIXED_BYTES = 16;
export const HASH_BYTES = 32;

/** The head of a frame. */
export function frameHead(kind: number, length: number): Buffer {
	const head = Buffer.alloc(HEAD_BYTES);
	head[0] = kind;
	head.writeUInt32LE(length, 1);
	head.writeUInt32LE(~length >>> 0, 5);
	return head;
}

/**
 * Where the frame at `at` ends: `partial` when not all of it is there, `broken` when no frame starts there. The complement tells a broken
 * length from a long frame: else one flipped bit would look like an append that was cut short.
 */
export function frameEnd(
	bytes: Buffer,
	at: number,
	end: number,
): number | "partial" | "broken" {
	if (end - at < HEAD_BYTES) return "partial";
	const kind = bytes[at];
	const length = bytes.readUInt32LE(at + 1);
	if (bytes.readUInt32LE(at + 5) !== ~length >>> 0) return "broken";
	if (kind !== FRAME.header && kind !== FRAME.batch && kind !== FRAME.seal)
		return "broken";
	const next = at + HEAD_BYTES + length;
	return next > end ? "partial" : next;
}

/** Reads a whole seal frame. */
export function readSealFrame(frame: Buffer): Seal {
	const key = frame.toString(
		"utf8",
		HEAD_BYTES + SEAL_FIXED_BYTES,
		frame.length - HASH_BYTES,
	);
	const seal = {
		seq: frame.readDoubleLE(HEAD_BYTES),
		count: frame.readUInt32LE(HEAD_BYTES + 8),
		hash: frame.toString("hex", frame.length - HASH_BYTES),
	};
	return key === "" ? seal : { ...seal, key };
}
