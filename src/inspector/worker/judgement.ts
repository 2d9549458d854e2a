/** What the judge found, as rows for the page. */
import type { Violation } from "../../invariants/verdicts.ts";
import { invariantById } from "../../invariants/catalogue.ts";
import type { Judgement, ViolationRow } from "./protocol.ts";
import type { Session } from "./session.ts";

/** Unexplained entries given out at most. */
const UNEXPLAINED_MAX = 100;

function rowOf(session: Session, violation: Violation): ViolationRow {
	const invariant = invariantById(violation.id);
	const at = session.index.positionOf(violation.seq);
	return {
		id: violation.id,
		severity: violation.severity,
		evidence: violation.evidence,
		seq: violation.seq,
		at,
		message: violation.message,
		sentence: invariant?.sentence ?? "",
		harm: invariant?.harm ?? "",
		subject: violation.subject,
		actors: violation.actors,
		source: violation.source,
		leading: violation.leadingRecords
			.map((seq) => session.index.positionOf(seq))
			.filter((position) => position >= 0)
			.map((position) => session.row(position)),
		healedSeq: violation.healedSeq,
		uses: violation.uses.map(({ seq, what }) => ({ seq, what })),
	};
}

/** Everything found so far. */
export function judgementOf(session: Session): Judgement | undefined {
	const { verdicts, folded } = session.track;
	if (verdicts === undefined) return undefined;
	const rows = (found: readonly Violation[]): ViolationRow[] =>
		found.map((violation) => rowOf(session, violation));
	return {
		judged: folded,
		violations: rows(verdicts.violations),
		warnings: rows(verdicts.warnings),
		leftOut: verdicts.dropped,
		unexplained: [...verdicts.unexplained.values()]
			.slice(0, UNEXPLAINED_MAX)
			.map(({ id, missing, seq, count }) => ({ id, missing, seq, count })),
		checked: verdicts.checked.reduce((sum, n) => sum + n, 0),
		exercised: verdicts.checked.filter((n) => n > 0).length,
		catalogue: verdicts.catalogue.length,
	};
}

/** Positions of errors, ascending. */
export function violationMarks(session: Session): Uint32Array {
	const { verdicts } = session.track;
	const positions = (verdicts?.violations ?? []).map((violation) =>
		Math.max(0, session.index.positionOf(violation.seq)),
	);
	return Uint32Array.from(positions).sort();
}

/** The error next to a position, or −1. */
export function violationNear(
	session: Session,
	at: number,
	direction: 1 | -1,
): number {
	const marks = violationMarks(session);
	const found =
		direction === 1
			? marks.find((position) => position > at)
			: marks.findLast((position) => position < at);
	return found ?? -1;
}
