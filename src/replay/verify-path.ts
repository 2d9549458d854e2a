/**
 * Verify what lies at a path: a native log, a kernel trace, a folder with a whole recording, recorded calls. Finds out which, streams
 * it through the judge once, and once more to fetch the few records that a report quotes.
 */
import { open, stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { LogError } from "../log/error.ts";
import { scanLog } from "../log/read.ts";
import type { TornTail } from "../log/scan.ts";
import { copyRecord } from "../log/scan-line.ts";
import { importRecording, ImportError } from "../traces/import.ts";
import type { ImportReport } from "../traces/report.ts";
import { type Drift, redecidePath } from "./redecide-path.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	createVerifier,
	verifyRecords,
	type Report,
	type Verdict,
	type Verifier,
} from "./verify.ts";

/** What a path can hold. */
export type InputFormat = "native" | "ftrace" | "qemu" | "calls";

/** How to verify. */
export interface VerifyPathOptions {
	readonly format?: "auto" | InputFormat;
	/** Read only the file named, nothing that lies beside it. */
	readonly alone?: boolean;
	/** Decide the commands of a run log again and compare byte for byte. */
	readonly redecide?: boolean;
	/** Called now and then with the records judged so far. */
	readonly onProgress?: (records: number) => void;
	/** Called for every violation as it is found, and again when it becomes proven. */
	readonly onViolation?: Parameters<Verifier["onViolation"]>[0];
}

/** Why a file cannot be used. Positions count from 1. */
export interface Problem {
	readonly code: string;
	readonly message: string;
	readonly line?: number;
	readonly column?: number;
	readonly seq?: number;
	readonly hint?: string;
}

/** The report on one file. `report` and `header` are absent when the file is unusable. */
export interface FileReport {
	readonly file: string;
	readonly verdict: Verdict | "unusable";
	readonly format: InputFormat;
	readonly header?: LogHeader;
	readonly report?: Report;
	readonly problem?: Problem;
	/** What lies behind the last seal of a native log and was dropped: an append that was cut short. */
	readonly tail?: TornTail;
	/** What deciding again came to, when it was asked for. */
	readonly drift?: Drift;
	/** The importer's account of a recording. */
	readonly imported?: ImportReport;
	/** The records that the findings quote, by seq. */
	readonly quoted: ReadonlyMap<number, LogRecord>;
}

type OnHeader = (header: LogHeader) => void;
type OnRecord = (record: LogRecord) => void;
/** What is left to say when all records are through. */
interface Ending {
	readonly tail?: TornTail;
	readonly imported?: ImportReport;
}
type Source = (onHeader: OnHeader, onRecord: OnRecord) => Promise<Ending>;

const PROGRESS_EVERY = 50_000;
/** Findings of one file whose records are fetched; more are listed without them. */
const QUOTED_MAX = 50;

/** Verifies one path. Never throws for bad input: the report says `unusable` and why. */
export async function verifyPath(
	path: string,
	options: VerifyPathOptions = {},
): Promise<FileReport> {
	let format: InputFormat =
		options.format === undefined || options.format === "auto"
			? "native"
			: options.format;
	try {
		if (options.format === undefined || options.format === "auto")
			format = await formatOf(path);
		const source =
			format === "native"
				? nativeSource(path)
				: importSource(path, format, options);
		const file = await judge(path, format, source, options);
		return options.redecide === true && path !== "-"
			? withDrift(file, await redecidePath(path))
			: file;
	} catch (error) {
		const problem = problemOf(error);
		if (problem === undefined) throw error;
		return {
			file: path,
			verdict: "unusable",
			format,
			problem,
			quoted: new Map(),
		};
	}
}

/** The same model deciding otherwise is a violation; another version's drift is not. */
const withDrift = (file: FileReport, drift: Drift): FileReport => ({
	...file,
	drift,
	verdict: drift.outcome === "different" ? "violated" : file.verdict,
});

/** Verifies a run that is at hand; `name` stands where a file's name would. */
export function verifyRun(
	name: string,
	header: LogHeader,
	records: readonly LogRecord[],
): FileReport {
	const report = verifyRecords(header, records);
	const wanted = quotedSeqs(report);
	const quoted = new Map(
		records.filter((r) => wanted.has(r.seq)).map((r) => [r.seq, r]),
	);
	const { verdict } = report;
	return { file: name, verdict, format: "native", header, report, quoted };
}

const nativeSource =
	(path: string): Source =>
	async (onHeader, onRecord) => {
		const { tail } = await scanLog(path, {
			header: onHeader,
			record: onRecord,
		});
		return tail === undefined ? {} : { tail };
	};

