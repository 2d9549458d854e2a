/** The log's own care, behind `iommu-ledger log check|stat|cat` (repair.ts, convert.ts have the rest): each returns a result and prints nothing. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { RecordType } from "../vocabulary/records.ts";
import { LogError } from "./error.ts";
import { type LogSource, scanLog } from "./read.ts";
import { encodeRecord } from "./record-line.ts";
import { encodeHeader } from "./header-line.ts";
import type { LogHandler, ScanSummary } from "./scan-types.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { CHAIN_START, type Chain, chainFrom, sealBatch } from "./seal.ts";

/** Called now and then with the number of records read: for progress. */
export type OnRecords = (records: number) => void;
const ignore: OnRecords = () => {};

/** The answer of `checkLog`. */
export interface CheckResult {
	/** whole: every seal fits and nothing lies behind the last. torn: whole but for a tail. broken: see `problem`. */
	readonly state: "whole" | "torn" | "broken";
	readonly problem?: LogError;
	readonly summary?: ScanSummary;
	/** Every line is what this program would write, byte for byte. Logs of older versions are not; nor must they be. */
	readonly canonical: boolean;
}

/**
 * Reads a whole log and judges its integrity. `head`: the hash it must have, from a place that whoever writes the log cannot write;
 * another one is the problem `head-mismatch`. Never throws for what a log contains.
 */
export async function checkLog(
	source: LogSource,
	options: { head?: string; onRecords?: OnRecords } = {},
): Promise<CheckResult> {
	const again = rewriter(options.onRecords ?? ignore);
	try {
		const summary = await scanLog(source, again.handler);
		const canonical = summary.codec === "binary" || again.canonical();
		const { head } = options;
		if (head !== undefined && summary.head.hash !== head)
			return {
				state: "broken",
				problem: mismatch(summary, head),
				summary,
				canonical,
			};
		return {
			state: summary.tail === undefined ? "whole" : "torn",
			summary,
			canonical,
		};
	} catch (error) {
		if (!(error instanceof LogError)) throw error;
		return { state: "broken", problem: error, canonical: again.canonical() };
	}
}

/** Writes the log again from its meaning, and compares the seals. */
function rewriter(onRecords: OnRecords): {
	handler: LogHandler;
	canonical(): boolean;
} {
	let chain: Chain = CHAIN_START;
	let lines = "";
	let same = true;
	return {
		handler: {
			header: (header) => {
				lines = `${encodeHeader(header)}\n`;
			},
			record: (record) => {
				if (same) lines += `${encodeRecord(record)}\n`;
			},
			segment: () => {
				chain = chainFrom(chain.line, chain.head);
			},
			seal: ({ seq, hash, count, key }) => {
				onRecords(seq);
				if (!same) return;
				chain = sealBatch(chain, lines, seq, count, key);
				same = chain.head.hash === hash;
				lines = "";
			},
		},
		canonical: () => same,
	};
}

const mismatch = ({ head }: ScanSummary, wanted: string): LogError =>
	new LogError(
		"head-mismatch",
		`the log is whole, but its head is ${head.hash}, not ${wanted}`,
		{
			seq: head.seq,
			hint: "Somebody wrote another history, or records were added or cut off since that hash was kept.",
		},
	);

/** The answer of `statLog`. */
export interface LogStat {
	readonly header: LogHeader;
	readonly summary: ScanSummary;
	/** Records per type, most frequent first. */
	readonly types: readonly {
		readonly type: RecordType;
		readonly records: number;
	}[];
	/** Different ones; ACTORS_MAX means that many or more. */
	readonly actors: number;
	/** Times of the first and last record, in ns of the log's clock. */
	readonly firstT: number | undefined;
	readonly lastT: number | undefined;
	readonly batchRecordsMean: number;
	readonly batchRecordsMax: number;
	readonly bytesPerRecord: number;
}

/** Different actors counted at most: bounds the memory that a hostile log takes. */
export const ACTORS_MAX = 1 << 20;

/** Counts what is in a log. Throws LogError like `scanLog`. */
export async function statLog(
	source: LogSource,
	onRecords: OnRecords = ignore,
): Promise<LogStat> {
	const types = new Map<RecordType, number>();
	const actors = new Set<string>();
	let firstT: number | undefined;
	let lastT: number | undefined;
	let batchRecordsMax = 0;
	const summary = await scanLog(source, {
		record: ({ type, t, actor }) => {
			types.set(type, (types.get(type) ?? 0) + 1);
			if (actors.size < ACTORS_MAX) actors.add(actor);
			firstT ??= t;
			lastT = t;
		},
		seal: ({ seq, count }) => {
			onRecords(seq);
			batchRecordsMax = Math.max(batchRecordsMax, count);
		},
	});
	const { header, records, seals, bytes } = summary;
	return {
		header,
		summary,
		types: [...types]
			.map(([type, n]) => ({ type, records: n }))
			.sort((a, b) => b.records - a.records),
		actors: actors.size,
		firstT,
		lastT,
		batchRecordsMean: seals > 1 ? records / (seals - 1) : 0,
		batchRecordsMax,
		bytesPerRecord: records > 0 ? bytes / records : 0,
	};
}

/** Which records `catLog` gives. Positions inclusive. */
export interface CatOptions {
	readonly from?: number;
	readonly to?: number;
	/** Types to give, such as `dom.map`, or prefixes such as `dom.`. */
	readonly types?: readonly string[];
	readonly actor?: string;
}

/** Hands the canonical lines of the wanted records to `line`, in order. Throws LogError like `scanLog`. */
export async function catLog(
	source: LogSource,
	options: CatOptions,
	line: (text: string) => void,
): Promise<ScanSummary> {
	const { from = 0, to = Number.POSITIVE_INFINITY, types, actor } = options;
	const wanted = (record: LogRecord): boolean =>
		record.seq >= from &&
		record.seq <= to &&
		(actor === undefined || record.actor === actor) &&
		(types === undefined ||
			types.some(
				(type) =>
					record.type === type ||
					(type.endsWith(".") && record.type.startsWith(type)),
			));
	return scanLog(source, {
		record: (record) => {
			if (wanted(record)) line(encodeRecord(record));
		},
	});
}
