/** Fixtures of the trace tests: recordings of a real kernel, as parts in memory that a test may change before importing. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { memorySource } from "../../src/traces/bytes.ts";
import type { ImportedRecording } from "../../src/traces/import.ts";
import { importParts } from "../../src/traces/import.ts";
import type { ImportOptions, Recording } from "../../src/traces/recording.ts";
import { partOf } from "../../src/traces/recording.ts";
import type { ImportReport } from "../../src/traces/report.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import type { LogRecord, RecordType } from "../../src/vocabulary/records.ts";

/** Where the recordings are. */
export const FIXTURES = join(import.meta.dirname, "../fixtures/traces");
/** All recordings there. */
export const RECORDINGS: readonly string[] = readdirSync(FIXTURES).sort();

/** The text of each part of a recording. */
export type Parts = { [part in keyof Recording]?: string };

/** Reads a fixture. */
export function load(name: string): Parts {
	const folder = join(FIXTURES, name);
	const parts: Record<string, string> = { name };
	for (const file of readdirSync(folder)) {
		const part = partOf(file);
		if (part === undefined) continue;
		const bytes = readFileSync(join(folder, file));
		parts[part] = (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString(
			"latin1",
		);
	}
	return parts;
}

/** Events per type as counted when the recording was made. */
export function recordedCounts(name: string): { [event: string]: number } {
	const file = join(FIXTURES, name, "counts.json");
	if (!existsSync(file)) return {};
	return (
		JSON.parse(readFileSync(file, "utf8")) as {
			events: { [event: string]: number };
		}
	).events;
}

/** The result of an import, whole. */
export interface Imported {
	readonly header: LogHeader;
	readonly records: readonly LogRecord[];
	readonly report: ImportReport;
}

/** Imports parts in memory. */
export async function importAll(
	parts: Parts,
	options: ImportOptions = {},
): Promise<Imported> {
	const recording: Record<string, unknown> = { name: parts.name ?? "memory" };
	for (const [part, data] of Object.entries(parts))
		if (part !== "name" && data !== undefined)
			recording[part] = memorySource(part, data);
	return drain(await importParts(recording as unknown as Recording, options));
}

/** Runs an import to its end. */
export async function drain(imported: ImportedRecording): Promise<Imported> {
	const records: LogRecord[] = [];
	await imported.run((record) => records.push(record));
	const { header, report } = imported;
	return { header, records, report };
}

/** The records of one type. */
export const only = <T extends RecordType>(
	records: readonly LogRecord[],
	type: T,
): LogRecord<T>[] =>
	records.filter((record) => record.type === type) as LogRecord<T>[];

/** Keeps or changes lines of a text. */
export const mapLines = (
	text: string | undefined,
	change: (line: string, index: number) => string | undefined,
): string =>
	(text ?? "")
		.split("\n")
		.map(change)
		.filter((line) => line !== undefined)
		.join("\n");

/** The kernel's own tracepoints: what a trace without probes has. */
export const TRACEPOINT_LINE =
	/^#|: (?:add_device_to_group|remove_device_from_group|attach_device_to_domain|map|unmap|qi_submit|cache_tag_[a-z_]+):/;
