/**
 * A crash after every single record of a saga: whatever prefix of the log is left, a system opened on it and resumed ends in the state of the
 * run that was not cut off, or in the exact former state. Its log is green, and decides again to the same bytes.
 */
import { describe, expect, test } from "vitest";
import { memoryStore } from "../../../src/log/memory-store.ts";
import type { LogStore } from "../../../src/log/store.ts";
import type { TimedFact } from "../../../src/log/write.ts";
import { runHeader } from "../../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../../src/orchestrator/create.ts";
import type { LiveSystem } from "../../../src/orchestrator/create.ts";
import { foldStore } from "../../../src/orchestrator/recover/fold-store.ts";
import { stateFromFold } from "../../../src/orchestrator/recover/state-from-fold.ts";
import {
	firstDifference,
	redecide,
} from "../../../src/orchestrator/redecide.ts";
import { canonical } from "../../../src/orchestrator/saga/canonical.ts";
import { SagaError, type Saga } from "../../../src/orchestrator/saga/saga.ts";
import { verifyRecords } from "../../../src/replay/verify.ts";
import type { LogHeader } from "../../../src/vocabulary/header.ts";
import type { LogRecord } from "../../../src/vocabulary/records.ts";
import { SITUATIONS } from "./situations.ts";

async function recordsOf(store: LogStore): Promise<LogRecord[]> {
	const all: LogRecord[] = [];
	for await (const { records } of store.read(1)) all.push(...records);
	return all;
}
async function stateOf(store: LogStore): Promise<string> {
	const { judge, notes } = await foldStore(store);
	return canonical(stateFromFold(judge.world, notes));
}
async function storeWith(
	header: LogHeader,
	records: readonly LogRecord[],
): Promise<LogStore> {
	const store = memoryStore(header);
	if (records.length > 0)
		await store.append(records as unknown as readonly TimedFact[]);
	return store;
}

/** Sets up, runs the saga; what the log held before it, and how it ended. */
async function uncut(
	header: LogHeader,
	setUp: (system: LiveSystem) => Promise<void>,
	saga: (system: LiveSystem) => Saga,
) {
	const store = memoryStore(header);
	const system = await createIommuSystem({ store, engine: "compiled" });
	await setUp(system);
	const before = store.head.seq;
	const former = await stateOf(store);
	const plan = await saga(system).plan();
	const failed = await saga(system)
		.run()
		.then(
			() => undefined,
			(error: unknown) => error,
		);
	await system.dispose();
	return { store, before, former, failed, plan };
}

describe.each(SITUATIONS)(
	"$name",
	({ topology, switches, setUp, saga, fails }) => {
		test("without a crash it ends as it should, and its log is true", async () => {
			const header = runHeader(topology, switches);
			const { store, former, failed, before } = await uncut(
				header,
				setUp,
				saga,
			);
			const records = await recordsOf(store);
			expect(store.head.seq).toBeGreaterThan(before);
			if (fails === undefined) {
				expect(failed).toBeUndefined();
				expect(await stateOf(store)).not.toBe(former);
			} else {
				expect(failed).toBeInstanceOf(SagaError);
				expect(failed).toMatchObject({ errno: fails, outcome: "rolled-back" });
				expect(await stateOf(store)).toBe(former);
			}
			expect(firstDifference(records, redecide(header, records))).toBe(-1);
			const { violations } = verifyRecords(header, records);
			if (switches["flow"] === undefined || switches["flow"] === "group-owned")
				expect(
					violations.map(({ id }) => id).filter((id) => id !== "VFT-7"),
				).toEqual([]);
		});

		test("behind a crash at any record it writes the log it would have written", async () => {
			const header = runHeader(topology, switches);
			const { store, before } = await uncut(header, setUp, saga);
			const records = await recordsOf(store);
			for (let cut = before; cut <= records.length; cut++) {
				const left = await storeWith(header, records.slice(0, cut));
				const system = await createIommuSystem({
					store: left,
					onBroken: "start",
					engine: "compiled",
				});
				await system.resumeSaga().catch((error: unknown) => {
					if (!(error instanceof SagaError)) throw error;
				});
				await system.dispose();
				const after = await recordsOf(left);
				const wanted = cut === before ? records.slice(0, before) : records;
				expect({ cut, first: firstDifference(after, wanted) }).toEqual({
					cut,
					first: -1,
				});
			}
		});
	},
);
