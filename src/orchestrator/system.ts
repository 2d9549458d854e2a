/**
 * The embedded library: a live system of actors on which commands are carried out, each written down step by step.
 *
 *     const system = createIommuSystem({ topology });
 *     const ctx = system.open();
 *     system.bind({ ctx, dev });
 *
 * Everything happens inside the call, in one order: same topology, switches and commands, same records. Systems share nothing. On a
 * store or with a backend calls answer with promises: live.ts.
 */
import { Observable, Subject } from "rxjs";
import type { Violation } from "../invariants/verdicts.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { LogHeader, Topology } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Command, CommandArgs, OpName } from "./commands.ts";
import {
	type ActorSnapshot,
	Core,
	type CoreOptions,
	type Decision,
	runHeader,
} from "./core.ts";
import { IommuError } from "./error.ts";
import type { Outcome } from "./executor-parts.ts";
import { LiveJudge } from "./live-judge.ts";
import type { CommandResults, Operations } from "./results.ts";
import { OP_NAMES, resultOf } from "./results.ts";
import type { Flow, Switches } from "./switches.ts";
import { switchesFrom } from "./switches.ts";

/** What a system in memory is made from. */
export interface SystemOptions extends CoreOptions {
	readonly topology: Topology;
	readonly flow?: Flow;
	/** Switches that differ from the default, by name (switches.ts). */
	readonly switches?: { readonly [name: string]: Json | undefined };
	/** False: `system.records` stays empty. Default true. */
	readonly keep?: boolean;
	readonly seed?: number;
}
/** How a command ended, for callers that do not want exceptions. */
export type CommandResult = Outcome & { readonly seq: number };

/** A system in memory. */
class MemorySystem {
	readonly header: LogHeader;
	readonly switches: Switches;
	readonly #core: Core;
	readonly #judge: LiveJudge;
	readonly #records: LogRecord[] = [];
	readonly #live = new Subject<LogRecord>();
	readonly #changed = new Subject<void>();

	constructor(options: SystemOptions) {
		const { topology, flow, seed = 0, keep } = options;
		this.switches = switchesFrom({
			...options.switches,
			...(flow === undefined ? {} : { flow }),
		});
		this.header = runHeader(topology, this.switches, seed);
		this.#judge = new LiveJudge(this.header);
		this.#core = new Core(this.header, options, (record) => {
			if (keep !== false) this.#records.push(record);
			if (this.#judge.judging) this.#judge.next(record);
			if (this.#live.observed) this.#live.next(record);
		});
		this.#core.boot();
	}

	/** Every record so far, oldest first. */
	get records(): readonly LogRecord[] {
		return this.#records;
	}
	/** Records as they are written, from the subscription on. Delivered inside the call that makes them: a slow subscriber slows the caller. */
	get records$(): Observable<LogRecord> {
		return this.#live.asObservable();
	}
	/** The actors after each operation, beginning with how they are now. */
	get snapshot$(): Observable<readonly ActorSnapshot[]> {
		return new Observable((subscriber) => {
			subscriber.next(this.snapshot());
			return this.#changed.subscribe({
				next: () => subscriber.next(this.snapshot()),
				complete: () => subscriber.complete(),
			});
		});
	}
	/**
	 * Broken invariants, those of the past first. The first subscription starts the judge over `records`; without subscribers nothing is
	 * judged. Throws RangeError when `keep` is false: then the past is gone.
	 */
	get violations$(): Observable<Violation> {
		return this.#judge.watch(this.#records, this.#core.seq);
	}
	/** Every actor's state and context, transactions included. */
	snapshot(): readonly ActorSnapshot[] {
		return this.#core.snapshot();
	}
	/** How many failable steps the run has had; `failNth` beyond it changes nothing. */
	get failableSteps(): number {
		return this.#core.failableSteps;
	}

	/** Carries a command out. Never throws for what the kernel would answer with an errno. */
	dispatch(command: Command): CommandResult {
		const { outcome, seq } = this.#decide(command);
		return { ...outcome, seq };
	}
	#decide(command: Command): Decision {
		const decision = this.#core.decide(command);
		if (this.#changed.observed) this.#changed.next();
		return decision;
	}
	/** Carries a command out and returns its result. Throws IommuError with the kernel's errno. */
	call<O extends OpName>(op: O, args: CommandArgs[O]): CommandResults[O] {
		const { outcome, seq } = this.#decide({ op, args } as unknown as Command);
		if (!outcome.ok) throw new IommuError(outcome.errno, outcome.step, op, seq);
		return resultOf(op, (outcome as { value?: Json }).value);
	}

	/** Ends every subscription. The records stay readable. */
	dispose(): void {
		this.#live.complete();
		this.#changed.complete();
		this.#judge.complete();
	}
}

for (const op of OP_NAMES)
	Object.defineProperty(MemorySystem.prototype, op, {
		value(this: MemorySystem, args: object = {}) {
			return this.call(op, args as never);
		},
	});

/** A live system in memory: createIommuSystem makes it. Every operation is a method. */
export type IommuSystem = MemorySystem & Operations;

/** Makes a system and boots it: groups get their default domains. Throws RangeError for unknown switches or drivers. */
export const memorySystem = (options: SystemOptions): IommuSystem =>
	new MemorySystem(options) as IommuSystem;
