/** The human report of `verify`: verdict first, then each finding on a screen, warnings and gaps apart (DESIGN §6). */
import { clockText } from "../traces/clock.ts";
import { CATALOGUE } from "../invariants/catalogue.ts";
import type { Violation } from "../invariants/verdicts.ts";
import type { Call } from "../replay/summary.ts";
import type { FileReport } from "../replay/verify-path.ts";
import { encodeRecord } from "../log/record-line.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Style } from "./io.ts";
import { type Io, printable } from "./io.ts";
import { kernelLines } from "./kernel-text.ts";
import { findingNote } from "./finding-note.ts";

/**
 * How much to show. `all`: no caps. `brief`, for one of many files: what is proven in full, the rest a line each, warnings left to the
 * totals, calls left out.
 */
export interface TextOptions {
	readonly all: boolean;
	readonly brief: boolean;
}

const STYLES: { readonly [verdict: string]: Style } = {
	holds: "green",
	violated: "red",
	unexplained: "yellow",
	unusable: "yellow",
};
const FINDINGS_SHOWN = 3;
const GAPS_SHOWN = 3;
const CALLS_SHOWN = 40;
const DID_SHOWN = 9;
const number = (value: number): string => value.toLocaleString("en-US");
const plural = (count: number, one: string, many = `${one}s`): string =>
	`${number(count)} ${count === 1 ? one : many}`;

/** The report on one file. */
export function fileText(
	file: FileReport,
	options: TextOptions,
	io: Io,
): string {
	const { report, header } = file;
	const lines = [headline(file, options, io)];
	if (file.problem !== undefined) lines.push(...problemLines(file));
	if (file.tail !== undefined)
		lines.push(
			`  torn tail: ${number(file.tail.bytes)} bytes from line ${file.tail.line} on were never sealed and are dropped; the log is whole up to #${file.tail.seq - 1}`,
		);
	if (file.drift !== undefined) lines.push(`  ${file.drift.text}`);
	if (report === undefined) return `${lines.join("\n")}\n`;
	lines.push(...findingLines(file, report.violations, options, io));
	if (report.warnings.length > 0 && !options.brief)
		lines.push(...warningLines(report.warnings, options));
	lines.push(...gapLines(file, options));
	if (!options.brief && header?.origin === "import")
		lines.push(...kernelLines(report));
	if (!options.brief) lines.push(...callLines(report.summary.calls, options));
	else if (header?.origin === "import")
		lines.push(...didLine(report.summary.calls));
	const note = findingNote(file);
	const inFull =
		!options.brief || report.violations.some((v) => v.evidence === "proven");
	if (note !== undefined && inFull)
		lines.push("", `  ${io.paint("bold", note)}`);
	if (lines.length > 1 && inFull) lines.push("");
	return `${lines.join("\n")}\n`;
}

function headline(file: FileReport, options: TextOptions, io: Io): string {
	const { report, header } = file;
	const verdict = io.paint(
		STYLES[file.verdict] ?? "bold",
		file.verdict.toUpperCase().padEnd(11),
	);
	if (report === undefined || header === undefined)
		return `${verdict} ${printable(file.file)}`;
	const kernel =
		header.kernel === "model"
			? "model run"
			: `kernel ${printable(header.kernel)}`;
	const checked = report.invariants.filter((i) => i.checked > 0).length;
	const flow =
		typeof header.switches["flow"] === "string"
			? `, flow ${header.switches["flow"]}`
			: "";
	if (options.brief)
		return `${verdict} ${printable(file.file)}  ${number(report.records)} records${flow}`;
	return `${verdict} ${printable(file.file)}  ${number(report.records)} records, ${report.fidelity}, ${kernel}${flow}; ${checked} of ${report.invariants.length} invariants exercised`;
}

function problemLines(file: FileReport): string[] {
	const { problem } = file;
	if (problem === undefined) return [];
	const at = problem.seq === undefined ? "" : ` (at #${problem.seq})`;
	return [
		`  ${problem.code}: ${printable(problem.message)}${at}`,
		...(problem.hint === undefined ? [] : [`  ${printable(problem.hint)}`]),
	];
}

