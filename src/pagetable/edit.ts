/**
 * An edit: one page table being changed. It is the transient of the persistent state (state.ts): everything it changes is either
 * owned by its token or copied first, so the states it started from stay valid.
 *
 * The methods are the atomic steps of facts §2 and nothing more; the order in which a driver takes them is in drivers/.
 */
import type { FormatConfig } from "./config.ts";
import { addPush, type Effect, type Step } from "./events.ts";
import { Graveyard } from "./graveyard.ts";
import {
	LINKED,
	PRIVATE,
	QUARANTINED,
	UNLINKED,
	wordAt,
	writableLine,
	zeroPage,
	type OwnerToken,
	type Page,
	type TableStateIndex,
} from "./page.ts";
import { NO_TABLE, SCRATCH_TABLE, type Race } from "./race.ts";
import type { PageTable, TableCounts } from "./state.ts";
import {
	copyStore,
	dropPage,
	findPage,
	ownPage,
	putPage,
	type PageStore,
} from "./store.ts";
import { WalkCache } from "./walk-cache.ts";

/** One page table being changed. Made by `beginEdit` (table.ts). */
export class Edit {
	readonly config: FormatConfig;
	token: OwnerToken = {};
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
	allocationsLeft = Number.POSITIVE_INFINITY;
	effects: Effect[] | null = null;
	steps: Step[] | null = null;
	race: Race | null = null;
	raceFired = false;
	/** From armRace to disarmRace, fired or not: another operation may change any table in between, so nothing may be remembered. */
	racing = false;
	/** Set once memory outside the live tables was touched: what follows has no meaning on a real system. */
	hazard = false;
	readonly walkCache = new WalkCache();
	#casCount = 0;
	#readCount = 0;
	/** Kept while a race is armed. */
	#graveyard: Graveyard | null = null;
	/** Stands in for the mapped data that was walked into last, and where that lies. */
	#scratch: Page | null = null;
	#scratchPa = -1;

	constructor(from: PageTable) {
		this.config = from.config;
		this.store = copyStore(from.store, this.token);
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
		this.counts = {
			...counts,
			linkedPerLevel: counts.linkedPerLevel.slice(),
		};
		return this.counts;
	}

	/** The table with this number, for reading. */
	page(id: number): Page {
		const page = findPage(this.store, id);
		return page === undefined ? this.#lostPage(id) : page;
	}

