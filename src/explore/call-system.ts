/**
 * Concurrent ioctls as a system to explore: the state is where every thread stands and the number of every field that changes; a move performs
 * one step of one thread's transaction. All interleavings of the steps, under the chosen locks. Moves are worked out by the machines
 * once and remembered (call-memo.ts); what is independent is learned from them (call-futures.ts).
 */
import { balanceAfter, reservationsOf, unbalanced } from "./call-balance.ts";
import { checkBetweenCalls, checkStep, type Windowed } from "./call-checks.ts";
import { begun, callText, ended, strayed } from "./call-facts.ts";
import { clash, conflicts } from "./call-futures.ts";
import { type CallHost, callHost, deviceNumbered } from "./call-host.ts";
import { MUTEX, wantedLock } from "./call-locks.ts";
import { type Leaf, Memo, placesOf } from "./call-memo.ts";
import { type Program, programsOf, storeOf, takenBy } from "./call-programs.ts";
import type { Call, CallScenario } from "./call-scenario.ts";
import {
	asked,
	between,
	IDLE,
	LOST,
	replaces,
	type ThreadState,
} from "./call-state.ts";
import type { Store } from "./call-store.ts";
import { advance, startCall } from "./call-threads.ts";
import type { Raised, System } from "./system.ts";

/** The system, its host, and what is asked of it beside searching. */
export interface CallSystem extends System {
	readonly host: CallHost;
	/** Where a thread stands, in words. */
	describe(state: Uint8Array, thread: number): string;
	/** The facts of moves from a state, run on to where no call is under way. */
	narrate(state: Uint8Array, moves: readonly number[]): CallHost["facts"];
}

/** Fields that fit into the bits of Places. */
const BITS = 64;

const NOTHING_DONE: Leaf = {
	to: 0,
	changes: [],
	reads: { low: 0, high: 0 },
	writes: { low: 0, high: 0 },
	begins: false,
	ends: false,
	takes: 0,
	raised: [],
};

/** Changing fields that a state has room for at first; the shipped scenarios have at most 31. */
export const ROOM = 32;

/** Builds it, with room for `room` changing fields. Throws what the set-up throws, and StoreFull when a search needs more room. */
export function callSystem(scenario: CallScenario, room = ROOM): CallSystem {
	return new Calls(scenario, room);
}

class Calls implements CallSystem {
	readonly host: CallHost;
	readonly bytes: number;
	readonly processes: number;
	readonly environment = 0;
	readonly acyclic = true;
	readonly raised: Raised[] = [];
	readonly #scenario: CallScenario;
	readonly #told: NonNullable<CallHost["facts"]>;
	readonly #store: Store;
	readonly #programs: readonly Program[];
	readonly #windows: readonly Windowed[];
	#buffers: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)];
	#views: [Uint16Array, Uint16Array] = [new Uint16Array(0), new Uint16Array(0)];
	/** What is checked between calls, remembered like the moves. */
	readonly #judged = new Memo();
	/** Violations of the move under way. */
	#found: Raised[] = [];

