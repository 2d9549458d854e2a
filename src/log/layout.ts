/** Which files a file store's log is made of, found out before it is opened. */
import { dirname, join } from "node:path";
import { BINARY, codecOf } from "./binary.ts";
import { SIGNATURE } from "./binary-frames.ts";
import { type LogCodec, NDJSON } from "./codec.ts";
import { ioError, type LogIo } from "./io.ts";
import { listSegments, type Segment, segmentName } from "./segments.ts";

/** Where a log's files are. */
export interface Layout {
	readonly path: string;
	readonly segmented: boolean;
	readonly lockPath: string;
	readonly segments: readonly Segment[];
	/** Path of the segment that starts with a record, in a codec. */
	readonly pathOf: (first: number, codec: LogCodec) => string;
}

/** Looks at what is there. A directory, or a wish for segments, makes a segmented log. */
export async function findLayout(
	io: LogIo,
	path: string,
	segmented: boolean,
): Promise<Layout> {
	if (segmented || (await io.isDirectory(path))) {
		await io.makeDirectory(path).catch((error: unknown) => {
			throw ioError(error, `making the directory ${path}`);
		});
		return {
			path,
			segmented: true,
			lockPath: join(path, "lock"),
			segments: await listSegments(io, path),
			pathOf: (first, { extension }) =>
				join(path, segmentName(first, extension)),
		};
	}
	const names = await io.list(dirname(path));
	const there = names.includes(path.split("/").at(-1) ?? path);
	return {
		path,
		segmented: false,
		lockPath: `${path}.lock`,
		segments: there ? [{ first: 0, path, archived: false }] : [],
		pathOf: () => path,
	};
}

/** The codec of what is there: segments are named by it, a single file tells by its first bytes. Undefined when neither does. */
export async function codecFound(
	io: LogIo,
	{ segments, segmented }: Layout,
): Promise<LogCodec | undefined> {
	const last = segments.at(-1);
	if (last === undefined) return undefined;
	if (segmented) return last.path.endsWith(BINARY.extension) ? BINARY : NDJSON;
	const file = await io.open(last.path, "read").catch((error: unknown) => {
		throw ioError(error, `opening ${last.path}`);
	});
	try {
		const bytes = Buffer.alloc(SIGNATURE.length);
		await file.read(bytes, 0);
		// Zeros: empty, or a start that never reached the disk.
		return bytes[0] === 0 ? undefined : codecOf(bytes);
	} finally {
		await file.close();
	}
}
