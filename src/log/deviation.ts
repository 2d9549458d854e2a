/** Where the lines of a damaged log first deviate from what must stand there. */
import type { LooseLine } from "./loose-lines.ts";
import type { Seal } from "./seal.ts";

/** Where the lines first deviate from what must stand there, and which record that is. */
export interface Deviation {
	readonly index: number;
	readonly seq: number;
}

/** Walks the first batch: header first, then dense records, then a seal that fits. Undefined when nothing deviates. */
export function firstDeviation(
	lines: readonly LooseLine[],
	headSeq: number,
): Deviation | undefined {
	let seq = headSeq + 1;
	for (const [index, line] of lines.entries()) {
		if (line.kind === "seal" && line.seal !== undefined)
			return sealDeviation(lines, index, line.seal, seq, headSeq);
		const wanted = seq === 0 ? "header" : "record";
		// Behind the header stands its own seal, not a record.
		const sealDue = headSeq < 0 && seq === 1;
		if (line.kind !== wanted || line.seq !== seq || sealDue)
			return { index, seq };
		seq++;
	}
	return undefined;
}

/** The first batch's seal stands at `index`, where record `seq` is the next. Does it fit? */
function sealDeviation(
	lines: readonly LooseLine[],
	index: number,
	seal: Seal,
	seq: number,
	headSeq: number,
): Deviation | undefined {
	const count = seq - 1 - Math.max(headSeq, 0);
	if (index > 0 && seal.seq === seq - 1 && seal.count === count)
		return undefined;
	if (seal.seq >= seq - 1) return { index, seq };
	const early = lines.findIndex((line) => line.seq === seal.seq + 1);
	return early >= 0 && early < index
		? { index: early, seq: seal.seq + 1 }
		: { index, seq };
}
