/** Explains damage as lines that are gone: records, or a seal. */
import { type Case, errorAt } from "./damage-case.ts";
import type { LogError } from "./error.ts";
import type { LooseLine } from "./loose-lines.ts";
import { SEAL_TAIL_LENGTH, type Seal, sealBatch } from "./seal.ts";

/**
 * Tells whether lines are missing beyond doubt, so that no byte need be tried: what follows the gap goes on in order, as it would not
 * if a digit had changed; or the missing seal can be made again and makes the next one right.
 */
export function isPlainGap(found: Case): boolean {
	const { lines, deviation, head } = found;
	const line = lines[deviation?.index ?? -1];
	if (deviation === undefined || line === undefined) return false;
	if (line.kind === "seal" && line.seal !== undefined) {
		const { seq, count } = line.seal;
		return seq >= deviation.seq
			? seq - count === Math.max(head.seq, 0)
			: isSealMissing(found, line, line.seal);
	}
	const next = lines[deviation.index + 1];
	return (
		line.kind === "record" &&
		line.seq > deviation.seq &&
		(next?.seq === line.seq + 1 || next?.seal?.seq === line.seq)
	);
}

function isSealMissing(
	{ rest, lines, sum, head }: Case,
	line: LooseLine,
	seal: Seal,
): boolean {
	const after = seal.seq - seal.count;
	const last = lines.find(
		(other) => other.kind === "record" && other.seq === after,
	);
	if (last === undefined) return false;
	const made = sealBatch(
		{ line: "", head, sum },
		rest.toString("utf8", 0, last.end + 1),
		after,
		after - Math.max(head.seq, 0),
	);
	const bytes = rest.subarray(last.end + 1, line.end - SEAL_TAIL_LENGTH);
	return made.sum.copy().update(bytes).digest("hex") === seal.hash;
}

/** Lines are gone: records, or a seal. */
export function missing(found: Case): LogError | undefined {
	const { lines, deviation, head } = found;
	if (deviation === undefined) return undefined;
	const { index, seq } = deviation;
	const line = lines[index];
	if (line === undefined || line.kind === "broken") return undefined;
	const hint =
		"Lines were deleted. Compare with a copy; nothing behind this place can be trusted to be complete.";
	if (seq === 0)
		return errorAt(
			found,
			"missing-lines",
			"the header line is missing",
			index,
			0,
			hint,
		);
	if (head.seq < 0 && line.kind === "record")
		return errorAt(
			found,
			"missing-lines",
			"the seal line behind the header is missing",
			index,
			0,
			hint,
		);
	if (
		line.kind === "seal" &&
		line.seal !== undefined &&
		line.seal.seq === seq - 1 &&
		line.seal.count < seq - 1 - head.seq
	) {
		const after = line.seal.seq - line.seal.count;
		const where = index - line.seal.count;
		return errorAt(
			found,
			"missing-lines",
			`the seal line behind record ${after} is missing`,
			where,
			after,
			hint,
		);
	}
	const last = line.kind === "seal" ? (line.seal?.seq ?? seq) : line.seq - 1;
	if (last < seq) return undefined;
	const what =
		last === seq ? `record ${seq} is` : `records ${seq} to ${last} are`;
	return errorAt(found, "missing-lines", `${what} missing`, index, seq, hint);
}
