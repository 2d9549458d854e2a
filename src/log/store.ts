/**
 * What every log store can do. Stores differ in where the bytes are; they agree on everything a caller sees, which one contract
 * suite (test/log/store-contract.ts) holds them to.
 */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { LogError } from "./error.ts";
import type { LogBatch } from "./read.ts";
import { encodeRecord } from "./record-line.ts";
import { BATCH_BYTES_MAX } from "./scan.ts";
import type { Head } from "./seal.ts";
import type { TimedFact } from "./write.ts";

/** How an append is to be understood. */
export interface AppendOptions {
	/** The head's seq as the caller knows it. When the log has moved on, the append fails with `conflict` and nothing is written. */
	readonly expected?: number;
	/**
	 * Idempotency key, at most KEY_LENGTH_MAX characters. A second append with the same key and the same facts (`t`, `op` aside) writes
	 * nothing and answers as the first did; with other facts it fails with `key-reused`.
	 */
	readonly key?: string;
}

/** The answer to an append: it is in the log, as durable as the store's policy says. */
export interface Appended {
	/** seq of the first and last record of the batch. */
	readonly first: number;
	readonly last: number;
	/** The log's head when the batch was its last. */
	readonly head: Head;
	/** The key was known: nothing was written now. */
	readonly repeated: boolean;
}

/** How to read. */
export interface ReadOptions {
	/** Do not end at the log's end: wait for more until this signal aborts. */
	readonly follow?: AbortSignal;
}

/** An append-only log of sealed batches. */
export interface LogStore {
	readonly header: LogHeader;
	/** The last accepted batch. Positions are given out when `append` is called, before it answers: the next record is `head.seq + 1`. */
	readonly head: Head;
	/**
	 * Appends facts as one sealed batch: all or none. Answers when the batch is durable (by the store's policy). Throws LogError:
	 * `bad-record`, `conflict`, `key-reused`, `clock-backwards`, `disk-full`, `read-only`, `io`, `locked`, `closed`, `unavailable`.
	 */
	append(
		facts: readonly TimedFact[],
		options?: AppendOptions,
	): Promise<Appended>;
	/** The batches from the one that holds record `from` (its earlier records left out), in order. */
	read(from: number, options?: ReadOptions): AsyncIterable<LogBatch>;
	/** Waits for pending appends, then lets go of everything. */
	close(): Promise<void>;
}

/** Keeps seal lines short, so that a reader finds the last one of a file in its last few kilobytes. */
export const KEY_LENGTH_MAX = 256;

/** Checks what does not depend on the store. `lastT` is the time of the last record. */
export function checkAppend(
	facts: readonly TimedFact[],
	options: AppendOptions,
	head: Head,
	lastT: number,
): void {
	const { expected, key } = options;
	if (expected !== undefined && expected !== head.seq)
		throw new LogError(
			"conflict",
			`the log is at ${head.seq}, expected ${expected}`,
			{
				seq: head.seq,
				hint: "Somebody else appended. Read what is new, decide again, append again.",
			},
		);
	if (facts.length === 0)
		throw new LogError("bad-record", "an append needs at least one fact", {
			seq: head.seq + 1,
		});
	if (key !== undefined && (key === "" || key.length > KEY_LENGTH_MAX))
		throw new LogError(
			"bad-record",
			`a key has 1 to ${KEY_LENGTH_MAX} characters`,
			{ seq: head.seq + 1 },
		);
	let t = lastT;
	for (const [i, fact] of facts.entries()) {
		if (fact.t < t)
			throw new LogError(
				"clock-backwards",
				`t is ${fact.t}, ${t - fact.t} ns before the record before it`,
				{
					seq: head.seq + 1 + i,
					hint: "Nothing was written. Use a monotonic clock (CLOCK_MONOTONIC), and go on from the last t after a restart.",
				},
			);
		t = fact.t;
	}
}

/** Tells whether a batch in the log holds the same facts: type, actor and data; time and position differ on a second try. */
export function sameFacts(
	facts: readonly TimedFact[],
	batch: LogBatch | undefined,
): boolean {
	if (batch?.records.length !== facts.length) return false;
	return facts.every((fact, i) => {
		const record = batch.records[i];
		return record !== undefined && comparable(record) === comparable(fact);
	});
}

function comparable({
	type,
	actor,
	data,
}: Pick<TimedFact, "type" | "actor" | "data">): string {
	// `op` is a position and `t` a time: neither takes part. The codec's text makes equal data equal.
	return encodeRecord({ seq: 0, t: 0, type, actor, op: 0, data } as LogRecord);
}

/** The answer for a key that is known. Throws LogError `key-reused` when the batch it stands for holds other facts. */
export function repeatedAnswer(
	facts: readonly TimedFact[],
	batch: LogBatch | undefined,
	key: string,
): Appended {
	const seal = batch?.seal;
	if (seal === undefined || !sameFacts(facts, batch))
		throw new LogError(
			"key-reused",
			`key ${JSON.stringify(key)} was used for other facts`,
			{
				seq: seal?.seq,
				hint: "Nothing was written. A key belongs to one operation for ever.",
			},
		);
	return {
		first: seal.seq - seal.count + 1,
		last: seal.seq,
		head: { seq: seal.seq, hash: seal.hash },
		repeated: true,
	};
}

/** The part of a batch from record `from` on; undefined when nothing is left. */
export function batchFrom(batch: LogBatch, from: number): LogBatch | undefined {
	if (batch.seal.seq < from) return undefined;
	const records = batch.records.filter((record) => record.seq >= from);
	return records.length === batch.records.length
		? batch
		: { ...batch, records };
}

/** The error for a store that was closed. */
export const closed = (): LogError =>
	new LogError("closed", "the log is closed", { hint: "Open it again." });

/** The error for a batch that no reader would take. */
export const tooLarge = (bytes: number, seq: number): LogError =>
	new LogError(
		"too-large",
		`a batch of ${bytes} bytes; the limit is ${BATCH_BYTES_MAX}`,
		{
			seq,
			hint: "Nothing was written. Append in smaller batches.",
		},
	);
