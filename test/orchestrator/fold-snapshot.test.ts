/** A fold that goes on from a snapshot is the fold that never stopped: world, page tables, cache projection, findings, notes. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { afterAll, describe, expect, test } from "vitest";
import { memoryStore } from "../../src/log/memory-store.ts";
import { snapshotStore } from "../../src/log/snapshots.ts";
import type { LogStore } from "../../src/log/store.ts";
import type { TimedFact } from "../../src/log/write.ts";
import { runHeader } from "../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import {
	foldFrom,
	foldFromSnapshot,
	foldImage,
	takeSnapshot,
} from "../../src/orchestrator/recover/fold-snapshot.ts";
import {
	type Folded,
	foldRecord,
	newFold,
} from "../../src/orchestrator/recover/fold-store.ts";
import { runScenario } from "../../src/scenarios/run.ts";
import { RUN_SCENARIOS } from "../../src/scenarios/runs.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { SITUATIONS } from "./saga/situations.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-fold-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const freshSnapshots = () => snapshotStore(join(folder, String(count++)));

function fold(header: LogHeader, records: readonly LogRecord[]): Folded {
	const folded = newFold({ header });
	for (const record of records) foldRecord(folded, record);
	return folded;
}
/** Everything a fold knows, judged to the end, as plain data of its own. */
function known(folded: Folded): unknown {
	const before = deserialize(foldImage(folded));
	folded.judge.finish();
	return { before, after: deserialize(foldImage(folded)) };
}
const again = (header: LogHeader, folded: Folded): Folded => {
	const restored = foldFrom(header, foldImage(folded));
	if (restored === undefined) throw new Error("not restored");
	return restored;
};

describe.each(RUN_SCENARIOS.map((scenario) => ({ scenario })))(
	"$scenario.name",
	({ scenario }) => {
		test("a snapshot after any record, within operations too", () => {
			const { header, records } = runScenario(scenario, { engine: "compiled" });
			const whole = known(fold(header, records));
			const stride = Math.max(1, Math.floor(records.length / 8));
			for (let at = 0; at <= records.length; at += stride) {
				const before = fold(header, records.slice(0, at));
				const after = again(header, before);
				for (const record of records.slice(at)) foldRecord(after, record);
				expect(known(after), `at ${at}`).toEqual(whole);
			}
		});
	},
);

test("a snapshot after every single record of one log, each made from the one before", () => {
	const [scenario] = RUN_SCENARIOS;
	const { header, records } = runScenario(scenario as never, {
		engine: "compiled",
	});
	let folded = newFold({ header });
	for (const record of records) {
		foldRecord(folded, record);
		folded = again(header, folded);
	}
	expect(known(folded)).toEqual(known(fold(header, records)));
});

async function storeOf(records: readonly LogRecord[], header: LogHeader) {
	const store = memoryStore(header);
	for (let at = 0; at < records.length; at += 7)
		await store.append(records.slice(at, at + 7) as unknown as TimedFact[]);
	return store;
}

describe("on a store", () => {
	const { header, records } = runScenario(RUN_SCENARIOS[0] as never, {
		engine: "compiled",
	});
	const half = Math.floor(records.length / 14) * 7;

	test("only what came later is folded, and the answer is the same", async () => {
		const snapshots = freshSnapshots();
		const first = await storeOf(records.slice(0, half), header);
		expect((await takeSnapshot(first, snapshots)).seq).toBe(half);
		const whole = await storeOf(records, header);
		const { folded, from, head } = await foldFromSnapshot(whole, snapshots);
		expect({ from, head }).toEqual({ from: half, head: whole.head });
		expect(known(folded)).toEqual(known(fold(header, records)));
		await takeSnapshot(whole, snapshots);
		expect((await foldFromSnapshot(whole, snapshots)).from).toBe(
			records.length,
		);
		// Another log with as many records is another log.
		const other = await storeOf(
			records.map((record) => ({ ...record, t: record.t + 1 })),
			header,
		);
		expect((await foldFromSnapshot(other, snapshots)).from).toBe(0);
	});

	test("one that another program made, or that holds something else, is not used", async () => {
		const store = await storeOf(records, header);
		for (const bytes of [
			Buffer.from("rubbish"),
			serialize({ maker: "another" }),
			serialize(null),
			serialize({
				...(deserialize(foldImage(fold(header, records))) as object),
				maker: "0.0.1",
			}),
		]) {
			const snapshots = freshSnapshots();
			await snapshots.save(store.head, bytes);
			const { folded, from } = await foldFromSnapshot(store, snapshots);
			expect(from).toBe(0);
			expect(folded.seq).toBe(records.length);
		}
	});

	test("a damaged one is not used", async () => {
		const place = join(folder, "damaged");
		const snapshots = snapshotStore(place);
		const store = await storeOf(records, header);
		await takeSnapshot(store, snapshots);
		const [name = ""] = readdirSync(place);
		writeFileSync(join(place, name), "0".repeat(64));
		expect((await foldFromSnapshot(store, snapshots)).from).toBe(0);
	});
});

describe.each(SITUATIONS)(
	"a live system: $name",
	({ topology, switches, setUp, saga }) => {
		test("opened with a snapshot it is the one opened without, and goes on as that", async () => {
			const store = memoryStore(runHeader(topology, switches));
			const snapshots = freshSnapshots();
			const open = (on: LogStore, with_?: typeof snapshots) =>
				createIommuSystem({
					store: on,
					engine: "compiled",
					...(with_ ? { snapshots: with_ } : {}),
				});
			const first = await open(store);
			await setUp(first);
			await first.dispose();
			await takeSnapshot(store, snapshots);
			const twin = memoryStore(store.header);
			for await (const { records: batch } of store.read(1))
				await twin.append(batch as unknown as TimedFact[]);
			const [a, b] = [await open(store, snapshots), await open(twin)];
			expect(a.recovery.snapshot).toBe(store.head.seq);
			expect({ ...a.recovery, snapshot: 0 }).toEqual(b.recovery);
			expect(a.snapshot()).toEqual(b.snapshot());
			const ended = (system: typeof a) =>
				saga(system)
					.run({ inexact: true })
					.then(
						() => "done",
						(error: unknown) => String(error),
					);
			expect(await ended(a)).toBe(await ended(b));
			expect(store.head).toEqual(twin.head);
			await a.dispose();
			await b.dispose();
		});
	},
);
