/** What the judge remembers of one open operation. Made for every operation, so nothing is allocated before it is needed. */
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
/** Groups whose domain was set, with what it was before. */
export type DomainsBefore = Map<GroupId, DomainId | null | undefined>;
/** What an operation did to the reservations of one owner in one IOAS. */
export interface Reserved {
	net: number;
	seq: number;
	/** The oldest of the reservations that it dropped, or its own begin. */
	since: number;
}
/** An operation, or (seq 0) everything outside of operations. */
export interface Bracket {
	readonly seq: number;
	/** Undefined for the idle bracket. */
	readonly op: OpenOp | undefined;
	/** Entities touched: aspect, id, aspect, id, … without duplicates; `touchedSet` holds the same once there are many. */
	readonly touched: string[];
	touchedSet: Set<string> | null;
	/** hw.attach since the last outcome record (dev.attached, dev.replaced, dev.detached) of this operation, by group. */
	attaches: Map<GroupId, Attach[]> | null;
	/** Groups whose domain was set since then / in the whole operation. */
	switched: DomainsBefore | null;
	domBefore: DomainsBefore | null;
	/** Reservations made and dropped in this operation, by "ioas owner". */
	reserved: Map<string, Reserved> | null;
	/** seq of the last inv.issued, tag.flushed, dom.map, dom.unmap, iotlb.synced, pages.pinned of this operation; 0 = none. */
	invSeq: number;
	flushClaimSeq: number;
	mapSeq: number;
	unmapSeq: number;
	syncedSeq: number;
	pinSeq: number;
	/** Areas claimed less areas gone, and the last of these records. */
	areasNet: number;
	areaSeq: number;
}

/** A bracket in which nothing has happened. */
export const newBracket = (seq: number, op: OpenOp | undefined): Bracket => ({
	seq,
	op,
	touched: [],
	touchedSet: null,
	attaches: null,
	switched: null,
	domBefore: null,
	reserved: null,
	invSeq: 0,
	flushClaimSeq: 0,
	mapSeq: 0,
	unmapSeq: 0,
	syncedSeq: 0,
	pinSeq: 0,
	areasNet: 0,
	areaSeq: 0,
});

/** The attaches of a group's members. */
export const attachesIn = (
	{ attaches }: Bracket,
	group: GroupId,
): readonly Attach[] => attaches?.get(group) ?? [];
/** Notes one. */
export function noteAttach(
	bracket: Bracket,
	group: GroupId | undefined,
	attach: Attach,
): void {
	if (group === undefined) return;
	bracket.attaches ??= new Map();
	const list = bracket.attaches.get(group);
	if (list === undefined) bracket.attaches.set(group, [attach]);
	else list.push(attach);
}

/** Pairs that a linear search may look through. */
const FEW = 16;

/** Did the operation touch this? */
export function hasTouched(
	bracket: Bracket,
	aspect: Aspect,
	id: string,
): boolean {
	if (bracket.touchedSet !== null)
		return bracket.touchedSet.has(`${aspect} ${id}`);
	const { touched } = bracket;
	for (let i = touched.length - 2; i >= 0; i -= 2)
		if (touched[i + 1] === id && touched[i] === aspect) return true;
	return false;
}

/** Notes that an operation changed something about an entity. */
export function touch(bracket: Bracket, aspect: Aspect, id: string): void {
	if (hasTouched(bracket, aspect, id)) return;
	bracket.touched.push(aspect, id);
	if (bracket.touchedSet !== null) bracket.touchedSet.add(`${aspect} ${id}`);
	else if (bracket.touched.length > 2 * FEW) {
		const set = new Set<string>();
		for (let i = 0; i < bracket.touched.length; i += 2)
			set.add(`${bracket.touched[i]} ${bracket.touched[i + 1]}`);
		bracket.touchedSet = set;
	}
}

/** Forgets everything touched. */
export function untouch(bracket: Bracket): void {
	bracket.touched.length = 0;
	bracket.touchedSet = null;
}
