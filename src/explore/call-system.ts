/**
 * Concurrent ioctls as a system to explore: the state is the number of every entity's cell, of pinned memory and of every thread's
 * stack; a move performs one step of one thread's transaction. All interleavings of the steps, under the chosen locks.
 */
import type { GroupContext } from "../../machines/iommu-group.ts";
import type { Mem } from "../../machines/iopt-pages.ts";
import type { Fact } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type { ActorId } from "../vocabulary/ids.ts";
import { Cell, type Kept, keep, Numbering } from "./call-cells.ts";
import { checkBetweenCalls, checkStep } from "./call-checks.ts";
import { type CallHost, callHost, CTX, DEVS, GROUP } from "./call-host.ts";
import type { Call, CallScenario } from "./call-scenario.ts";
import {
	type ThreadState,
	advance,
	asked,
	groupLocked,
	startCall,
	wantsLock,
} from "./call-threads.ts";
import type { Raised, System } from "./system.ts";

/** The system, its host, and how calls ended on the way (by thread, for outcomes). */
export interface CallSystem extends System {
	readonly host: CallHost;
	/** Where a thread stands, in words. */
	describe(state: Uint8Array, thread: number): string;
	/** The facts of a move from a state, with operations numbered from `seq`. */
	narrate(state: Uint8Array, moves: readonly number[]): CallHost["facts"];
}

const IDLE: ThreadState = { call: 0, frames: [] };