/** In order of the log, so that the cause stands before its consequences; of equal ids the first few in full, the rest as a count. */
function findingLines(
	file: FileReport,
	violations: readonly Violation[],
	options: TextOptions,
	io: Io,
): string[] {
	const lines: string[] = [];
	const shown = new Map<string, number>();
	const hidden = new Map<string, number>();
	const few = violations.length <= FINDINGS_SHOWN;
	const perId = options.all
		? Number.POSITIVE_INFINITY
		: few && !options.brief
			? FINDINGS_SHOWN
			: 1;
	for (const violation of violations) {
		const count = shown.get(violation.id) ?? 0;
		if (count >= perId) hidden.set(violation.id, count + 1 - perId);
		else if (options.brief && violation.evidence === "possible")
			lines.push(
				`  ${io.paint("red", violation.id)} at #${violation.seq}, possible: ${printable(violation.message)}`,
			);
		else lines.push("", ...oneFinding(file, violation, io));
		shown.set(violation.id, count + 1);
	}
	for (const [id, count] of hidden)
		lines.push(
			`  … and ${plural(count, "more finding")} of ${id} (--all shows them)`,
		);
	if ((file.report?.more ?? 0) > 0)
		lines.push(
			`  … and ${plural(file.report?.more ?? 0, "finding")} beyond what is kept`,
		);
	return lines;
}

function oneFinding(file: FileReport, v: Violation, io: Io): string[] {
	const trail = v.leadingRecords.filter((seq) => seq !== v.seq);
	const uses = v.uses.slice(0, FINDINGS_SHOWN);
	return [
		`  ${io.paint("red", v.id)} at #${v.seq}, ${io.paint("bold", v.evidence)}: ${printable(v.message)}`,
		...trail.map((seq) => `      before  ${recordText(file, seq)}`),
		`      here    ${recordText(file, v.seq)}`,
		...uses.map(
			(use) =>
				`      ${io.paint("bold", "used")}    ${recordText(file, use.seq)}  ${printable(use.what)}`,
		),
		...(v.useCount > uses.length
			? [`      … used ${plural(v.useCount, "time")} in all`]
			: []),
		...(v.healedSeq === undefined
			? []
			: [`      right again after #${v.healedSeq}`]),
		...(v.standing ? ["      still so when the log ended"] : []),
		...ruleLines(v.id),
		`      source  ${v.source.join("; ")}`,
	];
}

/** What must hold, and what goes wrong when it does not. */
function ruleLines(id: string): string[] {
	const invariant = CATALOGUE.find((one) => one.id === id);
	if (invariant === undefined) return [];
	return [
		`      rule    ${invariant.sentence}`,
		`      else    ${invariant.harm}`,
	];
}

/** A record as one short line: `#97 11.274856 iotlb.synced domain=…`. */
export function recordText(file: FileReport, seq: number): string {
	const record = file.quoted.get(seq);
	if (record === undefined) return `#${seq}`;
	const time =
		file.header?.clock === "boot" ? ` ${(record.t / 1e9).toFixed(6)}` : "";
	return `#${seq}${time} ${record.type} ${fieldsText(record)}`;
}

function fieldsText(record: LogRecord): string {
	const { data } = JSON.parse(encodeRecord(record)) as {
		data: Record<string, unknown>;
	};
	return Object.entries(data)
		.map(
			([name, value]) =>
				`${name}=${printable(typeof value === "string" ? value : JSON.stringify(value))}`,
		)
		.join(" ");
}

function warningLines(
	warnings: readonly Violation[],
	options: TextOptions,
): string[] {
	const byId = new Map<string, Violation[]>();
	for (const w of warnings) byId.set(w.id, [...(byId.get(w.id) ?? []), w]);
	return [...byId].flatMap(([id, list]) => {
		const first = list[0] as Violation;
		const more = list.length > 1 ? ` (${list.length} times)` : "";
		const rest = options.all
			? list
					.slice(1)
					.map((w) => `          at #${w.seq}: ${printable(w.message)}`)
			: [];
		return [
			`  warning ${id} at #${first.seq}${more}: ${printable(first.message)}`,
			...rest,
		];
	});
}

function gapLines(file: FileReport, options: TextOptions): string[] {
	const gaps = (file.report?.unexplained ?? []).filter((u) => !u.lost);
	const lost = (file.report?.unexplained ?? []).filter((u) => u.lost);
	const shown = options.all ? gaps : gaps.slice(0, GAPS_SHOWN);
	const clock = file.imported && clockText(file.imported.clock);
	const lines = clock === undefined ? [] : [`  ${clock}`];
	for (const u of shown)
		lines.push(
			`  unexplained ${u.id} at #${u.seq}${u.count > 1 ? ` (${u.count} times)` : ""}: ${printable(u.missing)}`,
		);
	if (gaps.length > shown.length)
		lines.push(
			`  … and ${plural(gaps.length - shown.length, "more gap")} (--all shows them)`,
		);
	if (lost.length > 0) {
		const ids = [...new Set(lost.map((u) => u.id))];
		lines.push(`  not decidable from this recording: ${ids.join(" ")}`);
	}
	return lines;
}

