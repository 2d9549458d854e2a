/** The catalogue: every invariant, in the order in which they are checked and listed (DESIGN §5). */
import { ACCESSES } from "./accesses.ts";
import { ALIGNMENT_AND_LEAVES } from "./alignment-and-leaves.ts";
import { ANOMALIES } from "./anomalies.ts";
import { DIRTY } from "./dirty.ts";
import { GROUP_MOVES } from "./group-moves.ts";
import { GROUP_STATE } from "./group-state.ts";
import { HWPTS } from "./hwpts.ts";
import type { Invariant } from "./invariant.ts";
import { IOVA } from "./iova.ts";
import { LOG_SHAPE } from "./log-shape.ts";
import { NESTING } from "./nesting.ts";
import { OWNERSHIP } from "./ownership.ts";
import { PAGE_REQUESTS } from "./page-requests.ts";
import { PAGE_TABLES } from "./page-tables.ts";
import { PINS } from "./pins.ts";
import { TABLE_ACTS } from "./table-act-rows.ts";
import { TABLE_DIRTY } from "./table-dirty.ts";
import { TABLE_CALLS } from "./table-rows.ts";
import { TABLE_WORDS } from "./table-words.ts";
import { REFERENCES } from "./references.ts";
import { RESERVATIONS } from "./reservations.ts";
import { TYPE1 } from "./type1.ts";

/**
 * All invariants. Where one cause breaks several at the same record, the one that names the cause stands first: moves before states,
 * hardware before bookkeeping.
 */
export const CATALOGUE: readonly Invariant[] = [
	...GROUP_MOVES,
	...GROUP_STATE,
	...OWNERSHIP,
	...LOG_SHAPE,
	...RESERVATIONS,
	...HWPTS,
	...NESTING,
	...REFERENCES,
	...IOVA,
	...ALIGNMENT_AND_LEAVES,
	...PINS,
	...ACCESSES,
	...DIRTY,
	...PAGE_REQUESTS,
	...TYPE1,
	...TABLE_WORDS,
	...TABLE_ACTS,
	...TABLE_CALLS,
	...PAGE_TABLES,
	...TABLE_DIRTY,
	...ANOMALIES,
];

/** The invariant with this id, or undefined. */
export const invariantById = (id: string): Invariant | undefined =>
	CATALOGUE.find((invariant) => invariant.id === id);
