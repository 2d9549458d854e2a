/** The contract on every store of this machine, and what memory and file stores do beyond it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { BINARY } from "../../src/log/binary.ts";
import { NDJSON } from "../../src/log/codec.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import { memoryStore } from "../../src/log/memory-store.ts";
import { loadLog } from "../../src/log/read.ts";
import { HEADER, mapOperation } from "./samples.ts";
import { storeContract } from "./store-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-store-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const fresh = (): string => join(folder, `log-${count++}`);

storeContract("memory", async () => ({
	open: async () => memoryStore(HEADER),
	lasting: false,
	oneFile: true,
}));

storeContract("one file", async () => {
	const path = fresh();
	return {
		open: () => openFileStore(path, { header: HEADER }),
		lasting: true,
		oneFile: true,
	};
});

storeContract("segments of a few batches", async () => {
	const path = fresh();
	return {
		open: () => openFileStore(path, { header: HEADER, segmentBytes: 1500 }),
		lasting: true,
		oneFile: false,
	};
});

storeContract("one file, fsync now and then", async () => {
	const path = fresh();
	return {
		open: () =>
			openFileStore(path, {
				header: HEADER,
				fsync: "interval",
				fsyncIntervalMs: 2,
			}),
		lasting: true,
		oneFile: true,
	};
});

storeContract("binary, one file", async () => {
	const path = fresh();
	return {
		open: () => openFileStore(path, { header: HEADER, codec: BINARY }),
		lasting: true,
		oneFile: false,
	};
});

storeContract("binary, segments of a few batches", async () => {
	const path = fresh();
	return {
		open: () =>
			openFileStore(path, { header: HEADER, codec: BINARY, segmentBytes: 700 }),
		lasting: true,
		oneFile: false,
	};
});

test("memory, file and text agree byte for byte", async () => {
	const memory = memoryStore(HEADER);
	for (let i = 0; i < 3; i++) await memory.append(mapOperation(i * 4));
	const loaded = await loadLog([Buffer.from(memory.text())]);
	expect(loaded.head).toEqual(memory.head);
});

test("a log that is there keeps its codec, whatever is asked for", async () => {
	for (const [codec, other] of [
		[NDJSON, BINARY],
		[BINARY, NDJSON],
	] as const)
		for (const segmentBytes of [undefined, 900]) {
			const path = fresh();
			const options = segmentBytes === undefined ? {} : { segmentBytes };
			const first = await openFileStore(path, {
				header: HEADER,
				codec,
				...options,
			});
			await first.append(mapOperation(0));
			await first.close();
			for (const asked of [{ codec: other }, {}]) {
				const again = await openFileStore(path, { ...asked, ...options });
				for (let i = 0; i < 4; i++)
					await again.append(mapOperation(again.head.seq));
				await again.close();
			}
			expect(await loadLog(path)).toMatchObject({
				records: 36,
				codec: codec.name,
			});
		}
});
