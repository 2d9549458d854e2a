/**
 * Outcomes become violations, warnings and unexplained entries here: three outcomes, never more than the log can carry (DESIGN §5).
 */
import type { LogHeader } from "../vocabulary/header.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import type { World } from "../world/types.ts";
import {
	isFinding,
	isUnknown,
	SKIP,
	type Evidence,
	type Finding,
	type Invariant,
	type Outcome,
	type Severity,
} from "./invariant.ts";
import { familyOf, fedBy } from "./untold.ts";

/** A use of what should have been gone, seen after the violation. */
export interface Use {
	readonly seq: number;
	readonly what: string;
	readonly actor: ActorId;
}
/** A broken invariant in a log. `leadingRecords` are the three or four records that led to it. */
export interface Violation {
	readonly id: string;
	readonly severity: Severity;
	readonly seq: number;
	/** The log must be complete from this record on for it to stand; 0: from before its start. */
	readonly since: number;
	evidence: Evidence;
	readonly subject: string;
	message: string;
	readonly actors: readonly ActorId[];
	readonly leadingRecords: readonly number[];
	readonly source: readonly string[];
	/** Later uses that prove it; at most USES_MAX are kept, `useCount` counts all. */
	readonly uses: Use[];
	useCount: number;
	/** Undefined while it lasts (or for events, which have no end): the record after which the state was right again. */
	healedSeq: number | undefined;
	/** True for a broken state that still stood when the log ended. */
	standing: boolean;
}
/** Something the log could not decide. Equal ones are counted together. */
export interface Unexplained {
	readonly id: string;
	readonly missing: string;
	/** First record it concerns. */
	readonly seq: number;
	count: number;
	/** A check that the whole log cannot carry at its fidelity: listed, but it does not change the verdict. */
	readonly lost: boolean;
}
/** What the judge has found so far. */
export interface Verdicts {
	readonly header: LogHeader;
	readonly catalogue: readonly Invariant[];
	/** Per invariant: how often it was checked. */
	readonly checked: number[];
	readonly violated: number[];
	/** Subject of the last event reported per invariant: one cause that shows at several records in a row is reported once. */
	readonly lastSubject: (string | undefined)[];
	readonly violations: Violation[];
	readonly warnings: Violation[];
	/** Violations beyond the cap, not kept. */
	dropped: number;
	readonly unexplained: Map<string, Unexplained>;
	/** Broken states by "index subject". */
	readonly standing: Map<string, Violation>;
	/** Stale ranges by number: the violation they belong to, or the finding that is still undecided. */
	readonly stales: Map<
		number,
		| Violation
		| {
				readonly index: number;
				readonly finding: Finding;
				readonly seq: number;
		  }
	>;
	/** Families of checks that this recording cannot carry, and why. */
	readonly untold: Map<string, string>;
	/** Called for every new violation and for every one that becomes proven. */
	onViolation:
		| ((violation: Violation, what: "found" | "proven") => void)
		| undefined;
}

/** At most so many violations, warnings and unexplained entries are kept; more are counted. A log that breaks everything stays readable. */
export const KEPT_MAX = 1000;
/** Uses kept per violation. */
export const USES_MAX = 50;
const STALES_MAX = 65_536;

/** No findings yet. */
export const newVerdicts = (
	header: LogHeader,
	catalogue: readonly Invariant[],
): Verdicts => ({
	header,
	catalogue,
	checked: catalogue.map(() => 0),
	violated: catalogue.map(() => 0),
	lastSubject: [],
	violations: [],
	warnings: [],
	dropped: 0,
	unexplained: new Map(),
	standing: new Map(),
	stales: new Map(),
	untold: new Map(),
	onViolation: undefined,
});

/** Notes that something could not be decided. */
export function unexplain(
	verdicts: Verdicts,
	id: string,
	missing: string,
	seq: number,
	lost = false,
): void {
	const key = `${id} ${missing}`;
	const entry = verdicts.unexplained.get(key);
	if (entry !== undefined) entry.count++;
	else if (verdicts.unexplained.size < KEPT_MAX)
		verdicts.unexplained.set(key, { id, missing, seq, count: 1, lost });
	else verdicts.dropped++;
}

