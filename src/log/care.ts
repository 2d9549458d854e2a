/** The log's own care, behind `iommu-ledger log check|repair|stat|cat`: each returns a result and prints nothing. */
import type { LogHeader } from "../vocabulary/header.ts";
import type { RecordType } from "../vocabulary/records.ts";
import { type Damage, LogError } from "./error.ts";
import { type LogIo, nodeIo } from "./io.ts";
import { takeLock } from "./lock.ts";
import { type LogSource, scanLog } from "./read.ts";
import { encodeRecord } from "./record-line.ts";
import { encodeHeader } from "./header-line.ts";
import type { LogHandler, ScanSummary } from "./scan-types.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { CHAIN_START, type Chain, sealBatch } from "./seal.ts";

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
	options: { head?: string } = {},
): Promise<CheckResult> {
	const again = rewriter();
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
function rewriter(): { handler: LogHandler; canonical(): boolean } {
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
			seal: ({ seq, hash, count, key }) => {
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

/** One thing that `repairLog` did. */
export interface RepairStep {
	readonly what: "dropped-tail" | "mended-byte" | "cut";
	readonly path: string;
	/** The error or tail it answers. */
	readonly why: string;
	readonly bytes: number;
	/** Where a copy of the removed bytes is. */
	readonly savedAs?: string;
}

/** The answer of `repairLog`. */
export interface RepairResult {
	readonly steps: readonly RepairStep[];
	/** The state afterwards. */
	readonly check: CheckResult;
}

/**
 * Repairs a log in place, under its writer's lock: drops a torn tail, puts a flipped byte back where the seal proves it, and, only with
 * `cut`, cuts off everything from the first damaged batch on, which may remove acknowledged records. What is removed is kept beside
 * the file. Throws LogError `locked`, `read-only`, `disk-full`, `io`.
 */
export async function repairLog(
	path: string,
	options: { cut?: boolean; io?: LogIo } = {},
): Promise<RepairResult> {
	const { io = nodeIo, cut = false } = options;
	const unlock = await takeLock(
		io,
		(await io.isDirectory(path)) ? `${path}/lock` : `${path}.lock`,
	);
	const steps: RepairStep[] = [];
	try {
		for (;;) {
			const check = await checkLog(path);
			const step = await repairStep(io, path, check, cut);
			if (step === undefined) return { steps, check };
			steps.push(step);
		}
	} finally {
		await unlock();
	}
}

async function repairStep(
	io: LogIo,
	path: string,
	check: CheckResult,
	cut: boolean,
): Promise<RepairStep | undefined> {
	const tail = check.summary?.tail;
	if (tail !== undefined) {
		const why = `${tail.bytes} bytes behind the last seal`;
		// A segment that was only begun goes as a whole: nothing in it is its own.
		if (tail.offset === 0 && tail.path !== undefined) {
			await io.remove(tail.path);
			return { what: "dropped-tail", path: tail.path, why, bytes: tail.bytes };
		}
		return {
			what: "dropped-tail",
			why,
			...(await cutOff(io, tail.path ?? path, tail.offset)),
		};
	}
	const damage: Damage | undefined = check.problem?.damage;
	if (check.problem === undefined || damage === undefined) return undefined;
	const why = check.problem.message;
	const file = damage.path ?? path;
	if (damage.fix !== undefined) {
		await putByte(io, file, damage.fix);
		return { what: "mended-byte", path: file, why, bytes: 1 };
	}
	if (!cut || damage.goodBytes === 0) return undefined;
	return { what: "cut", why, ...(await cutOff(io, file, damage.goodBytes)) };
}

async function putByte(
	io: LogIo,
	path: string,
	{ offset, byte }: { offset: number; byte: number },
): Promise<void> {
	const file = await io.open(path, "write");
	try {
		await file.write(Uint8Array.of(byte), offset);
		await file.datasync();
	} finally {
		await file.close();
	}
}

async function cutOff(
	io: LogIo,
	path: string,
	from: number,
): Promise<{ path: string; bytes: number; savedAs: string }> {
	const file = await io.open(path, "write");
	try {
		const rest = Buffer.alloc((await file.size()) - from);
		await file.read(rest, from);
		const savedAs = await saveAside(io, path, from, rest);
		await file.truncate(from);
		await file.datasync();
		return { path, bytes: rest.length, savedAs };
	} finally {
		await file.close();
	}
}

async function saveAside(
	io: LogIo,
	path: string,
	from: number,
	bytes: Buffer,
): Promise<string> {
	for (let n = 0; ; n++) {
		const savedAs = `${path}.removed-${from}${n === 0 ? "" : `-${n}`}`;
		try {
			await io.createWhole(savedAs, bytes);
			return savedAs;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
		}
	}
}

/** The answer of `statLog`. */
export interface LogStat {
	readonly header: LogHeader;
	readonly summary: ScanSummary;
	/** Records per type, most frequent first. */
	readonly types: readonly {
		readonly type: RecordType;
		readonly records: number;
	}[];
	readonly actors: number;
	/** Times of the first and last record, in ns of the log's clock. */
	readonly firstT: number | undefined;
	readonly lastT: number | undefined;
	readonly batchRecordsMean: number;
	readonly batchRecordsMax: number;
	readonly bytesPerRecord: number;
}

/** Counts what is in a log. Throws LogError like `scanLog`. */
export async function statLog(source: LogSource): Promise<LogStat> {
	const types = new Map<RecordType, number>();
	const actors = new Set<string>();
	let firstT: number | undefined;
	let lastT: number | undefined;
	let batchRecordsMax = 0;
	const summary = await scanLog(source, {
		record: ({ type, t, actor }) => {
			types.set(type, (types.get(type) ?? 0) + 1);
			actors.add(actor);
			firstT ??= t;
			lastT = t;
		},
		seal: ({ count }) => {
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
