/** Writing a log as text: header and batches in, NDJSON with seals out. Pure; stores and exporters put the text somewhere. */
import type { LogHeader } from "../vocabulary/header.ts";
import {
	type Fact,
	type LogRecord,
	recordProblem,
} from "../vocabulary/records.ts";
import { checkedLine } from "./encode-line.ts";
import { LogError } from "./error.ts";
import { encodeHeader } from "./header-line.ts";
import { encodeRecord } from "./record-line.ts";
import { CHAIN_START, type Chain, sealBatch } from "./seal.ts";

/** A fact with its time: what a caller appends. `op` absent = 0. */
export type TimedFact = Fact & { readonly t: number };

/** Text ready to be written, and the chain after it. */
export interface Sealed {
	/** Whole lines, the last of them the seal, each with its newline. */
	readonly text: string;
	readonly chain: Chain;
}

/** The header line and its seal. */
export function sealHeader(header: LogHeader): Sealed {
	const line = `${encodeHeader(header)}\n`;
	const chain = sealBatch(CHAIN_START, line, 0, 0);
	return { text: `${line}${chain.line}\n`, chain };
}

/**
 * Gives the facts their `seq` (dense, after the chain's head), checks them and seals them as one batch. Throws LogError
 * `bad-record` when one does not fit the schema; nothing is written then.
 */
export function sealFacts(
	chain: Chain,
	facts: readonly TimedFact[],
	key?: string,
): Sealed {
	const lines = factLines(chain.head.seq, facts);
	const seq = chain.head.seq + facts.length;
	const next = sealBatch(chain, lines, seq, facts.length, key);
	return { text: `${lines}${next.line}\n`, chain: next };
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

/** The lines of facts behind record `seq`, each with its newline. Throws LogError `bad-record`. */
export function factLines(seq: number, facts: readonly TimedFact[]): string {
	let lines = "";
	let at = seq;
	for (const fact of facts) {
		at++;
		lines += `${checkedLine(unchecked(at, fact)) ?? encodeRecord(factRecord(at, fact))}\n`;
	}
	return lines;
}

/** A whole log as text: for tests, exports and small logs. Each inner array becomes one sealed batch. */
export function logText(
	header: LogHeader,
	batches: Iterable<readonly TimedFact[]>,
): string {
	let { text, chain } = sealHeader(header);
	for (const facts of batches) {
		if (facts.length === 0) continue;
		const sealed = sealFacts(chain, facts);
		text += sealed.text;
		chain = sealed.chain;
	}
	return text;
}
