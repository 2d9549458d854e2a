/**
 * One writer per log: a lock file that says who holds it. A holder that died is recognised (pid with its start time, on the same
 * boot and in the same pid namespace) and its lock taken over; a holder that cannot be judged, such as one on another machine
 * of a shared file system, keeps the lock.
 *
 * Not guarded against: removing the lock file by hand under a living writer.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { LogError } from "./error.ts";
import { ioError, type LogIo } from "./io.ts";
import { digest } from "./seal.ts";

/** Who holds a lock. */
export interface LockHolder {
	readonly pid: number;
	/** Clock ticks since boot when the process started; tells a reused pid. "" where unknown. */
	readonly started: string;
	readonly host: string;
	/** Boot id and pid namespace: within one pair, a pid means one process. */
	readonly world: string;
}

const orEmpty = (read: () => string): string => {
	try {
		return read().trim();
	} catch {
		return "";
	}
};

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)); the command in field 2 may hold blanks, so count behind its parenthesis. */
const startOf = (pid: number): string =>
	orEmpty(
		() =>
			readFileSync(`/proc/${pid}/stat`, "utf8")
				.split(") ")
				.at(-1)
				?.split(" ")[19] ?? "",
	);

/** This process as a holder. */
export function thisHolder(): LockHolder {
	const boot = orEmpty(() =>
		readFileSync("/proc/sys/kernel/random/boot_id", "utf8"),
	);
	const namespace = orEmpty(() => readlinkSync("/proc/self/ns/pid"));
	return {
		pid: process.pid,
		started: startOf(process.pid),
		host: hostname(),
		world: `${boot} ${namespace}`,
	};
}

function isDead(holder: LockHolder, self: LockHolder): boolean {
	if (holder.host !== self.host) return false;
	const [boot, namespace] = holder.world.split(" ");
	const [ownBoot, ownNamespace] = self.world.split(" ");
	if (boot !== ownBoot) return true;
	if (namespace !== ownNamespace) return false;
	try {
		process.kill(holder.pid, 0);
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "ESRCH";
	}
	return startOf(holder.pid) !== holder.started;
}

function parsed(text: string): LockHolder | undefined {
	try {
		const value = JSON.parse(text) as LockHolder | null;
		return typeof value?.pid === "number" && typeof value.world === "string"
			? value
			: undefined;
	} catch {
		return undefined;
	}
}

/** Takes the lock `path`. Returns what gives it back. Throws LogError `locked` when another writer holds it. */
export async function takeLock(
	io: LogIo,
	path: string,
): Promise<() => Promise<void>> {
	const self = thisHolder();
	if (!(await claim(io, path, self))) await takeOver(io, path, self, 0);
	return () => io.remove(path);
}

/** Creates the lock file with its content in one step; false when there is one. */
async function claim(
	io: LogIo,
	path: string,
	self: LockHolder,
): Promise<boolean> {
	try {
		await io.createWhole(path, Buffer.from(JSON.stringify(self)));
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw ioError(error, `taking the lock ${path}`);
	}
}

/** Takers that died one after the other while they took over, at most. */
const TAKERS_MAX = 8;

/**
 * Removes the lock of a dead holder and takes it. The right to remove it is a lock itself, named after what the dead holder wrote: only
 * its owner may, so a lock that still has that content once the right is held cannot change any more. A taker that died
 * leaves the right behind, which is taken over in the same way.
 */
async function takeOver(
	io: LogIo,
	path: string,
	self: LockHolder,
	depth: number,
): Promise<void> {
	const text = await contentOf(io, path);
	if (text !== undefined) {
		judge(path, text, self);
		if (depth === TAKERS_MAX)
			throw locked(path, "every process that took the lock over died");
		const right = `${path}~${digest(text).slice(0, 8)}`;
		if (!(await claim(io, right, self)))
			await takeOver(io, right, self, depth + 1);
		try {
			if ((await contentOf(io, path)) === text) await io.remove(path);
		} finally {
			await io.remove(right);
		}
	}
	if (!(await claim(io, path, self)))
		throw locked(path, "another process was faster");
}

const contentOf = (io: LogIo, path: string): Promise<string | undefined> =>
	io.readAll(path).then(String, () => undefined);

/** Throws LogError `locked` unless the holder is known to be dead. */
function judge(path: string, text: string, self: LockHolder): void {
	const holder = parsed(text);
	if (holder === undefined)
		throw locked(path, "the lock file is not one of ours");
	if (!isDead(holder, self))
		throw locked(
			path,
			`process ${holder.pid} on ${holder.host} is writing to it`,
		);
}

const locked = (path: string, why: string): LogError =>
	new LogError("locked", `the log has a writer: ${why}`, {
		hint: `A log has one writer. If you are certain that there is none, remove ${path}.`,
	});
