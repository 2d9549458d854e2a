/** What the judge remembers of one open operation. */
import type { DeviceId, DomainId, GroupId } from "../vocabulary/ids.ts";
import type { OpenOp } from "../world/types.ts";
import type { Aspect } from "./invariant.ts";

/** One successful driver attach inside an operation. */
export interface Attach {
	readonly dev: DeviceId;
	readonly dom: DomainId;
	readonly undo: boolean;
	readonly seq: number;
}
/** An operation, or (seq 0) everything outside of operations. */
export interface Bracket {
	readonly seq: number;
	/** Undefined for the idle bracket. */
	readonly op: OpenOp | undefined;
	/** Entities touched, by aspect. */
	readonly touched: Map<Aspect, Set<string>>;
	/** hw.attach since the last outcome record (dev.attached, dev.replaced, dev.detached) of this operation. */
	attaches: Attach[];
	/** Groups whose domain was set since then: what it was before. */
	switched: Map<GroupId, DomainId | null | undefined>;
	/** Groups whose domain was set in this operation: what it was before its first switch. */
	readonly domBefore: Map<GroupId, DomainId | null | undefined>;
	/** Reservations made and dropped in this operation, by "ioas owner". */
	readonly reserved: Map<string, { net: number; seq: number }>;
	/** seq of the last inv.issued of this operation; 0 = none. */
	invSeq: number;
	/** seq of the last tag.flushed; 0 = none. */
	flushClaimSeq: number;
	/** seq of the last dom.unmap / iotlb.synced; 0 = none. */
	unmapSeq: number;
	syncedSeq: number;
}

/** A bracket in which nothing has happened. */
export const newBracket = (seq: number, op: OpenOp | undefined): Bracket => ({
	seq,
	op,
	touched: new Map(),
	attaches: [],
	switched: new Map(),
	domBefore: new Map(),
	reserved: new Map(),
	invSeq: 0,
	flushClaimSeq: 0,
	unmapSeq: 0,
	syncedSeq: 0,
});

/** Notes that an operation changed something about an entity. */
export function touch(bracket: Bracket, aspect: Aspect, id: string): void {
	const set = bracket.touched.get(aspect);
	if (set === undefined) bracket.touched.set(aspect, new Set([id]));
	else set.add(id);
}
