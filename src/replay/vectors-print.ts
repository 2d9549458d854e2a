/** Writes what the model did in the notation of the golden vectors (VECTORS.md), so that answers can be compared field by field. */
import {
	EMPTY_RANGE,
	encodeAmdRange,
	encodeVtdRange,
	type FrameRange,
} from "../iotlb/ranges.ts";
import type { CoreCall } from "../pagetable/core.ts";
import type { Effect } from "../pagetable/events.ts";
import { hexOfFrame } from "../vocabulary/address.ts";

/** A JSON value of a vector line. */
export type VectorJson =
	| null
	| boolean
	| number
	| string
	| readonly VectorJson[]
	| { readonly [key: string]: VectorJson };

/** A signed result as the vectors write it inside events: 64-bit hex. */
const hexOfResult = (value: number): string =>
	value < 0
		? `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`
		: hexOfFrame(value);

const rangeOf = (start: number, last: number): FrameRange =>
	last < 0 ? EMPTY_RANGE : { start, last };

/** Start and end in bytes; an empty gather is all ones and 0. */
function printRange(
	start: number,
	last: number,
	tail: number,
): [string, string] {
	if (last < 0) return ["0xffffffffffffffff", "0x0"];
	return [hexOfFrame(start), hexOfFrame(last, tail)];
}

function printAmdFlush(iova: number, size: number): VectorJson {
	const isEmpty = size === 0;
	const range = isEmpty ? EMPTY_RANGE : { start: iova, last: iova + size - 1 };
	const { frame, sizeBit } = encodeAmdRange(range);
	const word = hexOfFrame(frame, sizeBit);
	return isEmpty
		? ["FL", "0xffffffffffffffff", "0x2", word]
		: ["FL", hexOfFrame(iova), hexOfFrame(size), word];
}

/** One effect as an event of a vector line. */
export function printEffect(effect: Effect): VectorJson {
	switch (effect[0]) {
		case "W":
			return [
				"W",
				hexOfFrame(effect[1]),
				hexOfFrame(effect[2]),
				hexOfFrame(effect[3]),
			];
		case "P":
			return ["P", hexOfFrame(effect[1]), hexOfFrame(effect[2]), effect[3]];
		case "SY":
			return [
				"SY",
				...printRange(effect[1], effect[2], 0xfff),
				hexOfFrame(effect[3]),
			];
		case "FL":
			return printAmdFlush(effect[1], effect[2]);
		case "Q": {
			const { addr, mask } = encodeVtdRange(rangeOf(effect[1], effect[2]));
			const [start, end] = printRange(effect[1], effect[2], effect[3]);
			return ["Q", start, end, hexOfFrame(addr), mask, effect[4]];
		}
		case "DW":
		case "FD":
			return [effect[0], hexOfFrame(effect[1])];
		case "RE":
			return ["RE", hexOfResult(effect[1]), hexOfFrame(effect[2])];
		default:
			return effect;
	}
}

/** One call of the core layer. */
export const printCoreCall = (call: CoreCall): VectorJson =>
	call[0] === "m"
		? ["m", hexOfFrame(call[1]), call[2], call[3], hexOfFrame(call[4])]
		: ["u", hexOfFrame(call[1]), call[2], hexOfFrame(call[3])];
