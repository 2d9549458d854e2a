/**
 * Live sources: a growing file, tracefs' trace_pipe, standard input. Each gives bytes as they come, for importParts with
 * `peekBytes: 1`, so that records flow at once.
 */
import { open, stat } from "node:fs/promises";
import { createReadStream } from "node:fs";
import type { ByteSource } from "./bytes.ts";

/** How a source is followed. */
export interface FollowOptions {
	/** Ends the stream. */
	readonly signal?: AbortSignal;
	/** How often a file is looked at for growth, in milliseconds. */
	readonly pollMs?: number;
	/** Begin at the end of what is there (default: at its beginning). */
	readonly fromEnd?: boolean;
}

const POLL_MS = 200;
const READ_BYTES = 1 << 16;

/** A source that follows `path` ("-" is standard input). Ends with the signal, the end of a pipe, or the end of standard input. */
export function followSource(
	path: string,
	options: FollowOptions = {},
): ByteSource {
	return {
		name: path,
		again: false,
		open: () => (path === "-" ? standardInput(options) : follow(path, options)),
	};
}

async function* standardInput({
	signal,
}: FollowOptions): AsyncGenerator<Uint8Array> {
	for await (const chunk of process.stdin) {
		if (signal?.aborted === true) return;
		yield Buffer.from(chunk as Uint8Array);
	}
}

async function* follow(
	path: string,
	options: FollowOptions,
): AsyncGenerator<Uint8Array> {
	const info = await stat(path);
	// trace_pipe claims to be an empty regular file, but a read blocks until there is something (ftrace.rst).
	if (!info.isFile() || path.endsWith("trace_pipe")) yield* pipe(path, options);
	else yield* growing(path, options);
}

async function* pipe(
	path: string,
	{ signal }: FollowOptions,
): AsyncGenerator<Uint8Array> {
	const stream = createReadStream(path, signal === undefined ? {} : { signal });
	try {
		for await (const chunk of stream) yield chunk as Buffer;
	} catch (error) {
		if (signal?.aborted !== true) throw error;
	}
}

/**
 * A regular file that someone else writes. When it shrinks it was begun anew, and when another file has taken its name (rotation) that one
 * goes on: both are read from their beginning.
 */
async function* growing(
	path: string,
	{ signal, pollMs = POLL_MS, fromEnd = false }: FollowOptions,
): AsyncGenerator<Uint8Array> {
	let file = await open(path, "r");
	try {
		let at = fromEnd ? (await file.stat()).size : 0;
		while (signal?.aborted !== true) {
			const buffer = Buffer.alloc(READ_BYTES);
			const { bytesRead } = await file.read(buffer, 0, READ_BYTES, at);
			if (bytesRead > 0) {
				at += bytesRead;
				yield buffer.subarray(0, bytesRead);
				continue;
			}
			const own = await file.stat();
			const named = await stat(path).catch(() => undefined);
			if (named !== undefined && named.ino !== own.ino) {
				await file.close();
				file = await open(path, "r");
				at = 0;
				continue;
			}
			if (own.size < at) at = 0;
			await pause(pollMs, signal);
		}
	} finally {
		await file.close();
	}
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(done, ms);
		function done(): void {
			clearTimeout(timer);
			signal?.removeEventListener("abort", done);
			resolve();
		}
		signal?.addEventListener("abort", done);
	});
}
