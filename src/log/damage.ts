/**
 * Finds out what happened to a log at the place where it stops being whole. Each explanation that can be is proven: the change is
 * undone in memory and the seal's hash must come out right. In the order tried: torn tail, doubled line, swapped lines, flipped
 * byte, missing lines (which no hash can prove: seq and seal tell), and last `damaged`: none of these.
 *
 * Not found: several changes in one batch, beyond "damaged".
 */
import { type Case, type DamagedPlace, errorAt } from "./damage-case.ts";
import { firstDeviation } from "./deviation.ts";
import { LogError, type LogErrorCode } from "./error.ts";
import { findFlippedByte } from "./flipped-byte.ts";
import { looseLines, type LooseLine } from "./loose-lines.ts";
import { isPlainGap, missing } from "./missing-lines.ts";
import { SEAL_TAIL_LENGTH } from "./seal.ts";

/** What happened. */
export interface Explanation {
	readonly code: LogErrorCode;
	readonly error: LogError;
	/** Whole records behind the last good seal, in order. */
	readonly records: number;
}

const LINES_MAX = 50_000;
/** So many zeros in a row are no accident of single bytes. */
const ZEROS_CERTAIN = 8;
/** Bytes that go to the disk in one write and are acknowledged together, at most (one larger batch aside). */
export const GROUP_BYTES_MAX = 8 << 20;

/** Explains the damage. Pure. */
export function explainDamage(place: DamagedPlace): Explanation {
	const lines = looseLines(place.rest, LINES_MAX);
	const lastBatch = isLastBatch(lines, place.head.seq);
	const damage = { goodBytes: place.offset, lastBatch };
	const found: Case = {
		...place,
		lines,
		deviation: firstDeviation(lines, place.head.seq),
		damage,
	};
	const error =
		torn(found) ??
		unwritten(found, ZEROS_CERTAIN) ??
		doubled(found) ??
		swapped(found) ??
		(isPlainGap(found) ? missing(found) : undefined) ??
		flipped(found) ??
		unwritten(found, 1) ??
		missing(found) ??
		unexplained(found);
	return {
		code: error.code,
		error,
		records: wholeRecords(lines, place.head.seq),
	};
}

/** Tells whether the last append alone is concerned: only its own lines are there, and whatever became of some of them. */
function isLastBatch(lines: readonly LooseLine[], headSeq: number): boolean {
	if (lines.length >= LINES_MAX) return false;
	const seals = lines.filter((line) => line.kind === "seal");
	const seal = seals[0]?.seal;
	if (seal !== undefined)
		return (
			seals.length === 1 &&
			seals[0] === lines.at(-1) &&
			seal.seq - seal.count === Math.max(headSeq, 0)
		);
	// Was a broken line a seal? Then the records behind it stand later than in one batch, by as many lines.
	let broken = 0;
	return lines.every(({ kind, seq }, i) => {
		if (kind === "broken") broken++;
		const late = headSeq + 1 + i - seq;
		return kind !== "record" || late < 1 || late > broken;
	});
}

function wholeRecords(lines: readonly LooseLine[], headSeq: number): number {
	let records = 0;
	for (const line of lines) {
		if (
			!line.whole ||
			line.kind !== "record" ||
			line.seq !== Math.max(headSeq, 0) + records + 1
		)
			break;
		records++;
	}
	return records;
}

/** Only whole lines in order, then at most a fragment, and no seal: an append that was cut short. */
function torn(found: Case): LogError | undefined {
	const { lines, deviation, head, rest } = found;
	const last = lines.at(-1);
	if (
		last === undefined ||
		lines.some((line) => line.kind === "seal" && line.whole)
	)
		return undefined;
	const fragment = last.whole ? lines.length : lines.length - 1;
	if (deviation !== undefined && deviation.index < fragment) return undefined;
	// A fragment longer than a whole seal line is one whose newline changed, not one that was cut.
	if (
		fragment < lines.length &&
		endsInSeal(rest.toString("latin1", last.start, last.end))
	)
		return undefined;
	const seq = Math.max(head.seq, 0) + 1;
	return errorAt(
		found,
		"torn-tail",
		`the last append was cut short: ${rest.length} bytes behind the last seal (seq ${head.seq})`,
		fragment,
		seq,
		"Nothing that was acknowledged is concerned. `iommu-ledger log repair` drops the fragment.",
	);
}

/**
 * Zeros, which a log never holds, in what can be one write (GROUP_BYTES_MAX): blocks of an append that never reached the disk, while
 * later ones did. Nothing of it was acknowledged, whole batches behind the zeros included.
 */
function unwritten(found: Case, zerosMin: number): LogError | undefined {
	const { lines, head, rest } = found;
	const seal = lines.find((line) => line.kind === "seal");
	const at = rest.subarray(0, seal?.end).indexOf(Buffer.alloc(zerosMin));
	if (at < 0 || rest.length > GROUP_BYTES_MAX) return undefined;
	const index = lines.findIndex((line) => at <= line.end);
	return errorAt(
		found,
		"torn-tail",
		`the last write did not reach the disk whole: zeros behind the last seal (seq ${head.seq})`,
		index,
		Math.max(head.seq, 0) + 1,
		"Nothing that was acknowledged is concerned. `iommu-ledger log repair` sets the bytes aside.",
	);
}

const endsInSeal = (fragment: string): boolean =>
	/,"hash":"[0-9a-f]{64}"\}./.test(fragment);