const importSource =
	(path: string, format: InputFormat, options: VerifyPathOptions): Source =>
	async (onHeader, onRecord) => {
		const recording = await importRecording(path, {
			alone: options.alone ?? false,
			format: format === "calls" ? "calls" : "auto",
		});
		onHeader(recording.header);
		await recording.run(onRecord);
		return { imported: recording.report };
	};

async function judge(
	path: string,
	format: InputFormat,
	source: Source,
	options: VerifyPathOptions,
): Promise<FileReport> {
	let header: LogHeader | undefined;
	let verifier: Verifier | undefined;
	let count = 0;
	const ending = await source(
		(found) => {
			header = found;
			verifier = createVerifier(found);
			if (options.onViolation !== undefined)
				verifier.onViolation(options.onViolation);
		},
		(record) => {
			verifier?.next(record);
			if (++count % PROGRESS_EVERY === 0) options.onProgress?.(count);
		},
	);
	if (header === undefined || verifier === undefined)
		throw new LogError("not-a-log", "no header", { line: 1 });
	const report = verifier.finish();
	const quoted =
		path === "-" ? new Map<number, LogRecord>() : await quote(source, report);
	// A log that was cut short cannot be said to hold: what was cut is not known.
	const cut = ending.tail !== undefined && report.verdict === "holds";
	return {
		file: path,
		verdict: cut ? "unexplained" : report.verdict,
		format,
		header,
		report,
		...ending,
		quoted,
	};
}

/** Runs through the source once more and keeps the records that the findings name. */
async function quote(
	source: Source,
	report: Report,
): Promise<Map<number, LogRecord>> {
	const wanted = quotedSeqs(report);
	const quoted = new Map<number, LogRecord>();
	if (wanted.size === 0) return quoted;
	await source(
		() => {},
		(record) => {
			if (wanted.has(record.seq)) quoted.set(record.seq, copyRecord(record));
		},
	);
	return quoted;
}

/** The records that a report's first findings name. */
function quotedSeqs(report: Report): Set<number> {
	const wanted = new Set<number>();
	for (const list of [report.violations, report.warnings])
		for (const finding of list.slice(0, QUOTED_MAX)) {
			wanted.add(finding.seq);
			for (const seq of finding.leadingRecords) wanted.add(seq);
			for (const use of finding.uses) wanted.add(use.seq);
		}
	return wanted;
}

function problemOf(error: unknown): Problem | undefined {
	if (error instanceof LogError) {
		const { code, message, line, column, seq, hint } = error;
		const place = Object.fromEntries(
			Object.entries({ line, column, seq, hint }).filter(
				([, value]) => value !== undefined,
			),
		);
		return { code, message, ...place };
	}
	if (error instanceof ImportError)
		return { code: "not-a-recording", message: error.message };
	const { code, message } = error as NodeJS.ErrnoException;
	if (code === "ENOENT") return { code, message: "no such file or folder" };
	return typeof code === "string" ? { code, message } : undefined;
}

const SNIFF_BYTES = 4096;

/** Tells what a path holds, by its content. Standard input is taken for a native log unless the caller says otherwise. */
async function formatOf(path: string): Promise<InputFormat> {
	if (path === "-") return "native";
	if ((await stat(path)).isDirectory()) return "ftrace";
	const start = await firstText(path);
	if (/^\s*\{"(?:format":"iommu-ledger|seq"|seal")|"iommu-ledger"/.test(start))
		return "native";
	if (/^\s*\{.*"(?:call|ret)"/m.test(start)) return "calls";
	if (/^\d+@\d+\.\d+:\w+|^(?:iommufd|vfio|iommu)_\w+ /m.test(start))
		return "qemu";
	return /\S/.test(start) && /^# tracer:|\[\d{3}\]|^cpus=/m.test(start)
		? "ftrace"
		: "native";
}

async function firstText(path: string): Promise<string> {
	const file = await open(path, "r");
	try {
		const { buffer, bytesRead } = await file.read(
			Buffer.alloc(SNIFF_BYTES),
			0,
			SNIFF_BYTES,
			0,
		);
		const start = buffer.subarray(0, bytesRead);
		const zipped = start[0] === 0x1f && start[1] === 0x8b;
		return (zipped ? await unzippedStart(start) : start).toString("latin1");
	} finally {
		await file.close();
	}
}

/** What the first bytes of a gzip file unpack to; that they are cut short is expected. */
function unzippedStart(start: Buffer): Promise<Buffer> {
	return new Promise((resolve) => {
		const gunzip = createGunzip();
		const chunks: Buffer[] = [];
		const finish = (): void => resolve(Buffer.concat(chunks));
		gunzip.on("data", (chunk: Buffer) => chunks.push(chunk));
		gunzip.on("end", finish);
		gunzip.on("error", finish);
		gunzip.end(start);
	});
}
