/** A second operation in the middle of another one, and what stands where no table is. */
import type { Edit } from "./edit.ts";

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
