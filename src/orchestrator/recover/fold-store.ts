/**
 * Reads a log as recovery needs it: folded and judged up to the last whole operation. An operation that was begun and has no end is kept
 * apart, and so is a saga that was begun and has no end.
 */
import { createJudge, type Judge } from "../../invariants/judge.ts";
import type { LogStore } from "../../log/store.ts";
import type { Json } from "../../vocabulary/fields.ts";
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Command } from "../commands.ts";
import type { LogRecord } from "../../vocabulary/records.ts";
import { noteRecord } from "./notes.ts";
import { newNotes, type Notes } from "./notes-state.ts";

/** How one command of a saga ended. */
export interface SagaOutcome {
	readonly undo: boolean;
	/** undefined: it went well. */
	readonly errno: ErrnoName | undefined;
	readonly command: Command;
}
/** A saga that has not ended. */
export interface OpenSaga {
	/** The number of its saga.begun. */
	readonly seq: number;
	readonly saga: string;
	readonly args: Json;
	readonly plan: Json;
	/** Its commands so far. */
	readonly outcomes: SagaOutcome[];
	/** saga.turned stands in the log. */
	turned: boolean;
}
/** A log, folded. */
export interface Folded {
	readonly judge: Judge;
	readonly notes: Notes;
	/** The last record that is folded. */
	seq: number;
	/** Time of the last record. */
	t: number;
	/** Records of an operation without an end, its op.begin first. */
	open: LogRecord[];
	saga: OpenSaga | undefined;
	/** Operations that ended unknown, by number. */
	readonly unknown: number[];
}

const ENDS: ReadonlySet<string> = new Set([
	"op.commit",
	"op.fail",
	"op.unknown",
]);

/** Nothing read yet. */
export const newFold = (store: Pick<LogStore, "header">): Folded => ({
	judge: createJudge(store.header),
	notes: newNotes(store.header),
	seq: 0,
	t: 0,
	open: [],
	saga: undefined,
	unknown: [],
});

function foldIn(folded: Folded, record: LogRecord): void {
	folded.judge.next(record);
	noteRecord(folded.notes, record);
	folded.seq = record.seq;
}

/** The command that an operation carries out. */
export const commandOf = ({ data }: LogRecord<"op.begin">): Command =>
	({ op: data.op, args: data.args }) as unknown as Command;

/** Adds one record. */
export function foldRecord(folded: Folded, record: LogRecord): void {
	folded.t = record.t;
	if (record.type === "op.begin" || folded.open.length > 0) {
		folded.open.push(record);
		if (ENDS.has(record.type)) closeOperation(folded);
		return;
	}
	followSaga(folded, record);
	foldIn(folded, record);
}

/** Folds the operation that is open, whether or not it has an end. */
export function closeOperation(folded: Folded): void {
	const { open, saga } = folded;
	const [begin] = open as [LogRecord<"op.begin">];
	const end = open.at(-1)!;
	for (const record of open) foldIn(folded, record);
	folded.open = [];
	if (end.type === "op.unknown") folded.unknown.push(begin.seq);
	if (saga !== undefined && begin.data.saga === saga.seq)
		saga.outcomes.push({
			undo: begin.data.undo === true,
			errno: end.type === "op.fail" ? end.data.errno : undefined,
			command: commandOf(begin),
		});
}

function followSaga(folded: Folded, record: LogRecord): void {
	if (record.type === "saga.begun")
		folded.saga = {
			seq: record.seq,
			...record.data,
			outcomes: [],
			turned: false,
		};
	else if (record.type === "saga.turned" && folded.saga !== undefined)
		folded.saga.turned = true;
	else if (record.type === "saga.ended") folded.saga = undefined;
}

/** Reads and folds a whole store. */
export async function foldStore(store: LogStore): Promise<Folded> {
	const folded = newFold(store);
	for await (const { records } of store.read(1))
		for (const record of records) foldRecord(folded, record);
	return folded;
}
