/** Recovery of a long log, with and without a snapshot. */
import { join } from "node:path";
import { openFileStore } from "../../src/log/file-store.ts";
import { scanLog } from "../../src/log/read.ts";
import { logHas, snapshotStore } from "../../src/log/snapshots.ts";
import type { TimedFact } from "../../src/log/write.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import { folder, heading, row, trivialFold } from "./common.ts";

/** Opening a long log for writing and folding it, with and without a snapshot at 99 %. */
export async function recoveryBench(
	header: LogHeader,
	batches: TimedFact[][],
): Promise<void> {
	const path = join(folder, "recovery");
	const snapshots = snapshotStore(join(folder, "snapshots"));
	const options = { header, fsync: "never", segmentBytes: 16 << 20 } as const;
	const store = await openFileStore(path, options);
	const mark = Math.floor(batches.length * 0.99);
	for (const [i, facts] of batches.entries()) {
		const answer = store.append(facts);
		if (i % 1000 === 0) await answer;
		if (i !== mark) continue;
		const { head } = await answer;
		await snapshots.save(
			head,
			Buffer.from(JSON.stringify({ folded: head.seq })),
		);
	}
	const records = store.head.seq;
	await store.close();
	heading(
		`Recovery of ${records} records in segments of 16 MiB: open, then fold`,
		"how",
		"ms",
		"records folded",
	);
	for (const how of ["without snapshot", "with snapshot at 99 %"]) {
		const start = performance.now();
		const again = await openFileStore(path, options);
		const found =
			how === "without snapshot"
				? undefined
				: await snapshots.find((at) => logHas(again, at));
		const from = found?.state === "found" ? found.snapshot.at.seq + 1 : 1;
		const fold = trivialFold();
		let folded = 0;
		if (from === 1) folded = (await scanLog(path, fold)).records;
		else
			for await (const batch of again.read(from))
				for (const record of batch.records) {
					fold.record(record);
					folded++;
				}
		row(how, (performance.now() - start).toFixed(0), folded);
		await again.close();
	}
}
