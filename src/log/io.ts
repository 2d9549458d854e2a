/**
 * The few file operations a store needs, as an interface: tests put a disk behind it that fails, fills up, or forgets at a crash
 * everything that was not synced. `nodeIo` is the real one.
 */
import { randomUUID } from "node:crypto";
import { fdatasync, write } from "node:fs";
import {
	link,
	mkdir,
	open,
	readdir,
	readFile,
	realpath,
	rename,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LogError, type LogErrorCode } from "./error.ts";

/** An open file. Positions and sizes in bytes. */
export interface LogFile {
	/** Fills `into` from `position`; returns how many bytes there were. */
	read(into: Uint8Array, position: number): Promise<number>;
	/** Writes all of `bytes` at `position`, or throws. */
	write(bytes: Uint8Array, position: number): Promise<void>;
	/** Returns when data and size are on the disk (fdatasync). */
	datasync(): Promise<void>;
	truncate(size: number): Promise<void>;
	size(): Promise<number>;
	close(): Promise<void>;
}

/** A file system. Errors carry the errno name in `code`. */
export interface LogIo {
	/** The path without links on the way, so that one log has one name. */
	realPath(path: string): Promise<string>;
	/** `create` fails with EEXIST when the file is there. */
	open(path: string, how: "read" | "write" | "create"): Promise<LogFile>;
	/** Names in a directory; empty when there is none. */
	list(path: string): Promise<readonly string[]>;
	isDirectory(path: string): Promise<boolean>;
	makeDirectory(path: string): Promise<void>;
	/** Makes created, renamed and removed names of a directory durable. */
	syncDirectory(path: string): Promise<void>;
	/** Makes a file with this content in one step: nobody ever sees it half written. Fails with EEXIST when it is there. */
	createWhole(path: string, bytes: Uint8Array): Promise<void>;
	rename(from: string, to: string): Promise<void>;
	remove(path: string): Promise<void>;
	readAll(path: string): Promise<Buffer>;
}

const FLAGS = { read: "r", write: "r+", create: "wx+" } as const;

const isAbsent = (error: unknown): boolean =>
	(error as NodeJS.ErrnoException).code === "ENOENT";

// What every append waits for goes without a FileHandle's promises of its own: a tenth of the time of a small append.
const writeAll = (
	fd: number,
	bytes: Uint8Array,
	position: number,
): Promise<void> =>
	new Promise((done, failed) => {
		const from = (at: number): void =>
			write(fd, bytes, at, bytes.length - at, position + at, (error, count) => {
				if (error !== null) failed(error);
				else if (at + count < bytes.length) from(at + count);
				else done();
			});
		from(0);
	});

const dataSynced = (fd: number): Promise<void> =>
	new Promise((done, failed) => {
		fdatasync(fd, (error) => (error === null ? done() : failed(error)));
	});

/** The file system of this machine. */
export const nodeIo: LogIo = {
	realPath: (path) =>
		realpath(path).catch(async (error: unknown) => {
			if (!isAbsent(error)) throw error;
			// A log to be made: its directory may be there.
			const directory = await realpath(dirname(path)).catch(() =>
				dirname(path),
			);
			return join(directory, basename(path));
		}),
	async open(path, how) {
		const handle = await open(path, FLAGS[how]);
		return {
			read: async (into, position) =>
				(await handle.read(into, 0, into.length, position)).bytesRead,
			write: (bytes, position) => writeAll(handle.fd, bytes, position),
			datasync: () => dataSynced(handle.fd),
			truncate: (size) => handle.truncate(size),
			size: async () => (await handle.stat()).size,
			close: () => handle.close(),
		};
	},
	list: (path) =>
		readdir(path).catch((error: unknown) =>
			isAbsent(error) ? [] : Promise.reject(error),
		),
	isDirectory: (path) =>
		stat(path).then(
			(found) => found.isDirectory(),
			() => false,
		),
	async makeDirectory(path) {
		await mkdir(path, { recursive: true });
	},
	async syncDirectory(path) {
		const handle = await open(path, "r");
		try {
			await handle.sync();
		} finally {
			await handle.close();
		}
	},
	async createWhole(path, bytes) {
		const draft = `${path}.${process.pid}.${randomUUID()}`;
		await writeFile(draft, bytes, { flag: "wx" });
		try {
			await link(draft, path);
		} finally {
			await rm(draft, { force: true });
		}
	},
	rename: (from, to) => rename(from, to),
	remove: (path) => rm(path, { force: true }),
	readAll: (path) => readFile(path),
};

const CODES: { readonly [errno: string]: LogErrorCode } = {
	ENOSPC: "disk-full",
	EDQUOT: "disk-full",
	EACCES: "read-only",
	EPERM: "read-only",
	EROFS: "read-only",
};
const HINTS: { readonly [code: string]: string } = {
	"disk-full":
		"Free space and append again; what was acknowledged is in the log.",
	"read-only": "The log's directory must be writable by this user.",
	io: "The device reported an error. Open the log again once it is sound: what was acknowledged is in it.",
};

/** A system error as a LogError: disk-full, read-only, or io. LogErrors pass through. */
export function ioError(error: unknown, doing: string): LogError {
	if (error instanceof LogError) return error;
	const { code = "", message } = error as NodeJS.ErrnoException;
	const kind = CODES[code] ?? "io";
	const absent = code === "ENOENT" || code === "ENOTDIR";
	return new LogError(kind, `${doing}: ${message}`, {
		hint: absent ? "Is the path right?" : HINTS[kind],
		cause: error,
	});
}
