/**
 * Runs sagas: the statechart says what comes next, the live system carries it out, the log remembers. A saga that a crash cut off is carried
 * on from the log: the outcomes of its commands lead the statechart to where it was, and the way back reads the state.
 */
import type { SagaContext } from "../../../machines/saga.ts";
import type { Step } from "../../../machines/steps.ts";
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Json } from "../../vocabulary/fields.ts";
import { fact } from "../../vocabulary/records.ts";
import type { Command } from "../commands.ts";
import { compiledEngine, type Runner } from "../engine.ts";
import type { LiveCore } from "../live.ts";
import { sameJson } from "../same-json.ts";
import type { OpenSaga, SagaOutcome } from "../recover/fold-store.ts";
import { nextBack } from "./back.ts";
import { planSaga, type SagaPlan } from "./plan.ts";
import {
	SAGA_MACHINES,
	type SagaArgs,
	type SagaName,
	type SagaSteps,
} from "./plans.ts";

/** How a saga that went through ended. */
export interface SagaEnd {
	/** The number of its saga.begun. */
	readonly seq: number;
	readonly saga: SagaName;
	/** How many commands it took. */
	readonly commands: number;
}
/** A command of a saga failed. `rolled-back`: everything is as it was; `stuck`: a command of the way back failed too. */
export class SagaError extends Error {
	override readonly name = "SagaError";
	readonly saga: SagaName;
	readonly seq: number;
	readonly errno: ErrnoName;
	readonly outcome: "rolled-back" | "stuck";

	constructor(
		saga: SagaName,
		seq: number,
		errno: ErrnoName,
		outcome: "rolled-back" | "stuck",
	) {
		super(
			outcome === "rolled-back"
				? `${saga} failed with ${errno}; everything is as it was (saga ${seq} of the log)`
				: `${saga} failed with ${errno}, and so did the way back: neither the old state nor the new one (saga ${seq} of the log)`,
		);
		this.saga = saga;
		this.seq = seq;
		this.errno = errno;
		this.outcome = outcome;
	}
}
/** A plan whose rollback would not restore the state exactly is not run unless that is accepted. */
export class InexactSagaError extends Error {
	override readonly name = "InexactSagaError";
	readonly plan: SagaPlan;
	constructor(plan: SagaPlan) {
		super(
			`${plan.saga}: ${plan.notes.join("; ")}. run({ inexact: true }) runs it all the same`,
		);
		this.plan = plan;
	}
}
/** A saga to be run. */
export interface Saga {
	/** What it would do now. Waits until the system is at rest. */
	plan(): Promise<SagaPlan>;
	/** Plans and runs it; meanwhile other commands are refused. Rejects with SagaError, InexactSagaError, LogError, BackendError. */
	run(options?: { readonly inexact?: boolean }): Promise<SagaEnd>;
}

/** Makes a saga of a live system. */
export function sagaOf<S extends SagaName>(
	live: LiveCore,
	saga: S,
	args: SagaArgs[S],
): Saga {
	const planned = async () => {
		await live.idle();
		return planSaga(live, saga, args);
	};
	return {
		plan: async () => (await planned()).plan,
		run: async ({ inexact = false } = {}) => {
			live.beginSaga();
			try {
				const { plan, steps } = await planned();
				if (!plan.exact && !inexact) throw new InexactSagaError(plan);
				const seq = await live.note(
					fact("saga.begun", steps.former.ctx, {
						saga,
						args: plan.args,
						plan: steps as unknown as Json,
					}),
				);
				return await new Walk(live, { seq, saga, steps }).run([], false);
			} finally {
				live.endSaga();
			}
		},
	};
}

/** Carries the saga on that the log ends with. */
export async function resumeSaga(
	live: LiveCore,
	open: OpenSaga,
): Promise<SagaEnd> {
	const walk = new Walk(live, {
		seq: open.seq,
		saga: open.saga as SagaName,
		steps: open.plan as unknown as SagaSteps,
	});
	try {
		return await walk.run(open.outcomes, open.turned);
	} finally {
		live.endSaga();
	}
}

interface Begun {
	readonly seq: number;
	readonly saga: SagaName;
	readonly steps: SagaSteps;
}

