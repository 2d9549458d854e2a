/**
 * An edit: one page table being changed. It is the transient of the persistent state (state.ts): everything it changes is either
 * owned by its token or copied first, so the states it started from stay valid.
 *
 * The methods are the atomic steps of facts §2 and nothing more; the order in which a driver takes them is in drivers/.
 */
import type { FormatConfig } from "./config.ts";
import { addPush, addWrite, type Effect, type Step } from "./events.ts";
import {
	LINKED,
	PRIVATE,
	QUARANTINED,
	UNLINKED,
	wordAt,
	writableLine,
	zeroPage,
	OwnerToken,
	type Page,
	type TableStateIndex,
} from "./page.ts";
import { NO_TABLE, RaceRun, SCRATCH_TABLE, type Race } from "./race.ts";
import {
	countFreed,
	countTable,
	type PageTable,
	type TableCounts,
} from "./state.ts";
import {
	copyStore,
	dropPage,
	findPage,
	ownPage,
	putPage,
	type PageStore,
} from "./store.ts";
import { WalkCache } from "./walk-cache.ts";

/** Table allocations of an edit whose allocator never fails. */
export const UNLIMITED = 2 ** 30;
/** Walks before it is worth remembering them: a single reduce never does. */
const WARM_UP = 32;

/** One page table being changed. Made by `beginEdit` (table.ts). */
export class Edit {
	readonly config: FormatConfig;
	token = new OwnerToken();
	store: PageStore;
	root: number;
	/** AMD v1: number of levels now; other formats: constant. */
	mode: number;
	nextTable: number;
	counts: TableCounts;
	/** A state holds the same counts object. */
	countsAreShared = true;
	/** Unlinked and flushed tables that wait for readers (tableFree=rcu). */
	awaitingGrace: readonly number[];
	/** Bytes (in frames) that the last map call reported as mapped. */
	mapped = 0;
	/** Table allocations that will still succeed. */
	allocationsLeft = UNLIMITED;
	effects: Effect[] | null = null;
	steps: Step[] | null = null;
	/** Did the race that was armed last run? */
	raceFired = false;
	/** Set once memory outside the live tables was touched: what follows has no meaning on a real system. */
	hazard = false;
	/** Where last-level tables were found. Null until enough walks were made, and in single reduces. */
	walkCache: WalkCache | null = null;
	#walks = 0;
	#raceRun: RaceRun | null = null;
	/** Stands in for the mapped data that was walked into last, and where that lies. */
	#scratch: { readonly pa: number; readonly page: Page } | null = null;

	constructor(from: PageTable) {
		this.config = from.config;
		this.store = copyStore(from.store);
		this.root = from.root;
		this.mode = from.mode;
		this.nextTable = from.nextTable;
		this.counts = from.counts as TableCounts;
		this.awaitingGrace = from.awaitingGrace;
	}

