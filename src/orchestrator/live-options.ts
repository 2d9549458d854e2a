/** What a system on a store is made from, what recovery found, and what can be wrong with both. */
import type { Violation } from "../invariants/verdicts.ts";
import type { SnapshotStore } from "../log/snapshots.ts";
import type { LogStore } from "../log/store.ts";
import type { Backend } from "./backend/backend.ts";
import type { CoreOptions } from "./core.ts";

/** How to open a system on a store. */
export interface LiveOptions extends CoreOptions {
	/** Its header is the machine: `openFileStore(path, { header: runHeader(topology) })`. The caller closes it, after `dispose`. */
	readonly store: LogStore;
	/** Executes what the model decides. Default: nobody, the model is all there is. The caller closes it. */
	readonly backend?: Backend;
	/** A log that breaks an invariant: refuse to start (default), or start all the same. */
	readonly onBroken?: "refuse" | "start";
	/** A log with an operation whose end nobody knows: refuse to start (default), or go on as if it had not happened. */
	readonly onUnknown?: "refuse" | "not-done";
	/** Where snapshots of this log are (`snapshotStore`, `takeSnapshot`): then only what was appended since the newest is folded. */
	readonly snapshots?: SnapshotStore;
	/** Judge every record (default). False saves the time; then `violations$` is empty and recovery only folds. */
	readonly judge?: boolean;
}

/** An operation that had begun and not ended when the log was opened, and what was done about it. */
export interface OpenOperation {
	/** The number of its op.begin. */
	readonly seq: number;
	readonly op: string;
	/**
	 * `completed`: the rest of its records was written; `recalled`: the backend said how it had ended; `executed`: the backend had never
	 * seen it and carried it out now; `unknown`: an op.unknown was written.
	 */
	readonly handled: "completed" | "recalled" | "executed" | "unknown";
}
/** What was found when the log was opened. */
export interface Recovery {
	/** Records of the log; 0 for a new one. */
	readonly records: number;
	/** The record up to which a snapshot gave the state: only later ones were folded. 0: all were. */
	readonly snapshot: number;
	readonly violations: readonly Violation[];
	readonly operation: OpenOperation | undefined;
	/** A saga that had not ended: `resumeSaga()` carries it on; until then other commands are refused. */
	readonly saga: { readonly seq: number; readonly name: string } | undefined;
}

/**
 * Why a system cannot start: `broken-invariant`; `unknown-end` (an operation ended unknown, see `onUnknown`); `drift` (the model decides the
 * rest of an open operation otherwise than the records before the crash); `not-a-run` (an imported log, or another kernel's);
 * `fault-injection` (failNth counts from the start of a run: it cannot be gone on with).
 */
export type RecoveryErrorCode =
	| "broken-invariant"
	| "unknown-end"
	| "drift"
	| "not-a-run"
	| "fault-injection";

/** A log cannot be gone on with. Nothing was written, but for an op.unknown where the message says so. */
export class RecoveryError extends Error {
	override readonly name = "RecoveryError";
	readonly code: RecoveryErrorCode;
	readonly violations: readonly Violation[];

	constructor(
		code: RecoveryErrorCode,
		message: string,
		violations: readonly Violation[] = [],
	) {
		super(message);
		this.code = code;
		this.violations = violations;
	}
}

/** Why a system takes no command: `disposed`, or `saga-open` (a saga is under way, or was when the log was opened). */
export type SystemErrorCode = "disposed" | "saga-open";
/** The system takes no command now. */
export class SystemError extends Error {
	override readonly name = "SystemError";
	readonly code: SystemErrorCode;
	constructor(code: SystemErrorCode, message: string) {
		super(message);
		this.code = code;
	}
}