	#lostPage(id: number): Page {
		if (id === SCRATCH_TABLE) {
			this.#scratch ??= zeroPage(id, 0, 9, 0, this.token);
			return this.#scratch;
		}
		const latest = this.#graveyard?.latest(id) ?? id;
		if (latest !== id) return this.own(latest);
		const grave = this.#graveyard?.find(id);
		if (grave !== undefined) return grave;
		throw new Error(
			`table ${id} is not in memory: it was freed or never allocated, and no race is armed that could still hold it`,
		);
	}

	/** The table with this number, for writing. */
	own(id: number): Page {
		const page = findPage(this.store, id);
		if (page === undefined) return this.#lostPage(id);
		if (page.owner === this.token) return page;
		this.walkCache.copied();
		return ownPage(this.store, this.token, page);
	}

	/** A plain read of an entry. */
	read(id: number, slot: number): number {
		return wordAt(this.page(id), slot);
	}

	/** A read that a race may follow (READ_ONCE of an entry in the Arm code). */
	readOnce(id: number, slot: number): number {
		const word = wordAt(this.page(id), slot);
		if (this.race !== null) {
			this.#readCount++;
			if (this.race.at === "read" && this.#readCount === this.race.k)
				this.#runRace();
		}
		return word;
	}

	/** Compare-and-swap: returns what was there; it was replaced iff that equals `expected`. */
	cas(id: number, slot: number, expected: number, word: number): number {
		if (this.race !== null) {
			this.#casCount++;
			if (this.race.at === "cmpxchg" && this.#casCount === this.race.k)
				this.#runRace();
		}
		const old = wordAt(this.page(id), slot);
		if (old === expected) this.write(id, slot, word);
		return old;
	}

	/** A plain store of one entry. */
	write(id: number, slot: number, word: number): void {
		const page = this.own(id);
		writableLine(page, slot)[slot & page.lineMask] = word;
		if (this.steps !== null) this.#noteWrite(id, slot, 1, word, 0);
	}

	/** Plain stores of `count` entries: word, word+stride, … */
	writeRun(
		id: number,
		slot: number,
		count: number,
		word: number,
		stride: number,
	): void {
		const page = this.own(id);
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
		if (this.steps !== null) this.#noteWrite(id, slot, count, word, stride);
	}

	/** Stores zero to `count` entries. */
	clear(id: number, slot: number, count: number): void {
		if (count > 0) this.writeRun(id, slot, count, 0, 0);
	}

	#noteWrite(
		table: number,
		slot: number,
		count: number,
		word: number,
		stride: number,
	): void {
		if (table === SCRATCH_TABLE) return;
		if (word === 0 && stride === 0)
			this.steps?.push({ type: "slot.cleared", table, slot, count });
		else
			this.steps?.push({
				type: "slot.written",
				table,
				slot,
				count,
				word,
				stride,
			});
	}

	/** Allocates a zeroed table; NO_TABLE when the allocator has nothing left. `sizePages` in 4 KiB pages. */
	allocate(level: number, bits: number, sizePages: number): number {
		if (this.allocationsLeft <= 0) return NO_TABLE;
		this.allocationsLeft--;
		const id = this.nextTable++;
		if (this.#graveyard !== null) this.#graveyard.reuse(id, sizePages);
		putPage(
			this.store,
			this.token,
			zeroPage(id, level, bits, sizePages, this.token),
		);
		const counts = this.#ownCounts();
		counts.private++;
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
		if (this.race !== null && steps !== null)
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
		this.walkCache.clear();
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
		const page = this.own(table);
		if (page.state === state) return;
		this.#leave(page);
		page.state = state;
		const counts = this.#ownCounts();
		if (state === LINKED) {
			counts.linked++;
			counts.linkedPerLevel[page.level] =
				(counts.linkedPerLevel[page.level] ?? 0) + 1;
		} else if (state === UNLINKED) counts.unlinked++;
		else if (state === QUARANTINED) counts.quarantined++;
	}

	#leave(page: Page): void {
		const counts = this.#ownCounts();
		if (page.state === PRIVATE) counts.private--;
		else if (page.state === UNLINKED) counts.unlinked--;
		else if (page.state === QUARANTINED) counts.quarantined--;
		else {
			counts.linked--;
			counts.linkedPerLevel[page.level] =
				(counts.linkedPerLevel[page.level] ?? 0) - 1;
		}
	}

	/** Gives a table back to the allocator. */
	free(table: number): void {
		const page = findPage(this.store, table);
		if (page === undefined) {
			const latest = this.#graveyard?.latest(table) ?? table;
			if (latest !== table) this.free(latest);
			else if (table !== SCRATCH_TABLE) this.hazardous(["DF", table]);
			return;
		}
		if (page.state === LINKED) this.unlinked(table);
		this.#leave(findPage(this.store, table) as Page);
		this.counts.freed++;
		this.counts.livePages -= page.sizePages;
		this.#graveyard?.bury(this.own(table), this.token);
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
		const graveyard = this.#graveyard;
		if (graveyard === null || this.isLive(table)) return table;
		const latest = graveyard.latest(table);
		if (graveyard.find(latest) !== undefined) this.hazardous(["UAF", latest]);
		else if (latest === table && table !== SCRATCH_TABLE)
			return this.followData(table);
		return latest;
	}

	/** The walk follows an entry that maps data: what lies there is not ours to know, a page of zeros stands in. */
	followData(pa: number): number {
		this.hazardous(["DW", pa]);
		if (pa !== this.#scratchPa) this.#scratch = null;
		this.#scratchPa = pa;
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
		this.walkCache.clear();
		if (this.steps !== null)
			this.steps.push({ type: "table.rooted", table, mode });
	}

	/** Arms a race for the operation that follows. */
	armRace(race: Race): void {
		this.race = race;
		this.racing = true;
		this.raceFired = false;
		this.#casCount = 0;
		this.#readCount = 0;
		this.#graveyard = new Graveyard();
	}

	/** Ends the armed race: reports tables that were changed after they had been freed. */
	disarmRace(): void {
		this.race = null;
		this.racing = false;
		for (const table of this.#graveyard?.changed() ?? [])
			this.hazardous(["UW", table]);
		this.#graveyard = null;
	}

	#runRace(): void {
		const race = this.race as Race;
		const mapped = this.mapped;
		this.race = null;
		this.raceFired = true;
		this.walkCache.clear();
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
