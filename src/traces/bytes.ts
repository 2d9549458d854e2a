/** Bytes in: files, gzip or plain (told by their first bytes, not their names), standard input, memory. */
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

/** Something that can be read from its beginning; `again` is false for standard input. */
export interface ByteSource {
	readonly name: string;
	readonly again: boolean;
	readonly open: () => AsyncIterable<Uint8Array>;
}

const CHUNK_BYTES = 1 << 19;

/** A file, or "-" for standard input. */
export function fileSource(path: string): ByteSource {
	if (path === "-")
		return {
			name: "standard input",
			again: false,
			open: () => inflate(process.stdin),
		};
	return {
		name: path,
		again: true,
		open: () => inflate(createReadStream(path, { highWaterMark: CHUNK_BYTES })),
	};
}

/** Bytes or text in memory. */
export function memorySource(
	name: string,
	data: Uint8Array | string,
): ByteSource {
	const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
	return {
		name,
		again: true,
		open: () => inflate(Readable.from([bytes], { objectMode: false })),
	};
}

/** Passes bytes on, decompressed when they begin as gzip does. A damaged gzip stream throws with the stream's name in the caller. */
async function* inflate(
	input: AsyncIterable<unknown>,
): AsyncGenerator<Uint8Array> {
	const iterator = input[Symbol.asyncIterator]();
	let first = Buffer.alloc(0);
	while (first.length < 2) {
		const next = await iterator.next();
		if (next.done === true) break;
		first = Buffer.concat([first, toBuffer(next.value)]);
	}
	const rest = async function* (): AsyncGenerator<Uint8Array> {
		if (first.length > 0) yield first;
		for (;;) {
			const next = await iterator.next();
			if (next.done === true) return;
			yield toBuffer(next.value);
		}
	};
	if (first[0] !== 0x1f || first[1] !== 0x8b) {
		yield* rest();
		return;
	}
	const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
	const source = Readable.from(rest(), { objectMode: false });
	source.on("error", (error) => gunzip.destroy(error));
	for await (const chunk of source.pipe(gunzip)) yield toBuffer(chunk);
}

const toBuffer = (chunk: unknown): Buffer =>
	typeof chunk === "string"
		? Buffer.from(chunk, "latin1")
		: Buffer.isBuffer(chunk)
			? chunk
			: Buffer.from(chunk as Uint8Array);

/** The largest side file that is read whole (groups, command line, counts). */
export const TEXT_MAX_BYTES = 16 * 1024 * 1024;

/** Reads a small source whole; undefined when it is larger than TEXT_MAX_BYTES. */
export async function readText(
	source: ByteSource,
): Promise<string | undefined> {
	const parts: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of source.open()) {
		size += chunk.length;
		if (size > TEXT_MAX_BYTES) return undefined;
		parts.push(chunk);
	}
	return Buffer.concat(parts).toString("utf8");
}

/** Pulls a text source as batches of lines. */
export function pullLines(
	source: ByteSource,
): () => Promise<readonly string[] | undefined> {
	let iterator: AsyncIterator<Uint8Array> | undefined;
	let rest = "";
	let done = false;
	const decoder = new TextDecoder();
	return async () => {
		if (done) return undefined;
		iterator ??= source.open()[Symbol.asyncIterator]();
		const next = await iterator.next();
		if (next.done === true) {
			done = true;
			const last = rest + decoder.decode();
			rest = "";
			return last === "" ? [] : [last];
		}
		const lines = (rest + decoder.decode(next.value, { stream: true })).split(
			"\n",
		);
		rest = lines.pop() ?? "";
		// A line that never ends is not a line: keep memory bounded.
		if (rest.length > TEXT_MAX_BYTES) rest = "";
		return lines;
	};
}
