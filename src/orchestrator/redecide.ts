/**
 * Decides a run again: the commands of its log, under the switches of its header, must give the same records. A difference under the same
 * model version is a defect (or a tampered log); under another version it is drift (DESIGN §2).
 */
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Command } from "./commands.ts";
import { isOpName } from "./commands.ts";
import { Core, tagOf } from "./core.ts";
import type { EngineName } from "./engine.ts";
import { sameJson } from "./same-json.ts";
import { foldRecord, newFold } from "./recover/fold-store.ts";
import { stateFromFold } from "./recover/state-from-fold.ts";

/**
 * Runs the commands of a run log again and returns the records that come of it. Inputs are taken from the log: the commands, the times, what
 * user space noted (sagas), what only a backend could know. Throws RangeError for a log that is not a run (imported logs hold no commands),
 * and for a command this version does not know.
 */
export function redecide(
	header: LogHeader,
	records: Iterable<LogRecord>,
	engine: EngineName = "compiled",
): readonly LogRecord[] {
	if (header.origin !== "run")
		throw new RangeError(
			`only a run can be decided again; this log's origin is ${header.origin}`,
		);
	const log = Array.isArray(records)
		? (records as readonly LogRecord[])
		: [...records];
	return new Again(header, log, engine).run();
}

class Again {
	readonly #log: readonly LogRecord[];
	readonly #decided: LogRecord[] = [];
	readonly #make: () => Core;
	#core: Core;

	constructor(
		header: LogHeader,
		log: readonly LogRecord[],
		engine: EngineName,
	) {
		this.#log = log;
		const clock = (seq: number): number => log[seq - 1]?.t ?? seq;
		this.#make = () => new Core(header, { engine, clock });
		this.#core = this.#make();
	}

	run(): readonly LogRecord[] {
		this.#decided.push(...this.#core.boot().records);
		// What was not begun by the record that stands here was decided already, or differs: then the comparison says so.
		for (const record of this.#log)
			if (record.seq > this.#decided.length) this.#next(record);
		return this.#decided;
	}

	#next(record: LogRecord): void {
		if (record.type === "op.begin") this.#operation(record);
		else if (record.op === 0 && record.type.startsWith("saga."))
			this.#decided.push(...this.#core.note(record));
	}

	#operation({ seq, data }: LogRecord<"op.begin">): void {
		const { op, args, saga, undo } = data;
		if (!isOpName(op))
			throw new RangeError(
				`record ${seq}: unknown operation ${JSON.stringify(op)}`,
			);
		const end = this.#endOf(seq);
		if (end?.type === "op.unknown") return this.#unknown(seq, end.seq);
		const command = { op, args } as unknown as Command;
		const decided = this.#core.decide(command, tagOf(saga, undo)).records;
		const last = decided.at(-1)!;
		const told =
			last.type === "op.commit" &&
			end?.type === "op.commit" &&
			end.data.told === true;
		this.#decided.push(...decided.slice(0, -1));
		this.#decided.push(
			told ? ({ ...last, data: end.data } as LogRecord) : last,
		);
	}
	#endOf(op: number): LogRecord | undefined {
		for (let i = op; i < this.#log.length; i++) {
			const record = this.#log[i]!;
			if (record.op !== op) return undefined;
			if (record.type.startsWith("op.")) return record;
		}
		return undefined;
	}

	/** What became of it nobody knows, so nobody can decide it: its records are taken as they stand, and the run goes on from them. */
	#unknown(from: number, to: number): void {
		this.#decided.push(...this.#log.slice(from - 1, to));
		const folded = newFold(this.#core);
		for (const record of this.#decided) foldRecord(folded, record);
		this.#core = this.#make();
		this.#core.resume(stateFromFold(folded.judge.world, folded.notes), to);
	}
}

/** Index of the first record in which two lists differ (the shorter one's end counts), or -1 when they are the same. */
export function firstDifference(
	a: readonly LogRecord[],
	b: readonly LogRecord[],
): number {
	const n = Math.max(a.length, b.length);
	for (let i = 0; i < n; i++) if (!sameJson(a[i], b[i])) return i;
	return -1;
}