	constructor(scenario: CallScenario, room: number) {
		this.#scenario = scenario;
		this.host = callHost(scenario);
		this.#told = this.host.facts ?? [];
		this.host.facts = undefined;
		this.#store = storeOf(this.host);
		this.#store.room = room;
		this.#programs = programsOf(scenario, this.host);
		this.#store.onPlace = (field, place) => {
			const bit = placesOf([place], this.processes);
			for (const { memo, futures } of this.#programs)
				memo.placed(field, place, bit, (at, leaf) => futures.add(at, leaf));
			this.#judged.placed(field, place, bit, () => {});
		};
		this.#windows = scenario.windows.map((number) => ({
			dev: deviceNumbered(number),
			number,
		}));
		this.processes = scenario.threads.length;
		this.#store.base = this.processes;
		this.bytes = (2 * (this.processes + room) + 3) & ~3;
	}

	/** The words of a state: for each thread the number of its ThreadState, then for each place the number of its value. */
	#words(s: Uint8Array): Uint16Array {
		// A search moves between two buffers; a view of its own for every call would cost more than the move.
		if (s === this.#buffers[0]) return this.#views[0];
		if (s === this.#buffers[1]) return this.#views[1];
		this.#buffers = [s, this.#buffers[0]];
		const view = new Uint16Array(s.buffer, s.byteOffset, this.bytes >> 1);
		this.#views = [view, this.#views[0]];
		return view;
	}

	readonly #report = (id: string, message: string): void => {
		this.#found.push({ id, message, witness: -1 });
	};

	#state(words: Uint16Array, t: number): ThreadState {
		return this.#programs[t]?.states.values[words[t] as number] ?? IDLE;
	}
	/** No call is under way. */
	#atRest(words: Uint16Array): boolean {
		for (let t = 0; t < this.processes; t++)
			if (this.#programs[t]?.states.busy[words[t] as number] === true)
				return false;
		return true;
	}
	/** No call that has changed anything is under way: what is checked between calls must hold. */
	#calm(words: Uint16Array): boolean {
		for (let t = 0; t < this.processes; t++)
			if (this.#state(words, t).acted) return false;
		return true;
	}

	/** Nobody else is in a call about a device of this set. */
	#setIsFree(words: Uint16Array, t: number, set: number): boolean {
		for (let o = 0; o < this.processes; o++) {
			if (o === t) continue;
			const { busy, sets } = (this.#programs[o] as Program).states;
			const at = words[o] as number;
			if (busy[at] === true && sets[at] === set) return false;
		}
		return true;
	}

	#enabled(s: Uint8Array, t: number): boolean {
		const words = this.#words(s);
		const { states, calls } = this.#programs[t] as Program;
		const at = words[t] as number;
		const { locks } = this.#scenario;
		if (states.busy[at] !== true) {
			if ((states.values[at]?.call ?? 0) >= calls.length) return false;
			if (locks === "call") return this.#atRest(words);
			const set = states.sets[at] as number;
			return locks === "none" || this.#setIsFree(words, t, set);
		}
		const wanted = states.waits[at] as number;
		if (locks === "none" || wanted < 0) return true;
		for (let o = 0; o < this.processes; o++) {
			if (o === t) continue;
			const held = this.#programs[o]?.states.held[words[o] as number] ?? 0;
			if ((held & (1 << wanted)) !== 0) return false;
		}
		return true;
	}

	/** Has the machines make a move; returns where the thread stands then. */
	#make(thread: ThreadState, t: number): ThreadState {
		const { host } = this;
		if (thread.frames.length === 0) {
			const call = this.#programs[t]?.calls[thread.call] as Call;
			host.op = begun(host, call);
			const started = startCall(host, call);
			if (started.frames.length > 0)
				return { ...thread, frames: started.frames };
			ended(host, started.ended);
			return between(thread.call + 1);
		}
		const step = asked(thread);
		if (this.#scenario.locks === "none") this.#forceLock(thread);
		if (step !== undefined)
			checkStep(host, step, replaces(thread), this.#report);
		const before = reservationsOf(host, step);
		const after = advance(host, thread);
		const balance = balanceAfter(thread.balance, host, step, before);
		if (after.ended === undefined)
			return { ...thread, frames: after.frames, holds: after.holds, balance };
		ended(host, after.ended);
		if (!after.ended.ok)
			unbalanced(balance, after.ended.errno ?? "", this.#report);
		return between(thread.call + 1);
	}

	/** Without locks a thread goes on although another one has the group's lock. */
	#forceLock(thread: ThreadState): void {
		const { executor, groups } = this.host;
		const wanted = groups[wantedLock(this.host, thread)]?.group;
		if (wanted !== undefined && executor.group(wanted).locked)
			executor.tell({ type: "ig.unlock", to: wanted } as never);
	}

	#makeOrLose(thread: ThreadState, t: number): ThreadState {
		try {
			return this.#make(thread, t);
		} catch (error) {
			const name = this.#programs[t]?.name;
			this.#report("REF-6", `${name}: ${(error as Error).message}`);
			return LOST;
		}
	}

	/** What thread t does from here: remembered, or worked out now. */
	#leaf(s: Uint8Array, t: number): Leaf {
		const program = this.#programs[t] as Program;
		const words = this.#words(s);
		const at = words[t] as number;
		return program.memo.find(at, words) ?? this.#work(program, t, at, words);
	}

	#work(program: Program, t: number, at: number, words: Uint16Array): Leaf {
		const store = this.#store;
		const thread = program.states.values[at] ?? IDLE;
		this.#found = [];
		store.begin(words);
		const next = this.#makeOrLose(thread, t);
		const changes: number[] = [];
		store.commit((place, number) => void changes.push(place, number));
		const reads = this.#placesRead();
		const acts = changes.length > 0;
		const inCall = next.frames.length > 0;
		const leaf: Leaf = {
			to: program.states.of(inCall && acts ? { ...next, acted: true } : next),
			changes,
			reads: placesOf(reads, this.processes),
			writes: placesOf(
				changes.filter((_, i) => i % 2 === 0),
				this.processes,
			),
			begins: acts && !thread.acted,
			ends: !inCall && (acts || thread.acted),
			takes: takenBy(program, at),
			raised: this.#found,
		};
		program.memo.add(at, reads, this.#blind(), words, leaf);
		program.futures.add(at, leaf);
		return leaf;
	}

	initial(s: Uint8Array): void {
		this.#between(s);
	}

	#between(s: Uint8Array): void {
		const words = this.#words(s);
		const known = this.#judged.find(0, words);
		if (known !== undefined) return void this.raised.push(...known.raised);
		this.#found = [];
		this.#store.begin(words);
		checkBetweenCalls(this.host, this.#windows, this.#report);
		this.raised.push(...this.#found);
		const leaf = { ...NOTHING_DONE, raised: this.#found };
		this.#judged.add(0, this.#placesRead(), this.#blind(), words, leaf);
	}

	#placesRead(): number[] {
		const { reads, places } = this.#store;
		return reads
			.map((field) => places[field] as number)
			.filter((place) => place >= 0);
	}

	/** Fields that were read and have no place. */
	#blind(): number[] {
		const { reads, places } = this.#store;
		return reads.filter((field) => (places[field] as number) < 0);
	}

	moves(s: Uint8Array, process: number, out: Int32Array): number {
		if (!this.#enabled(s, process)) return 0;
		out[0] = process;
		return 1;
	}

	apply(s: Uint8Array, process: number): void {
		const leaf = this.#leaf(s, process);
		const words = this.#words(s);
		words[process] = leaf.to;
		const { changes } = leaf;
		for (let i = 0; i < changes.length; i += 2)
			words[changes[i] as number] = changes[i + 1] as number;
		if (leaf.raised.length > 0) this.raised.push(...leaf.raised);
		if (leaf.ends && this.#calm(words)) this.#between(s);
	}

	independent(s: Uint8Array, process: number): boolean {
		if (this.#store.placed > BITS || !this.#enabled(s, process)) return false;
		const words = this.#words(s);
		const { frames, holds } = this.#state(words, process);
		// One call at a time: inside a call, nobody else can move.
		if (this.#scenario.locks === "call") return frames.length > 0;
		// While a thread holds the group's lock, the others get no further than to the lock.
		const stop =
			this.#scenario.locks === "group" &&
			holds &&
			this.host.groups.length === 1;
		const leaf = this.#leaf(s, process);
		for (let o = 0; o < this.processes; o++) {
			if (o === process) continue;
			const future = this.#programs[o]?.futures.of(words[o] as number, stop);
			if (future === undefined || conflicts(leaf, future)) return false;
		}
		return true;
	}

	commute(s: Uint8Array, a: number, b: number): boolean {
		if (this.#store.placed > BITS || this.#scenario.locks === "call")
			return false;
		// The second may give fields that the first reads their places: then the first is known by another leaf.
		let one = this.#leaf(s, a);
		const other = this.#leaf(s, b);
		one = this.#leaf(s, a);
		return !clash(one, other);
	}

	learned(): number {
		return this.#programs.reduce((sum, p) => sum + p.futures.learned, 0);
	}

	ended(s: Uint8Array): void {
		this.#found = this.raised;
		if (!this.#atRest(this.#words(s)))
			this.#report(
				"DEADLOCK",
				"a call waits for a lock that nobody gives back",
			);
	}

	describe(s: Uint8Array, t: number): string {
		const thread = this.#state(this.#words(s), t);
		const program = this.#programs[t];
		const call = program?.calls[thread.call];
		const step = asked(thread);
		const what = call === undefined ? "" : callText(call);
		const wanted = wantedLock(this.host, thread);
		const lock = wanted >= 0 && wanted < MUTEX ? "ig.lock" : undefined;
		return `${program?.name}: ${what}: ${lock ?? step?.type ?? "begins"}`;
	}

	narrate(s: Uint8Array, moves: readonly number[]): CallHost["facts"] {
		const { host } = this;
		host.facts = [...this.#told];
		const ops = this.#programs.map(() => 0);
		for (const process of moves) this.#tellMove(s, process, ops);
		// Runs on to the end, one thread after the other, so that the log ends between calls.
		for (let t = 0; t < this.processes; ) {
			if (!this.#enabled(s, t)) {
				t++;
				continue;
			}
			this.#tellMove(s, t, ops);
			if (this.#state(this.#words(s), t).frames.length === 0) t = 0;
		}
		const { facts } = host;
		host.facts = undefined;
		return facts;
	}

	#tellMove(s: Uint8Array, t: number, ops: number[]): void {
		const words = this.#words(s);
		this.host.op = ops[t] ?? 0;
		this.#store.begin(words);
		const before = this.#state(words, t);
		const next = this.#makeOrLose(before, t);
		if (next === LOST) strayed(this.host, asked(before));
		words[t] = this.#programs[t]?.states.of(next) ?? 0;
		this.#store.commit((place, number) => {
			words[place] = number;
		});
		ops[t] = this.host.op;
	}
}
