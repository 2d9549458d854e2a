/** What a system of concurrent calls starts with: its threads, and the host's entities brought into a store. */
import type { Mem } from "../../machines/iopt-pages.ts";
import type { Outside } from "../orchestrator/outside.ts";
import { domainId, kernelNumber } from "../vocabulary/ids.ts";
import { TrackedActors } from "./call-actors.ts";
import { type Cell, TrackedCell } from "./call-cells.ts";
import { Futures } from "./call-futures.ts";
import { type CallHost, CTX } from "./call-host.ts";
import { MUTEX, TAKES_GROUP, TAKES_MUTEX } from "./call-locks.ts";
import { Memo } from "./call-memo.ts";
import { type Call, type CallScenario, setOf } from "./call-scenario.ts";
import { FieldNumbering, Store } from "./call-store.ts";
import { IDLE } from "./call-state.ts";
import { ThreadNumbering } from "./call-threads.ts";

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
			return call === undefined ? 0 : setOf(scenario, call);
		});
		states.of(IDLE);
		const futures = new Futures(
			(at) => isGroupLock(states.waits[at] as number),
			(at) => takenBy({ states }, at),
		);
		return { name, calls, states, memo: new Memo(), futures };
	});
}

const isGroupLock = (lock: number): boolean => lock >= 0 && lock < MUTEX;

/** Brings every entity of the host into a store. */
export function storeOf(host: CallHost): Store {
	const store = new Store();
	const { executor, outside, engine } = host;
	const cells = new Map<string, TrackedCell>();
	const make = (id: string, cell: Cell): TrackedCell => {
		const known = cells.get(id);
		known?.reset();
		const made = known ?? new TrackedCell(store, id, cell);
		cells.set(id, made);
		return made;
	};
	const entities = [...executor.actors].map(
		([id, runner]) => [id, make(id, runner as Cell)] as const,
	);
	Object.assign(executor, { actors: new TrackedActors(store, entities) });
	engine.make = make;
	const mem = store.add("mem", host.outside.mem(CTX));
	outside.mem = () => store.read(mem) as Mem;
	outside.setMem = (_ctx, value) => store.write(mem, value);
	trackDomains(store, outside);
	return store;
}

/** The drivers' half of domains. A name is taken when it is asked for: two allocations under way may not choose the same. */
function trackDomains(store: Store, outside: Outside): void {
	const first = kernelNumber(outside.nextDomain) - 1;
	const made = store.add("domains made", first);
	const known = store.add("domains", outside.domains);
	Object.defineProperties(outside, {
		nextDomain: {
			get: () => {
				const number = (store.read(made) as number) + 1;
				store.write(made, number);
				return domainId(number);
			},
		},
		countDomain: { value: () => {} },
		domains: {
			get: () => store.read(known),
			set: (value: unknown) => {
				store.write(known, value);
			},
		},
	});
}

/** Locks that are held for longer than a move and that a thread's next one takes or waits for, a bit each: of device sets, IOASes, groups. */
export function takenBy(
	{ states }: Pick<Program, "states">,
	at: number,
): number {
	const set = states.sets[at] as number;
	if (states.busy[at] !== true) return set === 0 ? 0 : 1 << set;
	const wanted = states.waits[at] as number;
	if (wanted < 0) return 0;
	return wanted >= MUTEX
		? TAKES_MUTEX << (wanted - MUTEX)
		: TAKES_GROUP << wanted;
}
