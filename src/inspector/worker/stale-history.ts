/** Stale windows over time: from the record that cleared an entry to the one that completed its invalidation. */
import type { LogRecord } from "../../vocabulary/records.ts";
import type { World } from "../../world/types.ts";
import { type StaleRange, staleRangesOf } from "../model/iotlb.ts";
import type { Witness } from "./world-track.ts";

/** A window. `to` is −1 while it is open. */
export interface StaleWindow {
	readonly range: StaleRange;
	/** Positions of the records, and times. */
	readonly from: number;
	to: number;
	tTo: number;
	/** Position of the record that called the range flushed while it was not (the judge notes it); −1 when none did. */
	claimedAt: number;
}

/** Windows kept at most: beyond that a picture of them says nothing. */
export const WINDOWS_MAX = 20_000;
/** Records after which stale ranges can differ. */
const RELEVANT =
	/^(?:dom\.unmap|dom\.map|inv\.|iotlb\.|ctx\.entry|did\.|tag\.|hw\.attach|fq\.|slot\.|table\.)/;

/** A witness of the fold. */
export class StaleHistory implements Witness {
	readonly windows: StaleWindow[] = [];
	dropped = 0;
	readonly #open = new Map<number, StaleWindow>();
	#last = -1;

	record(world: World, record: LogRecord, at: number): void {
		if (!world.iotlb.armed || !RELEVANT.test(record.type)) return;
		const next = world.iotlb.nextStale;
		if (this.#open.size === 0 && next === this.#last) return;
		this.#last = next;
		const stale = staleRangesOf(world);
		const now = new Set<number>();
		for (const range of stale) {
			now.add(range.id);
			const known = this.#open.get(range.id);
			if (known === undefined) this.#begin(range, at, record.t);
			else if (range.unflushedSeq > 0 && known.claimedAt < 0)
				known.claimedAt = at;
		}
		for (const [id, window] of this.#open) {
			if (now.has(id)) continue;
			window.to = at;
			window.tTo = record.t;
			this.#open.delete(id);
		}
	}

	/** Position of the false claim about a stale range up to `at`, or −1. */
	claimOf(id: number, at: number): number {
		const claimedAt = this.windows.find(
			(one) => one.range.id === id,
		)?.claimedAt;
		return claimedAt === undefined || claimedAt > at ? -1 : claimedAt;
	}

	/** Windows that meet positions [from, to). */
	between(from: number, to: number, limit: number): StaleWindow[] {
		const found: StaleWindow[] = [];
		for (const window of this.windows) {
			if (window.from >= to) break;
			if (window.to >= 0 && window.to < from) continue;
			if (found.length >= limit) break;
			found.push(window);
		}
		return found;
	}

	#begin(range: StaleRange, at: number, t: number): void {
		if (this.windows.length >= WINDOWS_MAX) {
			this.dropped++;
			return;
		}
		const window = { range, from: at, to: -1, tTo: t, claimedAt: -1 };
		this.windows.push(window);
		this.#open.set(range.id, window);
	}
}
