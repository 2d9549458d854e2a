/**
 * What an operation did besides changing its return value, in order. Two lists, both optional and both off on the fast path.
 *
 * Effects are what a driver asks of others (allocator, invalidation hooks, the log of kernel warnings); they are what the golden vectors
 * record. Steps are the atomic changes of memory (facts §2, §9): folding them one by one gives the state that the operation gave.
 * Addresses and sizes are frames; `last` is inclusive; an empty gather is start Infinity, last -1.
 */
import { SCRATCH_TABLE } from "./race.ts";

/** One side effect. The codes are those of the golden vectors (docs/page-tables.md has the table). */
export type Effect =
	/** Allocated / freed `bytes` for table `id`. */
	| readonly ["A" | "F", bytes: number, id: number]
	/** Arm: walk-cache invalidation, waited for. */
	| readonly ["W", iova: number, size: number, granule: number]
	/** Arm: leaf invalidation queued for `count` consecutive pages. */
	| readonly ["P", iova: number, granule: number, count: number]
	/** Arm: the whole context invalidated. */
	| readonly ["ALL"]
	/** The core handed its gather to the driver. */
	| readonly ["SY", start: number, last: number, granule: number]
	/** AMD: domain flush of a range, walk caches included. */
	| readonly ["FL", iova: number, size: number]
	/** AMD: the device table entries were rewritten and flushed, since root and mode changed. */
	| readonly ["DTE"]
	/** VT-d: range flush. `tail`: the low bits of the end address as the code passes it (0 where it passes the last page's start). `ih`: 1 = leaf entries only. */
	| readonly [
			"Q",
			start: number,
			last: number,
			tail: 0 | 0xfff,
			invalidationHint: 0 | 1,
	  ]
	/** VT-d, deferred: `count` tables stay on the caller's list. */
	| readonly ["FQ", count: number]
	/** Entries pushed to memory for a walker that does not snoop. */
	| readonly ["S", amount: number, calls: number]
	/** A kernel warning in this function. */
	| readonly ["!", where: string]
	/** VT-d: "PTE already set" for `count` pages; the old entries stay. */
	| readonly ["SET", count: number]
	/** Hazards: walked into mapped data / gave mapped data to the allocator (frame), followed / changed / freed again a freed table (id). */
	| readonly ["DW" | "FD", pa: number]
	| readonly ["UAF" | "UW" | "DF", id: number]
	/** Brackets of an operation that ran in the middle of this one. */
	| readonly ["RB"]
	| readonly ["RE", ret: number, mapped: number];

/** One atomic change of page-table memory. `word` is the entry as the format keeps it (see formats/). */
export type Step =
	| {
			readonly type: "table.allocated";
			readonly table: number;
			readonly level: number;
			readonly bits: number;
			readonly sizePages: number;
	  }
	| {
			readonly type: "table.linked";
			readonly table: number;
			readonly parent: number;
			readonly slot: number;
			readonly word: number;
	  }
	| {
			readonly type: "table.unlinked" | "table.quarantined" | "table.freed";
			readonly table: number;
	  }
	/** `count` slots from `slot`: word, word+stride, … (stride 0: replicas). */
	| {
			readonly type: "slot.written";
			readonly table: number;
			readonly slot: number;
			readonly count: number;
			readonly word: number;
			readonly stride: number;
	  }
	| {
			readonly type: "slot.cleared";
			readonly table: number;
			readonly slot: number;
			readonly count: number;
	  }
	/** AMD v1: another root and mode; destroy and VT-d whole-space unmap: root 0 = none. */
	| {
			readonly type: "table.rooted";
			readonly table: number;
			readonly mode: number;
	  };

/** Adds the store of `count` entries, word, word+stride, …, unless it went to what is no table. */
export function addWrite(
	steps: Step[],
	table: number,
	slot: number,
	count: number,
	word: number,
	stride: number,
): void {
	if (table === SCRATCH_TABLE) return;
	if (word === 0 && stride === 0)
		steps.push({ type: "slot.cleared", table, slot, count });
	else steps.push({ type: "slot.written", table, slot, count, word, stride });
}

/** Adds a push of entries to the list; consecutive pushes are one effect. */
export function addPush(
	effects: Effect[],
	amount: number,
	calls: number,
): void {
	const previous = effects[effects.length - 1];
	if (previous?.[0] === "S")
		effects[effects.length - 1] = [
			"S",
			previous[1] + amount,
			previous[2] + calls,
		];
	else effects.push(["S", amount, calls]);
}
