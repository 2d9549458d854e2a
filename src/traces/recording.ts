/** Which files make up a recording: a folder, a trace and its siblings, calls alone, standard input. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Fidelity } from "../vocabulary/header.ts";
import type { ByteSource } from "./bytes.ts";
import { fileSource } from "./bytes.ts";

/** A recording that cannot be read at all. */
export class ImportError extends Error {
	override readonly name = "ImportError";
}

/** The parts of a recording. Any may be missing, but a trace or calls must be there. */
export interface Recording {
	readonly name: string;
	readonly trace?: ByteSource;
	readonly calls?: ByteSource;
	readonly witness?: ByteSource;
	readonly groups?: ByteSource;
	readonly cmdline?: ByteSource;
	readonly dmesg?: ByteSource;
	readonly counts?: ByteSource;
	/** The dynamic events that were on: a recording with probes is L1 even where none was hit. */
	readonly probes?: ByteSource;
}

/** How to import. `alone`: only the file named, not what lies beside it. */
export interface ImportOptions {
	readonly alone?: boolean;
	readonly format?: "auto" | "ftrace" | "calls" | "qemu";
	/** How much of a trace is looked at before the header is made (live sources: 1). */
	readonly peekBytes?: number;
	/** The fidelity, when the caller knows better than a first look (live sources). */
	readonly fidelity?: Fidelity;
	/** Called now and then with the bytes of the trace read so far. */
	readonly onProgress?: (bytes: number) => void;
}

/** File names of the parts, without ".gz". */
const PARTS: { readonly [name: string]: keyof Recording | undefined } = {
	"trace.txt": "trace",
	"calls.ndjson": "calls",
	"qemu_vtd.txt": "witness",
	"groups.txt": "groups",
	"cmdline.txt": "cmdline",
	"dmesg.txt": "dmesg",
	"counts.json": "counts",
	"probes.txt": "probes",
};

/** The part a file holds, by its name, or undefined. */
export function partOf(fileName: string): keyof Recording | undefined {
	return PARTS[fileName.replace(/\.gz$/, "")];
}

/** Finds the parts of a recording: of a folder, or of a file and its siblings. Throws ImportError when there is nothing to read. */
export async function findRecording(
	path: string,
	options: ImportOptions = {},
): Promise<Recording> {
	if (path === "-") return single("-", options.format === "calls");
	const info = await stat(path).catch(() => undefined);
	if (info === undefined)
		throw new ImportError(`${path}: no such file or folder`);
	if (info.isDirectory()) return folder(path);
	const own = partOf(basename(path));
	const isCalls =
		options.format === "calls" ||
		(options.format !== "ftrace" &&
			(own === "calls" || /\.ndjson(\.gz)?$/.test(path)));
	if (options.alone === true || own === undefined) return single(path, isCalls);
	const around = await folder(dirname(path));
	if (isCalls) {
		const { trace: _trace, ...rest } = around;
		return { ...rest, name: path, calls: fileSource(path) };
	}
	return { ...around, name: path, trace: fileSource(path) };
}

const single = (path: string, isCalls: boolean): Recording =>
	isCalls
		? { name: path, calls: fileSource(path) }
		: { name: path, trace: fileSource(path) };

async function folder(path: string): Promise<Recording> {
	const found: { [part: string]: ByteSource | string } = { name: path };
	for (const name of (await readdir(path === "" ? "." : path)).sort()) {
		const part = partOf(name);
		if (part !== undefined) found[part] ??= fileSource(join(path, name));
	}
	const recording = found as unknown as Recording;
	if (recording.trace === undefined && recording.calls === undefined)
		throw new ImportError(
			`${path}: no recording here (expected trace.txt or calls.ndjson, plain or gzip)`,
		);
	return recording;
}
