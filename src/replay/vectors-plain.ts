/** Golden vectors that are not sessions: one pure function call a line (`ranges`, `pgsize`; VECTORS.md). */
import {
	EMPTY_RANGE,
	encodeAmdRange,
	encodeAtcRange,
	encodeSmmuRange,
	encodeVtdRange,
} from "../iotlb/ranges.ts";
import { pageCount, pageSizeIndex } from "../pagetable/core.ts";
import { hexOfFrame } from "../vocabulary/address.ts";
import {
	VectorLineError,
	addressOf,
	bitmapField,
	countField,
	flagField,
	frameField,
	objectField,
	type VectorLine,
} from "./vectors-fields.ts";
import type { VectorJson } from "./vectors-print.ts";

/** The kinds of such lines, by the field that tells them. */
export function plainKind(line: VectorLine): "ranges" | "pgsize" | undefined {
	if (line.op !== undefined) return undefined;
	if ("start" in line && "end" in line) return "ranges";
	return "bitmap" in line ? "pgsize" : undefined;
}

/** The input fields of each kind. */
export const PLAIN_INPUTS = {
	ranges: ["start", "end"],
	pgsize: ["bitmap", "iova", "pa", "size"],
} as const;

/** Runs one line. */
export const runPlain = (
	kind: "ranges" | "pgsize",
	line: VectorLine,
): Record<string, VectorJson> =>
	kind === "ranges" ? encodeRanges(line) : choosePageSize(line);

function encodeRanges(line: VectorLine): Record<string, VectorJson> {
	const start = addressOf(line.start, "start");
	const end = addressOf(line.end, "end");
	const isEmpty = line.end === "0x0" && start.frame === EMPTY_RANGE.start;
	const range = isEmpty ? EMPTY_RANGE : { start: start.frame, last: end.frame };
	const vtd = encodeVtdRange(range);
	const amd = encodeAmdRange(range);
	const atc = encodeAtcRange(range);
	const answer: Record<string, VectorJson> = {
		vtd: {
			addr: hexOfFrame(vtd.addr),
			pages: `0x${vtd.pages.toString(16)}`,
			mask: vtd.mask,
		},
		amd: hexOfFrame(amd.frame, amd.sizeBit),
		atc: { addr: hexOfFrame(atc.addr), log2: atc.log2 },
	};
	if (line.smmu === undefined) return answer;
	// Granule and leaf flag are input to this encoder.
	const smmu = objectField(line, "smmu");
	const tg = countField(smmu, "tg");
	const lengthBytes =
		(end.frame - start.frame) * 4096 + end.offset + 1 - start.offset;
	const { size, commands } = encodeSmmuRange(
		start.frame,
		Math.floor(lengthBytes / 4096),
		tg,
		flagField(smmu, "leaf"),
	);
	answer.smmu = {
		tg,
		size: hexOfFrame(size),
		leaf: smmu.leaf as VectorJson,
		cmds: commands.map(({ va, scale, num }) => [hexOfFrame(va), scale, num]),
	};
	return answer;
}

function choosePageSize(line: VectorLine): Record<string, VectorJson> {
	const bitmap = bitmapField(line, "bitmap");
	const sizes: number[] = [];
	for (let bit = 12; bit < 64; bit++)
		if ((bitmap >> BigInt(bit)) & 1n) sizes.push(2 ** (bit - 12));
	const iova = frameField(line, "iova");
	const pa = frameField(line, "pa");
	const size = frameField(line, "size");
	const index = pageSizeIndex(sizes, iova, pa, size);
	if (index < 0)
		throw new VectorLineError("no page size fits: a BUG in the kernel");
	const count = pageCount(sizes, index, iova, pa, size);
	return {
		pgsize: hexOfFrame(sizes[index] as number),
		count: `0x${count.toString(16)}`,
	};
}
