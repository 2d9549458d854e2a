/** The one JSON object of `verify --json` (DESIGN §7). 64-bit values of quoted records are hex text, as in the log. */
import { encodeRecord } from "../log/record-line.ts";
import type { Violation } from "../invariants/verdicts.ts";
import type { FileReport } from "../replay/verify-path.ts";
import { worst } from "./exit.ts";

function finding(file: FileReport, v: Violation): object {
	const quote = (seq: number): unknown => {
		const record = file.quoted.get(seq);
		return record === undefined ? { seq } : JSON.parse(encodeRecord(record));
	};
	const { id, seq, evidence, message, subject, actors, source } = v;
	return {
		file: file.file,
		id,
		seq,
		evidence,
		message,
		subject,
		actors,
		source,
		record: quote(seq),
		leadingRecords: v.leadingRecords.map(quote),
		uses: v.uses,
		useCount: v.useCount,
		...(v.healedSeq === undefined ? {} : { healedSeq: v.healedSeq }),
		standing: v.standing,
	};
}

function summary(file: FileReport): object {
	const { report, header, imported, problem, tail } = file;
	return {
		file: file.file,
		verdict: file.verdict,
		format: file.format,
		...(problem === undefined ? {} : { problem }),
		...(tail === undefined ? {} : { tail }),
		...(file.drift === undefined ? {} : { redecided: file.drift }),
		...(report === undefined
			? { records: 0 }
			: {
					fidelity: report.fidelity,
					origin: report.origin,
					kernel: report.kernel,
					records: report.records,
					more: report.more,
					staleWindows: report.staleWindows,
					kernelVerdicts: report.kernelVerdicts,
					predictions: predictions(report.summary),
					calls: report.summary.calls,
					counts: counts(report.summary),
				}),
		...(header === undefined ? {} : { switches: header.switches }),
		...(imported === undefined
			? {}
			: {
					lines: imported.lines,
					unexplainedLines: imported.unexplainedCount,
					clock: imported.clock,
				}),
	};
}

function predictions(s: NonNullable<FileReport["report"]>["summary"]): object {
	const { predicted, unpredicted, sizes, outside, agreed, disagreed } =
		s.predictions;
	return {
		predicted,
		unpredicted,
		sizes: Object.fromEntries([...sizes].toSorted(([a], [b]) => a - b)),
		outside,
		agreed,
		disagreed,
		witnessed: s.witnessed,
	};
}

function counts(s: NonNullable<FileReport["report"]>["summary"]): object {
	const { callsTotal, operations, failed, maps, unmaps, invalidations, dmas } =
		s;
	return {
		calls: callsTotal,
		operations,
		failed,
		maps,
		unmaps,
		invalidations,
		dmas,
	};
}

/** Builds the object. */
export function verifyJson(
	files: readonly FileReport[],
	seconds: number,
): object {
	const invariants = new Map<
		string,
		{ id: string; checked: number; violated: number }
	>();
	for (const file of files)
		for (const { id, checked, violated } of file.report?.invariants ?? []) {
			const sum = invariants.get(id) ?? { id, checked: 0, violated: 0 };
			sum.checked += checked;
			sum.violated += violated;
			invariants.set(id, sum);
		}
	return {
		verdict: worst(files.map((file) => file.verdict)),
		files: files.map(summary),
		records: files.reduce((sum, file) => sum + (file.report?.records ?? 0), 0),
		seconds,
		violations: files.flatMap((file) =>
			(file.report?.violations ?? []).map((v) => finding(file, v)),
		),
		warnings: files.flatMap((file) =>
			(file.report?.warnings ?? []).map((v) => finding(file, v)),
		),
		unexplained: files.flatMap((file) =>
			(file.report?.unexplained ?? []).map((u) => ({ file: file.file, ...u })),
		),
		invariants: [...invariants.values()],
	};
}
