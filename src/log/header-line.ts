/**
 * The header line: the first line of a log (seq 0). The header object itself is the line, so that the file tells what it is in
 * its first bytes: {"format":"iommu-ledger","version":1,…}.
 */
import type { Json } from "../vocabulary/fields.ts";
import {
	FORMAT_VERSION,
	headerProblem,
	type LogHeader,
} from "../vocabulary/header.ts";
import { LogError } from "./error.ts";
import { upcastHeader } from "./upcast.ts";
import { jsonFaultAt, jsonText, quote } from "./json-text.ts";

const KEYS = [
	"format",
	"version",
	"model",
	"origin",
	"fidelity",
	"clock",
	"seed",
	"kernel",
	"iommu",
	"topology",
	"switches",
	"source",
] as const satisfies readonly (keyof LogHeader)[];

const HINT =
	'A log starts with the line {"format":"iommu-ledger",…}. For a kernel trace say --format ftrace.';

/** Writes the header line, without newline. Throws LogError `bad-record` when it is no header. */
export function encodeHeader(header: LogHeader): string {
	const problem = headerProblem(header);
	if (problem !== undefined)
		throw new LogError("bad-record", `header: ${problem}`, { seq: 0 });
	const parts: string[] = [];
	for (const key of KEYS) {
		const value = header[key];
		// The header's parts are interfaces of JSON values only; TypeScript gives interfaces no index signature.
		if (value !== undefined)
			parts.push(`${quote(key)}:${jsonText(value as unknown as Json)}`);
	}
	return `{${parts.join(",")}}`;
}

/**
 * Reads the header line. Headers of older versions come as this version has them (upcast.ts). Throws LogError: `not-a-log`
 * when the line is something else, `newer-version` for a log of a later program.
 */
export function decodeHeader(text: string): LogHeader {
	const value = upcastHeader(parsed(text));
	const problem = headerProblem(value);
	if (problem === undefined) return value as LogHeader;
	const version = (value as { version?: unknown } | null)?.version;
	const newer = typeof version === "number" && version > FORMAT_VERSION;
	throw new LogError(
		newer ? "newer-version" : "not-a-log",
		`header: ${problem}`,
		{
			line: 1,
			seq: 0,
			hint: newer
				? "Install a newer iommu-ledger; this one would misread the log."
				: HINT,
		},
	);
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (cause) {
		throw new LogError("not-a-log", "the first line is no JSON", {
			line: 1,
			column: jsonFaultAt(text) + 1,
			seq: 0,
			hint: HINT,
			cause,
		});
	}
}
