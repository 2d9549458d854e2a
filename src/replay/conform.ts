/**
 * `conform`: runs recorded kernel calls through the model and compares every answer (DESIGN §7). Reads
 * the iommufd recordings (corpus page §3: NDJSON, one test after the other) and the calls of kernel recordings (facts/trace-formats.md §1: a folder
 * with calls.ndjson and groups.txt). Files may be gzip-compressed.
 */
import { CATALOGUE } from "../invariants/catalogue.ts";
import type { Fact } from "../vocabulary/records.ts";
import { hostOf } from "../drivers/host.ts";
import { parseLine } from "./conform/call.ts";
import type { JudgedViolation } from "./conform/judging.ts";
import { ConformJudge } from "./conform/judging.ts";
import { Player } from "./conform/player.ts";
import type { Source } from "./conform/sources.ts";
import { findSources } from "./conform/sources.ts";
import { TracePlayer } from "./conform/trace-player.ts";
import {
	parseTraceCalls,
	recordedTopology,
} from "./conform/trace-recording.ts";
import { TraceSession } from "./conform/trace-session.ts";

/** One answer that differs. `index` counts lines of the file from 0. */
export interface ConformMismatch {
	readonly file: string;
	readonly sequence: string;
	readonly index: number;
	readonly call: string;
	readonly expected: string;
	readonly actual: string;
}
/** What a conformance run found; `matched + mismatched + Σ skipped.count = calls`. Mismatches are capped, counts are not. */
export interface ConformReport {
	readonly sequences: number;
	readonly calls: number;
	readonly matched: number;
	readonly mismatched: number;
	readonly skipped: readonly {
		readonly reason: string;
		readonly count: number;
	}[];
	readonly mismatches: readonly ConformMismatch[];
	/**
	 * With `judge`: what the invariants object to in the model's own records. It says something about the kernel that was recorded (anomalies A1
	 * and A8 occur in recordings), and nothing about whether the answers are equal.
	 */
	readonly violations?: readonly JudgedViolation[];
	/** With `judge`: how often each invariant was checked, and violated. */
	readonly invariants?: readonly {
		readonly id: string;
		readonly checked: number;
		readonly violated: number;
	}[];
}
/** Options of a run. */
export interface ConformOptions {
	/** How many mismatches are listed; 100 unless told. */
	readonly listed?: number;
	/** Called after each file with the calls so far; for progress on a terminal. */
	readonly progress?: (file: string, calls: number) => void;
	/** Judge the model's own records with the whole invariant catalogue. */
	readonly judge?: boolean;
	/** Listens to the facts of every operation of the model, in order; `sequence` names the recording. For judges. */
	readonly facts?: (sequence: string, facts: readonly Fact[]) => void;
}

const LISTED = 100;
const UNKNOWN = { groups: [], known: "unknown" } as const;

class Tally {
	sequences = 0;
	calls = 0;
	matched = 0;
	mismatched = 0;
	readonly skipped = new Map<string, number>();
	readonly mismatches: ConformMismatch[] = [];
	readonly violations: JudgedViolation[] = [];
	readonly #checked = CATALOGUE.map(() => 0);
	readonly #listed: number;
	constructor(listed: number) {
		this.#listed = listed;
	}
	/** A judged sequence ends. */
	judged(judge: ConformJudge): void {
		this.violations.push(...judge.finish());
		judge.checked.forEach((n, i) => {
			this.#checked[i] = (this.#checked[i] as number) + n;
		});
	}
	get invariants(): NonNullable<ConformReport["invariants"]> {
		const violated = new Map<string, number>();
		for (const { id } of this.violations)
			violated.set(id, (violated.get(id) ?? 0) + 1);
		return CATALOGUE.map(({ id }, i) => ({
			id,
			checked: this.#checked[i] as number,
			violated: violated.get(id) ?? 0,
		}));
	}
	match(): void {
		this.calls++;
		this.matched++;
	}
	skip(reason: string): void {
		this.calls++;
		this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1);
	}
	mismatch(m: ConformMismatch): void {
		this.calls++;
		this.mismatched++;
		if (this.mismatches.length < this.#listed) this.mismatches.push(m);
	}
}

const unreadable = (
	file: string,
	sequence: string,
	index: number,
	why: string,
): ConformMismatch => ({
	file,
	sequence,
	index,
	call: "unreadable line",
	expected: "a record",
	actual: why,
});

