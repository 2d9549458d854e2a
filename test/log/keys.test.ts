/** Idempotency keys of a log in segments: they reach back over all of it, in order, within a bound, and behind the bound the outcome is typed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BINARY } from "../../src/log/binary.ts";
import type { LogCodec } from "../../src/log/codec.ts";
import { NDJSON } from "../../src/log/codec.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import type { FileStore } from "../../src/log/file-store-options.ts";
import { HEADER, mapOperation } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const OPERATIONS = 24;
const facts = (i: number) => mapOperation(4 * i);

const reopen = (path: string, more: object = {}): Promise<FileStore> =>
	openFileStore(path, { header: HEADER, segmentBytes: 1200, ...more });
/** A log of keyed operations in many segments. */
async function keyed(codec: LogCodec = NDJSON): Promise<string> {
	const path = join(folder, `log-${count++}`);
	const segmentBytes = codec === BINARY ? 400 : 1200;
	const store = await reopen(path, { codec, segmentBytes });
	for (let i = 0; i < OPERATIONS; i++)
		await store.append(facts(i), { key: `k${i}` });
	expect(store.segments().length).toBeGreaterThan(4);
	await store.close();
	return path;
}

describe.each([["ndjson", NDJSON] as const, ["binary", BINARY] as const])(
	"%s",
	(_, codec) => {
		test("every key of the log is known after a restart, archived or not", async () => {
			const path = await keyed(codec);
			for (const archive of [false, true]) {
				const store = await reopen(path);
				if (archive) {
					const moved = await store.archive(Number.POSITIVE_INFINITY);
					expect(moved.length).toBeGreaterThan(2);
				}
				for (const i of [0, 3, OPERATIONS - 1, 7])
					expect(await store.append(facts(i), { key: `k${i}` })).toMatchObject({
						first: 4 * i + 1,
						last: 4 * i + 4,
						repeated: true,
					});
				const other = store.append(facts(OPERATIONS), { key: "k0" });
				await expect(other).rejects.toMatchObject({ code: "key-reused" });
				expect(store.head.seq).toBe(4 * OPERATIONS);
				await store.close();
			}
		});
	},
);

test("appends keep the order in which they were called while older segments are read, with and without keys", async () => {
	const path = await keyed();
	const store = await reopen(path);
	const head = store.head.seq;
	const calls = Array.from({ length: 12 }, (_, i) =>
		store.append(facts(OPERATIONS + i), {
			expected: head + 4 * i,
			...(i % 3 === 0 ? { key: `new ${i}` } : {}),
		}),
	);
	const old = store.append(facts(2), { key: "k2" });
	// Some come in while the first are on their way out.
	void calls[0]!.then(() => calls.push(store.append(facts(OPERATIONS + 12))));
	const answers = await Promise.all(calls.slice(0, 12));
	expect(answers.map(({ first }) => first)).toEqual(
		answers.map((_, i) => head + 4 * i + 1),
	);
	expect(await old).toMatchObject({ first: 9, repeated: true });
	await Promise.all(calls);
	await store.close();
});

test("an older segment that is damaged is told to the key that needs it, and to nobody else", async () => {
	const path = await keyed();
	const store = await reopen(path);
	const victim = store.segments()[1]!.path;
	const whole = readFileSync(victim, "utf8");
	writeFileSync(victim, whole.replace('{"seq":', '{"seq" :'));
	const needy = store.append(facts(OPERATIONS), { key: "new" });
	const plain = store.append(facts(OPERATIONS));
	const recent = store.append(facts(OPERATIONS - 1), {
		key: `k${OPERATIONS - 1}`,
	});
	await expect(needy).rejects.toMatchObject({ name: "LogError" });
	expect(await plain).toMatchObject({ repeated: false });
	expect(await recent).toMatchObject({ repeated: true });
	// Mended, the next one reads again.
	writeFileSync(victim, whole);
	expect(await store.append(facts(4), { key: "k4" })).toMatchObject({
		repeated: true,
	});
	await store.close();
});

test("behind the bound a repetition is a conflict by its position, or goes backwards in time", async () => {
	const path = await keyed();
	const store = await reopen(path, { keysMax: 5 });
	const newest = OPERATIONS - 5;
	expect(
		await store.append(facts(newest), { key: `k${newest}` }),
	).toMatchObject({ repeated: true });
	const old = { key: `k${newest - 1}` };
	const named = store.append(facts(newest - 1), {
		...old,
		expected: 4 * (newest - 1),
	});
	await expect(named).rejects.toMatchObject({ code: "conflict" });
	const timed = store.append(facts(newest - 1), old);
	await expect(timed).rejects.toMatchObject({ code: "clock-backwards" });
	expect(store.head.seq).toBe(4 * OPERATIONS);
	// A running store forgets too.
	for (let i = 0; i < 6; i++)
		await store.append(facts(OPERATIONS + i), { key: `later ${i}` });
	const gone = store.append(facts(OPERATIONS), { key: "later 0" });
	await expect(gone).rejects.toMatchObject({ code: "clock-backwards" });
	await store.close();
});
