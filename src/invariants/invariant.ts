/**
 * What an invariant is: a named, sourced, checkable sentence (DESIGN §5; facts iommufd §6, pagetable §8).
 *
 * A check returns an Outcome: undefined when it holds, SKIP when the log does not exercise it here, a Finding when it is broken, or
 * an Unknown when the log lacks what would decide it. Findings become violations, warnings or unexplained entries in judge.ts.
 */
import type { Fidelity } from "../vocabulary/header.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import type { LogRecord, RecordType } from "../vocabulary/records.ts";
import type { World } from "../world/types.ts";
import type { Bracket } from "./bracket.ts";

/** Possible: the may-analysis allows harm. Proven: a device or an independent witness shows it (DESIGN §5). */
export type Evidence = "possible" | "proven";
/** Errors decide the verdict; warnings are risky but legal. */
export type Severity = "error" | "warning";
/** After every step, at operation boundaries, at quiescence (no operation open). */
export type When = "S" | "O" | "Q";
/** What a state predicate is about; its checks run when a record touches one of these. */
export type Aspect =
	| "group"
	| "device"
	| "hwpt"
	| "ioas"
	| "idev"
	| "domain"
	| "ctx"
	| "access"
	| "faultQueue"
	| "pages";

/** A broken invariant, before it is judged. */
export interface Finding {
	/** What it is broken for; with the id it identifies the breakage, which is reported once while it lasts. */
	readonly subject: string;
	readonly message: string;
	readonly actors: readonly ActorId[];
	/** seqs of the records that led to it, oldest first; zeros are left out. */
	readonly trail: readonly number[];
	/** The record where it happened, when that is not the one being judged. */
	readonly seq?: number;
	/** The log must be complete from this seq on for the finding to stand (default 0: from its start). */
	readonly since?: number;
	readonly evidence?: Evidence;
	/** Lowers the invariant's own severity. */
	readonly severity?: "warning";
	/** Stale ranges (src/iotlb) that this is about: a later use of one proves it. */
	readonly stales?: readonly number[];
}
/** The log cannot decide. `missing` says what was missing. */
export interface Unknown {
	readonly missing: string;
	/** Worth telling, but nothing that the verdict hangs on. */
	readonly minor?: boolean;
	/** Stale ranges that are undecided: a later use of one turns them into a violation. */
	readonly stales?: readonly {
		readonly id: number;
		readonly finding: Finding;
	}[];
}
/** A use of something that an invariant says must be gone. */
export interface Proof {
	readonly proves: number;
	readonly use: string;
	readonly actor: ActorId;
}
/** Not exercised here. */
export const SKIP = Symbol("not exercised");
export type Outcome = undefined | typeof SKIP | Finding | Unknown | Proof;

/** What a check may look at. One object per judge, refilled for every record. */
export interface Context {
	readonly world: World;
	/** The operation of the record; the idle bracket for records outside of operations. */
	bracket: Bracket;
	/** Brackets of all open operations. */
	readonly brackets: ReadonlyMap<number, Bracket>;
	/** What checks note for later records; keys start with the id of the check. */
	readonly memory: Map<string, number>;
}

/** A check on one kind of record, after it was folded. */
export type RecordCheck<T extends RecordType = RecordType> = (
	context: Context,
	record: LogRecord<T>,
) => Outcome;
/** Checks by record type. */
export type RecordChecks = { readonly [T in RecordType]?: RecordCheck<T> };

/** One invariant of the catalogue. */
export interface Invariant {
	readonly id: string;
	/** One sentence, as a fact that must be true. */
	readonly sentence: string;
	/** What goes wrong when it is not. */
	readonly harm: string;
	/** kernel file:function (6.12), or the mail, or the facts section. */
	readonly source: readonly string[];
	readonly when: When;
	readonly severity: Severity;
	/** A log that breaks it, where no faulty run does (faulted.ts), or besides: exploration, recording, table run. */
	readonly brokenBy?: string;
	/** Kernels it speaks about, when not all. */
	readonly kernels?: "6.6+" | "6.12";
	/** Lowest fidelity that decides it (default L1). */
	readonly needs?: Fidelity;
	/** Checked at these records. */
	readonly on?: RecordChecks;
	/** Its checks at records speak only about page tables that are logged entry by entry: other logs do not pay for them. */
	readonly entries?: true;
	/** A predicate about one entity, checked when it was touched: at the step, the operation's end or quiescence, as `when` says. */
	readonly aspect?: Aspect | readonly Aspect[];
	readonly test?: (world: World, id: string) => Outcome;
}

/** The kinds of entity that an invariant's predicate is about. */
export const aspectsOf = ({ aspect }: Invariant): readonly Aspect[] =>
	aspect === undefined ? [] : typeof aspect === "string" ? [aspect] : aspect;

/** Makes a finding. */
export const broken = (
	subject: string,
	message: string,
	actors: readonly ActorId[],
	trail: readonly number[],
	more: Partial<Finding> = {},
): Finding => ({ subject, message, actors, trail, ...more });

/** Tells the kinds of outcome apart. */
export const isFinding = (
	outcome: Exclude<Outcome, undefined | symbol>,
): outcome is Finding => "subject" in outcome;
export const isUnknown = (
	outcome: Exclude<Outcome, undefined | symbol>,
): outcome is Unknown => "missing" in outcome;
