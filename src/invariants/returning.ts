/** Calls of the core that return, on page tables that are logged entry by entry. What another open call is about is promised by nobody. */
import { subtract } from "../iotlb/state.ts";
import type { Tables } from "../iotlb/tables.ts";
import type { Possible } from "../iotlb/walks.ts";
import { showFrames } from "../vocabulary/address.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	rangesIn,
	type Call,
	type CallName,
	type CallRange,
} from "../world/calls.ts";
import type { World } from "../world/types.ts";
import { broken, SKIP, type Context, type Outcome } from "./invariant.ts";

type End = LogRecord<"op.commit" | "op.fail">;
/** A call that returns. */
export interface Returning {
	readonly call: Call;
	readonly tables: Tables;
	readonly world: World;
	/** Its ranges without what other open calls are about. */
	readonly ranges: readonly CallRange[];
	readonly record: End;
}

/** A check of calls of one kind that return. */
export const atReturn =
	(name: CallName, test: (returning: Returning) => Outcome) =>
	({ world }: Context, record: End): Outcome => {
		if (world.calls.size === 0) return SKIP;
		const call = world.calls.get(record.op);
		if (call?.name !== name) return SKIP;
		const tables = world.iotlb.tables.get(call.dom);
		if (tables === undefined) return SKIP;
		const ranges = promised(world, call, record);
		return test({ call, tables, world, ranges, record });
	};

/** What the call is about now: the ranges of its result where it names some. */
function promised(world: World, call: Call, { data }: End): CallRange[] {
	const told = data.result === undefined ? [] : rangesIn(data.result);
	let ranges: readonly CallRange[] = told.length > 0 ? told : call.ranges;
	for (const other of world.calls.values()) {
		if (other === call || other.actor === call.actor || other.dom !== call.dom)
			continue;
		for (const { start, n } of other.ranges)
			ranges = ranges.flatMap((range) =>
				subtract([range], start, n).map((part) => ({
					...part,
					pa: range.pa < 0 ? -1 : range.pa + (part.start - range.start),
				})),
			);
	}
	return [...ranges];
}

/** A finding about a call. `since`: the record that took a stale translation out of memory. */
export const fault = (
	{ call, record }: Returning,
	frame: number,
	message: string,
	since = 0,
): Outcome =>
	broken(
		`${call.dom} ${frame} ${call.seq}`,
		`${call.name} of ${call.ranges.map(({ start, n }) => showFrames(start, n)).join(", ")} (#${call.seq}) ${message}`,
		[call.actor, call.dom],
		[call.seq, since, record.seq],
		since > 0 ? { stales: [takenOutBy(since)] } : {},
	);

/** Names what a record took out of memory, apart from the numbers of stale ranges. */
export const takenOutBy = (seq: number): number => -seq;

/** Some frames. */
export interface Part {
	readonly start: number;
	readonly n: number;
}
/** The parts of a leaf that no range is about. */
export const outside = (leaf: Part, ranges: readonly CallRange[]) =>
	ranges.reduce<readonly { readonly start: number; readonly n: number }[]>(
		(parts, { start, n }) => subtract(parts, start, n),
		[leaf],
	);

/** Where a possible translation leads a frame. */
export const targetOf = (one: Possible, frame: number): number =>
	one.pa + (frame - one.start);