/** Builds it. Throws what the set-up throws. */
export function callSystem(scenario: CallScenario): CallSystem {
	const host = callHost(scenario);
	const told = host.facts ?? [];
	host.facts = undefined;
	const x = host.executor;
	const actors = [...x.actors.keys()];
	const cells = new Numbering<Kept>();
	const memories = new Numbering<Mem>();
	const threads = new Numbering<ThreadState>();
	const words = actors.length + 1 + scenario.threads.length;
	const raised: Raised[] = [];
	const known = new Set<string>();
	const report = (id: string, message: string): void => {
		if (known.has(id)) return;
		known.add(id);
		raised.push({ id, message, witness: -1 });
	};
	const view = (s: Uint8Array) =>
		new Uint32Array(s.buffer, s.byteOffset, words);
	const threadAt = actors.length + 1;

	const running = actors.map((id) => x.actors.get(id) as Cell);
	/** Numbers only what the move has changed: a context that is still the same object keeps its number. */
	function save(w: Uint32Array): void {
		running.forEach((cell, i) => {
			const before = cells.values[w[i] as number];
			if (before?.at === cell.at && before.context === cell.context) return;
			w[i] = cells.of(keep(cell));
		});
		if (memories.values[w[actors.length] as number] !== host.mem())
			w[actors.length] = memories.of(host.mem());
	}
	function load(w: Uint32Array): void {
		running.forEach((cell, i) => {
			const kept = cells.values[w[i] as number] as Kept;
			cell.at = kept.at;
			cell.context = kept.context;
		});
		if (x.actors.size !== actors.length)
			throw new Error("calls that create or destroy objects are not explored");
		host.setMem(memories.values[w[actors.length] as number] as Mem);
	}
	const threadOf = (w: Uint32Array, t: number): ThreadState =>
		threads.values[w[threadAt + t] as number] ?? IDLE;
	const callsOf = (t: number): readonly Call[] =>
		scenario.threads[t]?.calls ?? [];
	const atRest = (w: Uint32Array): boolean =>
		scenario.threads.every((_, t) => threadOf(w, t).frames.length === 0);

	function enabled(w: Uint32Array, t: number): boolean {
		const thread = threadOf(w, t);
		if (thread.frames.length === 0) {
			if (thread.call >= callsOf(t).length) return false;
			if (scenario.locks !== "call") return true;
			return scenario.threads.every(
				(_, o) => threadOf(w, o).frames.length === 0,
			);
		}
		if (scenario.locks === "none" || !wantsLock(thread)) return true;
		const group = cells.values[w[actors.indexOf(GROUP)] as number] as Kept;
		return (group.context as GroupContext).locked === false;
	}

	/** Makes a move on the loaded host; returns the thread's new state. */
	function move(thread: ThreadState, t: number): ThreadState {
		if (thread.frames.length === 0) {
			const call = callsOf(t)[thread.call] as Call;
			host.op = begun(host, call);
			const frames = startCall(host, call);
			if (frames.length > 0) return { call: thread.call, frames };
			ended(host, { ok: true });
			return { call: thread.call + 1, frames: [] };
		}
		if (scenario.locks === "none" && wantsLock(thread) && groupLocked(host))
			x.tell({ type: "ig.unlock", to: GROUP } as never);
		const step = asked(thread);
		if (step !== undefined) checkStep(x, step, report);
		const after = advance(host, thread.frames);
		if (after.ended === undefined) return { ...thread, frames: after.frames };
		ended(host, after.ended);
		return { call: thread.call + 1, frames: [] };
	}

	/** Runs on to the end, one thread after the other, so that the log ends between calls. */
	function finish(w: Uint32Array, ops: number[]): void {
		for (let t = 0; t < scenario.threads.length; ) {
			if (!enabled(w, t)) {
				t++;
				continue;
			}
			load(w);
			host.op = ops[t] ?? 0;
			w[threadAt + t] = threads.of(move(threadOf(w, t), t));
			ops[t] = host.op;
			save(w);
			if (threadOf(w, t).frames.length === 0) t = 0;
		}
	}

	return {
		host,
		bytes: words * 4,
		processes: scenario.threads.length,
		environment: 0,
		raised,
		initial(s) {
			const w = view(s);
			save(w);
			scenario.threads.forEach((_, t) => {
				w[threadAt + t] = threads.of(IDLE);
			});
			checkBetweenCalls(x, report);
		},
		moves(s, process, out) {
			if (!enabled(view(s), process)) return 0;
			out[0] = process;
			return 1;
		},
		apply(s, process) {
			const w = view(s);
			load(w);
			const thread = threadOf(w, process);
			try {
				w[threadAt + process] = threads.of(move(thread, process));
			} catch (error) {
				report(
					"REF-6",
					`${scenario.threads[process]?.name}: ${(error as Error).message}`,
				);
				w[threadAt + process] = threads.of({ call: 99, frames: [] });
			}
			save(w);
			if (atRest(w)) checkBetweenCalls(x, report);
		},
		independent: () => false,
		ended(s) {
			const w = view(s);
			if (!atRest(w))
				report("DEADLOCK", "a call waits for a lock that nobody gives back");
		},
		describe(s, t) {
			const thread = threadOf(view(s), t);
			const call = callsOf(t)[thread.call];
			const step = asked(thread);
			const what = call === undefined ? "" : callText(call);
			return `${scenario.threads[t]?.name}: ${what}${step === undefined ? ": begins" : `: ${step.type}`}`;
		},
		narrate(s, moves) {
			const w = view(s);
			host.facts = [...told];
			const ops = scenario.threads.map(() => 0);
			for (const process of moves) {
				load(w);
				host.op = ops[process] ?? 0;
				w[threadAt + process] = threads.of(move(threadOf(w, process), process));
				ops[process] = host.op;
				save(w);
			}
			finish(w, ops);
			const facts = host.facts;
			host.facts = undefined;
			return facts;
		},
	};
}

const callText = (call: Call): string =>
	`${call.do} dev${call.dev}${call.to === undefined ? "" : ` H${call.to}`}`;

/** Writes op.begin; returns its number. */
function begun(host: CallHost, call: Call): number {
	const op = (host.facts?.length ?? 0) + 1;
	const args: { [name: string]: string | number } = {
		ctx: CTX,
		dev: DEVS[call.dev - 1] ?? "",
	};
	if (call.do !== "detach") args["pt"] = host.hwpts[(call.to ?? 1) - 1] ?? 0;
	host.facts?.push({
		...(fact("op.begin", CTX as ActorId, { op: call.do, args }) as Fact),
		op,
	});
	return op;
}

function ended(
	host: CallHost,
	how: { readonly ok: boolean; readonly errno?: string },
): void {
	const end = how.ok
		? fact("op.commit", CTX, {})
		: fact("op.fail", CTX, { errno: how.errno as never, step: "call" });
	host.facts?.push({ ...(end as Fact), op: host.op });
}
