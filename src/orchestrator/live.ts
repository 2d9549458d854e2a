/**
 * A system on a store: commands answer when their records are durable. The model decides at once, in the order of the calls; with a backend
 * the intent is written first (op.begin), then the backend executes, then the rest is written, one command after the other.
 */
import { Observable, Subject } from "rxjs";
import type { Judge } from "../invariants/judge.ts";
import type { Violation } from "../invariants/verdicts.ts";
import type { Json } from "../vocabulary/fields.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { Fact, LogRecord } from "../vocabulary/records.ts";
import { fact } from "../vocabulary/records.ts";
import type {
	Backend,
	BackendAnswer,
	BackendRequest,
} from "./backend/backend.ts";
import { agrees, BackendError } from "./backend/backend.ts";
import { booksOf } from "./backend/books.ts";
import { expectedAnswer, requestOf, toldResult } from "./backend/calls.ts";
import type { Command, CommandArgs, OpName } from "./commands.ts";
import type { ActorSnapshot, Core, Decision, SagaTag } from "./core.ts";
import { IommuError } from "./error.ts";
import type { Executor } from "./executor.ts";
import type { Outcome } from "./executor-parts.ts";
import { LiveLog } from "./live-log.ts";
import type { Recovery } from "./live-options.ts";
import { SystemError } from "./live-options.ts";
import type { CommandResults } from "./results.ts";
import { resultOf } from "./results.ts";
import type { SystemState } from "./state.ts";
import type { LogStore } from "../log/store.ts";
import type { CommandResult } from "./system.ts";

/** What a live system is put together from (open.ts). */
export interface LiveParts {
	readonly core: Core;
	readonly store: LogStore;
	readonly backend: Backend | undefined;
	/** A judge that has seen everything before; undefined: nothing is judged. */
	readonly judge: Judge | undefined;
}

/** How a command ended, with the records that became durable. */
interface Settled {
	readonly outcome: Outcome;
	readonly seq: number;
}

/** A system on a store, without its operations as methods (open.ts adds them). */
export class LiveCore {
	readonly header: LogHeader;
	readonly #core: Core;
	readonly #backend: Backend | undefined;
	readonly #judge: Judge | undefined;
	readonly #log: LiveLog;
	readonly #live = new Subject<LogRecord>();
	readonly #changed = new Subject<void>();
	readonly #found = new Subject<Violation>();
	#turn: Promise<unknown> = Promise.resolve();
	#disposed = false;
	/** A saga that may command; everybody else waits until it has ended. */
	#sagaOpen = false;
	recovery!: Recovery;

	constructor({ core, store, backend, judge }: LiveParts) {
		this.header = core.header;
		this.#core = core;
		this.#backend = backend;
		this.#judge = judge;
		if (judge !== undefined)
			judge.verdicts.onViolation = (violation, what) => {
				if (what === "found") this.#found.next(violation);
			};
		this.#log = new LiveLog(store, (records) => this.#written(records));
	}

