/**
 * `createIommuSystem`: in memory, where every call answers at once; or on a store (and with a backend), where a call answers when what it did
 * is in the log.
 */
import type { Observable } from "rxjs";
import type { Violation } from "../invariants/verdicts.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Command, CommandArgs, OpName } from "./commands.ts";
import type { ActorSnapshot } from "./core.ts";
import { LiveCore } from "./live.ts";
import type { LiveOptions, Recovery } from "./live-options.ts";
import { openLive } from "./open.ts";
import type { OpenSaga } from "./recover/fold-store.ts";
import type { AsyncOperations, CommandResults } from "./results.ts";
import { OP_NAMES } from "./results.ts";
import type { SagaArgs } from "./saga/plans.ts";
import { resumeSaga, type Saga, type SagaEnd, sagaOf } from "./saga/saga.ts";
import type { CommandResult, IommuSystem, SystemOptions } from "./system.ts";
import { memorySystem } from "./system.ts";

/** A system on a store, without its operations as methods. */
class StoredSystem {
	readonly #live: LiveCore;
	/** What was found when the log was opened, and what was done about it. */
	readonly recovery: Recovery;
	#saga: OpenSaga | undefined;

	constructor(live: LiveCore, saga: OpenSaga | undefined) {
		this.#live = live;
		this.#saga = saga;
		this.recovery = live.recovery;
	}

	/** The header of the store: the machine and the switches. */
	get header(): LogHeader {
		return this.#live.header;
	}
	/**
	 * Records as they become durable, from the subscription on. A subscriber runs inside the delivery, so a slow one holds up the answers of
	 * commands; nothing is buffered and nothing is dropped. A consumer with a pace of its own reads the store: `store.read(from, { follow })`.
	 */
	get records$(): Observable<LogRecord> {
		return this.#live.records$;
	}
	/** The actors after each batch of records, beginning with how they are now. Each costs a walk over all actors. */
	get snapshot$(): Observable<readonly ActorSnapshot[]> {
		return this.#live.snapshot$;
	}
	/** Broken invariants, errors and warnings: those found so far, then those that durable records break. Empty with `judge: false`. */
	get violations$(): Observable<Violation> {
		return this.#live.violations$;
	}
	/** Every actor's state and context, transactions included. */
	snapshot(): readonly ActorSnapshot[] {
		return this.#live.snapshot();
	}

	/** Carries a command out; resolves when its records are durable, also for an errno. Rejects with LogError, BackendError, SystemError. */
	dispatch(command: Command): Promise<CommandResult> {
		return this.#live.dispatch(command);
	}
	/** Carries a command out and gives its result. Rejects with IommuError for an errno, and as `dispatch` does. */
	call<O extends OpName>(
		op: O,
		args: CommandArgs[O],
	): Promise<CommandResults[O]> {
		return this.#live.call(op, args);
	}

	/** Saga: every attached device of an iommu_group to another hwpt or IOAS. */
	moveGroup(args: SagaArgs["moveGroup"]): Saga {
		return sagaOf(this.#live, "moveGroup", args);
	}
	/** Saga: every device that is attached through one IOAS to another one. */
	moveAll(args: SagaArgs["moveAll"]): Saga {
		return sagaOf(this.#live, "moveAll", args);
	}
	/** Saga: a device out of user space's hands, with its whole group. */
	evacuate(args: SagaArgs["evacuate"]): Saga {
		return sagaOf(this.#live, "evacuate", args);
	}
	/** Carries on the saga that `recovery.saga` names; undefined when there is none. Rejects as `run` does. */
	async resumeSaga(): Promise<SagaEnd | undefined> {
		const open = this.#saga;
		this.#saga = undefined;
		return open === undefined ? undefined : resumeSaga(this.#live, open);
	}

	/** Takes no more commands, waits for those under way and ends every subscription. Store and backend stay the caller's. */
	dispose(): Promise<void> {
		return this.#live.dispose();
	}
}

for (const op of OP_NAMES)
	Object.defineProperty(StoredSystem.prototype, op, {
		value(this: StoredSystem, args: object = {}) {
			return this.call(op, args as never);
		},
	});

/** A live system on a store: `createIommuSystem({ store })` opens it. Every operation is a method that answers with a promise. */
export type LiveSystem = StoredSystem & AsyncOperations;

/**
 * Makes a system. In memory: `createIommuSystem({ topology })`, booted at once; throws RangeError for unknown switches or drivers. On a store:
 * `await createIommuSystem({ store })`, booted or recovered; rejects with RecoveryError, LogError, BackendError.
 *
 * @example
 * ```ts
 * import { createIommuSystem, RUN_SCENARIOS } from "iommu-ledger";
 *
 * const system = createIommuSystem({ topology: RUN_SCENARIOS[0]!.topology });
 * const ctx = system.open();
 * console.log(system.ioasAlloc({ ctx })); // 1
 * ```
 */
export function createIommuSystem(options: SystemOptions): IommuSystem;
export function createIommuSystem(options: LiveOptions): Promise<LiveSystem>;
export function createIommuSystem(
	options: SystemOptions | LiveOptions,
): IommuSystem | Promise<LiveSystem> {
	return "store" in options ? stored(options) : memorySystem(options);
}

async function stored(options: LiveOptions): Promise<LiveSystem> {
	const { live, folded } = await openLive(options);
	return new StoredSystem(live, folded.saga) as LiveSystem;
}
