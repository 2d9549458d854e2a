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
	if (!(await claim(io, path, self))) await takeOver(io, path, self);
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

/** Only one process at a time may judge and remove a lock: the one that made the takeover file. */
async function takeOver(
	io: LogIo,
	path: string,
	self: LockHolder,
): Promise<void> {
	const takeover = `${path}.takeover`;
	if (!(await claim(io, takeover, self)))
		throw locked(path, `${takeover} is there: a takeover is under way`);
	try {
		const text = await io.readAll(path).then(String, () => undefined);
		if (text !== undefined) {
			const holder = parsed(text);
			if (holder === undefined)
				throw locked(path, "the lock file is not one of ours");
			if (!isDead(holder, self))
				throw locked(
					path,
					`process ${holder.pid} on ${holder.host} is writing to it`,
				);
			await io.remove(path);
		}
		if (!(await claim(io, path, self)))
			throw locked(path, "another process was faster");
	} finally {
		await io.remove(takeover);
	}
}

const locked = (path: string, why: string): LogError =>
	new LogError("locked", `the log has a writer: ${why}`, {
		hint: `A log has one writer. If you are certain that there is none, remove ${path}.`,
	});
