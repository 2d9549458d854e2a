/** `iommu-ledger report`: one HTML file with the page and a log inside, to attach to a mail or a bug. */
import { randomInt } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { gunzipSync, gzipSync } from "node:zlib";
import { withoutNetwork } from "./guard.ts";
import { SEAL_START } from "../log/seal.ts";
import { readPage } from "./page-file.ts";
import { redactor } from "./redact.ts";
import { fileSource, type LogSource } from "./source.ts";

/** How to write it. */
export interface ReportOptions {
	/** Replace device and host names, kernel pointers and free text consistently. */
	readonly redact?: boolean;
}

const PLACE = "<!--logs-->";

/**
 * Writes the report of one log (or of two, side by side) to `out`. Returns its size in bytes. Throws PageMissingError, and the
 * errors of reading and writing files as Node gives them.
 */
export async function writeReport(
	logs: string | LogSource | readonly (string | LogSource)[],
	out: string,
	options: ReportOptions = {},
): Promise<number> {
	const text = await reportText(
		Array.isArray(logs) ? logs : [logs as string | LogSource],
		options,
	);
	await writeFile(out, text);
	return Buffer.byteLength(text);
}

/** The report as text. */
export async function reportText(
	logs: readonly (string | LogSource)[],
	options: ReportOptions = {},
): Promise<string> {
	const page = withoutNetwork(await readPage());
	const redact = redactor((below) => randomInt(below));
	const blocks: string[] = [];
	for (const [number, log] of logs.entries()) {
		const source = typeof log === "string" ? fileSource(log) : log;
		let bytes = await allBytes(source);
		let { name } = source;
		if (options.redact === true) {
			bytes = redacted(bytes, redact.line.bind(redact));
			name = `log ${number + 1} (redacted)`;
		}
		blocks.push(block(name, bytes));
	}
	return page.replace(PLACE, () => blocks.join("\n"));
}

async function allBytes(source: LogSource): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	const whole = new AbortController();
	for await (const piece of source.read(0, whole.signal)) pieces.push(piece);
	const bytes = Buffer.concat(pieces);
	return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
}

/** Seals go: their hashes are of bytes that are no longer there. */
function redacted(bytes: Buffer, line: (text: string) => string): Buffer {
	const lines = bytes
		.toString("utf8")
		.split("\n")
		.filter((text) => !text.startsWith(SEAL_START));
	return Buffer.from(
		lines.map((text) => (text === "" ? "" : line(text))).join("\n"),
	);
}

const ENTITIES: Readonly<Record<string, string>> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
};

/** A block that is data, not a script: its type is none that browsers run, and its text is base64. */
function block(name: string, bytes: Buffer): string {
	const packed = gzipSync(bytes, { level: 9 }).toString("base64");
	const safeName = name.replace(/[&<>"]/g, (sign) => ENTITIES[sign] as string);
	return `<script type="text/plain" data-log="${safeName}" data-size="${bytes.length}">${packed}</script>`;
}
