/** One message of the JetStream store: a small file of the log, which reads like a segment. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { NDJSON } from "./codec.ts";
import { LogError } from "./error.ts";
import type { LogBatch } from "./read.ts";
import { LogScanner } from "./scan.ts";
import { copyRecord, type LineDecoder } from "./scan-line.ts";
import type { Chain } from "./seal.ts";

/** What a message holds. */
export interface Message {
	readonly header: LogHeader;
	/** The seal line it goes on from; empty for the first. */
	readonly before: string;
	/** Its records; undefined for the first message, which holds the header. */
	readonly batch: LogBatch | undefined;
	/** What the next message goes on from. */
	readonly chain: Chain;
	/** Time of its last record. */
	readonly lastT: number | undefined;
}

/** Reads a message; `header` is undefined for the first. Throws LogError `damaged` and the like when it is not whole. */
export function readMessage(
	data: Uint8Array,
	header: LogHeader | undefined,
	decoder?: LineDecoder,
): Message {
	const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
	const start = header === undefined ? undefined : NDJSON.continues(bytes);
	const records: LogRecord[] = [];
	let batch: LogBatch | undefined;
	const scanner = new LogScanner(
		{
			record: (record) => {
				records.push(copyRecord(record));
			},
			seal: (seal) => {
				if (seal.count > 0) batch = { records, seal };
			},
		},
		header && start && { header, ...start },
		decoder,
	);
	scanner.push(bytes.subarray(start?.bytes ?? 0));
	const { chain, tail, header: found } = scanner.end();
	if (tail !== undefined)
		throw new LogError("damaged", "a message is not whole", { seq: tail.seq });
	return {
		header: found,
		before: start?.chain.line ?? "",
		batch,
		chain,
		lastT: records.at(-1)?.t,
	};
}
