/**
 * The embedded library: a live system of actors on which commands are carried out, each written down step by step.
 *
 *     const system = createIommuSystem({ topology });
 *     const ctx = system.open();
 *     system.bind({ ctx, dev });
 *
 * Everything happens inside the call, in one order: same topology, switches and commands, same records. Systems share nothing.
 */
import { Observable, Subject } from "rxjs";
import type { InspectionEvent } from "xstate";
import type { AnyDefinition } from "../../machines/define.ts";
import { ask } from "../../machines/steps.ts";
import type { Json } from "../vocabulary/fields.ts";
import { u64, u64FromHex } from "../vocabulary/fields.ts";
import type {
	LogHeader,
	Topology,
	TopologyGroup,
} from "../vocabulary/header.ts";
import { FORMAT_VERSION, MODEL_VERSION } from "../vocabulary/header.ts";
import type { ActorId, CtxId } from "../vocabulary/ids.ts";
import type { Fact, LogRecord } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type { Command, CommandArgs, OpName } from "./commands.ts";
import { carryOut, isOpName } from "./commands.ts";
import { compiledEngine, type EngineName, xstateEngine } from "./engine.ts";
import { IommuError } from "./error.ts";
import { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";
import { transactionsOf } from "./flows.ts";
import { Outside } from "./outside.ts";
import { driverNamed } from "../drivers/personalities.ts";
import type { Flow, Switches } from "./switches.ts";
import { switchesFrom, switchesToJson } from "./switches.ts";

/** Takes the records of one finished operation. The log's stores have this shape. */
export interface RecordSink {
	append(records: readonly LogRecord[]): void;
}
/** What a system is made from. */
export interface SystemOptions {
	readonly topology: Topology;
	readonly flow?: Flow;
	/** Switches that differ from the default, by name (switches.ts). */
	readonly switches?: { readonly [name: string]: Json | undefined };
	/** Gets every operation's records when it ends; `system.records` has them in any case unless `keep` is false. */
	readonly store?: RecordSink;
	readonly keep?: boolean;
	/** Nanoseconds since the run began, called once a record; default: the record's number. */
	readonly clock?: () => number;
	readonly seed?: number;
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
/** How a command ended, for callers that do not want exceptions. */
export type CommandResult = Outcome & { readonly seq: number };

/** Makes the header of a run. */
export function runHeader(
	topology: Topology,
	switches: Switches,
	seed: number,
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
		switches: switchesToJson(switches),
	};
}

/** A live system. Made by `createIommuSystem`. */
export class IommuSystem {
	readonly header: LogHeader;
	readonly switches: Switches;
	readonly #executor: Executor;
	readonly #outside: Outside;
	readonly #options: SystemOptions;
	readonly #records: LogRecord[] = [];
	readonly #live = new Subject<LogRecord>();
	readonly #changed = new Subject<void>();
	#seq = 0;
	#op = 0;
	#pending: LogRecord[] = [];

	constructor(options: SystemOptions) {
		const { topology, flow, seed = 0 } = options;
		this.#options = options;
		this.switches = switchesFrom({
			...options.switches,
			...(flow === undefined ? {} : { flow }),
		});
		this.header = runHeader(topology, this.switches, seed);
		this.#outside = new Outside(topology, this.switches);
		const name = options.engine ?? (options.inspect ? "xstate" : "mixed");
		const tables = compiledEngine();
		const actors = name === "compiled" ? tables : xstateEngine(options.inspect);
		this.#executor = new Executor({
			engine: name === "compiled" ? tables : actors,
			txEngine: name === "xstate" ? actors : tables,
			transactions: transactionsOf(this.switches.flow),
			outside: this.#outside,
			emit: (one) => this.#emit(one),
			...(options.definition === undefined
				? {}
				: { definition: options.definition }),
		});
		this.#boot(topology);
	}

	/** Every record so far, oldest first. */
	get records(): readonly LogRecord[] {
		return this.#records;
	}
	/** Records as they are written, from the subscription on. */
	get records$(): Observable<LogRecord> {
		return this.#live.asObservable();
	}
	/** The actors after each operation, beginning with how they are now. */
	get snapshot$(): Observable<readonly ActorSnapshot[]> {
		return new Observable((subscriber) => {
			subscriber.next(this.snapshot());
			return this.#changed.subscribe(() => subscriber.next(this.snapshot()));
		});
	}
	/** Every actor's state and context, transactions included. */
	snapshot(): readonly ActorSnapshot[] {
		const all = [
			...this.#executor.actors,
			...this.#executor.transactionStates(),
		];
		return all.map(([id, { state, context }]) => ({ id, state, context }));
	}
	/** How many failable steps the run has had; `failNth` beyond it changes nothing. */
	get failableSteps(): number {
		return this.#outside.failableSteps;
	}

	#emit(one: Fact): void {
		const seq = ++this.#seq;
		const t = this.#options.clock?.() ?? seq;
		const record = {
			seq,
			t,
			type: one.type,
			actor: one.actor,
			op: this.#op,
			data: one.data,
		} as LogRecord;
		this.#pending.push(record);
		if (this.#options.keep !== false) this.#records.push(record);
		if (this.#live.observed) this.#live.next(record);
	}

	/** Runs one operation: op.begin, its steps, op.commit or op.fail, then the store. */
	#operate(
		op: string,
		args: Json,
		actor: ActorId,
		body: () => Outcome,
	): CommandResult {
		this.#op = this.#seq + 1;
		const seq = this.#op;
		this.#outside.op = op;
		this.#emit(fact("op.begin", actor, { op, args }));
		const outcome = body();
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
		this.#options.store?.append(this.#pending);
		this.#pending = [];
		this.#changed.next();
		return { ...outcome, seq };
	}

	#boot(topology: Topology): void {
		this.#operate("boot", {}, "host", () => {
			for (const group of topology.groups) this.#bootGroup(group);
			this.#executor.actors.get("host")!.send({ type: "host.booted" });
			return { ok: true } as Outcome;
		});
	}

	/** First probe of a group: its default domain is made and attached (facts §4.1). */
	#bootGroup({ group, members, driver }: TopologyGroup): void {
		const x = this.#executor;
		const ops = driverNamed(driver);
		x.spawnGroup(
			{
				group,
				members: members.map(({ dev, resv }) => ({
					dev,
					requireDirect: resv.some(({ kind }) => kind === "direct"),
				})),
				kernelDrivers: members.filter((m) => m.kernelDriver !== undefined)
					.length,
			},
			(dev) => ops.enforcesCoherency(this.#outside.device(dev).dev),
		);
		const dom = this.#outside.nextDomain;
		const kind = ops.sharedBlocking ? "blocked" : "dma";
		x.perform(ask("dom.create", dom, { kind }));
		x.tell(ask("grp.default.set", group, { dom }));
		if (ops.sharedBlocking) x.tell(ask("grp.blocking.set", group, { dom }));
		const first = members[0];
		if (first === undefined) return;
		x.perform(
			ask("call.switch", group, {
				how: "release",
				dev: first.dev,
				pasid: "none",
				undo: false,
			}),
		);
	}

	/** Carries a command out. Never throws for what the kernel would answer with an errno. */
	dispatch(command: Command): CommandResult {
		if (!isOpName(command.op))
			throw new RangeError(`unknown operation ${JSON.stringify(command.op)}`);
		const { ctx } = command.args as { readonly ctx?: CtxId };
		return this.#operate(
			command.op,
			command.args as unknown as Json,
			ctx ?? "host",
			() => carryOut(this.#executor, command),
		);
	}

	/**
	 * Carries any command out and returns its result's fields (the commands-*.ts list operations and arguments).
	 * Throws IommuError with the kernel's errno.
	 */
	call<O extends OpName>(
		op: O,
		args: CommandArgs[O],
	): { readonly [name: string]: Json } {
		const result = this.dispatch({ op, args } as unknown as Command);
		if (!result.ok)
			throw new IommuError(result.errno, result.step, op, result.seq);
		return (result as { value?: { [name: string]: Json } }).value ?? {};
	}

	/** Opens an iommufd context. */
	open(): CtxId {
		return this.call("open", {})["ctx"] as CtxId;
	}
	/** Closes a context. Throws IommuError EBUSY while devices are bound: they hold the file. */
	close(args: CommandArgs["close"]): void {
		this.call("close", args);
	}
	/** Binds a device; returns its object id. Throws IommuError (facts §2.1). */
	bind(args: CommandArgs["bind"]): number {
		return this.call("bind", args)["idev"] as number;
	}
	/** Unbinds a detached device. Throws IommuError EBUSY while it is attached. */
	unbind(args: CommandArgs["unbind"]): void {
		this.call("unbind", args);
	}
	/** Makes an IOAS; returns its id. */
	ioasAlloc(args: CommandArgs["ioasAlloc"]): number {
		return this.call("ioasAlloc", args)["ioas"] as number;
	}
	/** Makes a hwpt on an IOAS for a device; returns its id. Throws IommuError (facts §2.9). */
	hwptAlloc(args: CommandArgs["hwptAlloc"]): number {
		return this.call("hwptAlloc", args)["hwpt"] as number;
	}
	/** Maps user memory; returns the IOVA in bytes. Throws IommuError (facts §2.4). */
	map(args: CommandArgs["map"]): number | bigint {
		return u64(u64FromHex(this.call("map", args)["iova"] as string)!);
	}
	/** Unmaps whole areas; returns how many bytes went. Throws IommuError (facts §2.6); areas before the failing one stay unmapped. */
	unmap(args: CommandArgs["unmap"]): number | bigint {
		return u64(u64FromHex(this.call("unmap", args)["bytes"] as string)!);
	}
	/** Attaches a device to a hwpt or IOAS, or replaces; returns the hwpt's id. Throws IommuError (facts §2.11). */
	attach(args: CommandArgs["attach"]): number {
		return this.call("attach", args)["hwpt"] as number;
	}
	/** Replaces what an attached device is attached to; returns the hwpt's id. Throws IommuError (facts §2.12). */
	replace(args: CommandArgs["replace"]): number {
		return this.call("replace", args)["hwpt"] as number;
	}
	/** Detaches a device. Cannot fail; of a device that is not attached it does nothing. */
	detach(args: CommandArgs["detach"]): void {
		this.call("detach", args);
	}
	/** Destroys an object. Throws IommuError EBUSY or ENOENT (facts §1.4). */
	destroy(args: CommandArgs["destroy"]): void {
		this.call("destroy", args);
	}
}

/** Makes a system and boots it: groups get their default domains. Throws RangeError for unknown switches or drivers. */
export const createIommuSystem = (options: SystemOptions): IommuSystem =>
	new IommuSystem(options);
