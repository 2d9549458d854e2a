/** A log in memory: for tests, for runs that are thrown away, and as the plainest statement of what a store does. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { LogBatch } from "./read.ts";
import type { Chain } from "./seal.ts";
import {
	batchFrom,
	checkAppend,
	closed,
	type LogStore,
	repeatedAnswer,
} from "./store.ts";
import { changeSignal } from "./change-signal.ts";
import { type TimedFact, sealFacts, sealHeader } from "./write.ts";

/** A memory store, and its text. */
export interface MemoryStore extends LogStore {
	/** The whole log as a file would hold it. */
	text(): string;
}

/** Makes an empty log in memory. */
export function memoryStore(header: LogHeader): MemoryStore {
	const start = sealHeader(header);
	const pieces = [start.bytes];
	const batches: LogBatch[] = [];
	const keys = new Map<string, LogBatch>();
	const changed = changeSignal();
	let chain: Chain = start.chain;
	let lastT = 0;
	let open = true;

	return {
		header,
		get head() {
			return chain.head;
		},
		text: () => Buffer.concat(pieces).toString(),
		// Async, so that errors come as rejections like in any store; positions are given before the first await all the same.
		async append(facts, options = {}) {
			if (!open) throw closed();
			const known =
				options.key === undefined ? undefined : keys.get(options.key);
			if (known !== undefined)
				return repeatedAnswer(facts, known, options.key ?? "");
			checkAppend(facts, options, chain.head, lastT);
			const first = chain.head.seq + 1;
			const sealed = sealFacts(chain, facts, options.key);
			chain = sealed.chain;
			lastT = facts.at(-1)?.t ?? lastT;
			pieces.push(sealed.bytes);
			const key = options.key === undefined ? {} : { key: options.key };
			const batch = {
				records: recordsOf(first, facts),
				seal: { ...chain.head, count: facts.length, ...key },
			};
			batches.push(batch);
			if (options.key !== undefined) keys.set(options.key, batch);
			changed.tell();
			return { first, last: chain.head.seq, head: chain.head, repeated: false };
		},
		async *read(from, options = {}) {
			for (let i = 0; ; ) {
				for (; i < batches.length; i++) {
					const part = batchFrom(batches[i] as LogBatch, from);
					if (part !== undefined) yield part;
				}
				if (options.follow === undefined || options.follow.aborted || !open)
					return;
				await changed.wait(options.follow);
			}
		},
		async close() {
			open = false;
			changed.tell();
		},
	};
}

function recordsOf(first: number, facts: readonly TimedFact[]): LogRecord[] {
	return facts.map(
		// A fact of a type with a position is a record of that type; data is copied, so that the log cannot be changed from outside.
		({ t, type, actor, op = 0, data }, i) =>
			({
				seq: first + i,
				t,
				type,
				actor,
				op,
				data: structuredClone(data),
			}) as LogRecord,
	);
}