/** Tells whether these lines, up to their first seal, are a batch whose hash is right. */
function verifies(found: Case, lines: readonly LooseLine[]): boolean {
	const index = lines.findIndex((line) => line.kind === "seal");
	const seal = lines[index];
	if (seal?.seal === undefined) return false;
	const parts = lines
		.slice(0, index)
		.map((line) =>
			Buffer.concat([found.rest.subarray(line.start, line.end), NEWLINE]),
		);
	const prefix = found.rest.subarray(seal.start, seal.end - SEAL_TAIL_LENGTH);
	return (
		found.sum
			.copy()
			.update(Buffer.concat([...parts, prefix]))
			.digest("hex") === seal.seal.hash
	);
}

const NEWLINE = Buffer.from("\n");

/** Two lines stand in each other's place. */
function swapped(found: Case): LogError | undefined {
	const { lines, deviation } = found;
	if (deviation === undefined) return undefined;
	const { index: at, seq } = deviation;
	for (const [other, line] of lines.entries()) {
		const belongs =
			line.kind === "seal" ? line.seal?.seq === seq - 1 : line.seq === seq;
		if (other === at || !belongs) continue;
		const order = [...lines];
		order[at] = line;
		order[other] = lines[at] as LooseLine;
		if (!verifies(found, order)) continue;
		const [a, b] = [
			found.line + Math.min(at, other),
			found.line + Math.max(at, other),
		];
		return errorAt(
			found,
			"swapped-lines",
			`lines ${a} and ${b} are swapped`,
			Math.min(at, other),
			seq,
			"Exchanged, they fit the seal: nothing else changed. An editor or a sort did this.",
		);
	}
	return undefined;
}

/** A line stands there twice. */
function doubled(found: Case): LogError | undefined {
	const { lines, deviation, rest, previous } = found;
	const line = lines[deviation?.index ?? lines.length];
	if (deviation === undefined || line === undefined) return undefined;
	const own = rest.subarray(line.start, line.end);
	const before = lines[deviation.index - 1];
	const same =
		before === undefined
			? Buffer.from(previous)
			: rest.subarray(before.start, before.end);
	if (!own.equals(same)) return undefined;
	const order = lines.filter((other) => other !== line);
	// A seal that repeats the last good one needs no proof.
	if (deviation.index > 0 && !verifies(found, order)) return undefined;
	const message = `line ${found.line + deviation.index} repeats the line before it`;
	return errorAt(
		found,
		"duplicate-line",
		message,
		deviation.index,
		deviation.seq,
		"Without it, the seal fits.",
	);
}

/** One byte changed. */
function flipped(found: Case): LogError | undefined {
	const { lines, deviation, sum, rest } = found;
	const line = lines[deviation?.index ?? -1];
	const next = lines[(deviation?.index ?? -1) + 1];
	const seal = lines.find((other) => other.kind === "seal");
	const from = line?.start ?? 0;
	const to =
		((line === undefined ? seal : (next ?? line))?.end ?? rest.length - 1) + 1;
	const sealFrom = line === undefined ? (seal?.start ?? 0) : line.start;
	const byte = findFlippedByte(sum, rest, from, to, sealFrom);
	return byte === undefined
		? undefined
		: flippedError(found, byte.at, byte.byte);
}

function flippedError(found: Case, at: number, byte: number): LogError {
	const index = found.lines.findIndex(
		(line) => at >= line.start && at <= line.end,
	);
	const line = found.lines[index];
	const column = at - (line?.start ?? 0) + 1;
	const was = found.rest[at] ?? 0;
	const mended = Buffer.from(found.rest);
	mended[at] = byte;
	const lastBatch = isLastBatch(looseLines(mended, LINES_MAX), found.head.seq);
	const fix = { offset: found.offset + at, byte };
	return new LogError(
		"flipped-byte",
		`one byte was changed: it is ${show(was)} and was ${show(byte)}`,
		{
			line: found.line + index,
			column,
			seq: seqOf(found, index),
			hint: "Put back, it fits the seal: nothing else changed. `iommu-ledger log repair` does that.",
			damage: { ...found.damage, lastBatch, fix },
			cause: found.first,
		},
	);
}

/** Which record a line must hold by its place. */
function seqOf(found: Case, index: number): number {
	const before = found.lines
		.slice(0, index)
		.filter((line) => line.kind !== "seal").length;
	return (
		found.head.seq + 1 + before - (found.lines[index]?.kind === "seal" ? 1 : 0)
	);
}

const show = (byte: number): string =>
	byte > 0x20 && byte < 0x7f
		? `"${String.fromCharCode(byte)}"`
		: `0x${byte.toString(16).padStart(2, "0")}`;

function unexplained(found: Case): LogError {
	const { lines, deviation, first } = found;
	const end = lines.findIndex((line) => line.kind === "seal");
	const last = found.line + (end < 0 ? lines.length - 1 : end);
	const index = deviation?.index ?? 0;
	const message =
		deviation === undefined
			? `lines ${found.line} to ${last} were changed: their hash is not the one in the seal`
			: (first?.message ?? "the line is neither record nor seal");
	return errorAt(
		found,
		"damaged",
		message,
		index,
		deviation?.seq ?? found.head.seq + 1,
		"More than one byte changed. What lies before is whole; `iommu-ledger log repair --cut` keeps that.",
	);
}