	#written(records: readonly LogRecord[]): void {
		for (const record of records) {
			this.#judge?.next(record);
			this.#live.next(record);
		}
		this.#changed.next();
	}

	/**
	 * Records as they become durable, from the subscription on. A subscriber runs inside the delivery, so a slow one holds up the answers of
	 * commands; nothing is buffered and nothing is dropped. For a consumer with a pace of its own read the store: `store.read(from, { follow })`.
	 */
	get records$(): Observable<LogRecord> {
		return this.#live.asObservable();
	}
	/** The actors after each batch of records, beginning with how they are now. Putting one together costs a walk over all actors. */
	get snapshot$(): Observable<readonly ActorSnapshot[]> {
		return new Observable((subscriber) => {
			subscriber.next(this.snapshot());
			return this.#changed.subscribe({
				next: () => subscriber.next(this.snapshot()),
				complete: () => subscriber.complete(),
			});
		});
	}
	/** Broken invariants (errors and warnings) found so far, then those that durable records will break. Empty with `judge: false`. */
	get violations$(): Observable<Violation> {
		return new Observable((subscriber) => {
			const { violations = [], warnings = [] } = this.#judge?.verdicts ?? {};
			for (const one of [...violations, ...warnings].toSorted(
				(a, b) => a.seq - b.seq,
			))
				subscriber.next(one);
			return this.#found.subscribe(subscriber);
		});
	}
	/** Every actor's state and context, transactions included. */
	snapshot(): readonly ActorSnapshot[] {
		return this.#core.snapshot();
	}
	/** Everything the system is made of, as plain data: for plans. */
	get state(): SystemState {
		return this.#core.state;
	}
	/** The number of the last record that was decided. */
	get seq(): number {
		return this.#core.seq;
	}
	/** The live actors, for sagas: they read the books. */
	get executor(): Executor {
		return this.#core.executor;
	}
	/** The judge, for plans; undefined with `judge: false`. */
	get judge(): Judge | undefined {
		return this.#judge;
	}

	#admit(tag: SagaTag | undefined): void {
		if (this.#disposed)
			throw new SystemError("disposed", "the system was disposed of");
		if (this.#log.broken !== undefined) throw this.#log.broken;
		if (this.#sagaOpen && tag === undefined)
			throw new SystemError(
				"saga-open",
				"a saga is under way: wait for it, or resumeSaga() after a restart",
			);
	}

	/** Carries a command out; resolves when its records are durable. Rejects with LogError, BackendError, SystemError. */
	async dispatch(command: Command): Promise<CommandResult> {
		return this.perform(command, undefined);
	}
	/** The same, for a saga's own commands. */
	async perform(
		command: Command,
		tag: SagaTag | undefined,
	): Promise<CommandResult> {
		this.#admit(tag);
		const { outcome, seq } =
			this.#backend === undefined
				? await this.#decided(this.#core.decide(command, tag))
				: await this.#inTurn(() => this.#executed(command, tag));
		return { ...outcome, seq };
	}
	/** Carries a command out and gives its result. Rejects with IommuError and the kernel's errno, and as `dispatch` does. */
	async call<O extends OpName>(
		op: O,
		args: CommandArgs[O],
	): Promise<CommandResults[O]> {
		const result = await this.dispatch({ op, args } as unknown as Command);
		if (!result.ok)
			throw new IommuError(result.errno, result.step, op, result.seq);
		return resultOf(op, (result as { value?: Json }).value);
	}

	async #decided(decision: Decision): Promise<Settled> {
		await this.#log.append(decision.records);
		return decision;
	}
	async #inTurn<T>(body: () => Promise<T>): Promise<T> {
		const before = this.#turn;
		const mine = (async () => {
			await before;
			if (this.#log.broken !== undefined) throw this.#log.broken;
			return body();
		})();
		this.#turn = mine.catch(() => {});
		return mine;
	}

	/** Intent, execution, outcome. */
	async #executed(
		command: Command,
		tag: SagaTag | undefined,
	): Promise<Settled> {
		const books = booksOf(this.#core.executor);
		const decision = this.#core.decide(command, tag);
		const request = requestOf(command, decision.seq, books, decision.outcome);
		if (request === undefined) return this.#decided(decision);
		await this.#log.append(decision.records.slice(0, 1));
		return this.settle(request, command.op, decision, () =>
			this.#backend!.execute(request),
		);
	}

	/** Writes the rest of a decision whose op.begin is in the log, once the backend has answered as decided. */
	async settle(
		request: BackendRequest,
		op: OpName,
		decision: Decision,
		ask: () => Promise<BackendAnswer>,
	): Promise<Settled> {
		const { seq, outcome, records } = decision;
		const rest = records.filter((record) => record.seq > seq);
		const expected = expectedAnswer(op, outcome);
		let answer;
		try {
			answer = await ask();
		} catch (error) {
			if (!(error instanceof BackendError)) throw error;
			await this.#endUnknown(seq, error.code, error.message);
			this.#log.broken = error;
			throw error;
		}
		if (!agrees(expected, answer)) {
			const error = new BackendError(
				"divergence",
				`${request.call} (operation ${seq}): the model decided ${said(expected)}, the backend answered ${said(answer)}`,
				{ request, expected, actual: answer },
			);
			await this.#endUnknown(seq, "divergence", error.message, {
				call: request.call,
				expected: expected as unknown as Json,
				actual: answer as unknown as Json,
			});
			this.#log.broken = error;
			throw error;
		}
		const told = toldResult(op, answer);
		if (told === undefined) {
			await this.#log.append(rest);
			return { outcome, seq };
		}
		const commit = rest.at(-1) as LogRecord<"op.commit">;
		const data = { ...commit.data, result: told, told: true };
		await this.#log.append([...rest.slice(0, -1), { ...commit, data }]);
		return { outcome: { ...outcome, value: told } as Outcome, seq };
	}

	/** What the operation did is not known: what the model decided of it is not written. */
	async #endUnknown(
		op: number,
		code: string,
		why: string,
		divergence?: Fact<"divergence">["data"],
	): Promise<void> {
		this.#core.rewind(op);
		const found =
			divergence === undefined
				? []
				: this.#core.add(op, fact("divergence", "host", divergence));
		const end = this.#core.add(op, fact("op.unknown", "host", { code, why }));
		await this.#log.append([...found, ...end]);
	}

	/** Writes records of an operation that was completed, or that ended unknown, at recovery. */
	async append(records: readonly LogRecord[]): Promise<void> {
		await this.#log.append(records);
	}
	/** Writes a record outside of operations: sagas tell of themselves. */
	async note(one: Fact): Promise<number> {
		return this.#inTurn(async () => {
			const records = this.#core.note(one);
			await this.#log.append(records);
			return records[0]!.seq;
		});
	}

	/** Waits until everything that was decided is durable. */
	async idle(): Promise<void> {
		await this.#turn;
		await this.#log.idle();
	}
	/** Only a saga commands from here on. Throws SystemError when one does already. */
	beginSaga(): void {
		this.#admit(undefined);
		this.#sagaOpen = true;
	}
	/** The saga has ended. */
	endSaga(): void {
		this.#sagaOpen = false;
	}

	/** Takes no more commands, waits for those under way and ends every subscription. Store and backend stay the caller's. */
	async dispose(): Promise<void> {
		this.#disposed = true;
		await this.#turn;
		await this.#log.idle();
		this.#live.complete();
		this.#changed.complete();
		this.#found.complete();
	}
}

const said = ({
	ret,
	errname,
	out,
}: {
	readonly ret: number;
	readonly errname: string;
	readonly out: object;
}): string => (ret < 0 ? errname : `success ${JSON.stringify(out)}`);
