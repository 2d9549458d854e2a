/**
 * Converting: the same header, records, batches and keys in another codec or format version. NDJSON to binary and back gives the
 * same bytes; what is lost is only what was not canonical, and the hashes are those of the codec.
 */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { link, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { Readable } from "node:stream";
import { FORMAT_VERSION } from "../vocabulary/header.ts";
import type { OnRecords } from "./care.ts";
import type { LogCodec } from "./codec.ts";
import { LogError } from "./error.ts";
import { ioError, nodeIo } from "./io.ts";
import { type LogSource, readLog } from "./read.ts";
import type { ScanSummary } from "./scan-types.ts";
import { type Chain, type Head } from "./seal.ts";

/** The answer of `convertLog`. */
export interface ConvertResult {
	readonly read: ScanSummary;
	/** Head of what was written. */
	readonly head: Head;
	readonly bytes: number;
}

/** The bytes of a log in another codec, batch by batch; returns what was read and the new head. */
export async function* convertedChunks(
	source: LogSource,
	codec: LogCodec,
	onRecords: OnRecords = () => {},
): AsyncGenerator<Buffer, ConvertResult> {
	const log = await readLog(source);
	const start = codec.start({ ...log.header, version: FORMAT_VERSION });
	let chain: Chain = start.chain;
	let bytes = start.bytes.length;
	yield start.bytes;
	const batches = log.batches();
	for (;;) {
		const { value, done } = await batches.next();
		if (done) return { read: value, head: chain.head, bytes };
		const sealed = codec.seal(chain, value.records, value.seal.key);
		chain = sealed.chain;
		bytes += sealed.bytes.length;
		onRecords(value.seal.seq);
		yield sealed.bytes;
	}
}

/**
 * Writes a log into a new file in the given codec, compressed when the name ends in `.gz`. The file is there whole or not at all. Throws
 * LogError like `scanLog`, and `disk-full`, `read-only`, `io`; fails when the file exists.
 */
export async function convertLog(
	source: LogSource,
	path: string,
	codec: LogCodec,
	onRecords: OnRecords = () => {},
): Promise<ConvertResult> {
	let result: ConvertResult | undefined;
	const chunks = convertedChunks(source, codec, onRecords);
	async function* all(): AsyncGenerator<Buffer> {
		result = yield* chunks;
	}
	const draft = `${path}.${process.pid}.draft`;
	try {
		if (await exists(path)) throw taken(path);
		const file = createWriteStream(draft, { flags: "wx", flush: true });
		await once(file, "open");
		const bytes = Readable.from(all(), { objectMode: false });
		await (path.endsWith(".gz")
			? pipeline(bytes, createGzip(), file)
			: pipeline(bytes, file));
		// Unlike a rename, this fails when somebody made such a file meanwhile.
		await link(draft, path);
		await nodeIo.syncDirectory(dirname(path));
	} catch (error) {
		throw ioError(error, `writing ${path}`);
	} finally {
		await nodeIo.remove(draft);
	}
	if (result === undefined)
		throw new TypeError("the conversion ended without a result");
	return result;
}

const exists = (path: string): Promise<boolean> =>
	stat(path).then(
		() => true,
		() => false,
	);

const taken = (path: string): LogError =>
	new LogError("io", `${path} exists`, {
		hint: "Nothing was written. A conversion makes a new file: choose another name, or remove that one.",
	});