function callLines(calls: readonly Call[], options: TextOptions): string[] {
	const about = calls.filter(
		(call) => call.did !== undefined || call.switches.length > 0,
	);
	if (about.length === 0) return [];
	const shown = options.all ? about : about.slice(0, CALLS_SHOWN);
	const lines = shown.map((call) => `    ${callText(call)}`);
	if (about.length > shown.length)
		lines.push(
			`    … and ${plural(about.length - shown.length, "more call")} (--all shows them)`,
		);
	return ["", "  What the calls did:", ...lines];
}

function callText(call: Call): string {
	const who = call.dev === undefined ? "" : ` ${call.dev}`;
	const did =
		call.did === undefined
			? ""
			: ` ${call.did}${call.hwpt === undefined ? "" : ` on ${call.hwpt}`}`;
	const failed = call.outcome === "ok" ? "" : ` ${call.outcome}`;
	const switched = call.switches.map(
		(s) =>
			`${s.group} ${s.from ?? "?"} → ${s.to} (${plural(s.members.length, "member")} moved)`,
	);
	const effect = switched.length > 0 ? switched.join(", ") : "no switch";
	return printable(`#${call.seq} ${call.op}${who}${did}${failed}: ${effect}`);
}

/** What the calls did to attachments, in one line for one of many files. */
function didLine(calls: readonly Call[]): string[] {
	const about = calls.filter((call) => call.did !== undefined);
	if (about.length === 0) return [];
	const words = about.slice(0, DID_SHOWN).map((call) => {
		const who = `${call.op} ${call.dev?.slice("device:0000:".length) ?? ""}`;
		if (call.did === "unchanged") return `${who}: already there`;
		const moved = call.switches.reduce((sum, s) => sum + s.members.length, 0);
		return moved > 0
			? `${who}: group switched, ${plural(moved, "member")}`
			: `${who}: no switch`;
	});
	if (about.length > words.length)
		words.push(`${plural(about.length - words.length, "more call")}`);
	return [`  ${printable(words.join("; "))}`];
}

/** Warnings of all files, one line an id. */
function warningTotals(files: readonly FileReport[]): string[] {
	const byId = new Map<
		string,
		{ files: Set<string>; count: number; message: string }
	>();
	for (const file of files)
		for (const w of file.report?.warnings ?? []) {
			const sum = byId.get(w.id) ?? {
				files: new Set(),
				count: 0,
				message: w.message,
			};
			sum.files.add(file.file);
			sum.count++;
			byId.set(w.id, sum);
		}
	return [...byId].map(
		([id, sum]) =>
			`warning ${id}, ${plural(sum.count, "time")} in ${plural(sum.files.size, "file")}, for one: ${printable(sum.message)}`,
	);
}

/** The last lines of a report on several files. */
export function totalsText(
	files: readonly FileReport[],
	seconds: number,
	io: Io,
): string {
	const count = (verdict: string): number =>
		files.filter((file) => file.verdict === verdict).length;
	const records = files.reduce(
		(sum, file) => sum + (file.report?.records ?? 0),
		0,
	);
	const parts = ["holds", "violated", "unexplained", "unusable"]
		.filter((verdict) => count(verdict) > 0)
		.map((verdict) =>
			io.paint(STYLES[verdict] ?? "bold", `${count(verdict)} ${verdict}`),
		);
	const lines = warningTotals(files);
	const exercised = new Set(
		files.flatMap((file) =>
			(file.report?.invariants ?? [])
				.filter((i) => i.checked > 0)
				.map((i) => i.id),
		),
	);
	const total = Math.max(
		0,
		...files.map((file) => file.report?.invariants.length ?? 0),
	);
	lines.push(`${exercised.size} of ${total} invariants were exercised`);
	const head = lines.map((line) => `${line}\n`).join("");
	return `${head}${plural(files.length, "file")}: ${parts.join(", ")}; ${number(records)} records in ${seconds.toFixed(1)} s\n`;
}
