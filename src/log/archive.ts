/**
 * Archiving: sealed segments are compressed into the log's subdirectory `archive` (which may be a mount or a link), where readers find
 * them. Nothing is ever removed before its compressed copy was read back and found whole.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { createHash } from "node:crypto";
import { plainChunks } from "./chunks.ts";
import { LogError } from "./error.ts";
import { ioError, nodeIo } from "./io.ts";
import { ARCHIVE, listSegments, type Segment } from "./segments.ts";

const LAST_KEPT = 2;

/** The segments that end before a record and may go into the archive: not the last two, which an opening writer reads. */
export const archivable = (
	segments: readonly Segment[],
	before: number,
): readonly Segment[] =>
	segments.filter(
		({ archived }, i) =>
			!archived &&
			i + LAST_KEPT < segments.length &&
			(segments[i + 1]?.first ?? 0) <= before,
	);

/**
 * Archives the segments of a log directory that end before record `before`; the last two never, which
 * an opening writer reads. Safe to
 * repeat after a crash. When this process has the log open, use the store's `archive`. Returns what was archived now. Throws LogError `disk-full`, `read-only`, `io`.
 */
export async function archiveSegments(
	directory: string,
	before: number,
): Promise<readonly Segment[]> {
	const segments = await listSegments(nodeIo, directory);
	const folder = join(directory, ARCHIVE);
	const done: Segment[] = [];
	try {
		for (const segment of archivable(segments, before)) {
			await nodeIo.makeDirectory(folder);
			const path = join(folder, `${segment.path.split("/").at(-1)}.gz`);
			await compress(segment.path, path);
			await nodeIo.syncDirectory(folder);
			await nodeIo.remove(segment.path);
			await nodeIo.syncDirectory(directory);
			done.push({ ...segment, path, archived: true });
		}
	} catch (error) {
		throw ioError(error, `archiving ${directory}`);
	}
	return done;
}

async function compress(from: string, to: string): Promise<void> {
	const draft = `${to}.draft`;
	await pipeline(
		createReadStream(from),
		createGzip(),
		createWriteStream(draft),
	);
	const file = await open(draft, "r+");
	try {
		await file.datasync();
	} finally {
		await file.close();
	}
	if ((await sumOf(from)) !== (await sumOf(draft)))
		throw new LogError("io", `${draft} does not hold what ${from} does`, {
			hint: "The original was kept. Check the disk of the archive.",
		});
	await nodeIo.rename(draft, to);
}

async function sumOf(path: string): Promise<string> {
	const hash = createHash("sha256");
	for await (const chunk of plainChunks(path)) hash.update(chunk);
	return hash.digest("hex");
}
