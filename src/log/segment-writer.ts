/**
 * Group commit: everything that is waiting goes out in one write and (policy `always`) one fdatasync, then all of it is answered.
 * While one group is on its way to the disk, the next one collects.
 *
 * After a failed write or fdatasync the file is cut back to what was durable before. A full disk can be appended to again once there
 * is room; any other error closes the writer for good, since what the kernel still holds of the file cannot be trusted.
 */
import { GROUP_BYTES_MAX } from "./damage.ts";
import type { LogError } from "./error.ts";
import { ioError, type LogFile } from "./io.ts";
import { closed } from "./store.ts";

/** When an append counts as done: after its fdatasync; after the write, with an fdatasync every interval; after the write. */
export type FsyncPolicy = "always" | "interval" | "never";

/** Bytes waiting to be written, and who waits for them. */
interface Waiting {
	readonly bytes: Buffer;
	readonly written: () => void;
	readonly done: () => void;
	readonly failed: (error: LogError) => void;
	/** Makes the file that these bytes and the following go to, when they start a new one. */
	readonly segment: NewSegment | undefined;
}

/** Makes the file of a new segment. */
export type NewSegment = () => Promise<LogFile>;

/** What a writer asks of its surroundings. */
export interface WriterOptions {
	readonly policy: FsyncPolicy;
	readonly intervalMs: number;
	/** A group was dropped: the log is back at what was written before it. */
	readonly onDropped: () => void;
}

/** Writes to the end of a log file. */
export class SegmentWriter {
	readonly #options: WriterOptions;
	#file: LogFile;
	#size: number;
	#waiting: Waiting[] = [];
	#running: Promise<void> | undefined;
	#failure: LogError | undefined;
	#unsynced = false;
	#timer: NodeJS.Timeout | undefined;

	constructor(file: LogFile, size: number, options: WriterOptions) {
		this.#file = file;
		this.#size = size;
		this.#options = options;
	}

	/** Bytes of the current file that were written; behind them may be bytes of a group that is on its way. */
	get size(): number {
		return this.#size;
	}

	/** Why nothing can be written any more. */
	get failure(): LogError | undefined {
		return this.#failure;
	}

	/**
	 * Writes the bytes behind all earlier ones; when they are as durable as the policy says, calls `written` and answers. With
	 * `segment` they start a new file.
	 */
	write(
		bytes: Buffer,
		written: () => void,
		segment?: NewSegment,
	): Promise<void> {
		if (this.#failure !== undefined) return Promise.reject(this.#failure);
		return new Promise((done, failed) => {
			this.#waiting.push({ bytes, written, done, failed, segment });
			this.#running ??= this.#run();
		});
	}

	/** Waits until nothing is on its way, and syncs what the policy left unsynced. */
	async settle(): Promise<void> {
		while (this.#running !== undefined) await this.#running;
		if (this.#unsynced && this.#failure === undefined) await this.#sync();
	}

	/** Settles and closes the file. */
	async close(): Promise<void> {
		clearTimeout(this.#timer);
		try {
			await this.settle();
		} finally {
			this.#failure ??= closed();
			await this.#file.close();
		}
	}

	async #run(): Promise<void> {
		// Everything that is appended in this turn of the event loop joins the first group.
		await Promise.resolve();
		while (this.#waiting.length > 0) await this.#group(this.#take());
		this.#running = undefined;
	}

	#take(): Waiting[] {
		let bytes = 0;
		let count = 0;
		for (const { bytes: some, segment } of this.#waiting) {
			if (
				count > 0 &&
				(segment !== undefined || bytes + some.length > GROUP_BYTES_MAX)
			)
				break;
			bytes += some.length;
			count++;
		}
		return this.#waiting.splice(0, count);
	}

	async #group(group: readonly Waiting[]): Promise<void> {
		const [first] = group;
		const bytes =
			group.length === 1 && first !== undefined
				? first.bytes
				: Buffer.concat(group.map((w) => w.bytes));
		try {
			if (first?.segment !== undefined) await this.#change(first.segment);
			await this.#file.write(bytes, this.#size);
			if (this.#options.policy === "always") await this.#file.datasync();
		} catch (error) {
			await this.#drop(ioError(error, "writing to the log"), group);
			return;
		}
		this.#size += bytes.length;
		if (this.#options.policy === "interval") this.#syncLater();
		for (const { written, done } of group) {
			written();
			done();
		}
	}

	async #change(segment: NewSegment): Promise<void> {
		const next = await segment();
		if (this.#unsynced) await this.#sync();
		const old = this.#file;
		this.#file = next;
		this.#size = await next.size();
		await old.close();
	}

	/** Takes the group back; what waits behind it was chained to it and goes too. */
	async #drop(error: LogError, group: readonly Waiting[]): Promise<void> {
		const dropped = [...group, ...this.#waiting.splice(0)];
		try {
			await this.#file.truncate(this.#size);
			if (error.code !== "disk-full") this.#failure = error;
		} catch {
			this.#failure = error;
		}
		this.#options.onDropped();
		for (const { failed } of dropped) failed(error);
	}

	#syncLater(): void {
		this.#unsynced = true;
		this.#timer ??= setTimeout(() => {
			this.#timer = undefined;
			// A failure is kept and answers the next append.
			this.#sync().catch(() => {});
		}, this.#options.intervalMs);
	}

	async #sync(): Promise<void> {
		this.#unsynced = false;
		try {
			await this.#file.datasync();
		} catch (error) {
			this.#failure = ioError(error, "syncing the log");
			throw this.#failure;
		}
	}
}
