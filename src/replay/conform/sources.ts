/**
 * Finds recordings below a path: files of test programs (*.ndjson), folders of kernel recordings (calls.ndjson beside groups.txt).
 */
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";

/** A recording that cannot be read; the message names the file. */
export class SourceError extends Error {
	override readonly name = "SourceError";
}

/** A recording's text and, for kernel recordings, what stands beside it. */
export interface Source {
	readonly kind: "tests" | "trace";
	readonly file: string;
	readonly name: string;
	readonly text: string;
	readonly groups?: string;
	readonly commandLine?: string;
}

const GZIP_MAGIC = [0x1f, 0x8b];
function decode(bytes: Buffer, path: string): string {
	if (bytes[0] !== GZIP_MAGIC[0] || bytes[1] !== GZIP_MAGIC[1])
		return bytes.toString("utf8");
	try {
		return gunzipSync(bytes).toString("utf8");
	} catch (error) {
		const why = error instanceof Error ? error.message : "damaged";
		throw new SourceError(`${path}: gzip data cannot be read (${why})`);
	}
}

/** The text of a file, unpacked when it is gzip. Throws Error naming the path. */
export async function readText(path: string): Promise<string> {
	if (path !== "-") return decode(await readFile(path), path);
	const chunks: Buffer[] = [];
	for await (const chunk of process.stdin)
		chunks.push(Buffer.from(chunk as Uint8Array));
	return decode(Buffer.concat(chunks), "standard input");
}

/** The text of `name` or `name.gz` in a folder, or undefined. */
async function sibling(
	folder: string,
	name: string,
): Promise<string | undefined> {
	for (const candidate of [name, `${name}.gz`])
		try {
			return await readText(join(folder, candidate));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		}
	return undefined;
}

const CALLS = /^calls\.ndjson(?:\.gz)?$/;
const TESTS = /\.ndjson(?:\.gz)?$/;

async function traceSource(file: string): Promise<Source> {
	const folder = dirname(file);
	const groups = await sibling(folder, "groups.txt");
	if (groups === undefined)
		throw new SourceError(
			`${file}: groups.txt is missing beside it; without it the groups are unknown`,
		);
	const commandLine = (await sibling(folder, "cmdline.txt")) ?? "";
	const text = await readText(file);
	return {
		kind: "trace",
		file,
		name: basename(folder),
		text,
		groups,
		commandLine,
	};
}

/** A line of a kernel recording's calls has a field `call`; one of a test program's has `ev`. */
async function looksLikeCalls(file: string): Promise<boolean> {
	if (CALLS.test(basename(file))) return true;
	if (file === "-" || file.endsWith(".gz")) return false;
	const stream = createReadStream(file, { end: 4096, encoding: "utf8" });
	let head = "";
	for await (const chunk of stream) head += String(chunk);
	const first = head.slice(0, head.indexOf("\n"));
	return first.includes('"call"') && !first.includes('"ev"');
}

/** Every recording at or below a path. Throws Error when there is none. */
export async function* findSources(path: string): AsyncGenerator<Source> {
	if (path !== "-" && (await stat(path)).isDirectory()) {
		let found = 0;
		for (const name of (await readdir(path)).sort()) {
			const inner = join(path, name);
			const folder = (await stat(inner)).isDirectory();
			if (!folder && !TESTS.test(name)) continue;
			for await (const source of folder ? quietly(inner) : findSources(inner)) {
				found++;
				yield source;
			}
		}
		if (found === 0)
			throw new SourceError(
				`${path}: no recording in this folder (expected *.ndjson or calls.ndjson)`,
			);
		return;
	}
	if (path !== "-" && (await looksLikeCalls(path))) {
		yield await traceSource(path);
		return;
	}
	const text = await readText(path);
	yield { kind: "tests", file: path, name: basename(path), text };
}

/** A folder inside a folder may be without recordings. */
async function* quietly(path: string): AsyncGenerator<Source> {
	try {
		yield* findSources(path);
	} catch (error) {
		if (
			!(error instanceof Error) ||
			!error.message.includes("no recording in this folder")
		)
			throw error;
	}
}
