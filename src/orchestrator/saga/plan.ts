/**
 * Plans of sagas: the commands are tried on a copy of the live system, which shares all its state and writes nothing. What they answer is
 * the prediction; which invariants the judge checks meanwhile is the risk; and the way back from the end says whether a rollback would
 * restore exactly what was.
 */
import { forkJudge, type Judge } from "../../invariants/judge.ts";
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Json } from "../../vocabulary/fields.ts";
import type { Command } from "../commands.ts";
import { Core, type Decision } from "../core.ts";
import type { LiveCore } from "../live.ts";
import { sameJson } from "../same-json.ts";
import { type BackPhase, nextBack } from "./back.ts";
import { canonical } from "./canonical.ts";
import {
	type SagaArgs,
	type SagaName,
	type SagaSteps,
	stepsOf,
} from "./plans.ts";

/** The answer that a command will get if nothing else happens. */
export type Predicted =
	| { readonly ok: true; readonly result: Json }
	| { readonly ok: false; readonly errno: ErrnoName; readonly step: string };
/** One command of a plan. */
export interface PlanStep {
	readonly command: Command;
	readonly predicted: Predicted;
	/** Invariants that speak about what the command does: each is checked on the way, and could break. */
	readonly atRisk: readonly string[];
	/** Invariants that it will break. */
	readonly breaks: readonly string[];
}
/** What a saga will do. */
export interface SagaPlan {
	readonly saga: SagaName;
	readonly args: Json;
	/** In order; it ends behind the first that is predicted to fail, since the way back follows. */
	readonly steps: readonly PlanStep[];
	/** The way back from the last step, as a rollback would take it. */
	readonly back: readonly PlanStep[];
	/** A rollback restores the state exactly, object ids included. */
	readonly exact: boolean;
	/** Every invariant at risk in any step, forward and back. */
	readonly atRisk: readonly string[];
	/** What a caller should know before it runs. */
	readonly notes: readonly string[];
}

/** A way back that needs more commands than this is not one. */
const BACK_MAX = 100_000;
const PHASES: readonly BackPhase[] = [
	"bind",
	"switch",
	"attach",
	"unmap",
	"tidy",
];

class Rehearsal {
	readonly core: Core;
	readonly #judge: Judge | undefined;
	constructor(live: LiveCore) {
		this.core = new Core(live.header, { engine: "compiled" });
		this.core.resume(live.state, live.seq);
		this.#judge = live.judge && forkJudge(live.judge);
	}
	step(command: Command): PlanStep {
		const decision = this.core.decide(command);
		const { outcome } = decision;
		return {
			command,
			predicted: outcome.ok
				? { ok: true, result: (outcome as { value?: Json }).value ?? null }
				: { ok: false, errno: outcome.errno, step: outcome.step },
			...this.#judged(decision),
		};
	}
	#judged({ records }: Decision) {
		if (this.#judge === undefined) return { atRisk: [], breaks: [] };
		const { verdicts } = this.#judge;
		const before = verdicts.checked.slice();
		const known = verdicts.violations.length;
		for (const record of records) this.#judge.next(record);
		const atRisk = verdicts.catalogue
			.filter((_, i) => (verdicts.checked[i] ?? 0) > (before[i] ?? 0))
			.map(({ id }) => id);
		const broken = verdicts.violations.slice(known).map(({ id }) => id);
		return { atRisk, breaks: [...new Set(broken)] };
	}
}

/** Plans a saga as things stand. The system must be at rest. */
export function planSaga<S extends SagaName>(
	live: LiveCore,
	saga: S,
	args: SagaArgs[S],
): { readonly plan: SagaPlan; readonly steps: SagaSteps } {
	const steps = stepsOf(live.executor, saga, args);
	const rehearsal = new Rehearsal(live);
	const before = canonical(live.state);
	const forward: PlanStep[] = [];
	for (const command of steps.commands) {
		const step = rehearsal.step(command);
		forward.push(step);
		if (!step.predicted.ok) break;
	}
	const back = wayBack(rehearsal, steps);
	const exact = canonical(rehearsal.core.state) === before;
	const all = [...forward, ...back];
	return {
		steps,
		plan: {
			saga,
			args: args as unknown as Json,
			steps: forward,
			back,
			exact,
			atRisk: [...new Set(all.flatMap(({ atRisk }) => atRisk))].sort(),
			notes: notesOf(forward, steps, exact),
		},
	};
}

function wayBack(rehearsal: Rehearsal, { former }: SagaSteps): PlanStep[] {
	const back: PlanStep[] = [];
	let failed: Command | undefined;
	for (const phase of PHASES)
		for (;;) {
			const command = nextBack(rehearsal.core.executor, former, phase);
			if (command === undefined) break;
			// As the saga itself: what fails may have done its work, but not when it is the next thing to do again.
			if (failed !== undefined && sameJson(failed, command)) return back;
			const step = rehearsal.step(command);
			back.push(step);
			failed = step.predicted.ok ? undefined : command;
			if (back.length > BACK_MAX) return back;
		}
	return back;
}

function notesOf(
	forward: readonly PlanStep[],
	{ commands }: SagaSteps,
	exact: boolean,
): string[] {
	const notes: string[] = [];
	const failing = forward.find(({ predicted }) => !predicted.ok);
	if (commands.length === 0) notes.push("there is nothing to do");
	if (failing !== undefined)
		notes.push(
			`${failing.command.op} will fail, and everything will be taken back`,
		);
	if (!exact)
		notes.push(
			"a rollback would not restore the state exactly (object ids, or which automatic hwpt comes first)",
		);
	return notes;
}
