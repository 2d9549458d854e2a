/**
 * The binary codec: for logs of tens of millions of records. Lossless both ways with NDJSON (`log convert`). A file is a signature and
 * then frames: kind (1 byte), length of the content (4), its complement (4), content. Kinds: header (JSON text), batch (records), seal.
 * A seal holds seq, count, key and, last, the SHA-256 over all bytes of the file before it; see seal.ts for what that proves.
 *
 * Not done here, unlike in NDJSON: telling swapped and missing batches from other damage (binary-damage.ts).
 */
import { createHash } from "node:crypto";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { ByteWriter } from "./binary-bytes.ts";
import {
	type NameTable,
	nameTable,
	NAMES_MAX,
	rollBack,
} from "./binary-names.ts";
import { writeRecord } from "./binary-record.ts";
import { BinaryScanner } from "./binary-scan.ts";
import { type LogCodec, NDJSON } from "./codec.ts";
import { encodeHeader } from "./header-line.ts";
import {
	FRAME,
	frameHead,
	HASH_BYTES,
	HEAD_BYTES,
	readSealFrame,
	SEAL_FIXED_BYTES,
	SIGNATURE,
	signatureFaults,
} from "./binary-frames.ts";
import { CHAIN_START, type Chain } from "./seal.ts";
import { factRecord, type TimedFact } from "./write.ts";

/** A chain of the binary codec: with the names given numbers so far. */
interface BinaryChain extends Chain {
	readonly names: NameTable;
	readonly named: number;
}

const namesOf = (chain: Chain): BinaryChain => ({
	names: nameTable(),
	named: 0,
	...chain,
});

/** Frames the content and seals it. `start`: bytes before the first frame of a file. */
function sealed(
	chain: BinaryChain,
	frames: readonly Buffer[],
	seq: number,
	count: number,
	key = "",
): { bytes: Buffer; chain: BinaryChain } {
	const keyBytes = Buffer.from(key);
	const seal = Buffer.alloc(
		HEAD_BYTES + SEAL_FIXED_BYTES + keyBytes.length + HASH_BYTES,
	);
	frameHead(FRAME.seal, seal.length - HEAD_BYTES).copy(seal);
	seal.writeDoubleLE(seq, HEAD_BYTES);
	seal.writeUInt32LE(count, HEAD_BYTES + 8);
	// The whole frame's size, to find its start from the end of a file.
	seal.writeUInt32LE(seal.length, HEAD_BYTES + 12);
	keyBytes.copy(seal, HEAD_BYTES + SEAL_FIXED_BYTES);
	const hashed = Buffer.concat([...frames, seal.subarray(0, -HASH_BYTES)]);
	const sum = chain.sum.copy().update(hashed);
	const hash = sum.copy().digest();
	sum.update(hash);
	hash.copy(seal, seal.length - HASH_BYTES);
	const head = { seq, hash: hash.toString("hex") };
	const next = {
		line: seal.toString("latin1"),
		head,
		sum,
		names: chain.names,
		named: chain.names.list.length,
	};
	return { bytes: Buffer.concat([hashed, hash]), chain: next };
}

function frame(kind: number, content: Uint8Array): Buffer {
	return Buffer.concat([frameHead(kind, content.length), content]);
}

/** Names start over at the start of a segment; so does the hash. */
function segmentChain(sealFrame: Buffer): BinaryChain {
	const { seq, hash } = readSealFrame(sealFrame);
	const sum = createHash("sha256").update(SIGNATURE).update(sealFrame);
	return {
		line: sealFrame.toString("latin1"),
		head: { seq, hash },
		sum,
		names: nameTable(),
		named: 0,
	};
}

/** Framed binary blocks. */
export const BINARY: LogCodec = {
	name: "binary",
	extension: ".blog",
	start(header: LogHeader) {
		const frames = [
			SIGNATURE,
			frame(FRAME.header, Buffer.from(encodeHeader(header))),
		];
		return sealed(namesOf(CHAIN_START), frames, 0, 0);
	},
	seal(before: Chain, facts: readonly TimedFact[], key?: string) {
		const chain = namesOf(before);
		rollBack(chain.names, chain.named);
		const full = chain.named > NAMES_MAX;
		const names = full ? nameTable() : chain.names;
		const out = new ByteWriter();
		out.byte(full ? 1 : 0);
		out.count(facts.length);
		let seq = chain.head.seq;
		let lastT = 0;
		for (const fact of facts) {
			const record: LogRecord = factRecord(++seq, fact);
			writeRecord(out, names, record, lastT);
			lastT = record.t;
		}
		return sealed(
			{ ...chain, names },
			[frame(FRAME.batch, out.taken())],
			seq,
			facts.length,
			key,
		);
	},
	continuation({ line }) {
		const seal = Buffer.from(line, "latin1");
		return {
			bytes: Buffer.concat([SIGNATURE, seal]),
			chain: segmentChain(seal),
		};
	},
	continues(bytes) {
		const start = SIGNATURE.length + HEAD_BYTES;
		if (
			bytes.length < start + SEAL_FIXED_BYTES ||
			!bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)
		)
			return undefined;
		const size = bytes.readUInt32LE(start + 12);
		const seal = bytes.subarray(SIGNATURE.length, SIGNATURE.length + size);
		if (bytes[SIGNATURE.length] !== FRAME.seal || seal.length < size)
			return undefined;
		return {
			chain: segmentChain(seal),
			lines: 1,
			bytes: SIGNATURE.length + size,
		};
	},
	lastSeal(bytes) {
		// Sizes are tried, since the seal's own is near its start; only the right one stands where it must.
		for (
			let at = bytes.length - HEAD_BYTES - SEAL_FIXED_BYTES - HASH_BYTES;
			at >= 0;
			at--
		) {
			if (
				bytes[at] !== FRAME.seal ||
				bytes.readUInt32LE(at + HEAD_BYTES + 12) !== bytes.length - at
			)
				continue;
			return Buffer.concat([SIGNATURE, bytes.subarray(at)]);
		}
		return undefined;
	},
	scanner: (handler, resume) => new BinaryScanner(handler, resume),
};

/** The codec that a file is in, by its first bytes; one of them may have changed. */
export const codecOf = (first: Uint8Array): LogCodec =>
	first[0] === SIGNATURE[0] || signatureFaults(first).length < 2
		? BINARY
		: NDJSON;
