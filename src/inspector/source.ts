/**
 * Where the inspector's server gets a log from. A source gives bytes from a position on; a live one keeps giving as the log grows.
 * Since a log is append-only, "the bytes after position n" is all that a page needs to follow it, and to go on after a lost
 * connection: no message is numbered, none is lost or doubled.
 */
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A log to show. */
export interface LogSource {
	/** What the page calls it. */
	readonly name: string;
	/** More may come: readers stay connected. */
	readonly live: boolean;
	/** Size now, when it is known: lets the page allocate once. */
	sizeBytes(): Promise<number | undefined>;
	/** The bytes from position `from` on. Ends when the log does, or `signal` aborts. */
	read(from: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

const READ_BYTES = 1 << 18;
/** How often a growing file is looked at. File change notices do not work on every file system; a stat a tick does. */
const POLL_MS = 100;

/** A log file (NDJSON, plain or gzip). `live`: follow it as it grows (plain only). */
export function fileSource(
	path: string,
	options: { live?: boolean; name?: string } = {},
): LogSource {
	const live = options.live ?? false;
	return {
		name: options.name ?? basename(path),
		live,
		sizeBytes: async () => (await stat(path)).size,
		read: (from, signal) =>
			live ? follow(path, from, signal) : readOnce(path, from, signal),
	};
}

function readOnce(
	path: string,
	from: number,
	signal: AbortSignal,
): AsyncIterable<Uint8Array> {
	return createReadStream(path, {
		start: from,
		highWaterMark: READ_BYTES,
		signal,
	});
}

async function* follow(
	path: string,
	from: number,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
	const file = await open(path, "r");
	try {
		for (let at = from; !signal.aborted; ) {
			const buffer = new Uint8Array(READ_BYTES);
			const { bytesRead } = await file.read(buffer, 0, READ_BYTES, at);
			at += bytesRead;
			if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
			else await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
		}
	} finally {
		await file.close();
	}
}

/** A log that is in memory already. */
export function bytesSource(name: string, bytes: Uint8Array): LogSource {
	return {
		name,
		live: false,
		sizeBytes: async () => bytes.length,
		async *read(from) {
			yield bytes.subarray(from);
		},
	};
}

/**
 * A live log in memory: what is appended reaches every page that follows. Holds its bytes (a page that connects late gets all of
 * them), up to `limitBytes`; what comes after that is dropped and counted, and the producer is never slowed down.
 */
export class LiveLog implements LogSource {
	readonly live = true;
	readonly name: string;
	/** Lines that found no room. */
	droppedLines = 0;
	readonly #limitBytes: number;
	readonly #encoder = new TextEncoder();
	#bytes = new Uint8Array(READ_BYTES);
	#length = 0;
	#ended = false;
	#wake: (() => void)[] = [];

	constructor(name: string, limitBytes = LIVE_BYTES_MAX) {
		this.name = name;
		this.#limitBytes = limitBytes;
	}

	/** Appends one line (without newline). */
	append(line: string): void {
		const bytes = this.#encoder.encode(`${line}\n`);
		const length = this.#length + bytes.length;
		if (this.#ended || length > this.#limitBytes) {
			this.droppedLines++;
			return;
		}
		if (length > this.#bytes.length) {
			const wider = new Uint8Array(Math.max(length, this.#bytes.length * 2));
			wider.set(this.#bytes.subarray(0, this.#length));
			this.#bytes = wider;
		}
		this.#bytes.set(bytes, this.#length);
		this.#length = length;
		this.#wakeAll();
	}

	/** No more lines will come: readers end. */
	end(): void {
		this.#ended = true;
		this.#wakeAll();
	}

	async sizeBytes(): Promise<number> {
		return this.#length;
	}

	/** The text so far. */
	text(): string {
		return new TextDecoder().decode(this.#bytes.subarray(0, this.#length));
	}

	async *read(from: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
		signal.addEventListener("abort", () => this.#wakeAll());
		for (let at = from; ; ) {
			if (signal.aborted) return;
			const end = Math.min(this.#length, at + READ_BYTES);
			if (at < end) {
				yield this.#bytes.subarray(at, end);
				at = end;
			} else if (this.#ended) return;
			else await new Promise<void>((wake) => this.#wake.push(wake));
		}
	}

	#wakeAll(): void {
		const waiting = this.#wake;
		this.#wake = [];
		for (const wake of waiting) wake();
	}
}

/** Room of a live log in memory: some hundred thousand records. */
export const LIVE_BYTES_MAX = 128 << 20;
