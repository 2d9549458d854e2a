/** The state that a log folds to, held against the live state after every operation. */
import { expect } from "vitest";
import { treeValues } from "../../machines/iopt-tree.ts";
import { createJudge } from "../../src/invariants/judge.ts";
import type { Command } from "../../src/orchestrator/commands.ts";
import { Core } from "../../src/orchestrator/core.ts";
import { noteRecord } from "../../src/orchestrator/recover/notes.ts";
import { newNotes } from "../../src/orchestrator/recover/notes-state.ts";
import { stateFromFold } from "../../src/orchestrator/recover/state-from-fold.ts";
import type { SystemState } from "../../src/orchestrator/state.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";

/** A folded log. */
function folded(header: LogHeader) {
	const judge = createJudge(header);
	const notes = newNotes(header);
	return {
		add(records: Iterable<LogRecord>): void {
			for (const record of records) {
				judge.next(record);
				noteRecord(notes, record);
			}
		},
		state: (): SystemState => stateFromFold(judge.world, notes),
	};
}

const byText = (a: unknown, b: unknown): number => (text(a) < text(b) ? -1 : 1);
const text = (value: unknown): string =>
	JSON.stringify(value, (_k, v) =>
		typeof v === "bigint" ? `${v}` : v instanceof Set ? [...v] : v,
	) ?? "";

/** A state in one form: no last answers, trees as lists, maps in order; what says nothing is left out. */
function plain(value: unknown): unknown {
	if (typeof value === "bigint") return value;
	if (value instanceof Map)
		return [...value].map(([key, v]) => [key, plain(v)]).sort(byText);
	if (value instanceof Set) return [...value].map(plain).sort(byText);
	if (Array.isArray(value)) return value.map(plain);
	if (typeof value !== "object" || value === null) return value;
	const out: Record<string, unknown> = {};
	for (const [key, v] of Object.entries(value)) {
		// Nobody is charged (acct NONE), so nobody's account is as good as another.
		if (key === "answer" || key === "account" || v === undefined) continue;
		if (key === "areas" || key === "pages" || key === "dma")
			out[key] =
				typeof v === "object" ? [...treeValues(v as never)].map(plain) : v;
		else if (key === "domIv" || key === "accIv")
			out[key] = (v as unknown[]).map(plain).sort(byText);
		else out[key] = plain(v);
	}
	return out;
}
function normal(state: SystemState): unknown {
	const actors = [...state.actors].filter(
		([, at]) => !(at.context as { ctx?: unknown; hwpt?: unknown }) || true,
	);
	const beside = [...state.beside].map(([id, one]) => [id, plain(one)]);
	const mem = [...state.outside.mem].filter(
		([, { pages, next }]) => pages !== undefined || next > 1,
	);
	return {
		actors: Object.fromEntries(actors.map(([id, at]) => [id, plain(at)])),
		beside: Object.fromEntries(
			beside.filter(([, one]) => text(one) !== text(NOTHING)),
		),
		deaf: plain(state.deaf),
		legacy: plain(state.legacy),
		outside: plain({ ...state.outside, mem: new Map(mem) }),
	};
}
const NOTHING = plain({ objs: new Map(), nested: new Map(), acct: "USER" });

/** The fields of every actor's context, those that are undefined, too: the table makes literals of the fields that the first context had. */
const fieldsOf = ({ actors }: SystemState): Record<string, string> =>
	Object.fromEntries(
		[...actors].map(([id, { context }]) => [
			id,
			Object.keys(context).sort().join(" "),
		]),
	);

/** Runs commands one by one; after each the fold gives the same state. */
export function expectEqualAllAlong(
	header: LogHeader,
	commands: readonly Command[],
): readonly LogRecord[] {
	const core = new Core(header, { engine: "compiled" });
	const fold = folded(header);
	const all = [...core.boot().records];
	fold.add(all);
	for (const command of commands) {
		const { records } = core.decide(command);
		all.push(...records);
		fold.add(records);
		expect({ after: command, state: normal(fold.state()) }).toEqual({
			after: command,
			state: normal(core.state),
		});
		expect(fieldsOf(fold.state())).toEqual(fieldsOf(core.state));
	}
	return all;
}