/** Does the invariant speak about the kernel of this log? */
function releaseFits(invariant: Invariant, kernel: string): boolean {
	if (invariant.kernels === undefined || kernel === "model") return true;
	const version = /^(\d+)\.(\d+)/.exec(kernel);
	if (version === null) return false;
	const [major, minor] = [Number(version[1]), Number(version[2])];
	if (invariant.kernels === "6.12") return major === 6 && minor === 12;
	return major > 6 || (major === 6 && minor >= 6);
}

/** Why a finding does not stand in this log, or undefined. */
function objection(
	verdicts: Verdicts,
	world: World,
	invariant: Invariant,
	finding: Finding,
): string | undefined {
	const untold =
		verdicts.untold.size === 0
			? undefined
			: (verdicts.untold.get(familyOf(invariant.id)) ??
				verdicts.untold.get(invariant.id));
	if (untold !== undefined) return `${untold}: ${finding.message}`;
	if (world.lostOpen || world.lostSeq > (finding.since ?? 0))
		return `events were lost (#${world.lostSeq}): ${finding.message}`;
	if (!releaseFits(invariant, verdicts.header.kernel))
		return `kernel ${verdicts.header.kernel} is not the release this speaks about (${invariant.kernels}): ${finding.message}`;
	return undefined;
}

function makeViolation(
	verdicts: Verdicts,
	index: number,
	finding: Finding,
	seq: number,
	standing: boolean,
): Violation {
	const invariant = verdicts.catalogue[index] as Invariant;
	const trail = [
		...new Set([...finding.trail, seq].filter((at) => at > 0)),
	].sort((a, b) => a - b);
	return {
		id: invariant.id,
		severity: finding.severity ?? invariant.severity,
		seq: finding.seq ?? seq,
		since: finding.since ?? 0,
		evidence: finding.evidence ?? "possible",
		subject: finding.subject,
		message: finding.message,
		actors: [...new Set(finding.actors)],
		leadingRecords: trail.slice(-4),
		source: invariant.source,
		uses: [],
		useCount: 0,
		healedSeq: undefined,
		standing,
	};
}

function keep(
	verdicts: Verdicts,
	index: number,
	finding: Finding,
	seq: number,
	standing: boolean,
): Violation {
	const violation = makeViolation(verdicts, index, finding, seq, standing);
	const list =
		violation.severity === "error" ? verdicts.violations : verdicts.warnings;
	verdicts.violated[index] = (verdicts.violated[index] as number) + 1;
	if (list.length < KEPT_MAX) list.push(violation);
	else verdicts.dropped++;
	for (const stale of finding.stales ?? [])
		if (verdicts.stales.size < STALES_MAX)
			verdicts.stales.set(stale, violation);
	verdicts.onViolation?.(violation, "found");
	return violation;
}

/** What would only have been a warning leaves the verdict alone when it is uncertain, too. */
const isMinor = (invariant: Invariant, finding: Finding): boolean =>
	(finding.severity ?? invariant.severity) === "warning";

/** A check at a record gave this. */
export function settleEvent(
	verdicts: Verdicts,
	world: World,
	index: number,
	outcome: Outcome,
	seq: number,
): void {
	if (outcome === SKIP) return;
	verdicts.checked[index] = (verdicts.checked[index] as number) + 1;
	if (outcome === undefined) return;
	const invariant = verdicts.catalogue[index] as Invariant;
	if (isFinding(outcome)) {
		if (verdicts.lastSubject[index] === outcome.subject) return;
		verdicts.lastSubject[index] = outcome.subject;
		const why = objection(verdicts, world, invariant, outcome);
		if (why !== undefined)
			unexplain(verdicts, invariant.id, why, seq, isMinor(invariant, outcome));
		else keep(verdicts, index, outcome, seq, false);
	} else if (isUnknown(outcome)) {
		unexplain(
			verdicts,
			invariant.id,
			outcome.missing,
			seq,
			outcome.minor === true,
		);
		for (const { id, finding } of outcome.stales ?? [])
			verdicts.stales.set(id, { index, finding, seq });
	} else
		prove(verdicts, outcome.proves, {
			seq,
			what: outcome.use,
			actor: outcome.actor,
		});
}

