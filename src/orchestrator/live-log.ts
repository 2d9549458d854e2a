/** The store of a live system: batches go out in order, and what came back is told in the same order. */
import type { LogStore } from "../log/store.ts";
import type { TimedFact } from "../log/write.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/** Appends behind a known position. After one failure nothing more is written: the system has decided further than the log goes. */
export class LiveLog {
	readonly #store: LogStore;
	readonly #written: (records: readonly LogRecord[]) => void;
	#last: Promise<unknown> = Promise.resolve();
	/** What ended the system; every later command fails with it. */
	broken: unknown;

	/** `written` is told each batch when it is as durable as the store makes it. */
	constructor(
		store: LogStore,
		written: (records: readonly LogRecord[]) => void,
	) {
		this.#store = store;
		this.#written = written;
	}

	/** Appends one batch. Rejects with LogError. */
	append(records: readonly LogRecord[]): Promise<void> {
		const [first] = records;
		if (first === undefined) return Promise.resolve();
		const before = this.#last;
		const appended = this.#store.append(records as readonly TimedFact[], {
			expected: first.seq - 1,
		});
		const mine = this.#settle(before, appended, records);
		this.#last = mine.catch(() => {});
		return mine;
	}

	async #settle(
		before: Promise<unknown>,
		appended: Promise<unknown>,
		records: readonly LogRecord[],
	): Promise<void> {
		const [, mine] = await Promise.allSettled([before, appended]);
		if (mine.status === "rejected") this.broken ??= mine.reason;
		if (this.broken !== undefined) throw this.broken;
		this.#written(records);
	}

	/** Waits for everything appended so far. */
	async idle(): Promise<void> {
		await this.#last;
	}
}
