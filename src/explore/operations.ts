/**
 * Turns a thread's steps into operations: atomic changes of the state vector, each with its footprint. Control steps (goto, tests
 * of registers, return) are made together with the operation before them, so they cost no states.
 */
import type { Caches, Invalidation } from "./caches.ts";
import type { Checks } from "./checks.ts";
import type { DirtyHardware } from "./dirty.ts";
import type { Footprint, Resources } from "./footprint.ts";
import type { Memory, Raise } from "./memory.ts";
import type { Model, ThreadModel } from "./model.ts";
import type { Queue } from "./queue.ts";
import { ScenarioError } from "./scenario-error.ts";
import type { Step } from "./scenario-schema.ts";
import { Scope } from "./scope.ts";
import { controlDrafts } from "./steps-control.ts";
import { hardwareDrafts } from "./steps-hardware.ts";
import { memoryDrafts } from "./steps-memory.ts";
import { syncDrafts } from "./steps-sync.ts";

/** A value or slot that may go through a register. */
export type Operand = (s: Uint8Array) => number;
/** Where a slot is: its table's number when known before the run, else -1. */
export interface Place {
	readonly table: number;
	readonly index: number;
	resolve(s: Uint8Array): number;
	/** What the register holds that the slot is reached through. */
	held?(s: Uint8Array): number;
}

/** An invalidation that a step issues; `at`: state byte 0 idle, 1 issued, 2 performed; then 2 bytes: tables unlinked at issue. */
export interface Site {
	readonly at: number;
	readonly invalidation: Invalidation;
	readonly keep: Uint8Array;
	/** Tables (mask) whose every possible directory entry is dropped. */
	readonly tables: number;
	/** Tables (mask) that this thread may free: those it does not drop it has missed (PT-30). */
	readonly freeable: number;
	readonly thread: number;
	readonly footprint: Footprint;
	readonly text: string;
}

/** One atomic operation of a thread. */
export interface Operation {
	/** Position in the list of steps. */
	readonly step: number;
	/** It is the first operation of its step. */
	readonly first: boolean;
	readonly text: string;
	readonly footprint: Footprint;
	/** Footprint while this table is private. */
	readonly privately?:
		| { readonly table: number; readonly footprint: Footprint }
		| undefined;
	/** Where the thread goes on; undefined: next operation. */
	readonly control?: (s: Uint8Array) => number;
	readonly enabled?: (s: Uint8Array) => boolean;
	/** Number of outcomes (default 1). */
	readonly choices?: (s: Uint8Array) => number;
	/** Performs it; may return the operation to go on with. */
	readonly run?: (s: Uint8Array, choice: number) => number | undefined | void;
	/** For logs and texts. */
	readonly source: Step;
	readonly site?: number;
	/** It waits for commands, and so for those that were queued before them. */
	readonly waits?: boolean;
	/** It changes neither memory nor caches nor what devices do. */
	readonly quiet?: boolean;
	/** The slot it reads. */
	readonly place?: Place;
}

export interface Parts {
	readonly model: Model;
	readonly caches: Caches;
	readonly memory: Memory;
	readonly resources: Resources;
	readonly checks: Checks;
	readonly dirty: DirtyHardware;
	readonly raise: Raise;
	/** All sites, numbered; new ones are added by compiling. */
	readonly sites: Site[];
	/** The order of commands, when several threads issue some; known when all threads are compiled. */
	queue: Queue | undefined;
	/** Takes bytes of the state. */
	readonly take: (n: number) => number;
	/** Names of thread results; index 0 = none. */
	readonly results: string[];
}

/** An operation before it has a position. */
export type Draft = Omit<Operation, "step" | "first" | "source" | "text">;

/** Compiles one thread. Throws ScenarioError for unknown names. */
export function compileThread(
	parts: Parts,
	thread: ThreadModel,
	number: number,
): Operation[] {
	const operations: Operation[] = [];
	const labels = new Map<string, number>();
	let at = 0;
	const drafts: { step: Step; index: number; list: Draft[] }[] = [];
	/** Jumps, with the step that makes them. */
	const wanted: [Step, string][] = [];
	/** What a step's compiling says is wrong, with the step's place. */
	const located = <T>(step: Step, compile: () => T): T => {
		try {
			return compile();
		} catch (error) {
			if (!(error instanceof ScenarioError) || error.path !== undefined)
				throw error;
			throw new ScenarioError(error.message, step.origin);
		}
	};
	const jump = (label: string) => {
		const to = labels.get(label);
		if (to !== undefined) return to;
		if (label === "end") return operations.length;
		throw new ScenarioError(`thread ${thread.name} has no label ${label}`);
	};
	const scope = new Scope(parts, thread, number, jump);
	thread.steps.forEach((step, index) => {
		const jumps = scope.targets.length;
		const list = located(step, () => draftsOf(scope, step));
		for (const label of scope.targets.slice(jumps)) wanted.push([step, label]);
		if (step.label !== undefined) {
			if (labels.has(step.label))
				throw new ScenarioError(
					`thread ${thread.name} has two labels ${step.label}`,
					step.origin,
				);
			labels.set(step.label, at);
		}
		at += list.length;
		drafts.push({ step, index, list });
	});
	for (const { step, index, list } of drafts)
		list.forEach((draft, i) =>
			operations.push({
				...draft,
				step: index,
				first: i === 0,
				source: step,
				text: stepText(step),
			}),
		);
	if (operations.length > 250)
		throw new ScenarioError(
			`thread ${thread.name} has more than 250 operations`,
		);
	for (const [step, label] of wanted) located(step, () => jump(label));
	return operations;
}

/** A step in words: its `as`, or the verb and its arguments. */
export function stepText(step: Step): string {
	if (step.as !== undefined) return step.as;
	const args =
		typeof step.args === "object"
			? Object.entries(step.args)
					.filter(([, v]) => v !== undefined)
					.map(([k, v]) => `${k} ${Array.isArray(v) ? v.join(",") : v}`)
					.join(" ")
			: step.args === true
				? ""
				: String(step.args);
	return `${step.verb} ${args}`.trim();
}

/** What a step is made of. Only memory and hardware steps change what hardware can see. */
function draftsOf(scope: Scope, step: Step): Draft[] {
	const acts = memoryDrafts(scope, step) ?? hardwareDrafts(scope, step);
	if (acts !== undefined) return acts;
	const rest = syncDrafts(scope, step) ?? controlDrafts(scope, step) ?? [];
	return rest.map((draft) => ({ ...draft, quiet: true }));
}

/** A thread may come back to where it was. */
export const jumpsBack = (program: readonly Operation[]): boolean =>
	program.some((o, i) => mayJumpBack(o, i, program));

function mayJumpBack(
	operation: Operation,
	at: number,
	program: readonly Operation[],
): boolean {
	const { source } = operation;
	const label =
		source.verb === "goto"
			? source.args
			: source.verb === "if" || source.verb === "unless"
				? source.args.goto
				: source.verb === "cas"
					? source.args.else
					: undefined;
	if (label === undefined || label === "end") return false;
	const to = program.findIndex((o) => o.source.label === label);
	return to >= 0 && to <= at;
}
