/** Repairing a log in place, behind `iommu-ledger log repair`. */
import { type CheckResult, checkLog } from "./care.ts";
import { isGzip } from "./chunks.ts";
import { type Damage, LogError } from "./error.ts";
import { ioError, type LogFile, type LogIo, nodeIo } from "./io.ts";
import { takeLock } from "./lock.ts";
import type { TornTail } from "./scan-types.ts";
import { cutOff, putByte, setAside } from "./set-aside.ts";

/** One thing that `repairLog` did. */
export interface RepairStep {
	readonly what: "dropped-tail" | "mended-byte" | "cut";
	readonly path: string;
	/** The error or tail it answers. */
	readonly why: string;
	/** Where in the file, and how many bytes. */
	readonly offset: number;
	readonly bytes: number;
	/** Where a copy of the removed bytes is. */
	readonly savedAs?: string;
}

/** The answer of `repairLog`. */
export interface RepairResult {
	readonly steps: readonly RepairStep[];
	/** The state afterwards. */
	readonly check: CheckResult;
}

/**
 * Repairs a log in place, under its writer's lock: drops a torn tail, puts a flipped byte back where the seal proves it, and, only with
 * `cut`, cuts off everything from the first damaged batch on, which may remove acknowledged records. What is removed is kept beside
 * the file. Throws LogError `locked`, `read-only`, `disk-full`, `io`, `compressed`.
 */
export async function repairLog(
	named: string,
	options: { cut?: boolean; io?: LogIo } = {},
): Promise<RepairResult> {
	const { io = nodeIo, cut = false } = options;
	const path = await io.realPath(named);
	const unlock = await takeLock(
		io,
		(await io.isDirectory(path)) ? `${path}/lock` : `${path}.lock`,
	);
	const steps: RepairStep[] = [];
	try {
		for (;;) {
			const check = await checkLog(path);
			const step = await repairStep(io, path, check, cut);
			if (step === undefined) return { steps, check };
			steps.push(step);
		}
	} catch (error) {
		throw ioError(error, `repairing ${path}`);
	} finally {
		await unlock();
	}
}

async function repairStep(
	io: LogIo,
	path: string,
	{ problem, summary }: CheckResult,
	cut: boolean,
): Promise<RepairStep | undefined> {
	if (summary?.tail !== undefined) return dropTail(io, path, summary.tail);
	const damage: Damage | undefined = problem?.damage;
	if (problem === undefined || damage === undefined) return undefined;
	const why = problem.message;
	const file = damage.path ?? path;
	const { fix, goodBytes } = damage;
	if (fix !== undefined) {
		await changing(io, file, (open) => putByte(open, fix));
		const { offset } = fix;
		return { what: "mended-byte", path: file, why, offset, bytes: 1 };
	}
	if (!cut || goodBytes === 0) return undefined;
	return { what: "cut", why, ...(await cutAside(io, file, goodBytes)) };
}

async function dropTail(
	io: LogIo,
	path: string,
	tail: TornTail,
): Promise<RepairStep> {
	const why = `${tail.bytes} bytes behind the last seal`;
	// A segment that was only begun goes as a whole: nothing in it is its own.
	if (tail.offset === 0 && tail.path !== undefined) {
		await io.remove(tail.path);
		const { bytes, offset } = tail;
		return { what: "dropped-tail", path: tail.path, why, offset, bytes };
	}
	const removed = await cutAside(io, tail.path ?? path, tail.offset);
	return { what: "dropped-tail", why, ...removed };
}

/** Cuts a file off, and keeps a copy of what is removed. */
const cutAside = (
	io: LogIo,
	path: string,
	offset: number,
): Promise<Pick<RepairStep, "path" | "offset" | "bytes" | "savedAs">> =>
	changing(io, path, async (file) => {
		const bytes = (await file.size()) - offset;
		const savedAs = await setAside(io, path, file, offset);
		await cutOff(file, offset);
		return { path, offset, bytes, savedAs };
	});

/** Opens a file for changes. Places in a log are places of the uncompressed bytes, so a compressed file must not be touched. */
async function changing<T>(
	io: LogIo,
	path: string,
	change: (file: LogFile) => Promise<T>,
): Promise<T> {
	const file = await io.open(path, "write");
	try {
		const start = Buffer.alloc(2);
		await file.read(start, 0);
		if (isGzip(start))
			throw new LogError("compressed", `${path} is compressed`, {
				hint: "Nothing was changed. Unpack it (gzip -dc), and repair that.",
			});
		return await change(file);
	} finally {
		await file.close();
	}
}