/** Plays a file of recorded test programs; each test starts on a fresh machine. */
function playTests(
	file: string,
	text: string,
	options: ConformOptions,
	tally: Tally,
): void {
	let player: Player | undefined;
	let judge: ConformJudge | undefined;
	let sequence = "";
	const settle = (): void => {
		if (judge !== undefined) tally.judged(judge);
	};
	for (const [index, line] of text.split("\n").entries()) {
		if (line.trim() === "") continue;
		const record = parseLine(line);
		if (typeof record === "string") {
			tally.mismatch(unreadable(file, sequence, index, record));
			continue;
		}
		const test = typeof record["test"] === "string" ? record["test"] : "";
		if (player === undefined || test !== sequence || record["ev"] === "begin") {
			settle();
			sequence = test;
			tally.sequences++;
			const judging =
				options.judge === true
					? new ConformJudge(sequence, UNKNOWN)
					: undefined;
			judge = judging;
			player = new Player((facts) => {
				judging?.next(facts);
				options.facts?.(test, facts);
			});
		}
		const played = player.play(record);
		if (played.kind === "matched") tally.match();
		else if (played.kind === "skipped") tally.skip(played.reason);
		else if (played.kind === "mismatched") {
			const { call, expected, actual } = played;
			tally.mismatch({ file, sequence, index, call, expected, actual });
		}
	}
	settle();
}

/** Plays the calls of a kernel recording on the machine that its groups.txt describes. */
function playTrace(
	source: Source,
	options: ConformOptions,
	tally: Tally,
): void {
	const { file, text, groups, commandLine } = source;
	tally.sequences++;
	const sequence = source.name;
	const { calls, unreadable: unread } = parseTraceCalls(text);
	for (const { line, why } of unread)
		tally.mismatch(unreadable(file, sequence, line, why));
	const { topology, drivers } = recordedTopology(
		groups ?? "",
		commandLine ?? "",
	);
	const player = new TracePlayer(
		new TraceSession(hostOf(topology), topology),
		drivers,
	);
	const outcomes = player.play(calls);
	const { facts: listener } = options;
	const judge =
		options.judge === true ? new ConformJudge(sequence, topology) : undefined;
	if (listener !== undefined || judge !== undefined) {
		const listened = new TraceSession(hostOf(topology), topology, (facts) => {
			listener?.(sequence, facts);
			judge?.next(facts);
		});
		new TracePlayer(listened, drivers).retrace(player);
	}
	if (judge !== undefined) tally.judged(judge);
	for (const call of calls) {
		const outcome = outcomes.get(call.line);
		if (outcome?.kind === "matched") tally.match();
		else if (outcome?.kind === "skipped") tally.skip(outcome.reason);
		else {
			const { expected, actual } = outcome ?? {
				expected: "an answer",
				actual: "not reached",
			};
			tally.mismatch({
				file,
				sequence,
				index: call.line,
				call: call.call,
				expected,
				actual,
			});
		}
	}
}

/**
 * Plays every recording under `paths` (files, folders, "-" for standard input). Throws Error naming the path when one cannot be read or holds no
 * recording; what is inside a recording and cannot be understood is a mismatch.
 */
export async function runConform(
	paths: readonly string[],
	options: ConformOptions = {},
): Promise<ConformReport> {
	const tally = new Tally(options.listed ?? LISTED);
	for (const path of paths)
		for await (const source of findSources(path)) {
			if (source.kind === "trace") playTrace(source, options, tally);
			else playTests(source.file, source.text, options, tally);
			options.progress?.(source.file, tally.calls);
		}
	const { sequences, calls, matched, mismatched, mismatches } = tally;
	const skipped = [...tally.skipped].map(([reason, count]) => ({
		reason,
		count,
	}));
	const report = { sequences, calls, matched, mismatched, skipped, mismatches };
	return options.judge === true
		? {
				...report,
				violations: tally.violations,
				invariants: tally.invariants,
			}
		: report;
}

/** The exit code of a run (DESIGN §6): 0 all matched, 1 mismatched, 3 when nothing was compared. */
export function conformExitCode(report: ConformReport): 0 | 1 | 3 {
	if (report.mismatched > 0) return 1;
	return report.matched > 0 ? 0 : 3;
}
