/** Which range the invalidations among an operation's effects reach. */
import type { Effect } from "./events.ts";

/** The flushes of one operation. */
export interface FlushRange {
	/** Was there any flush at all? */
	readonly any: boolean;
	/** Is [iova, iova+size) inside what was asked to be flushed? Rounding by the command encoding is not counted on. */
	covers(iova: number, size: number): boolean;
}

/** The ranges that the effects ask to flush, before any rounding up. */
export function encodesAtLeast(effects: readonly Effect[]): FlushRange {
	const ranges: (readonly [number, number])[] = [];
	let all = false;
	for (const effect of effects) {
		if (effect[0] === "FL" && effect[2] > 0)
			ranges.push([effect[1], effect[1] + effect[2] - 1]);
		else if (effect[0] === "Q" && effect[2] >= effect[1])
			ranges.push([effect[1], effect[2]]);
		else if (effect[0] === "W")
			ranges.push([effect[1], effect[1] + effect[2] - 1]);
		else if (effect[0] === "P")
			ranges.push([effect[1], effect[1] + effect[2] * effect[3] - 1]);
		else if (effect[0] === "ALL" || effect[0] === "FL" || effect[0] === "Q")
			all = true;
	}
	return {
		any: all || ranges.length > 0,
		covers: (iova, size) =>
			all ||
			ranges.some(([start, last]) => start <= iova && iova + size - 1 <= last),
	};
}
