/** Recovery of a long log, with and without a snapshot: everything a system folds at its start (world, page tables, caches, judge, notes). */
import { join } from "node:path";
import { openFileStore } from "../../src/log/file-store.ts";
import { snapshotStore } from "../../src/log/snapshots.ts";
import type { TimedFact } from "../../src/log/write.ts";
import {
	foldFromSnapshot,
	foldImage,
	takeSnapshot,
} from "../../src/orchestrator/recover/fold-snapshot.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { folder, heading, row } from "./common.ts";

/** Opening a long log for writing and folding it, with and without a snapshot at 99 %. */
export async function recoveryBench(
	header: LogHeader,
	batches: TimedFact[][],
): Promise<void> {
	const path = join(folder, "recovery");
	const snapshots = snapshotStore(join(folder, "snapshots"));
	const options = { header, fsync: "never", segmentBytes: 16 << 20 } as const;
	const store = await openFileStore(path, options);
	const append = async (some: readonly TimedFact[][]): Promise<void> => {
		let answer: Promise<unknown> | undefined;
		for (const [i, facts] of some.entries()) {
			answer = store.append(facts);
			if (i % 1000 === 0) await answer;
		}
		await answer;
	};
	const mark = Math.floor(batches.length * 0.99);
	await append(batches.slice(0, mark));
	const start = performance.now();
	await takeSnapshot(store, snapshots);
	const taken = performance.now() - start;
	await append(batches.slice(mark));
	const records = store.head.seq;
	await store.close();
	heading(
		`Recovery of ${records} records in segments of 16 MiB: open, then fold and judge`,
		"how",
		"ms",
		"records folded",
	);
	for (const used of [undefined, snapshots]) {
		const began = performance.now();
		const again = await openFileStore(path, options);
		const { from, folded } = await foldFromSnapshot(again, used);
		row(
			used === undefined ? "without snapshot" : "with a snapshot at 99 %",
			(performance.now() - began).toFixed(0),
			records - from,
		);
		await again.close();
		if (used !== undefined)
			console.log(
				`\nThe snapshot has ${foldImage(folded).length} bytes; taking it at 99 % took ${taken.toFixed(0)} ms, the fold included.`,
			);
	}
}