	/** The counts, for writing: copied on the first change after a state took them. */
	#ownCounts(): TableCounts {
		if (!this.countsAreShared) return this.counts;
		this.countsAreShared = false;
		const counts = this.counts;
		this.counts = { ...counts, perLevel: counts.perLevel.slice() };
		return this.counts;
	}

	/** The table with this number, for reading. */
	page(id: number): Page {
		const page = findPage(this.store, id);
		return page === undefined ? this.#lostPage(id) : page;
	}

	#lostPage(id: number): Page {
		if (id === SCRATCH_TABLE && this.#scratch !== null)
			return this.#scratch.page;
		const graveyard = this.#raceRun?.graveyard;
		const latest = graveyard?.latest(id) ?? id;
		if (latest !== id) return this.page(latest);
		const grave = graveyard?.find(id);
		if (grave !== undefined) return grave;
		throw new Error(
			`table ${id} is not in memory: it was freed or never allocated, and no race is armed that could still hold it`,
		);
	}

	/** The same table, for writing. `page` must be as it is now. */
	own(page: Page): Page {
		if (page.owner === this.token) return page;
		this.walkCache?.copied();
		return ownPage(this.store, this.token, page);
	}

	/** The last-level table that covers range `key`, when a walk has found it before. */
	knownTable(key: number): Page | null {
		return this.walkCache === null
			? null
			: this.walkCache.find(key, this.token);
	}

	/** Remembers that a walk for range `key` reached `table`. */
	keepTable(key: number, table: number): void {
		if (this.#raceRun !== null) return;
		if (this.walkCache === null) {
			if (++this.#walks < WARM_UP) return;
			this.walkCache = new WalkCache();
		}
		const page = findPage(this.store, table);
		if (page !== undefined) this.walkCache.keep(key, page);
	}

	/** Drops what was remembered of walks: for an edit that is kept but rarely used. */
	forgetWalks(): void {
		this.walkCache = null;
	}

	/** A plain read of an entry. */
	read(id: number, slot: number): number {
		return wordAt(this.page(id), slot);
	}

	/** A read that a race may follow (READ_ONCE of an entry in the Arm code). */
	readOnce(id: number, slot: number): number {
		const word = wordAt(this.page(id), slot);
		if (this.#raceRun !== null) this.#runRace(this.#raceRun.due("read"));
		return word;
	}

	/** Compare-and-swap: returns what was there; it was replaced iff that equals `expected`. */
	cas(id: number, slot: number, expected: number, word: number): number {
		if (this.#raceRun !== null) this.#runRace(this.#raceRun.due("cmpxchg"));
		const old = wordAt(this.page(id), slot);
		if (old === expected) this.write(id, slot, word);
		return old;
	}

	/** A plain store of one entry. */
	write(id: number, slot: number, word: number): void {
		const page = this.own(this.page(id));
		writableLine(page, slot)[slot & page.lineMask] = word;
		if (this.steps !== null) addWrite(this.steps, id, slot, 1, word, 0);
	}

	/** Plain stores of `count` entries: word, word+stride, … */
	writeRun(
		id: number,
		slot: number,
		count: number,
		word: number,
		stride: number,
	): void {
		this.fill(this.page(id), slot, count, word, stride);
	}

	/** writeRun for a table that was just looked up: `current` is as it is now. */
	fill(
		current: Page,
		slot: number,
		count: number,
		word: number,
		stride: number,
	): void {
		const page = this.own(current);
		const end = slot + count;
		let value = word;
		for (let s = slot; s < end; ) {
			const line = writableLine(page, s);
			const stop = Math.min(end, (s | page.lineMask) + 1);
			for (; s < stop; s++) {
				line[s & page.lineMask] = value;
				value += stride;
			}
		}
		if (this.steps !== null)
			addWrite(this.steps, page.id, slot, count, word, stride);
	}

	/** Stores zero to `count` entries. */
	clear(id: number, slot: number, count: number): void {
		if (count > 0) this.writeRun(id, slot, count, 0, 0);
	}

	/** Allocates a zeroed table; NO_TABLE when the allocator has nothing left. `sizePages` in 4 KiB pages. */
	allocate(level: number, bits: number, sizePages: number): number {
		if (this.allocationsLeft <= 0) return NO_TABLE;
		this.allocationsLeft--;
		const id = this.nextTable++;
		this.#raceRun?.graveyard.reuse(id, sizePages);
		putPage(
			this.store,
			this.token,
			zeroPage(id, level, bits, sizePages, this.token),
		);
		const counts = this.#ownCounts();
		countTable(counts, PRIVATE, level, 1);
		counts.allocated++;
		counts.livePages += sizePages;
		if (this.effects !== null) this.effects.push(["A", sizePages * 4096, id]);
		if (this.steps !== null)
			this.steps.push({
				type: "table.allocated",
				table: id,
				level,
				bits,
				sizePages,
			});
		return id;
	}

	/** Publishes a private table: compare-and-swap of the entry that is to point to it. Returns what was there. */
	link(
		parent: number,
		slot: number,
		expected: number,
		word: number,
		table: number,
	): number {
		// The step is one: the write of the entry is not noted apart.
		const steps = this.steps;
		if (this.#raceRun?.isArmed === true && steps !== null)
			throw new Error("steps cannot be recorded while a race is armed");
		this.steps = null;
		const old = this.cas(parent, slot, expected, word);
		this.steps = steps;
		if (old !== expected) return old;
		this.linked(table);
		if (steps !== null)
			steps.push({ type: "table.linked", table, parent, slot, word });
		return old;
	}

	/** Marks a table as reachable from the root. */
	linked(table: number): void {
		this.#enter(table, LINKED);
	}

	/** Marks a table as no longer reachable; hardware may still hold pointers to it. */
	unlinked(table: number): void {
		if (!this.isLive(table)) return;
		this.walkCache?.clear();
		this.#enter(table, UNLINKED);
		if (this.steps !== null) this.steps.push({ type: "table.unlinked", table });
	}

	/** Marks a table as waiting on a list until an invalidation has completed. */
	quarantined(table: number): void {
		if (!this.isLive(table)) return;
		this.#enter(table, QUARANTINED);
		if (this.steps !== null)
			this.steps.push({ type: "table.quarantined", table });
	}

	#enter(table: number, state: TableStateIndex): void {
		const page = this.own(this.page(table));
		if (page.state === state) return;
		const counts = this.#ownCounts();
		countTable(counts, page.state, page.level, -1);
		page.state = state;
		countTable(counts, state, page.level, 1);
	}

	/** Gives a table back to the allocator. */
	free(table: number): void {
		const page = findPage(this.store, table);
		if (page === undefined) {
			const latest = this.#raceRun?.graveyard.latest(table) ?? table;
			if (latest !== table) this.free(latest);
			else if (table !== SCRATCH_TABLE) this.hazardous(["DF", table]);
			return;
		}
		if (page.state === LINKED) this.unlinked(table);
		const counts = this.#ownCounts();
		countTable(counts, this.page(table).state, page.level, -1);
		countFreed(counts, page.level, page.sizePages);
		this.#raceRun?.graveyard.bury(this.own(this.page(table)), this.token);
		dropPage(this.store, this.token, table);
		if (this.effects !== null)
			this.effects.push(["F", page.sizePages * 4096, table]);
		if (this.steps !== null) this.steps.push({ type: "table.freed", table });
	}

	/** Is this table in memory, not freed? */
	isLive(table: number): boolean {
		return findPage(this.store, table) !== undefined;
	}

	/** The walk follows a pointer to a table: tells when that table is freed (facts §4). In a race a stale pointer may lead anywhere. */
	follow(table: number): number {
		const graveyard = this.#raceRun?.graveyard;
		if (graveyard === undefined || this.isLive(table)) return table;
		const latest = graveyard.latest(table);
		if (graveyard.find(latest) !== undefined) this.hazardous(["UAF", latest]);
		else if (latest === table && table !== SCRATCH_TABLE)
			return this.followData(table);
		return latest;
	}

	/** The walk follows an entry that maps data: what lies there is not ours to know, a page of zeros stands in. */
	followData(pa: number): number {
		this.hazardous(["DW", pa]);
		if (this.#scratch?.pa !== pa) {
			const page = zeroPage(SCRATCH_TABLE, 0, 9, 0, this.token);
			this.#scratch = { pa, page };
		}
		return SCRATCH_TABLE;
	}

	/** Notes a touch of memory outside the live tables. */
	hazardous(effect: Effect): void {
		this.hazard = true;
		if (this.effects !== null) this.effects.push(effect);
	}

	/** Changes root and mode (AMD growth). */
	setRoot(table: number, mode: number): void {
		this.root = table;
		this.mode = mode;
		this.walkCache?.clear();
		if (this.steps !== null)
			this.steps.push({ type: "table.rooted", table, mode });
	}

	/** From armRace to disarmRace, fired or not: another operation may change any table in between, so nothing may be remembered. */
	get racing(): boolean {
		return this.#raceRun !== null;
	}

	/** Arms a race for the operation that follows. */
	armRace(race: Race): void {
		this.#raceRun = new RaceRun(race);
		this.raceFired = false;
		this.walkCache?.clear();
	}

	/** Ends the armed race: reports tables that were changed after they had been freed. */
	disarmRace(): void {
		for (const table of this.#raceRun?.graveyard.changed() ?? [])
			this.hazardous(["UW", table]);
		this.#raceRun = null;
	}

	#runRace(race: Race | null): void {
		if (race === null) return;
		const mapped = this.mapped;
		this.raceFired = true;
		race.run(this);
		this.mapped = mapped;
	}

	/** A kernel warning. */
	warn(where: string): void {
		if (this.effects !== null) this.effects.push(["!", where]);
	}

	/** Entries pushed out of the CPU cache: nothing when the walker snoops. Consecutive pushes are one effect. */
	pushed(amount: number, calls = 1): void {
		if (!this.config.coherent && this.effects !== null && amount > 0)
			addPush(this.effects, amount, calls);
	}
}
