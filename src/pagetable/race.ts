/** A second operation in the middle of another one, and what stands where no table is. */
import type { Edit } from "./edit.ts";
import { Graveyard } from "./graveyard.ts";

/** A second operation that runs to its end at one point of this one (VECTORS.md, `race`). */
export interface Race {
	/** Just before the k-th compare-and-swap, or just after the k-th read of an entry. */
	readonly at: "cmpxchg" | "read";
	/** Counts from 1. */
	readonly k: number;
	run(edit: Edit): void;
}

/** The number that stands for "the allocator had nothing" where a table number is expected. */
export const NO_TABLE = 0;
/** Mapped data reached as if it were a table: a page of zeros stands in for it (VECTORS.md, hazards). */
export const SCRATCH_TABLE = -1;

/** An armed race, from armRace to disarmRace. */
export class RaceRun {
	/** Null once it has run. */
	#race: Race | null;
	#reads = 0;
	#swaps = 0;
	readonly graveyard = new Graveyard();

	constructor(race: Race) {
		this.#race = race;
	}

	/** Counts a read or a compare-and-swap. Returns the race when this is its moment: once. */
	due(at: Race["at"]): Race | null {
		const race = this.#race;
		if (race === null) return null;
		const count = at === "read" ? ++this.#reads : ++this.#swaps;
		if (race.at !== at || race.k !== count) return null;
		this.#race = null;
		return race;
	}

	/** Has it still to run? */
	get isArmed(): boolean {
		return this.#race !== null;
	}
}
