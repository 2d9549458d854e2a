/** What the inspector, its reports and its exports are given: every kind of log or recording, as the NDJSON that page and index read. */
import { basename } from "node:path";
import { NDJSON } from "../log/codec.ts";
import { convertedChunks } from "../log/convert.ts";
import { firstBytes, plainChunks } from "../log/chunks.ts";
import { LogError } from "../log/error.ts";
import { readLog } from "../log/read.ts";
import { sealFacts, sealHeader } from "../log/write.ts";
import { bytesSource, type LogSource } from "../inspector/source.ts";
import { openInput } from "../replay/input.ts";
import { importRecording } from "../traces/import.ts";
import { stat } from "node:fs/promises";

const BRACE = 0x7b;

/**
 * The path itself where the page can read the file as it is (NDJSON, plain or gzip); else the same log written anew in memory: recordings
 * are imported, binary logs and logs in segments converted. Throws LogError `not-a-log` for what is none, and ImportError.
 */
export async function logSource(path: string): Promise<string | LogSource> {
	const { format } = await openInput(path);
	if (format !== "native")
		return bytesSource(basename(path), await imported(path, format));
	await refuseOther(path);
	return (await isNdjsonFile(path))
		? path
		: bytesSource(basename(path), await converted(path));
}

/** A damaged log is shown as far as it goes; what never was one is refused here. */
async function refuseOther(path: string): Promise<void> {
	try {
		const log = await readLog(path);
		for await (const _ of log.batches()) return;
	} catch (error) {
		if (!(error instanceof LogError) || error.code === "not-a-log") throw error;
	}
}

async function isNdjsonFile(path: string): Promise<boolean> {
	if ((await stat(path)).isDirectory()) return false;
	const chunks = plainChunks(path);
	const first = await firstBytes(chunks, 1);
	await chunks.return(undefined);
	return first?.[0] === BRACE;
}

async function converted(path: string): Promise<Buffer> {
	const pieces: Buffer[] = [];
	for await (const piece of convertedChunks(path, NDJSON)) pieces.push(piece);
	return Buffer.concat(pieces);
}

async function imported(
	path: string,
	format: "ftrace" | "qemu" | "calls",
): Promise<Buffer> {
	const recording = await importRecording(path, { format });
	let { bytes, chain } = sealHeader(recording.header);
	const pieces = [bytes];
	for await (const records of recording.batches) {
		if (records.length === 0) continue;
		({ bytes, chain } = sealFacts(chain, records));
		pieces.push(bytes);
	}
	return Buffer.concat(pieces);
}
