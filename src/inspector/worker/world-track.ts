/**
 * The state of the world at any record, by the same reducers that verify uses. One pass over the log leaves snapshots behind
 * (they share what is equal); the world at a cursor is the snapshot before it plus the records between.
 */
import { decodeLine } from "../../log/record-line.ts";
import { copyRecord, LineDecoder } from "../../log/scan-line.ts";
import type { LogHeader } from "../../vocabulary/header.ts";
import { headerProblem } from "../../vocabulary/header.ts";
import type { LogRecord } from "../../vocabulary/records.ts";
import { createJudge, type Judge } from "../../invariants/judge.ts";
import { applyRecord } from "../../world/apply.ts";
import { snapshotWorld, successor } from "../../world/create.ts";
import type { Verdicts } from "../../invariants/verdicts.ts";
import type { World } from "../../world/types.ts";
import type { LogIndex } from "../model/log-index.ts";
import type { Pause } from "./session.ts";

/** Snapshots kept; when there are more, every second goes and they stand twice as far apart. */
export const SNAPSHOTS_MAX = 128;
const DISTANCE_AT_START = 512;
/** Records folded between two looks at the message queue. */
const SLICE = 2048;

interface Snapshot {
	/** Records applied. */
	readonly applied: number;
	readonly world: World;
}

/** Sees every record once, in order, with the world before and after it has been applied. */
export interface Witness {
	/** After the record was applied. */
	record(world: World, record: LogRecord, at: number): void;
}

/** Folds an index that may still grow. */
export class WorldTrack {
	/** Records folded by the pass over the log. */
	folded = 0;
	/** Records that were not in the vocabulary or broken; the fold goes on without them. */
	unreadable = 0;
	/** What was wrong with the first of them. */
	firstUnreadable: string | undefined;
	readonly #index: LogIndex;
	readonly #witnesses: readonly Witness[];
	/** Not compiled: the page's policy allows no code made from text. */
	readonly #decoder = new LineDecoder(false);
	/** The bytes that the decoder reads, and how many of them. */
	#bytes: Uint8Array | undefined;
	#usedBytes = 0;
	#snapshots: Snapshot[] = [];
	#distance = DISTANCE_AT_START;
	#judge: Judge | undefined;
	#isFinished = false;
	#cursor: { applied: number; world: World } | undefined;

	constructor(index: LogIndex, witnesses: readonly Witness[] = []) {
		this.#index = index;
		this.#witnesses = witnesses;
	}

	/** What the judge has found so far. */
	get verdicts(): Verdicts | undefined {
		return this.#judge?.verdicts;
	}

	/** The log ends here: what is judged at rest is judged now. */
	finish(): void {
		if (this.#isFinished) return;
		this.#isFinished = true;
		this.#judge?.finish();
	}

	/** Tells whether the log is one that a world can be made of. */
	get isPossible(): boolean {
		const { header } = this.#index;
		return header !== undefined && headerProblem(header) === undefined;
	}

	/** Folds a slice; true when records are left. */
	foldSlice(): boolean {
		if (!this.isPossible) return false;
		if (this.#judge === undefined) {
			const header = this.#index.header as unknown as LogHeader;
			this.#judge = createJudge(header);
			this.#snapshots = [
				{ applied: 0, world: snapshotWorld(this.#judge.world) },
			];
		}
		const { world } = this.#judge;
		const end = Math.min(this.#index.count, this.folded + SLICE);
		for (; this.folded < end; this.folded++) {
			const record = this.#recordAt(this.folded);
			if (record !== undefined) this.#foldOne(this.#judge, record);
			if ((this.folded + 1) % this.#distance === 0) this.#keep(world);
		}
		return this.folded < this.#index.count;
	}

	/**
	 * The world after the record at position `at` (−1: before the first). Valid until the next call: it goes on from there.
	 * Waits for the pass while the place is far ahead of it.
	 */
	async worldAt(at: number, pause: Pause): Promise<World | undefined> {
		if (!this.isPossible) return undefined;
		while (this.#snapshots.length === 0 || at > this.folded + this.#distance) {
			await pause();
			if (this.#snapshots.length === 0 && !this.foldSlice()) break;
		}
		return this.worldNow(at);
	}

	/** As `worldAt`, at once. */
	worldNow(at: number): World | undefined {
		if (!this.isPossible) return undefined;
		const wanted = at + 1;
		const base = this.#snapshots.findLast((s) => s.applied <= wanted);
		if (base === undefined) return undefined;
		let cursor = this.#cursor;
		const isNear =
			cursor !== undefined &&
			cursor.applied <= wanted &&
			cursor.applied >= base.applied;
		if (cursor === undefined || !isNear) {
			cursor = { applied: base.applied, world: successor(base.world) };
			this.#cursor = cursor;
		}
		for (; cursor.applied < wanted; cursor.applied++) {
			const record = this.#recordAt(cursor.applied);
			if (record !== undefined) applySafely(cursor.world, record);
		}
		return cursor.world;
	}

	/** A record that the reducers choke on is counted and left out: a viewer shows the rest. */
	#foldOne(judge: Judge, record: LogRecord): void {
		try {
			judge.next(record);
		} catch (error) {
			this.#note(error);
			return;
		}
		for (const witness of this.#witnesses)
			witness.record(judge.world, record, this.folded);
	}

	#keep(world: World): void {
		this.#snapshots.push({
			applied: this.folded + 1,
			world: snapshotWorld(world),
		});
		if (this.#snapshots.length <= SNAPSHOTS_MAX) return;
		this.#distance *= 2;
		this.#snapshots = this.#snapshots.filter(
			({ applied }) => applied % this.#distance === 0,
		);
	}

	/** The record at a position: the fast way for canonical lines, else the careful one; undefined when it is none. */
	#recordAt(at: number): LogRecord | undefined {
		const { bytes, lengthBytes, lineStart } = this.#index;
		if (this.#bytes !== bytes || this.#usedBytes !== lengthBytes) {
			this.#bytes = bytes;
			this.#usedBytes = lengthBytes;
			this.#decoder.use(bytes, lengthBytes);
		}
		try {
			const fast = this.#decoder.decode(lineStart[at] as number);
			return fast === undefined
				? decodeLine(this.#index.textAt(at), at + 1)
				: copyRecord(fast);
		} catch (error) {
			if (at >= this.folded) this.#note(error);
			return undefined;
		}
	}

	#note(error: unknown): void {
		this.unreadable++;
		this.firstUnreadable ??= error instanceof Error ? error.message : "";
	}
}

function applySafely(world: World, record: LogRecord): void {
	try {
		applyRecord(world, record);
	} catch {}
}