/** A predicate about an entity gave this: reported when it breaks, not again while it stays broken. */
export function settleState(
	verdicts: Verdicts,
	world: World,
	index: number,
	id: string,
	outcome: Outcome,
	seq: number,
): void {
	if (outcome === SKIP) return heal(verdicts, index, id, seq);
	verdicts.checked[index] = (verdicts.checked[index] as number) + 1;
	if (outcome === undefined) return heal(verdicts, index, id, seq);
	const invariant = verdicts.catalogue[index] as Invariant;
	if (isUnknown(outcome))
		return unexplain(
			verdicts,
			invariant.id,
			outcome.missing,
			seq,
			outcome.minor === true,
		);
	if (!isFinding(outcome)) return;
	const key = `${index} ${id}`;
	const before = verdicts.standing.get(key);
	if (before !== undefined && before.subject === outcome.subject) return;
	heal(verdicts, index, id, seq);
	const why = objection(verdicts, world, invariant, outcome);
	if (why !== undefined)
		unexplain(verdicts, invariant.id, why, seq, isMinor(invariant, outcome));
	else verdicts.standing.set(key, keep(verdicts, index, outcome, seq, true));
}

/** Events are missing from record `from` on (0: from before the log): what was found since is not certain any more. */
export function withdraw(verdicts: Verdicts, from: number, seq: number): void {
	const where = from === 0 ? "before the log" : `from #${from} on`;
	take(
		verdicts,
		({ since, seq: at }) => (from === 0 ? since === 0 : at >= from),
		`events were lost (#${seq}) ${where}`,
	);
}

/** The recording has no event of a kind that it ought to have: what such events feed is not certain, now and from here on. */
export function withdrawFed(
	verdicts: Verdicts,
	event: string,
	what: string,
	seq: number,
): void {
	const families = fedBy(event);
	const why = `${what} (#${seq})`;
	for (const family of families)
		if (!verdicts.untold.has(family)) verdicts.untold.set(family, why);
	take(
		verdicts,
		({ id }) => families.includes(familyOf(id)) || families.includes(id),
		why,
	);
}

/** Turns findings into unexplained entries. */
function take(
	verdicts: Verdicts,
	which: (violation: Violation) => boolean,
	why: string,
): void {
	const gone = new Set<Violation>();
	for (const list of [verdicts.violations, verdicts.warnings]) {
		const kept = list.filter((violation) => !which(violation));
		if (kept.length === list.length) continue;
		for (const violation of list) if (which(violation)) gone.add(violation);
		list.splice(0, list.length, ...kept);
	}
	for (const { id, message, seq, severity } of gone) {
		const index = verdicts.catalogue.findIndex((one) => one.id === id);
		verdicts.violated[index] = (verdicts.violated[index] as number) - 1;
		const minor = severity === "warning";
		unexplain(verdicts, id, `${why}: ${message}`, seq, minor);
	}
	if (gone.size === 0) return;
	for (const table of [verdicts.standing, verdicts.stales])
		for (const [key, entry] of table)
			if (gone.has(entry as Violation))
				(table as Map<unknown, unknown>).delete(key);
}

function heal(
	verdicts: Verdicts,
	index: number,
	id: string,
	seq: number,
): void {
	if (verdicts.standing.size === 0) return;
	const key = `${index} ${id}`;
	const violation = verdicts.standing.get(key);
	if (violation === undefined) return;
	violation.healedSeq = seq;
	violation.standing = false;
	verdicts.standing.delete(key);
}

/** A stale range was used: what was possible is proven, what was undecided is decided. */
function prove(verdicts: Verdicts, stale: number, use: Use): void {
	let entry = verdicts.stales.get(stale);
	if (entry === undefined) return;
	if ("finding" in entry) {
		const { index, finding, seq } = entry;
		for (const [key, unknown] of verdicts.unexplained)
			if (
				unknown.seq === seq &&
				unknown.id === (verdicts.catalogue[index] as Invariant).id
			)
				verdicts.unexplained.delete(key);
		entry = keep(verdicts, index, finding, seq, false);
	}
	entry.useCount++;
	if (entry.uses.length < USES_MAX) entry.uses.push(use);
	if (entry.evidence === "proven") return;
	entry.evidence = "proven";
	entry.message += `; proven at #${use.seq}: ${use.what}`;
	verdicts.onViolation?.(entry, "proven");
}
