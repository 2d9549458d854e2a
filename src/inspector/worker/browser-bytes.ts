/**
 * The log's line decoder (src/log/scan-line.ts) reads bytes through Node's Buffer, of which it uses four functions. In a browser
 * there is none: this gives it those four, on a Uint8Array. Import this before anything of src/log.
 */
const decoder = new TextDecoder();
const CODES_AT_ONCE = 4096;

class Bytes extends Uint8Array {
	/** Text of bytes [start, end). */
	override toString(encoding = "utf8", start = 0, end = this.length): string {
		if (encoding !== "latin1") return decoder.decode(this.subarray(start, end));
		let text = "";
		for (let at = start; at < end; at += CODES_AT_ONCE) {
			const piece = this.subarray(at, Math.min(end, at + CODES_AT_ONCE));
			text += String.fromCharCode.apply(null, piece as never);
		}
		return text;
	}
}

function fromText(text: string): Bytes {
	const bytes = new Bytes(text.length);
	for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
	return bytes;
}

/** What src/log asks of `Buffer`. */
const standIn = {
	alloc: (length: number) => new Bytes(length),
	allocUnsafe: (length: number) => new Bytes(length),
	from: (text: string, _latin1: string) => fromText(text),
};

const scope = globalThis as unknown as { Buffer?: unknown };
scope.Buffer ??= standIn;

/** The same memory in the form that the decoder takes. */
export function decoderBytes(bytes: Uint8Array): Buffer {
	const { buffer, byteOffset, length } = bytes;
	if (scope.Buffer !== standIn)
		return Buffer.from(buffer as ArrayBuffer, byteOffset, length);
	return new Bytes(
		buffer as ArrayBuffer,
		byteOffset,
		length,
	) as unknown as Buffer;
}
