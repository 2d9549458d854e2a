/**
 * Seals. A batch (normally the records of one operation) ends in a line
 *
 *   {"seal":12,"n":5,"hash":"<64 hex digits>"}
 *   {"seal":12,"n":5,"key":"<idempotency key>","hash":"<64 hex digits>"}
 *
 * `seal` is the seq of the last record it covers, `n` the number of records of the batch (0 for the header's own). `hash` is the
 * SHA-256 over the bytes from the start of the previous seal line up to this line's `,"hash":` (excluded); for the first seal,
 * from the start of the file. Each hash so covers the one before it: a chain, and every byte of the file is covered. The range
 * is contiguous, so that a reader hashes it in one call, and `sed -n 12,18p | head -c N | sha256sum` checks it by hand.
 *
 * A whole chain shows accidents, not tampering: whoever can write the file can write a new chain. Against that, keep the head
 * hash elsewhere and compare (`log check --head`).
 */
import { hash } from "node:crypto";
import { quote } from "./json-text.ts";

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

/** What a sealer continues from: the previous seal line (without newline; empty at the start of a log). */
export interface Chain {
	readonly line: string;
	readonly head: Head;
}

/** The chain of a log that does not exist yet. */
export const CHAIN_START: Chain = { line: "", head: { seq: -1, hash: "" } };

/**
 * Seals a batch. `lines` is its text, each line with its newline; `seq` the last record in it. Returns the seal line and the chain
 * to go on from.
 */
export function sealBatch(
	chain: Chain,
	lines: string,
	seq: number,
	count: number,
	key?: string,
): Chain {
	const prefix = sealPrefix(seq, count, key);
	const before = chain.line === "" ? "" : `${chain.line}\n`;
	const sum = digest(`${before}${lines}${prefix}`);
	return { line: `${prefix},"hash":"${sum}"}`, head: { seq, hash: sum } };
}
