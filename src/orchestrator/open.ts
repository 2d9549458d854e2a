/**
 * Opens a system on a store. A new log is booted; an old one is folded and judged, never decided again, and gone on with. What had begun and
 * not ended is completed: the model's part by deciding the rest of that one operation, the backend's part by asking it.
 */
import type { LogStore } from "../log/store.ts";
import type { TimedFact } from "../log/write.ts";
import { fact } from "../vocabulary/records.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Backend, Recalled } from "./backend/backend.ts";
import { BackendError } from "./backend/backend.ts";
import { booksOf } from "./backend/books.ts";
import { requestOf } from "./backend/calls.ts";
import { Core, type Decision, DriftError } from "./core.ts";
import { LiveCore } from "./live.ts";
import type { LiveOptions, OpenOperation, Recovery } from "./live-options.ts";
import { RecoveryError } from "./live-options.ts";
import { commandOf, type Folded } from "./recover/fold-store.ts";
import { foldFromSnapshot } from "./recover/fold-snapshot.ts";
import { stateFromFold } from "./recover/state-from-fold.ts";

interface Opened {
	readonly live: LiveCore;
	readonly folded: Folded;
}

/** Throws RecoveryError for a log that no system can go on with. */
function checkHeader({ header }: LogStore): void {
	if (header.origin !== "run")
		throw new RecoveryError(
			"not-a-run",
			`only a run can be gone on with; this log's origin is ${header.origin}`,
		);
	const { failNth = 0 } = header.switches;
	if (failNth !== 0)
		throw new RecoveryError(
			"fault-injection",
			`failNth is ${JSON.stringify(failNth)}: it counts the steps of a whole run, which a system on a store may outlive; inject faults with refuse rules`,
		);
}

function checkFold(
	{ judge, unknown }: Folded,
	{ onBroken, onUnknown }: LiveOptions,
): void {
	const { violations } = judge.verdicts;
	const [first] = violations;
	if (first !== undefined && onBroken !== "start")
		throw new RecoveryError(
			"broken-invariant",
			`the log breaks ${violations.length === 1 ? "" : `${violations.length} times an invariant, first `}${first.id} at record ${first.seq}: ${first.message}. Read it with "iommu-ledger verify"; onBroken: "start" goes on all the same`,
			violations,
		);
	if (unknown.length > 0 && onUnknown !== "not-done")
		throw new RecoveryError(
			"unknown-end",
			`nobody knows how operation ${unknown[0]} ended, so nobody knows the state of the backend. Make sure of it; onUnknown: "not-done" goes on as if it had not happened`,
		);
}

/** The log's times never go back, whatever the clock does and also not over a restart. */
function forwardClock(after: number, { clock }: LiveOptions) {
	let last = after;
	return (seq: number): number => (last = Math.max(last, clock?.(seq) ?? seq));
}

/** A core at the end of what is folded. */
function coreAt(folded: Folded, store: LogStore, options: LiveOptions): Core {
	const clock = forwardClock(folded.t, options);
	const core = new Core(store.header, { ...options, clock });
	// A log that ends within its boot has nothing to go on from but its header.
	if (folded.seq > 0)
		core.resume(stateFromFold(folded.judge.world, folded.notes), folded.seq);
	return core;
}

/** Opens the system; its recovery is filled in. */
export async function openLive(options: LiveOptions): Promise<Opened> {
	const { store, backend, judge } = options;
	checkHeader(store);
	const { folded, from } = await foldFromSnapshot(store, options.snapshots);
	const records = folded.seq + folded.open.length;
	checkFold(folded, options);
	const core = coreAt(folded, store, options);
	const live = new LiveCore({
		core,
		store,
		backend,
		judge: judge === false ? undefined : folded.judge,
	});
	try {
		if (records === 0) await live.append(core.boot().records);
		const operation = await finishOperation(live, core, folded, options);
		live.recovery = recoveryOf(records, from, folded, operation);
	} catch (error) {
		if (options.onUnknown !== "not-done" || !endsUnknown(error)) throw error;
		// The operation has its op.unknown now: go on behind it.
		if (error instanceof RecoveryError)
			await endDrifted(folded, store, options, error.message);
		return openLive(options);
	}
	if (folded.saga !== undefined) live.beginSaga();
	return { live, folded };
}