class Walk {
	readonly #live: LiveCore;
	readonly #begun: Begun;
	readonly #machine: Runner;
	#commands = 0;
	#turned = false;
	/** The last command of the way back, when it failed. */
	#failedBack:
		| { readonly command: Command; readonly errno: ErrnoName }
		| undefined;

	constructor(live: LiveCore, begun: Begun) {
		this.#live = live;
		this.#begun = begun;
		this.#machine = compiledEngine().spawn(
			SAGA_MACHINES[begun.saga],
			undefined,
			begun.saga,
		);
	}

	/** Walks to the end. `past`: how its commands ended before a crash. */
	async run(past: readonly SagaOutcome[], turned: boolean): Promise<SagaEnd> {
		const { counts } = this.#begun.steps;
		const forward = past.filter(({ undo }) => !undo);
		this.#commands = past.length;
		this.#turned = turned;
		const last = past.at(-1);
		if (last?.undo === true && last.errno !== undefined)
			this.#failedBack = { command: last.command, errno: last.errno };
		let event: { readonly type: string } = {
			type: "BEGIN",
			counts,
		} as { type: string };
		for (;;) {
			this.#machine.send(event);
			const { ask } = this.#machine.context as SagaContext;
			if (ask.type === "return") return this.#end(ask);
			const known = ask.type === "saga.do" ? forward.shift() : undefined;
			event = known === undefined ? await this.#do(ask) : asEvent(known);
			if (event.type === "FAILED" && ask.type === "saga.do")
				await this.#turn(ask.n, (event as unknown as Failed).errno);
		}
	}

	async #do(ask: Step): Promise<{ readonly type: string }> {
		if (ask.type === "saga.do")
			return asEvent(await this.#perform(this.#begun.steps.commands[ask.n]!));
		const { phase } = ask as Step<"saga.back">;
		const next = () =>
			nextBack(this.#live.executor, this.#begun.steps.former, phase);
		const command = next();
		if (command === undefined) return backDone(false);
		// A command that fails may have done what it was for all the same (A8: moved the group, then detached the device). Only one that is still
		// the next thing to do after it has failed leads nowhere.
		const failed = this.#failedBack;
		this.#failedBack = undefined;
		if (failed !== undefined && sameJson(failed.command, command))
			return asEvent(failed);
		const { errno } = await this.#perform(command, true);
		if (errno !== undefined) {
			this.#failedBack = { command, errno };
			return backDone(true);
		}
		return backDone(next() !== undefined);
	}

	async #perform(
		command: Command,
		undo = false,
	): Promise<{ readonly errno: ErrnoName | undefined }> {
		this.#commands++;
		const { seq } = this.#begun;
		const tag = undo ? ({ saga: seq, undo } as const) : { saga: seq };
		const result = await this.#live.perform(command, tag);
		return { errno: result.ok ? undefined : result.errno };
	}

	async #turn(step: number, errno: ErrnoName): Promise<void> {
		if (this.#turned) return;
		this.#turned = true;
		const saga = this.#begun.seq;
		await this.#live.note(
			fact("saga.turned", this.#begun.steps.former.ctx, { saga, step, errno }),
		);
	}

	async #end(ask: Step<"return">): Promise<SagaEnd> {
		const { seq, saga, steps } = this.#begun;
		const outcome = ask.ok
			? "done"
			: ask.step === "stuck"
				? "stuck"
				: "rolled-back";
		await this.#live.note(
			fact("saga.ended", steps.former.ctx, { saga: seq, outcome }),
		);
		if (ask.ok) return { seq, saga, commands: this.#commands };
		throw new SagaError(
			saga,
			seq,
			ask.errno,
			outcome as "stuck" | "rolled-back",
		);
	}
}

interface Failed {
	readonly type: "FAILED";
	readonly errno: ErrnoName;
	readonly step: string;
}
const asEvent = ({
	errno,
}: {
	readonly errno: string | undefined;
}): { readonly type: string } =>
	errno === undefined
		? ({ type: "DONE", value: { more: false } } as { type: string })
		: ({ type: "FAILED", errno, step: "saga.do" } as { type: string });
const backDone = (more: boolean): { readonly type: string } =>
	({ type: "DONE", value: { more } }) as { type: string };
