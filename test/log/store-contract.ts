/**
 * The contract of a log store: every store and every codec passes these tests. A store is made by `open`, which the suite calls
 * again after `close` to see what stayed.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogError } from "../../src/log/error.ts";
import { memoryStore } from "../../src/log/memory-store.ts";
import type { LogBatch } from "../../src/log/read.ts";
import type { LogStore } from "../../src/log/store.ts";
import type { TimedFact } from "../../src/log/write.ts";
import { anyFact } from "./arbitrary.ts";
import { HEADER, mapOperation } from "./samples.ts";

/** A place where one log lives. */
export interface StorePlace {
	/** Opens the log, or starts it. */
	open(): Promise<LogStore>;
	/** Opens it a second time beside the first; left out where a log has one writer only. */
	openBeside?(): Promise<LogStore>;
	/** Stays after close and open. */
	readonly lasting: boolean;
	/** Hashes are those of an NDJSON log in one file, so that stores can be compared. */
	readonly oneFile: boolean;
}

const collect = async (store: LogStore, from = 1): Promise<LogBatch[]> => {
	const batches: LogBatch[] = [];
	for await (const batch of store.read(from)) batches.push(batch);
	return batches;
};
const seqs = (batches: readonly LogBatch[]): number[] =>
	batches.flatMap((batch) => batch.records.map((r) => r.seq));
const upTo = (n: number): number[] =>
	Array.from({ length: n }, (_, i) => i + 1);
const codeOf = (promise: Promise<unknown>): Promise<string> =>
	promise.then(
		() => "no error",
		(error: unknown) =>
			error instanceof LogError ? error.code : String(error),
	);
const monotonic = (facts: readonly TimedFact[], t = 0): TimedFact[] =>
	facts.map((fact, i) => ({ ...fact, t: t + i }));

