/** What a system of concurrent calls starts with: its threads, and the host's entities brought into a store. */
import type { Mem } from "../../machines/iopt-pages.ts";
import { type Cell, TrackedCell } from "./call-cells.ts";
import { Futures } from "./call-futures.ts";
import { type CallHost, CTX } from "./call-host.ts";
import { Memo } from "./call-memo.ts";
import { type Call, type CallScenario, setOf } from "./call-scenario.ts";
import { FieldNumbering, Store } from "./call-store.ts";
import { ThreadNumbering, type ThreadState } from "./call-threads.ts";

/** Before the call of this number. */
export const between = (call: number): ThreadState => ({
	call,
	frames: [],
	holds: false,
	acted: false,
});
export const IDLE = between(0);
/** A thread whose call named something that is gone: it goes no further. */
export const LOST = between(99);
/** A thread of calls: where it may stand, and what its moves have been found to do. */
export interface Program {
	readonly name: string;
	readonly calls: readonly Call[];
	readonly states: ThreadNumbering;
	readonly memo: Memo;
	readonly futures: Futures;
}

/** The threads of a scenario, about which nothing is known yet. */
export function programsOf(scenario: CallScenario, host: CallHost): Program[] {
	const contexts = new FieldNumbering();
	return scenario.threads.map(({ name, calls }) => {
		const states = new ThreadNumbering(host, contexts, (at) => {
			const call = calls[at];
			return call === undefined ? 0 : setOf(scenario, call.dev);
		});
		states.of(IDLE);
		const futures = new Futures((at) => states.waits[at] === true);
		return { name, calls, states, memo: new Memo(), futures };
	});
}

/** Brings every entity of the host into a store. */
export function storeOf(host: CallHost): Store {
	const store = new Store();
	const { actors } = host.executor;
	for (const [id, runner] of actors)
		actors.set(id, new TrackedCell(store, id, runner as Cell));
	const mem = store.add("mem", host.outside.mem(CTX));
	host.outside.mem = () => store.read(mem) as Mem;
	host.outside.setMem = (_ctx, value) => store.write(mem, value);
	return store;
}
