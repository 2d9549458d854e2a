/** Time travel: the world after any record of a log, from snapshots taken on the way. */
import { applyRecord, fold } from "../world/apply.ts";
import { createWorld, snapshotWorld } from "../world/create.ts";
import type { World } from "../world/types.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";

/** The world after record `seq` (0: before the first). Folds from the start: for one look; use `createTraveller` for many. */
export function worldAt(
	header: LogHeader,
	records: Iterable<LogRecord>,
	seq: number,
): World {
	const upTo = function* (): Generator<LogRecord> {
		for (const record of records) {
			if (record.seq > seq) return;
			yield record;
		}
	};
	return fold(header, upTo());
}

/** Goes to any record of a log in the time of at most `stride` records. */
export interface Traveller {
	at(seq: number): World;
}

/** Records between two snapshots: what a jump costs at most, against what the snapshots share. */
const STRIDE = 1000;

/** Folds the log once and keeps a snapshot every `stride` records. What `at` returns is a value: it never changes. */
export function createTraveller(
	header: LogHeader,
	records: readonly LogRecord[],
	stride = STRIDE,
): Traveller {
	const live = createWorld(header);
	const snapshots: World[] = [snapshotWorld(live)];
	records.forEach((record, i) => {
		applyRecord(live, record);
		if ((i + 1) % stride === 0) snapshots.push(snapshotWorld(live));
	});
	return {
		at: (seq) => {
			// Records are dense from the first one's seq.
			const count = Math.max(
				0,
				Math.min(records.length, seq - (records[0]?.seq ?? 1) + 1),
			);
			const index = Math.floor(count / stride);
			const world = snapshotWorld(snapshots[index] as World);
			for (let i = index * stride; i < count; i++)
				applyRecord(world, records[i] as LogRecord);
			return world;
		},
	};
}
