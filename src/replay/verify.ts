/**
 * Verify: fold a log, judge every record, report (DESIGN §5, §7). `createVerifier` is for logs that grow; `verifyRecords` for whole ones.
 */
import { createJudge, type Judge } from "../invariants/judge.ts";
import type { Invariant } from "../invariants/invariant.ts";
import type { Unexplained, Violation } from "../invariants/verdicts.ts";
import { CATALOGUE } from "../invariants/catalogue.ts";
import type { Fidelity, LogHeader, Origin } from "../vocabulary/header.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { kernelVerdicts, type KernelVerdicts } from "./kernel-verdicts.ts";
import { newSummary, summariser, type Summary } from "./summary.ts";

/** The three outcomes. */
export type Verdict = "holds" | "violated" | "unexplained";
/** How often one invariant was checked and broken. */
export interface InvariantCount {
	readonly id: string;
	readonly checked: number;
	readonly violated: number;
}
/** The longest time in which hardware could still use a translation that memory no longer had. */
export interface StaleWindows {
	/** Stale ranges that a completed invalidation ended. */
	readonly count: number;
	readonly longestNs: number;
	/** Where the longest was: domain, bytes, and the records that began and ended it. */
	readonly longest: {
		readonly dom: DomainId;
		readonly iova: number;
		readonly bytes: number;
		readonly fromSeq: number;
		readonly toSeq: number;
	} | null;
	/** Most bytes stale at one time, and bytes still stale when the log ended. */
	readonly bytesMax: number;
	readonly bytesLeft: number;
}
/** What verify says about one log. */
export interface Report {
	readonly verdict: Verdict;
	readonly fidelity: Fidelity;
	readonly origin: Origin;
	readonly kernel: string;
	readonly records: number;
	/** Errors and warnings in order of the record they stand at; at most KEPT_MAX each. */
	readonly violations: readonly Violation[];
	readonly warnings: readonly Violation[];
	/** Findings beyond the caps. */
	readonly more: number;
	readonly unexplained: readonly Unexplained[];
	/** Every invariant of the catalogue, those never exercised included. */
	readonly invariants: readonly InvariantCount[];
	readonly staleWindows: StaleWindows;
	/** What the log shows about the kernel, by topic. */
	readonly kernelVerdicts: KernelVerdicts;
	/** What was called, who was switched, which calls were no-ops. */
	readonly summary: Summary;
}

/** A verifier of a log that may still grow. */
export interface Verifier {
	readonly judge: Judge;
	/** Folds and judges one record. */
	next(record: LogRecord): void;
	/** Ends the log and reports. */
	finish(): Report;
	/** Called when a violation appears, and again when it becomes proven. */
	onViolation(
		listener: (violation: Violation, what: "found" | "proven") => void,
	): void;
}

/** Starts verifying. `catalogue` narrows what is judged. */
export function createVerifier(
	header: LogHeader,
	catalogue: readonly Invariant[] = CATALOGUE,
): Verifier {
	const summary = newSummary();
	const judge = createJudge(header, catalogue, summariser(summary));
	let records = 0;
	return {
		judge,
		next: (record) => {
			records++;
			judge.next(record);
		},
		finish: () => {
			judge.finish();
			return reportOf(header, judge, summary, records);
		},
		onViolation: (listener) => {
			judge.verdicts.onViolation = listener;
		},
	};
}

/** Verifies a whole log. */
export function verifyRecords(
	header: LogHeader,
	records: Iterable<LogRecord>,
	catalogue: readonly Invariant[] = CATALOGUE,
): Report {
	const verifier = createVerifier(header, catalogue);
	for (const record of records) verifier.next(record);
	return verifier.finish();
}

/** The verdict that a set of findings makes. Checks that a fidelity cannot carry are listed but do not change it. */
const verdictOf = (
	violations: number,
	unexplained: readonly Unexplained[],
): Verdict =>
	violations > 0
		? "violated"
		: unexplained.some((entry) => !entry.lost)
			? "unexplained"
			: "holds";

const bySeq =
	(order: ReadonlyMap<string, number>) =>
	(a: Violation, b: Violation): number =>
		a.seq - b.seq || (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0);

function reportOf(
	header: LogHeader,
	judge: Judge,
	summary: Summary,
	records: number,
): Report {
	const { verdicts, world } = judge;
	const order = new Map(
		verdicts.catalogue.map((invariant, index) => [invariant.id, index]),
	);
	const unexplained = [...verdicts.unexplained.values()];
	const { windows } = world.iotlb;
	return {
		verdict: verdictOf(verdicts.violations.length, unexplained),
		fidelity: header.fidelity,
		origin: header.origin,
		kernel: header.kernel,
		records,
		violations: verdicts.violations.toSorted(bySeq(order)),
		warnings: verdicts.warnings.toSorted(bySeq(order)),
		more: verdicts.dropped,
		unexplained,
		invariants: verdicts.catalogue.map((invariant, index) => ({
			id: invariant.id,
			checked: verdicts.checked[index] ?? 0,
			violated: verdicts.violated[index] ?? 0,
		})),
		staleWindows: {
			count: windows.count,
			longestNs: windows.longestNs,
			longest:
				windows.longest === null
					? null
					: {
							dom: windows.longest.dom,
							iova: windows.longest.start * 4096,
							bytes: windows.longest.n * 4096,
							fromSeq: windows.longest.fromSeq,
							toSeq: windows.longest.toSeq,
						},
			bytesMax: windows.framesMax * 4096,
			bytesLeft: windows.frames * 4096,
		},
		kernelVerdicts: kernelVerdicts(judge, summary),
		summary,
	};
}