/** Runs the contract against a kind of store. `make` gives a new, empty place. */
export function storeContract(
	name: string,
	make: () => Promise<StorePlace>,
): void {
	describe(`${name}: the contract of a store`, () => {
		test("an empty log has a header and a head", async () => {
			const store = await (await make()).open();
			expect(store.header).toStrictEqual(HEADER);
			expect(store.head.seq).toBe(0);
			expect(store.head.hash).toMatch(/^[0-9a-f]{64}$/);
			expect(await collect(store)).toEqual([]);
			await store.close();
		});

		test("what is appended is read back, whole batches from any position", async () => {
			const place = await make();
			const store = await place.open();
			const twin = memoryStore(HEADER);
			for (let i = 0; i < 5; i++) {
				const answer = await store.append(mapOperation(i * 4), {
					expected: i * 4,
				});
				expect(answer).toMatchObject({
					first: i * 4 + 1,
					last: i * 4 + 4,
					repeated: false,
					head: store.head,
				});
				await twin.append(mapOperation(i * 4));
			}
			expect(store.head.seq).toBe(20);
			if (place.oneFile) expect(store.head).toEqual(twin.head);
			const strip = (batches: LogBatch[]): unknown =>
				batches.map(({ records, seal }) => [records, seal.seq, seal.count]);
			expect(strip(await collect(store))).toStrictEqual(
				strip(await collect(twin)),
			);
			for (const from of [1, 2, 4, 5, 19, 20])
				expect(seqs(await collect(store, from))).toEqual(
					upTo(20).slice(from - 1),
				);
			expect(await collect(store, 21)).toEqual([]);
			await store.close();
		});

		test("facts of every kind come back as they were", async () => {
			const store = await (await make()).open();
			const expected: unknown[] = [];
			await fc.assert(
				fc.asyncProperty(
					fc.array(anyFact, { minLength: 1, maxLength: 5 }),
					async (some) => {
						const facts = monotonic(some, store.head.seq);
						const { first } = await store.append(facts);
						expected.push(
							...facts.map(({ t, type, actor, op, data }, i) => ({
								seq: first + i,
								t,
								type,
								actor,
								op,
								data,
							})),
						);
					},
				),
				{ numRuns: 60 },
			);
			expect(
				(await collect(store)).flatMap((batch) => batch.records),
			).toStrictEqual(expected);
			await store.close();
		});

		test("a wrong expectation is a conflict and writes nothing", async () => {
			const store = await (await make()).open();
			await store.append(mapOperation(0));
			expect(await codeOf(store.append(mapOperation(0), { expected: 0 }))).toBe(
				"conflict",
			);
			expect(await codeOf(store.append(mapOperation(0), { expected: 5 }))).toBe(
				"conflict",
			);
			expect(store.head.seq).toBe(4);
			expect(seqs(await collect(store))).toEqual(upTo(4));
			await store.close();
		});

		test("of many appends that expect one position, exactly one wins each", async () => {
			const place = await make();
			const first = await place.open();
			const second = (await place.openBeside?.()) ?? first;
			for (let round = 0; round < 5; round++) {
				const expected = round * 4;
				const tries = Array.from({ length: 10 }, (_, i) =>
					codeOf(
						(i % 2 === 0 ? first : second).append(mapOperation(expected), {
							expected,
						}),
					),
				);
				const results = await Promise.all(tries);
				expect(results.filter((result) => result === "no error")).toHaveLength(
					1,
				);
				expect(results.filter((result) => result === "conflict")).toHaveLength(
					9,
				);
			}
			expect(seqs(await collect(first))).toEqual(upTo(20));
			if (second !== first) await second.close();
			await first.close();
		});

		test("appends without waiting keep their order", async () => {
			const store = await (await make()).open();
			const answers = Array.from({ length: 50 }, (_, i) =>
				store.append(mapOperation(i * 4), { expected: i * 4 }),
			);
			expect((await Promise.all(answers)).map(({ last }) => last)).toEqual(
				upTo(50).map((n) => n * 4),
			);
			expect(seqs(await collect(store))).toEqual(upTo(200));
			await store.close();
		});

		test("a key is good for one append: again gives the same answer, other facts are refused", async () => {
			const place = await make();
			const store = await place.open();
			await store.append(mapOperation(0));
			const answer = await store.append(mapOperation(4), { key: 'op "7"' });
			const again = await store.append(mapOperation(4, 99), { key: 'op "7"' });
			expect(again).toEqual({ ...answer, repeated: true });
			expect(
				await codeOf(store.append(mapOperation(12), { key: 'op "7"' })),
			).toBe("key-reused");
			const both = await Promise.all([
				store.append(mapOperation(8), { key: "b" }),
				store.append(mapOperation(8), { key: "b" }),
			]);
			expect(both.map(({ repeated }) => repeated)).toEqual([false, true]);
			expect(store.head.seq).toBe(12);
			expect((await collect(store)).map(({ seal }) => seal.key)).toEqual([
				undefined,
				'op "7"',
				"b",
			]);
			await store.close();
			if (!place.lasting) return;
			const later = await place.open();
			expect(await later.append(mapOperation(4), { key: 'op "7"' })).toEqual({
				...answer,
				repeated: true,
			});
			expect(later.head.seq).toBe(12);
			await later.close();
		});

		test("bad facts and times that go backwards are refused and write nothing", async () => {
			const place = await make();
			const store = await place.open();
			await store.append(mapOperation(0, 100));
			const bad = {
				t: 200,
				type: "dom.freed",
				actor: "domain:1",
				data: { dom: "nonsense" },
			} as unknown as TimedFact;
			expect(await codeOf(store.append([...mapOperation(4, 150), bad]))).toBe(
				"bad-record",
			);
			expect(await codeOf(store.append([]))).toBe("bad-record");
			expect(await codeOf(store.append(mapOperation(4, 102)))).toBe(
				"clock-backwards",
			);
			expect(
				await codeOf(
					store.append([...mapOperation(4, 200), ...mapOperation(8, 100)]),
				),
			).toBe("clock-backwards");
			expect(await codeOf(store.append(mapOperation(4, 103)))).toBe("no error");
			expect(seqs(await collect(store))).toEqual(upTo(8));
			await store.close();
			if (!place.lasting) return;
			const later = await place.open();
			expect(await codeOf(later.append(mapOperation(8, 105)))).toBe(
				"clock-backwards",
			);
			await later.close();
		});

		test("a reader that follows sees what comes, and ends when told", async () => {
			const store = await (await make()).open();
			await store.append(mapOperation(0));
			const stop = new AbortController();
			const seen: number[] = [];
			const reader = (async () => {
				for await (const { records } of store.read(1, {
					follow: stop.signal,
				})) {
					seen.push(...records.map((r) => r.seq));
					if (seen.length >= 12) stop.abort();
				}
			})();
			await store.append(mapOperation(4));
			await new Promise((resolve) => setTimeout(resolve, 20));
			await store.append(mapOperation(8));
			await reader;
			expect(seen).toEqual(upTo(12));
			await store.close();
		});

		test("closed is closed, and what was there is there again", async () => {
			const place = await make();
			const store = await place.open();
			const pending = store.append(mapOperation(0));
			await store.close();
			await pending;
			await store.close();
			expect(await codeOf(store.append(mapOperation(4)))).toBe("closed");
			if (!place.lasting) return;
			const later = await place.open();
			expect(later.header).toStrictEqual(HEADER);
			expect(later.head).toEqual(store.head);
			await later.append(mapOperation(4), { expected: 4 });
			expect(seqs(await collect(later))).toEqual(upTo(8));
			await later.close();
		});
	});
}