/** Errors behind which a system may go on when it is told to: the end of the open operation is unknown. */
const endsUnknown = (error: unknown): boolean =>
	error instanceof RecoveryError
		? error.code === "drift"
		: error instanceof BackendError && error.code !== "divergence";

/** The open operation is decided otherwise now: it ends unknown, with the records it has. */
async function endDrifted(
	folded: Folded,
	store: LogStore,
	options: LiveOptions,
	why: string,
): Promise<void> {
	const core = coreAt(folded, store, options);
	core.rewind(folded.seq + folded.open.length);
	const end = fact("op.unknown", "host", { code: "drift", why });
	const records = core.add(folded.open[0]!.seq, end);
	await store.append(records as readonly TimedFact[]);
}

const recoveryOf = (
	records: number,
	snapshot: number,
	{ judge, saga }: Folded,
	operation: OpenOperation | undefined,
): Recovery => ({
	records,
	snapshot,
	violations: [...judge.verdicts.violations],
	operation,
	saga: saga && { seq: saga.seq, name: saga.saga },
});

/** The open operation, decided to its end. Throws RecoveryError `drift`. */
function completed(core: Core, open: readonly LogRecord[]): Decision {
	try {
		return core.complete(open);
	} catch (error) {
		if (!(error instanceof DriftError || error instanceof RangeError))
			throw error;
		throw new RecoveryError(
			"drift",
			`the log ends within operation ${open[0]!.seq}, and this version does not decide it as the log does: ${error.message}. Go on with the version that wrote the log; onUnknown: "not-done" ends the operation as unknown`,
		);
	}
}

/** What the model decided of the operation goes into the log; the backend is asked first where it has not been. */
async function finishOperation(
	live: LiveCore,
	core: Core,
	folded: Folded,
	{ backend }: LiveOptions,
): Promise<OpenOperation | undefined> {
	const { open, judge } = folded;
	if (open.length === 0) return undefined;
	const begin = open[0] as LogRecord<"op.begin">;
	const { seq, data } = begin;
	const command = commandOf(begin);
	const books = booksOf(core.executor);
	const decision = completed(core, open);
	const request = backend && requestOf(command, seq, books, decision.outcome);
	// The judge has not seen the first records; those to come reach it when they are durable.
	for (const record of open) judge.next(record);
	let handled: OpenOperation["handled"] = "completed";
	// Steps are written only after the backend has agreed.
	if (request !== undefined && open.length === 1) {
		handled = "recalled";
		await live.settle(request, command.op, decision, async () => {
			const known = await recalled(backend!, seq);
			if (known !== "never") return known;
			handled = "executed";
			return backend!.execute(request);
		});
	} else await live.append(decision.records);
	noteOutcome(folded, decision);
	return { seq, op: data.op, handled };
}

/** A saga's position moves with the end of its command. */
function noteOutcome({ open, saga }: Folded, { outcome }: Decision): void {
	const { data } = open[0] as LogRecord<"op.begin">;
	if (saga !== undefined && data.saga === saga.seq)
		saga.outcomes.push({
			undo: data.undo === true,
			errno: outcome.ok ? undefined : outcome.errno,
			command: commandOf(open[0] as LogRecord<"op.begin">),
		});
}

/** What became of a request. Rejects with BackendError when the backend cannot say. */
async function recalled(backend: Backend, id: number): Promise<Recalled> {
	if (backend.recall !== undefined) return backend.recall(id);
	throw new BackendError(
		"closed",
		`operation ${id} was begun before the crash, and ${backend.name} cannot say what became of it`,
	);
}
