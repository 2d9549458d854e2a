/** Archiving a log that no process has open, behind `iommu-ledger log archive`: proven first, under the writer's lock. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { archiveSegments, archivable } from "./archive.ts";
import { checkLog } from "./care.ts";
import { LogError } from "./error.ts";
import { ioError, nodeIo } from "./io.ts";
import { takeLock } from "./lock.ts";
import { listSegments, type Segment } from "./segments.ts";
import type { ScanSummary } from "./scan-types.ts";

/** One segment that was, or would be, archived. */
export interface ArchivedSegment {
	/** First and last record in it; the first segment holds the header too. */
	readonly first: number;
	readonly last: number;
	/** Where it is now. */
	readonly path: string;
	readonly bytes: number;
	/** Size when compressed; undefined in a dry run. */
	readonly compressed: number | undefined;
}
/** The answer of `archiveLog`. */
export interface ArchiveResult {
	readonly done: readonly ArchivedSegment[];
	/** Segments that stay as they are, and those that were archived before. */
	readonly kept: number;
	readonly archivedBefore: number;
	/** What reading the whole log gave, before anything was moved. */
	readonly summary: ScanSummary;
}

/**
 * Archives the sealed segments of a log directory that end before record `before` (default: all that may be). A log that is not whole is left
 * alone: a compressed segment cannot be repaired. `dryRun` only says what would be done. Throws LogError `not-a-log`, `locked`, what
 * `checkLog` finds, `disk-full`, `read-only`, `io`.
 */
export async function archiveLog(
	directory: string,
	options: { readonly before?: number; readonly dryRun?: boolean } = {},
): Promise<ArchiveResult> {
	const { before = Number.MAX_SAFE_INTEGER, dryRun = false } = options;
	await stat(directory).catch((error: unknown) => {
		throw ioError(error, `archiving ${directory}`);
	});
	if (!(await nodeIo.isDirectory(directory)))
		throw new LogError(
			"not-a-log",
			`${directory} is not a directory of segments`,
			{
				hint: "Only a log in segments has sealed ones to archive (openFileStore with segmentBytes). One file is compressed with log convert -o NAME.gz.",
			},
		);
	const unlock = dryRun
		? () => Promise.resolve()
		: await takeLock(nodeIo, join(directory, "lock"));
	try {
		const { problem, summary } = await checkLog(directory);
		if (problem !== undefined || summary === undefined) throw problem;
		const segments = await listSegments(nodeIo, directory);
		const wanted = archivable(segments, before);
		const sizes = new Map<number, number>();
		for (const { first, path } of wanted)
			sizes.set(first, (await stat(path)).size);
		const moved = dryRun ? wanted : await archiveSegments(directory, before);
		const archivedBefore = segments.filter(({ archived }) => archived).length;
		return {
			done: await Promise.all(
				moved.map((segment) => described(segments, segment, sizes)),
			),
			kept: segments.length - archivedBefore - moved.length,
			archivedBefore,
			summary,
		};
	} finally {
		await unlock();
	}
}

async function described(
	segments: readonly Segment[],
	{ first, path, archived }: Segment,
	sizes: ReadonlyMap<number, number>,
): Promise<ArchivedSegment> {
	const next = segments.find((other) => other.first > first);
	return {
		first: Math.max(first, 1),
		last: (next?.first ?? first) - 1,
		path,
		bytes: sizes.get(first) ?? 0,
		compressed: archived ? (await stat(path)).size : undefined,
	};
}
