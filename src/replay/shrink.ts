/**
 * Bisect and shrink (DESIGN §5): the first prefix of a log that breaks an invariant, and the smallest log that still breaks it in the
 * same way. Works on any log, imported ones included; nothing is decided again, records are only left out.
 */
import { CATALOGUE } from "../invariants/catalogue.ts";
import { createJudge } from "../invariants/judge.ts";
import type { Violation } from "../invariants/verdicts.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/** Where a log breaks. */
export interface Bisected {
	readonly violation: Violation;
	/** The prefix that ends with this record violates, the one before does not. */
	readonly lastSeq: number;
}
/** A smaller log. */
export interface Shrunk {
	/** Numbered anew from 1; `op` follows. */
	readonly records: readonly LogRecord[];
	readonly violation: Violation;
	/** Candidates that were judged, and whether the search ran out of them. */
	readonly tried: number;
	readonly complete: boolean;
}

/** Judges and stops at the first violation of the invariant that `wanted` accepts. */
function firstViolation(
	header: LogHeader,
	records: Iterable<LogRecord>,
	id: string,
	wanted: (violation: Violation) => boolean,
): Bisected | undefined {
	const judge = createJudge(
		header,
		CATALOGUE.filter((invariant) => invariant.id === id),
	);
	let found: Violation | undefined;
	judge.verdicts.onViolation = (violation) => {
		if (found === undefined && wanted(violation)) found = violation;
	};
	let lastSeq = 0;
	for (const record of records) {
		judge.next(record);
		lastSeq = record.seq;
		if (found !== undefined) return { violation: found, lastSeq };
	}
	judge.finish();
	return found === undefined ? undefined : { violation: found, lastSeq };
}

/** The first prefix that breaks the invariant, or undefined when the log does not break it. Throws RangeError for an unknown id. */
export function bisect(
	header: LogHeader,
	records: Iterable<LogRecord>,
	id: string,
): Bisected | undefined {
	if (!CATALOGUE.some((invariant) => invariant.id === id))
		throw new RangeError(
			`no invariant ${id}; they are listed in docs/invariants.md`,
		);
	return firstViolation(header, records, id, () => true);
}

/** What is left out together: an operation with all its records, or one record outside of operations. */
type Unit = readonly LogRecord[];

function unitsOf(records: readonly LogRecord[]): Unit[] {
	const units: LogRecord[][] = [];
	const byOp = new Map<number, LogRecord[]>();
	for (const record of records) {
		const open = record.op === 0 ? undefined : byOp.get(record.op);
		if (open !== undefined) {
			open.push(record);
			continue;
		}
		const unit = [record];
		units.push(unit);
		if (record.op !== 0) byOp.set(record.op, unit);
	}
	return units;
}

const inOrder = (units: readonly Unit[]): LogRecord[] =>
	units.flat().sort((a, b) => a.seq - b.seq);

/** Births of what the violation is about stay: without them it would be a log that starts in the middle of life, another case. */
function isBirth(record: LogRecord, about: ReadonlySet<string>): boolean {
	switch (record.type) {
		case "dom.created":
			return about.has(record.data.dom);
		case "ioas.created":
			return about.has(record.data.ioas);
		case "ctx.opened":
			return about.has(record.data.ctx);
		default:
			return false;
	}
}

/** Gives the records dense numbers, and operations theirs. */
function renumber(records: readonly LogRecord[]): LogRecord[] {
	const numbers = new Map(records.map((record, i) => [record.seq, i + 1]));
	return records.map((record, i) => ({
		...record,
		seq: i + 1,
		op: numbers.get(record.op) ?? 0,
	})) as LogRecord[];
}

/** Candidates, and records of all candidates, that are judged at most: a search over a log of any size must end. */
const TRIED_MAX = 4000;
const JUDGED_MAX = 200_000_000;

interface Search {
	tried: number;
	judged: number;
	readonly fails: (candidate: readonly LogRecord[]) => boolean;
}
const isOver = ({ tried, judged }: Search): boolean =>
	tried >= TRIED_MAX || judged >= JUDGED_MAX;

/** Delta debugging: leaves out ever smaller runs of pieces while the log still fails. */
function minimise<T>(
	pieces: readonly T[],
	search: Search,
	logOf: (pieces: readonly T[]) => LogRecord[],
): readonly T[] {
	let kept = pieces;
	for (let size = Math.ceil(kept.length / 2); size >= 1; ) {
		let removed = false;
		for (let at = 0; at < kept.length && !isOver(search); ) {
			const candidate = [...kept.slice(0, at), ...kept.slice(at + size)];
			if (candidate.length > 0 && search.fails(logOf(candidate))) {
				kept = candidate;
				removed = true;
			} else at += size;
		}
		if (size === 1 && !removed) break;
		size = removed && size === 1 ? 1 : Math.max(1, Math.floor(size / 2));
		if (isOver(search)) break;
	}
	return kept;
}

/** May a record go while its operation stays? The frame of an operation may not. */
const isInner = (record: LogRecord): boolean =>
	record.type !== "op.begin" &&
	record.type !== "op.commit" &&
	record.type !== "op.fail";

/**
 * The smallest log found that breaks the invariant for the same subject. First whole operations go, then single records. Undefined when
 * the log does not break it. `onProgress`: called before each candidate, with its size.
 */
export function shrink(
	header: LogHeader,
	records: readonly LogRecord[],
	id: string,
	onProgress: (tried: number, records: number) => void = () => {},
): Shrunk | undefined {
	const broken = bisect(header, records, id);
	if (broken === undefined) return undefined;
	const { subject } = broken.violation;
	const prefix = records.filter((record) => record.seq <= broken.lastSeq);
	const search: Search = {
		tried: 0,
		judged: 0,
		fails: (candidate) => {
			search.tried++;
			search.judged += candidate.length;
			onProgress(search.tried, candidate.length);
			return (
				firstViolation(
					header,
					candidate,
					id,
					(violation) => violation.subject === subject,
				) !== undefined
			);
		},
	};
	const about: ReadonlySet<string> = new Set(broken.violation.actors);
	const births = prefix.filter((record) => isBirth(record, about));
	const fixed = new Set(births);
	const all = unitsOf(prefix);
	const kept = all.filter((unit) => unit.some((record) => fixed.has(record)));
	const units = minimise(
		all.filter((unit) => !kept.includes(unit)),
		search,
		(candidate) => inOrder([...kept, ...candidate]),
	);
	const rest = inOrder([...kept, ...units]);
	const frames = rest.filter((record) => !isInner(record) || fixed.has(record));
	const inner = minimise(
		rest.filter((record) => isInner(record) && !fixed.has(record)),
		search,
		(candidate) => inOrder([candidate, frames]),
	);
	const small = renumber(inOrder([inner, frames]));
	const again = firstViolation(header, small, id, () => true);
	if (again === undefined) return undefined;
	return {
		records: small,
		violation: again.violation,
		tried: search.tried,
		complete: !isOver(search),
	};
}
