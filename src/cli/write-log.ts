/** Writing a whole native log to a file: sealed batches, gzip when the name asks for it, in place only when it is complete. */
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { sealFacts, sealHeader } from "../log/write.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/**
 * Writes header and records to `path` and returns how many records. The file appears under its name only when all of it was written:
 * an interrupted call leaves what was there before. Each batch becomes one sealed batch.
 */
export async function writeLog(
	path: string,
	header: LogHeader,
	batches: AsyncIterable<readonly LogRecord[]> | Iterable<readonly LogRecord[]>,
): Promise<number> {
	let written = 0;
	async function* pieces(): AsyncGenerator<Buffer> {
		let { bytes, chain } = sealHeader(header);
		yield bytes;
		for await (const records of batches) {
			if (records.length === 0) continue;
			({ bytes, chain } = sealFacts(chain, records));
			written += records.length;
			yield bytes;
		}
	}
	const part = `${path}.part`;
	try {
		const source = Readable.from(pieces());
		if (path.endsWith(".gz"))
			await pipeline(source, createGzip(), createWriteStream(part));
		else await pipeline(source, createWriteStream(part));
		await rename(part, path);
	} catch (error) {
		await rm(part, { force: true });
		throw error;
	}
	return written;
}

/** Cuts records into batches of one operation each: a batch ends where no operation is open. */
export function* byOperation(
	records: readonly LogRecord[],
): Generator<readonly LogRecord[]> {
	let from = 0;
	let open = 0;
	for (let i = 0; i < records.length; i++) {
		const { type } = records[i] as LogRecord;
		if (type === "op.begin") open++;
		if ((type === "op.commit" || type === "op.fail") && open > 0) open--;
		if (open > 0) continue;
		yield records.slice(from, i + 1);
		from = i + 1;
	}
	if (from < records.length) yield records.slice(from);
}
