/** Reads golden-vector files line by line: plain or gzip NDJSON, `-` for standard input. */
import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

const GZIP_MAGIC = [0x1f, 0x8b] as const;
/** Longest line accepted: dumps of big tables are below a megabyte. */
const LINE_LIMIT_BYTES = 64 * 1024 * 1024;

/** A file that is not what it claims to be: cut off, not gzip inside, or with an endless line. */
export class VectorsReadError extends Error {
	override readonly name = "VectorsReadError";
}

async function* unzipped(source: Readable): AsyncGenerator<Buffer> {
	const iterator = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
	const first = await iterator.next();
	if (first.done === true) return;
	const rest = async function* (): AsyncGenerator<Buffer> {
		yield first.value;
		for (;;) {
			const next = await iterator.next();
			if (next.done === true) return;
			yield next.value;
		}
	};
	const isGzip =
		first.value[0] === GZIP_MAGIC[0] && first.value[1] === GZIP_MAGIC[1];
	if (!isGzip) {
		yield* rest();
		return;
	}
	const gunzip = createGunzip();
	const { pipeline } = await import("node:stream");
	pipeline(rest, gunzip, () => undefined);
	yield* gunzip as AsyncIterable<Buffer>;
}

/** The lines of a file, without line ends. Throws VectorsReadError naming the file when it cannot be read to its end. */
export async function* readLines(path: string): AsyncGenerator<string[]> {
	const source = path === "-" ? process.stdin : createReadStream(path);
	const decoder = new TextDecoder("utf-8");
	let carry = "";
	try {
		for await (const chunk of unzipped(source)) {
			const text = carry + decoder.decode(chunk, { stream: true });
			const lines = text.split("\n");
			carry = lines.pop() ?? "";
			if (carry.length > LINE_LIMIT_BYTES)
				throw new Error(`a line is longer than ${LINE_LIMIT_BYTES} bytes`);
			if (lines.length > 0) yield lines;
		}
	} catch (error) {
		const why = error instanceof Error ? error.message : String(error);
		throw new VectorsReadError(`${path}: cannot be read to its end: ${why}`);
	}
	if (carry !== "") yield [carry];
}
