/** Lines out of chunks of bytes, with a limit. */
import { BackendError } from "./backend.ts";

/** Collects bytes and gives whole lines. Throws BackendError `line-too-long`, `bad-line` (not UTF-8). */
export class LineSplitter {
	readonly #bytesMax: number;
	readonly #decoder = new TextDecoder("utf-8", { fatal: true });
	#rest: Buffer[] = [];
	#restBytes = 0;

	constructor(bytesMax: number) {
		this.#bytesMax = bytesMax;
	}

	/** Bytes of a line that has not ended. */
	get pending(): number {
		return this.#restBytes;
	}

	/** Takes a chunk; the lines that it completes, without their newline. */
	push(chunk: Buffer): string[] {
		const lines: string[] = [];
		let from = 0;
		for (;;) {
			const end = chunk.indexOf(0x0a, from);
			const part = chunk.subarray(from, end < 0 ? undefined : end);
			this.#restBytes += part.length;
			if (this.#restBytes > this.#bytesMax)
				throw new BackendError(
					"line-too-long",
					`the agent sent a line of more than ${this.#bytesMax} bytes`,
				);
			this.#rest.push(part);
			if (end < 0) return lines;
			lines.push(this.#text());
			from = end + 1;
		}
	}
	#text(): string {
		const bytes = Buffer.concat(this.#rest);
		this.#rest = [];
		this.#restBytes = 0;
		try {
			return this.#decoder.decode(bytes);
		} catch {
			throw new BackendError(
				"bad-line",
				"the agent sent a line that is not UTF-8",
			);
		}
	}
}
