/** Writing a log: header and batches in, NDJSON with seals out. Pure; stores and exporters put the bytes somewhere. */
import type { LogHeader } from "../vocabulary/header.ts";
import {
	type Fact,
	type LogRecord,
	recordProblem,
} from "../vocabulary/records.ts";
import { putChecked } from "./encode-line.ts";
import { LogError } from "./error.ts";
import { encodeHeader } from "./header-line.ts";
import { LineBytes } from "./line-bytes.ts";
import { encodeRecord } from "./record-line.ts";
import {
	CHAIN_START,
	type Chain,
	type SealedBytes,
	sealLines,
} from "./seal.ts";

/** A first guess at the room a batch needs: how long lines usually are, and the seal and what a line asks for beforehand. */
const RECORD_BYTES = 192;
const BATCH_BYTES = 1024;
const HEADER_BYTES = 4096;

/** A fact with its time: what a caller appends. `op` absent = 0. */
export type TimedFact = Fact & { readonly t: number };

/** The header line and its seal. */
export function sealHeader(header: LogHeader): SealedBytes {
	const lines = new LineBytes(HEADER_BYTES);
	lines.text(`${encodeHeader(header)}\n`);
	return sealLines(CHAIN_START, lines, 0, 0);
}

/**
 * Gives the facts their `seq` (dense, after the chain's head), checks them and seals them as one batch: whole lines, the last of them the
 * seal. Throws LogError `bad-record` when one does not fit the schema; nothing is written then.
 */
export function sealFacts(
	chain: Chain,
	facts: readonly TimedFact[],
	key?: string,
): SealedBytes {
	const lines = new LineBytes(facts.length * RECORD_BYTES + BATCH_BYTES);
	let { seq } = chain.head;
	for (const fact of facts)
		if (!putChecked(lines, ++seq, fact))
			lines.text(`${encodeRecord(factRecord(seq, fact))}\n`);
	return sealLines(chain, lines, seq, facts.length, key);
}

/** The record that a fact becomes at position `seq`. Throws LogError `bad-record` when it does not fit the schema. */
export function factRecord(seq: number, fact: TimedFact): LogRecord {
	const record = unchecked(seq, fact);
	const problem = recordProblem(record);
	if (problem === undefined) return record;
	throw new LogError("bad-record", `${record.type}: ${problem}`, {
		seq,
		hint: "Nothing was written. The fields of every record type are in src/vocabulary.",
	});
}

// A fact of some type and a record of that type correspond; TypeScript cannot follow that through the destructuring.
const unchecked = (
	seq: number,
	{ t, type, actor, op = 0, data }: TimedFact,
): LogRecord => ({ seq, t, type, actor, op, data }) as LogRecord;

/** A whole log as text: for tests, exports and small logs. Each inner array becomes one sealed batch. */
export function logText(
	header: LogHeader,
	batches: Iterable<readonly TimedFact[]>,
): string {
	let { bytes, chain } = sealHeader(header);
	const parts = [bytes];
	for (const facts of batches) {
		if (facts.length === 0) continue;
		({ bytes, chain } = sealFacts(chain, facts));
		parts.push(bytes);
	}
	return Buffer.concat(parts).toString();
}
