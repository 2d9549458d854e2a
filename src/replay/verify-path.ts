/** Verify what lies at a path: stream it through the judge once, and once more to fetch the few records that a report quotes. */
import { LogError } from "../log/error.ts";
import type { TornTail } from "../log/scan.ts";
import { copyRecord } from "../log/scan-line.ts";
import { ImportError } from "../traces/recording.ts";
import {
	type Input,
	type InputFormat,
	type InputOptions,
	openInput,
} from "./input.ts";
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

/** How to verify. */
export interface VerifyPathOptions extends InputOptions {
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

const PROGRESS_EVERY = 50_000;
/** Findings of one file whose records are fetched; more are listed without them. */
const QUOTED_MAX = 50;

/** Verifies one path. Never throws for bad input: the report says `unusable` and why. */
export async function verifyPath(
	path: string,
	options: VerifyPathOptions = {},
): Promise<FileReport> {
	const { format: asked = "auto" } = options;
	let format: InputFormat = asked === "auto" ? "native" : asked;
	try {
		const input = await openInput(path, options);
		format = input.format;
		const file = await judge(path, input, options);
		return options.redecide === true && input.again
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

async function judge(
	path: string,
	input: Input,
	options: VerifyPathOptions,
): Promise<FileReport> {
	let header: LogHeader | undefined;
	let verifier: Verifier | undefined;
	let count = 0;
	const ending = await input.stream(
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
	const quoted = input.again ? await quote(input, report) : new Map();
	// A log that was cut short cannot be said to hold: what was cut is not known.
	const cut = ending.tail !== undefined && report.verdict === "holds";
	return {
		file: path,
		verdict: cut ? "unexplained" : report.verdict,
		format: input.format,
		header,
		report,
		...ending,
		quoted,
	};
}

/** Runs through the source once more and keeps the records that the findings name. */
async function quote(
	input: Input,
	report: Report,
): Promise<Map<number, LogRecord>> {
	const wanted = quotedSeqs(report);
	const quoted = new Map<number, LogRecord>();
	if (wanted.size === 0) return quoted;
	await input.stream(
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
