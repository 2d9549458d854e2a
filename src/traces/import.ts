/**
 * Importers: a recording of a real kernel in, records of the log out. `importRecording` finds what there is (a folder, a trace, calls
 * alone, a QEMU log, standard input), knows the header first, and then gives the records in the order of the trace, in one
 * pass whose memory does not grow with the trace.
 */
import type { Fidelity, LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { ByteSource } from "./bytes.ts";
import { pullLines, readText } from "./bytes.ts";
import type { ClockReport } from "./clock.ts";
import { onTraceClock } from "./clock.ts";
import { measureClock } from "./clock-pairs.ts";
import { parseGroups } from "./groups.ts";
import { headerOf } from "./header.ts";
import type { Sink } from "./output.ts";
import type { Peek } from "./peek.ts";
import { peek, replay } from "./peek.ts";
import { qemuParser } from "./qemu.ts";
import type { ImportOptions, Recording } from "./recording.ts";
import { findRecording, ImportError } from "./recording.ts";
import type { ImportReport } from "./report.ts";
import { emptyReport } from "./report.ts";
import type { CallParser } from "./call-book.ts";
import type { CallInput } from "./run.ts";
import { parseCounts, Run } from "./run.ts";
import { parseCall } from "./call.ts";

export { ImportError } from "./recording.ts";
export type { ImportOptions, Recording } from "./recording.ts";

/** An import under way: the header is known, the records come with `batches` or `run` (one of them, once). `report` is final when they end. */
export interface ImportedRecording {
	readonly header: LogHeader;
	readonly report: ImportReport;
	/** Records in order, some thousands at a time. Can be iterated once. */
	readonly batches: AsyncIterable<readonly LogRecord[]>;
	/** The same, one call a record: the fastest way. Resolves when all are through. */
	readonly run: (sink: Sink) => Promise<ImportReport>;
}

/**
 * Opens a recording: a folder, a trace file with its siblings, calls.ndjson, a QEMU log, or "-". Throws ImportError when there is
 * nothing to read or it is of no known kind; damage inside is not an error but counted in the report.
 */
export async function importRecording(
	path: string,
	options: ImportOptions = {},
): Promise<ImportedRecording> {
	return importParts(await findRecording(path, options), options);
}

const text = async (source: ByteSource | undefined): Promise<string> =>
	source === undefined ? "" : ((await readText(source)) ?? "");

type Format = "ftrace" | "calls" | "qemu";

/** Imports a recording whose parts are at hand (in memory, from a live source, …). */
export async function importParts(
	parts: Recording,
	options: ImportOptions = {},
): Promise<ImportedRecording> {
	if (parts.trace === undefined && parts.calls === undefined)
		throw new ImportError(`${parts.name}: neither a trace nor calls to read`);
	const looked = parts.trace && (await peek(parts.trace, options.peekBytes));
	const format = formatOf(parts, looked, options);
	const groupsText = parts.groups && (await text(parts.groups));
	const groups = groupsText === undefined ? undefined : parseGroups(groupsText);
	const probes =
		looked?.probes === true || /^[prf]\d*:/m.test(await text(parts.probes));
	const fidelity: Fidelity =
		options.fidelity ?? (format === "ftrace" && probes ? "L1" : "L0");
	const header = headerOf(
		{
			cmdline: await text(parts.cmdline),
			dmesg: await text(parts.dmesg),
			groups,
		},
		fidelity,
		looked?.joining ?? new Set(),
		format,
	);
	const counts = parseCounts(await text(parts.counts));
	const traced = format === "ftrace" ? looked : undefined;
	const report = emptyReport();
	if (traced !== undefined)
		report.clock = await measureClock(traced, parts.calls);
	const calls = callsOf(parts, looked, format, report.clock);
	const start = (sink: Sink): Run =>
		new Run(
			{ trace: traced, calls, witness: parts.witness, header, groups, counts },
			report,
			sink,
		);
	return {
		header,
		report,
		batches: { [Symbol.asyncIterator]: () => batches(start, options) },
		run: async (sink) => {
			const run = start(sink);
			for await (const bytes of run.steps()) options.onProgress?.(bytes);
			return report;
		},
	};
}

/** What the main part is, when nobody said: by its first lines. */
function formatOf(
	parts: Recording,
	looked: Peek | undefined,
	options: ImportOptions,
): Format {
	if (options.format !== undefined && options.format !== "auto")
		return options.format;
	if (looked === undefined) return "calls";
	switch (looked.kind) {
		case "native":
			throw new ImportError(
				`${parts.name}: this is a log of iommu-ledger already, not a recording`,
			);
		case "calls":
			return "calls";
		case "qemu":
			return "qemu";
		default:
			return "ftrace";
	}
}

/** The source of calls: its own file, or the main input when that holds calls. */
function callsOf(
	parts: Recording,
	looked: Peek | undefined,
	format: Format,
	clock: ClockReport,
): CallInput | undefined {
	if (format === "ftrace")
		return parts.calls === undefined || clock.state === "apart"
			? undefined
			: { pull: pullLines(parts.calls), parse: parserOn(clock) };
	const main =
		looked === undefined || parts.trace === undefined
			? parts.calls
			: { ...parts.trace, open: () => replay(looked) };
	if (main === undefined)
		throw new ImportError(`${parts.name}: no ${format} to read`);
	return {
		pull: pullLines(main),
		parse: format === "qemu" ? qemuParser() : parseCall,
	};
}

/** Reads calls on the trace's clock. */
function parserOn(clock: ClockReport): CallParser {
	if (clock.state !== "corrected") return parseCall;
	return (text) => {
		const call = parseCall(text);
		if (call === undefined || call === "note") return call;
		const t = onTraceClock(clock, call.t);
		return { ...call, t, tEnd: onTraceClock(clock, call.tEnd) };
	};
}

async function* batches(
	start: (sink: Sink) => Run,
	options: ImportOptions,
): AsyncGenerator<readonly LogRecord[]> {
	let batch: LogRecord[] = [];
	const run = start((record) => batch.push(record));
	for await (const bytes of run.steps()) {
		options.onProgress?.(bytes);
		if (batch.length === 0) continue;
		const full = batch;
		batch = [];
		yield full;
	}
	if (batch.length > 0) yield batch;
}
