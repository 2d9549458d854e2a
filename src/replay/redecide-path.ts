/** `verify --redecide`: the commands of a run log are decided again and every record is compared byte for byte (DESIGN §2). */
import { loadLog } from "../log/read.ts";
import { encodeRecord } from "../log/record-line.ts";
import { redecide } from "../orchestrator/redecide.ts";
import { runCaches } from "../scenarios/cache-run.ts";
import { CACHE_RUNS } from "../scenarios/cache-runs.ts";
import { fixed, runTable } from "../scenarios/table-run.ts";
import { TABLE_RUNS } from "../scenarios/table-runs.ts";
import { type LogHeader, MODEL_VERSION } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/** Whether deciding the commands again gave the same bytes. `seq`: the first record that differs. */
export interface Drift {
	/** `same`; `different` under the same model version: a defect or a tampered log; `drift`: another version decided; `none`: no commands. */
	readonly outcome: "same" | "different" | "drift" | "none";
	readonly seq?: number;
	readonly text: string;
}

/** Decides the log at `path` again. Throws LogError when it cannot be read. */
export async function redecidePath(path: string): Promise<Drift> {
	const { header, contents } = await loadLog(path);
	if (header.origin !== "run")
		return {
			outcome: "none",
			text: `decided again: nothing, since an ${header.origin} log holds no commands`,
		};
	let again: readonly LogRecord[];
	try {
		again =
			runTableAgain(header) ??
			runCachesAgain(header) ??
			redecide(header, contents);
	} catch (error) {
		if (!(error instanceof RangeError)) throw error;
		return { outcome: "different", text: `decided again: ${error.message}` };
	}
	const seq = firstDifference(contents, again);
	if (seq === undefined)
		return {
			outcome: "same",
			text: `decided again: all ${contents.length} records are the same, byte for byte`,
		};
	return { ...difference(header, seq, contents, again), seq };
}

/** A table run (src/scenarios/table-run.ts) is decided again by running it: its header names it, and what was set. */
function runTableAgain(header: LogHeader): readonly LogRecord[] | undefined {
	const name = header.switches["tableRun"];
	if (name === undefined) return undefined;
	const run = TABLE_RUNS.find((one) => one.name === name);
	if (run === undefined)
		throw new RangeError(
			`no table run ${JSON.stringify(name)} in this version`,
		);
	return runTable(header.switches["fix"] === true ? fixed(run) : run).records;
}

/** The same for a cache run (src/scenarios/cache-run.ts). */
function runCachesAgain(header: LogHeader): readonly LogRecord[] | undefined {
	const name = header.switches["cacheRun"];
	if (name === undefined) return undefined;
	const run = CACHE_RUNS.find((one) => one.name === name);
	if (run === undefined)
		throw new RangeError(
			`no cache run ${JSON.stringify(name)} in this version`,
		);
	return runCaches(run, header.switches["fix"] === true).records;
}

function firstDifference(
	a: readonly LogRecord[],
	b: readonly LogRecord[],
): number | undefined {
	const count = Math.max(a.length, b.length);
	for (let i = 0; i < count; i++)
		if (lineOf(a[i]) !== lineOf(b[i])) return i + 1;
	return undefined;
}

const lineOf = (record: LogRecord | undefined): string =>
	record === undefined ? "nothing" : encodeRecord(record);

function difference(
	header: LogHeader,
	seq: number,
	logged: readonly LogRecord[],
	again: readonly LogRecord[],
): Drift {
	const both = `logged ${lineOf(logged[seq - 1])}, decided ${lineOf(again[seq - 1])}`;
	if (header.model === MODEL_VERSION)
		return {
			outcome: "different",
			text: `decided again: different from #${seq} on: ${both}`,
		};
	return {
		outcome: "drift",
		text: `decided again: drift from #${seq} on, between model ${header.model} and ${MODEL_VERSION}: ${both}`,
	};
}
