/**
 * A log on disk: one file, or a directory of segments. A segment's name is the first seq in it; a later segment starts with a copy
 * of the seal it goes on from, so the chain runs through. Sealed segments may lie compressed in the subdirectory `archive`, which
 * readers look into as well.
 */
import { join } from "node:path";
import { LogError } from "./error.ts";
import type { LogIo } from "./io.ts";

/** One file of a log. */
export interface Segment {
	/** First seq in it; 0 for the one with the header. */
	readonly first: number;
	readonly path: string;
	/** Lies compressed in the archive. */
	readonly archived: boolean;
}

/** Name of the subdirectory for archived segments. */
export const ARCHIVE = "archive";
const NAME = /^(\d{16})(\.ndjson|\.blog)(\.gz)?$/;

/** File name of the segment that starts with record `first`. */
export const segmentName = (first: number, extension: string): string =>
	`${String(first).padStart(16, "0")}${extension}`;

/** The segments of a log directory in order. Throws LogError `missing-lines` when the first one is not there. */
export async function listSegments(
	io: LogIo,
	directory: string,
): Promise<readonly Segment[]> {
	const found = new Map<number, Segment>();
	// A segment that is in both places is taken from the directory: its archiving was interrupted.
	for (const folder of [join(directory, ARCHIVE), directory])
		for (const name of await io.list(folder)) {
			const parts = NAME.exec(name);
			if (!parts) continue;
			const first = Number(parts[1]);
			found.set(first, {
				first,
				path: join(folder, name),
				archived: folder !== directory,
			});
		}
	const segments = [...found.values()].sort((a, b) => a.first - b.first);
	const start = segments[0];
	if (start !== undefined && start.first !== 0)
		throw await startMissing(io, directory, start.first);
	return segments;
}

/** What was archived first is read first: without the archive a log has no beginning. */
async function startMissing(
	io: LogIo,
	directory: string,
	first: number,
): Promise<LogError> {
	const archive = join(directory, ARCHIVE);
	const there = await io.isDirectory(archive);
	return new LogError(
		"missing-lines",
		`${directory} starts with record ${first}: earlier segments are missing${there ? "" : ", and so is its folder archive"}`,
		{
			seq: 0,
			hint: there
				? `Put them back, or into ${archive}.`
				: `Was it archived to another disk? Mount it, or link ${archive} to it.`,
		},
	);
}

/** Puts the segment's name in front of an error that came from reading it. */
export function inSegment(error: unknown, segment: Segment): unknown {
	if (!(error instanceof LogError)) return error;
	const { code, line, column, seq, hint, damage } = error;
	const name = segment.path.split("/").at(-1) ?? segment.path;
	const named = new LogError(code, `${name}: ${error.message}`, {
		seq,
		hint,
		damage: damage && { ...damage, path: segment.path },
		cause: error,
	});
	return Object.assign(named, { line, column });
}

/** The error for a segment that does not start with the seal it goes on from. */
export const brokenStart = (segment: Segment): LogError =>
	new LogError(
		"missing-lines",
		`the segment does not start with the seal of record ${segment.first - 1}`,
		{
			line: 1,
			seq: segment.first,
			hint: "Its first line is a copy of the last line of the segment before it: one of the two is missing or was changed.",
		},
	);
