/**
 * Seals. A batch (normally the records of one operation) ends in a line
 *
 *   {"seal":12,"n":5,"hash":"<64 hex digits>"}
 *   {"seal":12,"n":5,"key":"<idempotency key>","hash":"<64 hex digits>"}
 *
 * `seal` is the seq of the last record it covers, `n` the number of records of the batch (0 for the header's own). `hash` is the
 * SHA-256 over **all bytes of the file before `,"hash":` of this line**: check it with `head -c OFFSET | sha256sum`. So each hash
 * covers every seal before it: a chain. A reader that finds one seal right knows that everything before it is right, and need
 * not look at the others. A later segment of a log is a file of its own that starts with a copy of the last seal line, which
 * carries the chain over.
 *
 * A whole chain shows accidents, not tampering: whoever can write the file can write a new chain. Against that, keep the head
 * hash elsewhere and compare (`log check --head`).
 */
import { createHash, type Hash, hash } from "node:crypto";
import { quote } from "./json-text.ts";
import { LineBytes } from "./line-bytes.ts";

/** A position in a log: the last sealed record and the hash that stands for everything up to it. */
export interface Head {
	readonly seq: number;
	/** 64 hex digits. */
	readonly hash: string;
}

/** A seal line's content. */
export interface Seal extends Head {
	/** Records of the batch. */
	readonly count: number;
	/** Idempotency key of the batch, when it had one. */
	readonly key?: string;
}

/** How every seal line starts. No record line can, and text inside a line cannot hold a newline. */
export const SEAL_START = '{"seal":';
/** Length of the end of a seal line: `,"hash":"…"}`, without newline. */
export const SEAL_TAIL_LENGTH = ',"hash":"'.length + 64 + '"}'.length;

/** Room for a seal line that has no key; a longer one finds its room. */
export const SEAL_BYTES: number = SEAL_TAIL_LENGTH + 64;

const SEAL_LINE =
	/^\{"seal":(0|[1-9]\d{0,15}),"n":(0|[1-9]\d{0,15})(?:,"key":("(?:[^"\\]|\\.)*"))?,"hash":"([0-9a-f]{64})"\}$/;

/** The part of a seal line that its hash covers. */
export function sealPrefix(
	seq: number,
	count: number,
	key: string | undefined,
): string {
	return `${SEAL_START}${seq},"n":${count}${key === undefined ? "" : `,"key":${quote(key)}`}`;
}

/** SHA-256 as hex. */
export const digest = (bytes: Uint8Array | string): string =>
	hash("sha256", bytes, "hex");

/** Reads a seal line; undefined when it is none. */
export function decodeSeal(text: string): Seal | undefined {
	const found = SEAL_LINE.exec(text);
	if (!found) return undefined;
	const [, seq = "", count = "", key, hashText = ""] = found;
	const seal = { seq: Number(seq), count: Number(count), hash: hashText };
	if (key === undefined) return seal;
	try {
		return { ...seal, key: JSON.parse(key) as string };
	} catch {
		return undefined;
	}
}

/** What a sealer continues from. */
export interface Chain {
	readonly head: Head;
	/** The last seal line, without newline; empty at the start of a log. */
	readonly line: string;
	/** The hash over all bytes of the file so far. Never changed: copied, then gone on with. */
	readonly sum: Hash;
}

/** The chain of a log that does not exist yet. */
export const CHAIN_START: Chain = {
	line: "",
	head: { seq: -1, hash: "" },
	sum: createHash("sha256"),
};

/** Bytes ready to be written, and the chain after them. */
export interface SealedBytes {
	readonly bytes: Buffer;
	readonly chain: Chain;
}

/**
 * Seals a batch. `lines` is its text, each line with its newline; `seq` the last record in it. Writes the seal line behind it, and
 * returns the whole and the chain to go on from.
 */
export function sealLines(
	chain: Chain,
	lines: LineBytes,
	seq: number,
	count: number,
	key?: string,
): SealedBytes {
	const prefix = sealPrefix(seq, count, key);
	lines.text(prefix);
	const sum = chain.sum.copy().update(lines.written);
	const sealed = sum.copy().digest("hex");
	const tail = `,"hash":"${sealed}"}`;
	const end = `${tail}\n`;
	lines.text(end);
	const next = {
		line: prefix + tail,
		head: { seq, hash: sealed },
		sum: sum.update(end),
	};
	return { bytes: lines.written, chain: next };
}

/** As `sealLines`, of a text and when only the chain is wanted. */
export function sealBatch(
	chain: Chain,
	text: string,
	seq: number,
	count: number,
	key?: string,
): Chain {
	const lines = new LineBytes(text.length + SEAL_BYTES);
	lines.text(text);
	return sealLines(chain, lines, seq, count, key).chain;
}

/** The chain of a file that starts with this seal line: a later segment. */
export function chainFrom(line: string, { seq, hash: sealed }: Head): Chain {
	return {
		line,
		head: { seq, hash: sealed },
		sum: createHash("sha256").update(`${line}\n`),
	};
}
