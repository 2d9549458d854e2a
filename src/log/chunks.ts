/** Bytes of a log from a file, a stream or standard input; gzip is undone (recognised by content, not by name). */
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { LogError } from "./error.ts";

/** Where a log comes from: a path, `-` for standard input, or chunks of bytes. */
export type LogSource =
	| string
	| AsyncIterable<Uint8Array>
	| Iterable<Uint8Array>;

const READ_BYTES = 1 << 20;

/** The bytes of a file, in chunks that are reused: use each before asking for the next. */
async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
	const file = await open(path, "r");
	try {
		const buffer = Buffer.allocUnsafe(READ_BYTES);
		for (;;) {
			const { bytesRead } = await file.read(buffer, 0, READ_BYTES, null);
			if (bytesRead === 0) return;
			yield buffer.subarray(0, bytesRead);
		}
	} finally {
		await file.close();
	}
}

function chunksOf(
	source: LogSource,
): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
	if (source === "-") return process.stdin as AsyncIterable<Uint8Array>;
	return typeof source === "string" ? fileChunks(source) : source;
}

/** Recognises gzip by its first two bytes. */
export const isGzip = (bytes: Uint8Array): boolean =>
	bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Chunks with gzip undone. A compressed stream that ends too early gives what it held, as a cut plain file would. */
export async function* plainChunks(
	source: LogSource,
): AsyncGenerator<Uint8Array> {
	const iterator = toAsync(chunksOf(source));
	try {
		const first = await firstBytes(iterator);
		if (first === undefined) return;
		if (isGzip(first)) yield* unpacked(first, iterator);
		else {
			yield first;
			yield* iterator;
		}
	} finally {
		await iterator.return(undefined);
	}
}

async function* unpacked(
	first: Uint8Array,
	rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
	const packed = Readable.from(copies(first, rest), { objectMode: false });
	const gunzip = createGunzip({ chunkSize: 1 << 18 });
	packed.on("error", (error) => gunzip.destroy(error));
	try {
		yield* packed.pipe(gunzip) as AsyncIterable<Uint8Array>;
	} catch (cause) {
		const { code = "" } = cause as NodeJS.ErrnoException;
		if (code === "Z_BUF_ERROR") return;
		if (!code.startsWith("Z_")) throw cause;
		throw new LogError("bad-gzip", "the gzip data is damaged", {
			hint: "Copy the file again, or look for the uncompressed log.",
			cause,
		});
	}
}

async function* toAsync(
	chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
	yield* chunks;
}

/** The stream in front of zlib reads ahead, so reused chunks must be copied. */
async function* copies(
	first: Uint8Array,
	rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
	yield Buffer.from(first);
	for await (const chunk of rest) yield Buffer.from(chunk);
}

/** The first bytes, at least `min` of them unless there are fewer. */
export async function firstBytes(
	iterator: AsyncGenerator<Uint8Array>,
	min = 2,
): Promise<Uint8Array | undefined> {
	let bytes: Uint8Array | undefined;
	while (bytes === undefined || bytes.length < min) {
		const { value, done } = await iterator.next();
		if (done) return bytes;
		bytes = bytes === undefined ? value : Buffer.concat([bytes, value]);
	}
	return bytes;
}
