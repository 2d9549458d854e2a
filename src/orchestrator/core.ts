/**
 * The heart of every system: the actors, the position in the log, and one command after the other made into records. It knows no store,
 * no subscriber and no backend; who owns one writes the records down.
 */
import type { InspectionEvent } from "xstate";
import type { AnyDefinition } from "../../machines/define.ts";
import { ask } from "../../machines/steps.ts";
import { driverNamed } from "../drivers/personalities.ts";
import type { Json } from "../vocabulary/fields.ts";
import type {
	LogHeader,
	Topology,
	TopologyGroup,
} from "../vocabulary/header.ts";
import {
	FORMAT_VERSION,
	MODEL_VERSION,
	presentMembers,
} from "../vocabulary/header.ts";
import type { ActorId, CtxId } from "../vocabulary/ids.ts";
import type { Fact, LogRecord } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type { Command } from "./commands.ts";
import { carryOut, isOpName } from "./commands.ts";
import {
	compiledEngine,
	type EngineName,
	tableActorEngine,
	xstateEngine,
} from "./engine.ts";
import { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";
import { transactionsOf } from "./flows.ts";
import { memberOf, Outside } from "./outside.ts";
import { Faults } from "./faults.ts";
import { sameJson } from "./same-json.ts";
import { resumeFrom, stateOf, type SystemState } from "./state.ts";
import { type Switches, switchesFrom, switchesToJson } from "./switches.ts";

/** What every kind of system can be told. */
export interface CoreOptions {
	/** Nanoseconds since the run began, called once a record with its number; default: that number. */
	readonly clock?: (seq: number) => number;
	/** Default: "mixed", or "xstate" when something inspects. */
	readonly engine?: EngineName;
	/** XState inspection of every actor. */
	readonly inspect?: (event: InspectionEvent) => void;
	/** For tests: puts a changed definition in the place of another. */
	readonly definition?: (definition: AnyDefinition) => AnyDefinition;
}
/** One actor as the inspector shows it. */
export interface ActorSnapshot {
	readonly id: string;
	readonly state: string;
	readonly context: object;
}
/** What a saga adds to the `op.begin` of its commands. */
export interface SagaTag {
	readonly saga: number;
	readonly undo?: true;
}
/** A command carried out: how it ended, and its records in order. */
export interface Decision {
	readonly seq: number;
	readonly outcome: Outcome;
	readonly records: readonly LogRecord[];
}

/** The header of a run: what a store is opened with. Throws RangeError for unknown switches. */
export function runHeader(
	topology: Topology,
	switches: { readonly [name: string]: Json | undefined } | Switches = {},
	seed = 0,
): LogHeader {
	return {
		format: "iommu-ledger",
		version: FORMAT_VERSION,
		model: MODEL_VERSION,
		origin: "run",
		fidelity: "L2",
		clock: "run",
		seed,
		kernel: "model",
		iommu: { strict: true, cachingMode: false, scalable: false },
		topology,
		switches: switchesToJson(
			switchesFrom(switches as { readonly [name: string]: Json }),
		),
	};
}

/** The tag of a recorded `op.begin`; undefined when it belongs to no saga. */
export const tagOf = (
	saga: number | undefined,
	undo: boolean | undefined,
): SagaTag | undefined =>
	saga === undefined ? undefined : { saga, ...(undo === true ? { undo } : {}) };

/** An operation that was begun would now be decided otherwise: by another version of the model, or the log is not a run's. */
export class DriftError extends Error {
	override readonly name = "DriftError";
	/** Where the log and the model part. */
	readonly seq: number;
	constructor(known: LogRecord, decided: Fact) {
		super(
			`record ${known.seq} is ${known.type} of ${known.actor}; the model decides ${decided.type} of ${decided.actor}`,
		);
		this.seq = known.seq;
	}
}
const sameFact = (a: Fact, b: Fact): boolean =>
	a.type === b.type && a.actor === b.actor && sameJson(a.data, b.data);

/** Actors and position. */
export class Core {
	readonly header: LogHeader;
	readonly switches: Switches;
	readonly executor: Executor;
	readonly #outside: Outside;
	readonly #clock: CoreOptions["clock"];
	/** Sees each record when it is made. */
	readonly #seen: (record: LogRecord) => void;
	#seq = 0;
	#op = 0;
	#made: LogRecord[] = [];
	/** The op.begin of the running operation, until its first step: a command that is none throws before that, and leaves no record. */
	#begun: Fact | undefined;
	/** What broke an operation off in the middle: the actors are no longer what the records say. */
	#defect: unknown;
	/** Records of the running operation that stand in the log already: they are found again, not made. */
	#known: LogRecord[] = [];
	readonly #faults: Faults;

	constructor(
		header: LogHeader,
		options: CoreOptions,
		seen: (record: LogRecord) => void = () => {},
	) {
		this.header = header;
		this.switches = switchesFrom(header.switches);
		this.#faults = new Faults(this.switches);
		this.#clock = options.clock;
		this.#seen = seen;
		this.#outside = new Outside(header.topology, this.switches);
		const name = options.engine ?? (options.inspect ? "xstate" : "mixed");
		const tables = compiledEngine();
		const actors =
			name === "mixed" && options.inspect === undefined
				? tableActorEngine()
				: xstateEngine(options.inspect);
		this.executor = new Executor({
			engine: name === "compiled" ? tables : actors,
			txEngine: name === "xstate" ? actors : tables,
			transactions: transactionsOf(this.switches.flow),
			outside: this.#outside,
			emit: (one) => this.#emit(one),
			definition: (one) =>
				this.#faults.blinded(options.definition?.(one) ?? one),
		});
	}

	/** Goes on behind record `seq` from a state. For a core that has done nothing yet. */
	resume(state: SystemState, seq: number): void {
		resumeFrom(this.executor, state);
		this.#seq = seq;
	}
	/** The state now, to go on from elsewhere. */
	get state(): SystemState {
		return stateOf(this.executor);
	}
	/** The number of the last record. */
	get seq(): number {
		return this.#seq;
	}
	/** How many failable steps the run has had. */
	get failableSteps(): number {
		return this.#outside.failableSteps;
	}
	/** Every actor's state and context, transactions included. */
	snapshot(): readonly ActorSnapshot[] {
		const all = [...this.executor.actors, ...this.executor.transactionStates()];
		return all.map(([id, { state, context }]) => ({ id, state, context }));
	}

	#emit(one: Fact): void {
		if (this.#begun !== undefined) {
			const begin = this.#begun;
			this.#begun = undefined;
			this.#write(begin);
		}
		if (this.#faults.none) this.#write(one);
		else for (const done of this.#faults.insteadOf(one)) this.#write(done);
	}

	#write(one: Fact): void {
		const seq = ++this.#seq;
		if (this.#known.length > 0) {
			const known = this.#known.shift()!;
			if (!sameFact(known, one)) throw new DriftError(known, one);
			return;
		}
		const t = this.#clock?.(seq) ?? seq;
		const record = {
			seq,
			t,
			type: one.type,
			actor: one.actor,
			op: this.#op,
			data: one.data,
		} as LogRecord;
		this.#made.push(record);
		this.#seen(record);
	}

	/** Runs one operation: op.begin, its steps, op.commit or op.fail. */
	#operate(
		begin: Fact<"op.begin">["data"],
		actor: ActorId,
		body: () => Outcome,
	): Decision {
		this.#op = this.#seq + 1;
		const seq = this.#op;
		this.#outside.op = begin.op;
		this.#begun = fact("op.begin", actor, begin);
		const outcome = this.#carriedOut(body);
		if (outcome.ok) {
			const { value } = outcome as { value?: Json };
			this.#emit(
				fact("op.commit", actor, value === undefined ? {} : { result: value }),
			);
		} else
			this.#emit(
				fact("op.fail", actor, { errno: outcome.errno, step: outcome.step }),
			);
		this.#op = 0;
		return { seq, outcome, records: this.#take() };
	}
	/** What throws before its first step has not been; behind that, nothing can be decided any more. */
	#carriedOut(body: () => Outcome): Outcome {
		try {
			return body();
		} catch (error) {
			if (this.#begun === undefined) this.#defect = error;
			this.#begun = undefined;
			this.#made = [];
			this.#seq = this.#op - 1;
			this.#op = 0;
			throw error;
		}
	}
	#take(): readonly LogRecord[] {
		const made = this.#made;
		this.#made = [];
		return made;
	}

	/** Groups get their default domains (facts §4.1). */
	boot(): Decision {
		return this.#operate({ op: "boot", args: {} }, "host", () => {
			for (const group of this.header.topology.groups) this.#bootGroup(group);
			this.executor.actors.get("host")!.send({ type: "host.booted" });
			return { ok: true } as Outcome;
		});
	}

	/** First probe of a group: its default domain is made and attached (facts §4.1). */
	#bootGroup(topology: TopologyGroup): void {
		const x = this.executor;
		const { group, driver } = topology;
		const present = presentMembers(topology);
		const ops = driverNamed(driver);
		x.spawnGroup(
			{
				group,
				members: present.map(memberOf),
				kernelDrivers: present.filter((m) => m.kernelDriver !== undefined)
					.length,
			},
			(name) => {
				const { dev } = this.#outside.device(name);
				return {
					cc: ops.enforcesCoherency(dev),
					dirty: ops.tracksDirty(dev),
				};
			},
			topology.members.map(memberOf),
		);
		const dom = this.#outside.nextDomain;
		const kind = ops.sharedBlocking ? "blocked" : "dma";
		x.perform(ask({ type: "dom.create", to: dom, kind }));
		x.tell(ask({ type: "grp.default.set", to: group, dom }));
		if (ops.sharedBlocking)
			x.tell(ask({ type: "grp.blocking.set", to: group, dom }));
		const first = present[0];
		if (first === undefined) return;
		x.perform(
			ask({
				type: "call.switch",
				to: group,
				how: "release",
				dev: first.dev,
				pasid: "none",
				undo: false,
			}),
		);
	}

	/**
	 * Carries a command out. Never throws for what the kernel would answer with an errno; RangeError for what is no command. After an Error in the
	 * middle of an operation, which is a defect of the model, every further command throws.
	 */
	decide(command: Command, tag?: SagaTag): Decision {
		const { op, args } = command;
		if (!isOpName(op))
			throw new RangeError(`unknown operation ${JSON.stringify(op)}`);
		if (typeof args !== "object" || args === null)
			throw new RangeError(`operation ${op} needs its arguments in an object`);
		if (this.#defect !== undefined)
			throw new Error("an operation before broke off in the middle", {
				cause: this.#defect,
			});
		const { ctx } = args as { readonly ctx?: CtxId };
		const data = { op, args: args as unknown as Json };
		const begin = tag === undefined ? data : { ...data, ...tag };
		return this.#operate(begin, ctx ?? "host", () =>
			carryOut(this.executor, command),
		);
	}

	/** Ends an operation whose first records stand in the log. Throws DriftError when deciding it gives other ones. */
	complete(known: readonly LogRecord[]): Decision {
		const { op, args, saga, undo } = (known[0] as LogRecord<"op.begin">).data;
		this.#known = [...known];
		try {
			const command = { op, args } as unknown as Command;
			if (op === "boot") return this.boot();
			return this.decide(command, tagOf(saga, undo));
		} finally {
			this.#known = [];
		}
	}
	/** Takes back the numbers behind `seq`: what was decided there is not written. */
	rewind(seq: number): void {
		this.#seq = seq;
	}
	/** Makes a record of the operation `op`. */
	add(op: number, one: Fact): readonly LogRecord[] {
		this.#op = op;
		this.#emit(one);
		this.#op = 0;
		return this.#take();
	}

	/** Makes a record that stands outside of operations. */
	note(one: Fact): readonly LogRecord[] {
		this.#emit(one);
		return this.#take();
	}
}
