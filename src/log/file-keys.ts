/**
 * The idempotency keys of a file store: those of the last two segments are known from opening; those of the segments before are looked up once, in
 * one reading of the log, when a key is asked for that is not known. At most KEYS_MAX are remembered, the newest.
 */
import type { LogBatch } from "./read.ts";

/** A key that was used: the last record of its batch, and when that is durable. */
export interface Known {
	readonly last: number;
	readonly done: Promise<void>;
}

/** Keys remembered at most, unless the store is told otherwise: about 150 MB. */
export const KEYS_MAX = 1_000_000;
const DONE = Promise.resolve();

/** Keys by text, in the order of their batches. */
export class Keys {
	readonly #max: number;
	#known = new Map<string, Known>();
	/** Batches before this record have not been looked through; 0: all have. */
	#unread = 0;
	#loading: Promise<void> | undefined;
	#waiting = 0;

	constructor(max = KEYS_MAX) {
		this.#max = max;
	}

	/** The log before record `first` is looked through only when a key makes it necessary. */
	startsAt(first: number): void {
		this.#unread = first;
	}
	get(key: string): Known | undefined {
		return this.#known.get(key);
	}
	/** A batch with this key ends with record `last`. */
	set(key: string, last: number, done = DONE): void {
		this.#known.set(key, { last, done });
		if (this.#known.size > this.#max) this.#trim(this.#known);
	}
	/** Batches behind record `seq` were not written after all. */
	dropBehind(seq: number): void {
		for (const [key, { last }] of this.#known)
			if (last > seq) this.#known.delete(key);
	}
	/** Nothing is being read. */
	async idle(): Promise<void> {
		await this.#loading?.catch(() => {});
	}

	/**
	 * Runs an append when its key can be told: at once, or behind the reading of the older segments. Appends keep the order in which
	 * they were called, those without a key too. What is wrong with an older segment only a key that needs it gets to know.
	 */
	inOrder<T>(
		key: string | undefined,
		read: () => AsyncIterable<LogBatch>,
		append: () => Promise<T>,
	): Promise<T> {
		const needs =
			this.#unread > 0 && key !== undefined && !this.#known.has(key);
		if (!needs && this.#waiting === 0) return append();
		return this.#behindReading(needs, read, append);
	}
	async #behindReading<T>(
		needs: boolean,
		read: () => AsyncIterable<LogBatch>,
		append: () => Promise<T>,
	): Promise<T> {
		this.#waiting++;
		try {
			if (needs) this.#loading ??= this.#load(read());
			await this.#loading;
		} catch (error) {
			if (needs) throw error;
		} finally {
			this.#waiting--;
		}
		return append();
	}

	async #load(batches: AsyncIterable<LogBatch>): Promise<void> {
		try {
			const older = new Map<string, Known>();
			for await (const { seal } of batches) {
				if (seal.seq >= this.#unread) break;
				if (seal.key === undefined) continue;
				older.set(seal.key, { last: seal.seq, done: DONE });
				this.#trim(older);
			}
			for (const [key, known] of this.#known) older.set(key, known);
			this.#trim(older);
			this.#known = older;
			this.#unread = 0;
		} finally {
			this.#loading = undefined;
		}
	}

	/** Forgets the oldest. */
	#trim(keys: Map<string, Known>): void {
		for (const key of keys.keys()) {
			if (keys.size <= this.#max) return;
			keys.delete(key);
		}
	}
}
