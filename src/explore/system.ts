/**
 * What the search explores: a transition system over states of a fixed number of bytes. Page-table scenarios
 * (table-system.ts) and transaction machines are both brought into this form.
 */

/** A violation raised by a move: the invariant's id, what happened, and the cache entry that shows it (-1: none). */
export interface Raised {
	readonly id: string;
	readonly message: string;
	readonly witness: number;
}

/** A system of processes over byte-vector states. A move is an integer, meaningful to the system only. */
export interface System {
	/** Length of a state; a multiple of 4. */
	readonly bytes: number;
	/** Number of processes; moves are asked for one process at a time. */
	readonly processes: number;
	/** The last so many processes are the environment: a run has ended when only they can still move. */
	readonly environment: number;
	/** True when no state can be reached from itself: a reduced expansion can then ignore nobody for ever. */
	readonly acyclic?: boolean;
	/** Writes the start state (all zero before) and raises what is wrong with it already. */
	initial(state: Uint8Array): void;
	/** Writes the enabled moves of a process to `out`, returns how many. */
	moves(state: Uint8Array, process: number, out: Int32Array): number;
	/** Makes the move in place. Violations of this move are added to `raised`. */
	apply(state: Uint8Array, move: number): void;
	/** Filled by `initial`, `apply` and `ended`; the search empties it. */
	readonly raised: Raised[];
	/** True when whatever this process does next is independent of everything the others may still do from here. */
	independent(state: Uint8Array, process: number): boolean;
	/**
	 * True when all that two processes can do now commutes: either order leads to the same state and raises the same, and neither hinders
	 * the other. Absent: nothing is known to.
	 */
	commute?(state: Uint8Array, a: number, b: number): boolean;
	/** Grows with what the system has learned of what is independent; absent: it knew everything from the start. */
	learned?(): number;
	/** Brings a state to the representative of its symmetry class, in place. Absent: no symmetry. */
	canonicalize?(state: Uint8Array): void;
	/** Called for states in which only the environment can move: raises end-of-run violations. */
	ended(state: Uint8Array): void;
	/** Called once for every state found. Collects what is asked of states (reach table, outcomes). */
	visit?(state: Uint8Array): void;
}
