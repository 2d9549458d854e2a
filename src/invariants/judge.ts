/**
 * The judge: folds a log record by record and checks the catalogue as it goes. Memory is bounded by what is alive in the log, not by its
 * length. The same checks run live and on replay; audit.ts recomputes the state predicates from scratch and must agree.
 */
import type { LogHeader } from "../vocabulary/header.ts";
import type { DomainId, GroupId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import { applyRecord, closeOp, noteStep } from "../world/apply.ts";
import { createWorld, snapshotWorld } from "../world/create.ts";
import { worldFrom } from "../world/image.ts";
import type { World } from "../world/types.ts";
import {
	hasTouched,
	newBracket,
	noteAttach,
	touch,
	untouch,
	type Bracket,
} from "./bracket.ts";
import { CATALOGUE } from "./catalogue.ts";
import {
	SKIP,
	type Aspect,
	type Context,
	type Invariant,
	type When,
} from "./invariant.ts";
import { type JudgeImage, judgeImage } from "./judge-image.ts";
import {
	planFor,
	type Observer,
	type Plan,
	type PlannedCheck,
} from "./plan.ts";
import type { Touch } from "./touches.ts";
import {
	newVerdicts,
	settleEvent,
	settleState,
	unexplain,
	withdraw,
	withdrawFed,
	type Verdicts,
} from "./verdicts.ts";

/** A judge at work. */
export interface Judge {
	readonly world: World;
	readonly verdicts: Verdicts;
	/** What checks note for later records. */
	readonly memory: Map<string, number>;
	/** Folds and judges one record. */
	next(record: LogRecord): void;
	/** The log ends here: what is checked at rest is checked now. Call once. */
	finish(): void;
	/** Everything it knows, as plain data: `resumeJudge` goes on from it. */
	image(): JudgeImage;
}

/** Where a judge begins that does not begin with the log. */
type JudgeStart = Pick<Judge, "world" | "memory"> &
	Partial<Pick<JudgeImage, "found" | "brackets" | "idle" | "unrested">>;

interface State {
	readonly context: Context & { bracket: Bracket };
	readonly brackets: Map<number, Bracket>;
	readonly idle: Bracket;
	readonly plan: Plan;
	readonly verdicts: Verdicts;
	/** Touched since the last time no operation was open. */
	readonly unrested: Bracket;
	/** Touched by the record being judged: aspect, id, aspect, id, … */
	readonly now: string[];
	readonly touch: Touch;
}

const NO_OBSERVERS: ReadonlyMap<string, Observer> = new Map();

/** Starts judging a log with this header. `catalogue` can be narrowed for tests and for bisecting; `observers` see records of their types before these are folded. */
export function createJudge(
	header: LogHeader,
	catalogue: readonly Invariant[] = CATALOGUE,
	observers: ReadonlyMap<string, Observer> = NO_OBSERVERS,
	from?: JudgeStart,
): Judge {
	const world = from?.world ?? createWorld(header);
	const verdicts = { ...newVerdicts(header, catalogue), ...from?.found };
	const plan = planFor(header, catalogue, observers);
	const brackets = from?.brackets ?? new Map<number, Bracket>();
	const idle = from?.idle ?? newBracket(0, undefined);
	const now: string[] = [];
	const state: State = {
		context: { world, bracket: idle, brackets, memory: new Map(from?.memory) },
		brackets,
		idle,
		plan,
		verdicts,
		unrested: from?.unrested ?? newBracket(0, undefined),
		now,
		touch: (aspect, id) => void now.push(aspect, id),
	};
	for (const invariant of from?.found === undefined ? plan.lost : [])
		unexplain(
			verdicts,
			invariant.id,
			`not decidable at fidelity ${header.fidelity} (needs ${invariant.needs ?? "L1"})`,
			0,
			true,
		);
	return {
		world,
		verdicts,
		memory: state.context.memory,
		next: (record) => judgeRecord(state, record),
		finish: () => finish(state),
		image: () => judgeImage({ ...state.context, ...state }),
	};
}

/** The judge that was written down, of this version's whole catalogue; takes the image's parts over. */
export const resumeJudge = (header: LogHeader, image: JudgeImage): Judge =>
	createJudge(header, CATALOGUE, NO_OBSERVERS, {
		...image,
		world: worldFrom(header, image.world),
	});

/** A judge that goes on from where another one stands, without its findings. That one must stand between two operations. */
export const forkJudge = (judge: Judge): Judge =>
	createJudge(judge.world.header, judge.verdicts.catalogue, NO_OBSERVERS, {
		world: snapshotWorld(judge.world),
		memory: judge.memory,
	});

function judgeRecord(state: State, record: LogRecord): void {
	const { context, verdicts } = state;
	const { world } = context;
	const plan = state.plan.records.get(record.type);
	if (plan === undefined) {
		// A type of a later version: fold what applyRecord knows of it, judge nothing.
		applyRecord(world, record);
		unexplain(
			verdicts,
			"-",
			`record type ${record.type} is not known to this version`,
			record.seq,
		);
		return;
	}
	world.seq = record.seq;
	world.t = record.t;
	const { bracket } = context;
	if (plan.special === 1) context.bracket = state.idle;
	else if (record.op !== bracket.seq)
		context.bracket = state.brackets.get(record.op) ?? state.idle;
	if (plan.kept && context.bracket.op !== undefined)
		noteStep(context.bracket.op, record);
	if (plan.observe !== undefined) plan.observe(world, record);
	if (plan.special === 3) noteInBracket(world, context.bracket, record);
	if (plan.apply !== undefined) plan.apply(world, record);
	if (plan.special === 1) begin(state, record);
	runChecks(context, verdicts, plan.checks, record);
	if (plan.entryChecks.length > 0 && world.iotlb.tables.size > 0)
		runChecks(context, verdicts, plan.entryChecks, record);
	if (plan.touch !== undefined) touchAndTest(state, plan.touch, record);
	if (plan.special === 3) forgetOutcome(state, record);
	else if (plan.special === 2) end(state, record);
	else if (plan.special === 4) lost(state, record as LogRecord<"trace.lost">);
}

function runChecks(
	context: Context,
	verdicts: Verdicts,
	checks: readonly PlannedCheck[],
	record: LogRecord,
): void {
	for (let i = 0; i < checks.length; i++) {
		const check = checks[i] as PlannedCheck;
		const outcome = check.run(context, record);
		if (outcome === SKIP) continue;
		if (outcome === undefined)
			verdicts.checked[check.index] =
				(verdicts.checked[check.index] as number) + 1;
		else settleEvent(verdicts, context.world, check.index, outcome, record.seq);
	}
}

/** Events that were lost may have lain before records that are judged already. */
function lost({ verdicts }: State, record: LogRecord<"trace.lost">): void {
	const { from, event, why = "events were lost" } = record.data;
	if (event !== undefined) withdrawFed(verdicts, event, why, record.seq);
	else if (from !== undefined) withdraw(verdicts, from, record.seq);
}

function begin(state: State, record: LogRecord): void {
	const op = state.context.world.ops.get(record.seq);
	const bracket = newBracket(record.seq, op);
	state.brackets.set(record.seq, bracket);
	state.context.bracket = bracket;
}

/** What brackets remember, before the record is folded. */
function noteInBracket(
	world: World,
	bracket: Bracket,
	record: LogRecord,
): void {
	switch (record.type) {
		case "area.claimed":
			bracket.areasNet++;
			bracket.areaSeq = record.seq;
			return;
		case "area.gone":
			bracket.areasNet--;
			bracket.areaSeq = record.seq;
			return;
		case "dom.map":
			bracket.mapSeq = record.seq;
			return;
		case "dom.unmap":
			bracket.unmapSeq = record.seq;
			return;
		case "iotlb.synced":
			bracket.syncedSeq = record.seq;
			return;
		case "pages.pinned":
			bracket.pinSeq = record.seq;
			return;
		case "inv.issued":
			bracket.invSeq = record.seq;
			return;
		case "tag.flushed":
			bracket.flushClaimSeq = record.seq;
			return;
		case "hw.attach":
			// Nothing outside of operations is ever compared: do not grow there.
			if (bracket.seq !== 0)
				noteAttach(bracket, world.devices.map.get(record.data.dev)?.group, {
					dev: record.data.dev,
					dom: record.data.dom,
					undo: record.data.undo === true,
					seq: record.seq,
				});
			return;
		case "grp.domain.set":
			if (bracket.seq !== 0)
				noteSwitch(world, bracket, record.data.group, record.data.dom);
			return;
		default:
	}
}

function noteSwitch(
	world: World,
	bracket: Bracket,
	group: GroupId,
	dom: DomainId,
): void {
	const before = world.groups.map.get(group)?.dom;
	if (before === dom) return;
	bracket.switched ??= new Map();
	bracket.domBefore ??= new Map();
	if (!bracket.switched.has(group)) bracket.switched.set(group, before);
	if (!bracket.domBefore.has(group)) bracket.domBefore.set(group, before);
}

/** After an outcome record the next one of the same operation starts with a clean sheet (ATTACH_PT may replace and then detach). */
function forgetOutcome(state: State, record: LogRecord): void {
	const { bracket } = state.context;
	if (
		record.type === "dev.attached" ||
		record.type === "dev.replaced" ||
		record.type === "dev.detached"
	) {
		bracket.attaches = null;
		bracket.switched = null;
	} else if (record.type === "grp.domain.set" && bracket.seq === 0) {
		// Outside of operations a switch ends here.
		test(state, "O", "group", record.data.group, record.seq);
	}
}

function touchAndTest(
	state: State,
	run: (world: World, record: LogRecord, touch: Touch) => void,
	record: LogRecord,
): void {
	const { now, context } = state;
	now.length = 0;
	run(context.world, record, state.touch);
	for (let i = 0; i < now.length; i += 2) {
		const aspect = now[i] as Aspect;
		const id = now[i + 1] as string;
		touch(context.bracket, aspect, id);
		test(state, "S", aspect, id, record.seq);
	}
}

function test(
	state: State,
	when: When,
	aspect: Aspect,
	id: string,
	seq: number,
): void {
	const tests = state.plan.tests[when].get(aspect);
	if (tests === undefined) return;
	const { world } = state.context;
	for (const planned of tests)
		settleState(
			state.verdicts,
			world,
			planned.index,
			id,
			planned.test(world, id),
			seq,
		);
}

/** Is another open operation in the middle of changing this? Then it is checked when that one ends. */
function isBusy(
	state: State,
	except: Bracket,
	aspect: Aspect,
	id: string,
): boolean {
	if (state.brackets.size === 0) return false;
	for (const bracket of state.brackets.values())
		if (bracket !== except && hasTouched(bracket, aspect, id)) return true;
	return false;
}

/** Things touched outside of operations are checked when so many have gathered, and at the end. */
const IDLE_MAX = 8192;

function end(state: State, record: LogRecord): void {
	const { world, bracket } = state.context;
	if (record.type === "op.unknown")
		unexplain(
			state.verdicts,
			"-",
			`operation ${bracket.op?.name ?? record.op} ended unknown (${record.data.code}); what it did is not judged`,
			record.seq,
		);
	closeOp(world, record);
	state.brackets.delete(record.op);
	if (bracket.seq !== 0) boundary(state, bracket, record.seq);
	state.context.bracket = state.idle;
	if (world.ops.size === 0) rest(state, record.seq);
	if (state.idle.touched.length > IDLE_MAX) {
		boundary(state, state.idle, record.seq);
		untouch(state.idle);
	}
}

function boundary(state: State, bracket: Bracket, seq: number): void {
	const { touched } = bracket;
	for (let i = 0; i < touched.length; i += 2) {
		const aspect = touched[i] as Aspect;
		const id = touched[i + 1] as string;
		touch(state.unrested, aspect, id);
		if (!isBusy(state, bracket, aspect, id)) test(state, "O", aspect, id, seq);
	}
}

function rest(state: State, seq: number): void {
	const { touched } = state.unrested;
	if (touched.length === 0) return;
	for (let i = 0; i < touched.length; i += 2)
		test(state, "Q", touched[i] as Aspect, touched[i + 1] as string, seq);
	untouch(state.unrested);
}

function finish(state: State): void {
	const { world } = state.context;
	for (const op of world.ops.values())
		unexplain(
			state.verdicts,
			"-",
			`operation ${op.name} was open when the log ended; what it was changing is not judged`,
			op.seq,
		);
	boundary(state, state.idle, world.seq);
	if (world.ops.size === 0) rest(state, world.seq);
	if (world.unexplainedLines > 0)
		unexplain(
			state.verdicts,
			"-",
			`${world.unexplainedLines} line(s) of the recording could not be explained`,
			0,
		);
}
