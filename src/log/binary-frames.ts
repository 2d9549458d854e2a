/** Frames of the binary codec: what they look like, and the walk over them. */
import type { Seal } from "./seal.ts";

/** How a binary log starts. No text starts so. */
export const SIGNATURE: Buffer = Buffer.from("\x89iommu-ledger 1\n", "latin1");
/** Positions at which the first bytes of a file are not the signature's. */
export const signatureFaults = (bytes: Uint8Array): number[] =>
	[...SIGNATURE.keys()].filter((i) => bytes[i] !== SIGNATURE[i]);

/** Kinds of frame. */
export const FRAME = { header: 0x48, batch: 0x42, seal: 0x53 } as const;
/** A frame's length, and again its complement. */
export const LENGTH_BYTES = 4;
/** kind, length, complement of the length. */
export const HEAD_BYTES: number = 1 + 2 * LENGTH_BYTES;
/** seq (double), count, size of the whole frame. Then the key, then the hash. */
export const SEAL_FIXED_BYTES = 16;
export const HASH_BYTES = 32;
/** A seal frame without key. */
export const SEAL_BYTES_MIN: number =
	HEAD_BYTES + SEAL_FIXED_BYTES + HASH_BYTES;

/** The head of a frame. */
export function frameHead(kind: number, length: number): Buffer {
	const head = Buffer.alloc(HEAD_BYTES);
	head[0] = kind;
	head.writeUInt32LE(length, 1);
	head.writeUInt32LE(~length >>> 0, 5);
	return head;
}

/** Buffer's own way checks bounds that are checked here already, and costs as much as the frame. */
const uint32 = (bytes: Uint8Array, at: number): number =>
	((bytes[at] as number) |
		((bytes[at + 1] as number) << 8) |
		((bytes[at + 2] as number) << 16) |
		((bytes[at + 3] as number) << 24)) >>>
	0;

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
	const length = uint32(bytes, at + 1);
	const known =
		kind === FRAME.header || kind === FRAME.batch || kind === FRAME.seal;
	// Too little is left for a seal: whatever it is, nothing acknowledged is in it.
	if (!known || uint32(bytes, at + 1 + LENGTH_BYTES) !== ~length >>> 0)
		return end - at < SEAL_BYTES_MIN ? "partial" : "broken";
	const next = at + HEAD_BYTES + length;
	return next > end ? "partial" : next;
}

/** What a disk writes whole or not at all, at least. */
const SECTOR_BYTES = 512;

/**
 * Tells whether a sector is zeros as far as `bytes` (which start at `offset` of the file) reach into it: it was never written, for no
 * content fills a sector's share with zeros but by chance.
 */
export function hasUnwrittenSector(bytes: Buffer, offset: number): boolean {
	for (let at = 0; at < bytes.length; ) {
		const sector = SECTOR_BYTES - ((offset + at) % SECTOR_BYTES);
		const end = Math.min(bytes.length, at + sector);
		if (bytes.subarray(at, end).every((byte) => byte === 0)) return true;
		at = end;
	}
	return false;
}

/** The size that a seal frame says it has. */
export const sealSize = (bytes: Buffer, at: number): number =>
	bytes.readUInt32LE(at + HEAD_BYTES + 12);

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
