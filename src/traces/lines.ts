/** Cuts a byte stream into lines without copying them. */

/** A longer line is cut off and named: no trace line is. */
export const LINE_MAX_BYTES = 64 * 1024;
const NEWLINE = 10;
const RETURN = 13;

/** Gets each line's bounds in a buffer that is valid during the call only. `whole` is false for one without end, or cut. */
export type LineSink = (
	buf: Uint8Array,
	start: number,
	end: number,
	whole: boolean,
) => void;

/** Splits chunks into lines; what is left at the end of a chunk waits for the next one. */
export class LineSplitter {
	private rest: Buffer = Buffer.alloc(0);
	private skipping = false;

	/** Feeds a chunk. */
	feed(chunk: Uint8Array, sink: LineSink): void {
		// A Buffer's indexOf is several times faster than that of a plain Uint8Array.
		const buf = Buffer.concat([this.rest, chunk]);
		this.rest = Buffer.alloc(0);
		let start = 0;
		if (this.skipping) {
			start = buf.indexOf(NEWLINE) + 1;
			if (start === 0) return;
			this.skipping = false;
		}
		for (;;) {
			const end = buf.indexOf(NEWLINE, start);
			if (end < 0) break;
			sink(buf, start, trimmed(buf, start, end), true);
			start = end + 1;
		}
		if (buf.length - start > LINE_MAX_BYTES) {
			sink(buf, start, start + LINE_MAX_BYTES, false);
			this.skipping = true;
			return;
		}
		if (start < buf.length) this.rest = Buffer.from(buf.subarray(start));
	}

	/** The end of the stream: hands over a last line without line end. Returns true when there was one. */
	finish(sink: LineSink): boolean {
		const { rest } = this;
		this.rest = Buffer.alloc(0);
		if (rest.length === 0) return false;
		sink(rest, 0, trimmed(rest, 0, rest.length), false);
		return true;
	}
}

const trimmed = (buf: Uint8Array, start: number, end: number): number =>
	end > start && buf[end - 1] === RETURN ? end - 1 : end;
