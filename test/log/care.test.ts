/** check, repair, stat, cat, convert; old versions; snapshots; archive. */
import {
	cpSync,
	existsSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { BINARY } from "../../src/log/binary.ts";
import { catLog, checkLog, statLog } from "../../src/log/care.ts";
import { NDJSON } from "../../src/log/codec.ts";
import { convertLog } from "../../src/log/convert.ts";
import type { FileStore } from "../../src/log/file-store-options.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import { loadLog } from "../../src/log/read.ts";
import { repairLog } from "../../src/log/repair.ts";
import { CHAIN_START, sealBatch } from "../../src/log/seal.ts";
import { logHas, snapshotStore } from "../../src/log/snapshots.ts";
import { logText } from "../../src/log/write.ts";
import { HEADER, mapOperation, mapOperations } from "./samples.ts";

const root = mkdtempSync(join(tmpdir(), "ledger-care-"));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
let path = "";
const log = logText(HEADER, mapOperations(6));
const fixture = join(import.meta.dirname, "../fixtures/log/version-0.ndjson");

beforeEach(() => {
	path = join(root, `${count++}`);
});
const fill = async (store: FileStore, operations: number): Promise<void> => {
	for (let i = 0; i < operations; i++)
		await store.append(mapOperation(store.head.seq));
};
const segmentsOf = (directory: string): string[] =>
	readdirSync(directory).filter((name) => name.endsWith(".ndjson"));

describe("check", () => {
	test("a whole log, with and without the head it must have", async () => {
		writeFileSync(path, log);
		const { state, summary } = await checkLog(path);
		expect(state).toBe("whole");
		expect(
			(await checkLog(path, { head: summary?.head.hash ?? "" })).state,
		).toBe("whole");
		const other = await checkLog(path, { head: "0".repeat(64) });
		expect(other).toMatchObject({
			state: "broken",
			problem: { code: "head-mismatch", seq: 24 },
		});
	});

	test("a rewritten log with a good chain is caught by its head only", async () => {
		const head = (await checkLog([Buffer.from(log)])).summary?.head.hash ?? "";
		const other = Buffer.from(logText(HEADER, mapOperations(5)));
		expect((await checkLog([other])).state).toBe("whole");
		expect((await checkLog([other], { head })).problem?.code).toBe(
			"head-mismatch",
		);
	});

	test("torn and broken", async () => {
		expect((await checkLog([Buffer.from(log.slice(0, -20))])).state).toBe(
			"torn",
		);
		expect(
			await checkLog([Buffer.from(log.replace('"first":5', '"first":4'))]),
		).toMatchObject({ state: "broken", problem: { code: "flipped-byte" } });
	});

	test("valid lines in other bytes are counted", async () => {
		const header = log.slice(0, log.indexOf("\n") + 1);
		const first = sealBatch(CHAIN_START, header, 0, 0);
		const line =
			'{"seq":1,"t":1,"type":"op.begin","actor":"ctx:1","op":1,"data":{"op":"x","args":{"b":1,"a":2}}}\n';
		const next = sealBatch(first, line, 1, 1);
		const good =
			'{"seq":2,"t":1,"type":"op.commit","actor":"ctx:1","op":1,"data":{}}\n';
		const text = `${header}${first.line}\n${line}${next.line}\n${good}${sealBatch(next, good, 2, 1).line}\n`;
		expect(await checkLog([Buffer.from(text)])).toMatchObject({
			state: "whole",
			canonical: false,
		});
	});
});

describe("repair", () => {
	test("leaves a whole log alone", async () => {
		writeFileSync(path, log);
		expect(await repairLog(path)).toMatchObject({
			steps: [],
			check: { state: "whole" },
		});
		expect(readFileSync(path, "utf8")).toBe(log);
	});

	test("drops a torn tail and keeps a copy of it", async () => {
		writeFileSync(path, log.slice(0, -20));
		const { steps, check } = await repairLog(path);
		expect(check).toMatchObject({ state: "whole", summary: { records: 20 } });
		expect(steps).toMatchObject([{ what: "dropped-tail" }]);
		const kept = readFileSync(path, "utf8");
		expect(kept + readFileSync(steps[0]?.savedAs ?? "", "utf8")).toBe(
			log.slice(0, -20),
		);
	});

	test("puts flipped bytes back", async () => {
		writeFileSync(
			path,
			log.replace('"first":5', '"first":4').replace('"t":161', '"t":961'),
		);
		expect(await repairLog(path)).toMatchObject({
			steps: [{ what: "mended-byte" }, { what: "mended-byte" }],
			check: { state: "whole" },
		});
		expect(readFileSync(path, "utf8")).toBe(log);
	});

	test("cuts acknowledged records only when told to", async () => {
		const broken = log
			.replace('"first":9,"n":1', '"first":9,"n":2')
			.replace('"iova":"0x9000"', '"iova":"0x8000"');
		writeFileSync(path, broken);
		expect(await repairLog(path)).toMatchObject({
			steps: [],
			check: { state: "broken", problem: { code: "damaged" } },
		});
		expect(readFileSync(path, "utf8")).toBe(broken);
		const { steps, check } = await repairLog(path, { cut: true });
		expect(steps).toMatchObject([{ what: "cut" }]);
		expect(check).toMatchObject({ state: "whole", summary: { records: 8 } });
		expect(
			readFileSync(path, "utf8") +
				readFileSync(steps[0]?.savedAs ?? "", "utf8"),
		).toBe(broken);
	});

	test("works on the segment concerned", async () => {
		const store = await openFileStore(path, {
			header: HEADER,
			segmentBytes: 1200,
		});
		await fill(store, 8);
		await store.close();
		const [, second = ""] = segmentsOf(path);
		const file = join(path, second);
		const text = readFileSync(file, "utf8");
		writeFileSync(file, text.replace('"prot":3', '"prot":7'));
		const before = await checkLog(path);
		expect(before.problem).toMatchObject({
			code: "flipped-byte",
			damage: { path: file },
		});
		expect(before.problem?.message).toContain(second);
		expect((await repairLog(path)).check.state).toBe("whole");
		expect(readFileSync(file, "utf8")).toBe(text);
	});

	test("puts a flipped byte of a binary log back, wherever it is", async () => {
		writeFileSync(path, log);
		await convertLog(path, `${path}.blog`, BINARY);
		const whole = readFileSync(`${path}.blog`);
		for (let at = 0; at < whole.length; at += at < 16 ? 5 : 37) {
			const damaged = Buffer.from(whole);
			damaged[at] = (damaged[at] as number) ^ 0x10;
			writeFileSync(path, damaged);
			expect(await repairLog(path), `byte ${at}`).toMatchObject({
				steps: [{ what: "mended-byte", offset: at }],
				check: { state: "whole" },
			});
			expect(readFileSync(path)).toEqual(whole);
		}
	});

	test("does not touch compressed files", async () => {
		const packed = gzipSync(log.slice(0, -20));
		writeFileSync(path, packed);
		await expect(repairLog(path)).rejects.toMatchObject({ code: "compressed" });
		expect(readFileSync(path)).toEqual(packed);
		expect(existsSync(`${path}.lock`)).toBe(false);
	});

	test("earlier copies stay", async () => {
		for (const _ of [1, 2, 3]) {
			writeFileSync(path, log.slice(0, -20));
			await repairLog(path);
		}
		const copies = readdirSync(root).filter((name) =>
			join(root, name).startsWith(`${path}.removed-`),
		);
		expect(copies).toHaveLength(3);
	});

	test("is refused while a writer has the log", async () => {
		const store = await openFileStore(path, { header: HEADER });
		await expect(repairLog(path)).rejects.toMatchObject({ code: "locked" });
		await store.close();
	});
});

test("stat counts", async () => {
	const stat = await statLog([Buffer.from(log)]);
	expect(stat).toMatchObject({
		actors: 3,
		firstT: 0,
		lastT: 203,
		batchRecordsMean: 4,
		batchRecordsMax: 4,
	});
	expect(stat.types).toEqual(
		["op.begin", "pages.pinned", "dom.map", "op.commit"].map((type) => ({
			type,
			records: 6,
		})),
	);
});

test("cat gives the wanted lines as they stand in the file", async () => {
	const lines: string[] = [];
	await catLog(
		[Buffer.from(log)],
		{ from: 3, to: 12, types: ["dom.", "op.commit"], actor: "domain:1" },
		(line) => lines.push(line),
	);
	expect(lines).toEqual(
		log.split("\n").filter((line) => /"seq":(3|7|11),/.test(line)),
	);
	expect(lines).toHaveLength(3);
});

describe("an old version", () => {
	test("is read through the upcasters", async () => {
		const loaded = await loadLog(fixture);
		expect(loaded).toMatchObject({
			version: 0,
			records: 5,
			uncanonical: 0,
			header: { version: 1, model: "0" },
		});
		expect(loaded.contents[1]).toStrictEqual({
			seq: 2,
			t: 11,
			type: "dom.map",
			actor: "domain:1",
			op: 1,
			data: {
				dom: "domain:1",
				iova: 0x1000,
				pa: 0xffffffff00000000n,
				len: 0x1000,
				prot: 3,
			},
		});
		expect(loaded.contents[3]).toMatchObject({
			type: "dom.unmap",
			op: 0,
			data: { len: 4096 },
		});
		expect(loaded.contents[4]).toMatchObject({
			type: "inv.completed",
			data: { inv: 7 },
		});
	});

	test("is checked over its own bytes", async () => {
		const text = readFileSync(fixture, "utf8");
		expect((await checkLog([Buffer.from(text)])).state).toBe("whole");
		expect(
			(await checkLog([Buffer.from(text.replace('"paddr"', '"Paddr"'))]))
				.problem?.code,
		).toBe("flipped-byte");
	});

	test("is not appended to, but converted", async () => {
		cpSync(fixture, path);
		await expect(openFileStore(path)).rejects.toMatchObject({
			code: "older-version",
		});
		await convertLog(path, `${path}.new`, NDJSON);
		const store = await openFileStore(`${path}.new`);
		expect(store.head.seq).toBe(5);
		await store.append(mapOperation(5));
		await store.close();
		expect((await loadLog(`${path}.new`)).version).toBe(1);
	});
});

describe("convert", () => {
	test("NDJSON to NDJSON is the same file, compressed or not", async () => {
		writeFileSync(path, log);
		const result = await convertLog(path, `${path}.copy`, NDJSON);
		expect(readFileSync(`${path}.copy`, "utf8")).toBe(log);
		expect(result).toMatchObject({ bytes: log.length, head: result.read.head });
		await convertLog(`${path}.copy`, `${path}.gz`, NDJSON);
		expect(statSync(`${path}.gz`).size).toBeLessThan(log.length);
		expect((await loadLog(`${path}.gz`)).head).toEqual(result.head);
		await expect(
			convertLog(path, `${path}.copy`, NDJSON),
		).rejects.toMatchObject({ code: "io" });
	});

	test("leaves nothing behind when the source is damaged", async () => {
		writeFileSync(path, log.replace('"iova":"0x9000"', '"iova":"0x8fff"'));
		await expect(
			convertLog(path, `${path}.half`, BINARY),
		).rejects.toMatchObject({ code: "damaged" });
		const left = readdirSync(root).filter((name) => name.includes(".half"));
		expect(left).toEqual([]);
	});

	test("segments become one file", async () => {
		const store = await openFileStore(path, {
			header: HEADER,
			segmentBytes: 1200,
		});
		await fill(store, 6);
		await store.close();
		expect(segmentsOf(path).length).toBeGreaterThan(2);
		expect(await checkLog(path)).toMatchObject({
			state: "whole",
			canonical: true,
		});
		await convertLog(path, `${path}.one`, NDJSON);
		const one = readFileSync(`${path}.one`, "utf8");
		expect(one).toBe(log);
	});
});

describe("segments", () => {
	test("a missing, a cut and a foreign segment are reported", async () => {
		const store = await openFileStore(path, {
			header: HEADER,
			segmentBytes: 1200,
		});
		await fill(store, 8);
		await store.close();
		const names = segmentsOf(path);
		const [first = "", second = "", third = ""] = names;
		const text = readFileSync(join(path, second), "utf8");
		rmSync(join(path, second));
		expect((await checkLog(path)).problem).toMatchObject({
			code: "missing-lines",
			line: 1,
		});
		writeFileSync(join(path, second), text.slice(0, -10));
		expect((await checkLog(path)).problem).toMatchObject({
			code: "missing-lines",
		});
		writeFileSync(join(path, second), text);
		expect((await checkLog(path)).state).toBe("whole");
		rmSync(join(path, first));
		expect((await checkLog(path)).problem).toMatchObject({
			code: "missing-lines",
			seq: 0,
		});
		expect(third).not.toBe("");
	});

	test("are archived, and read and written on as before", async () => {
		const store = await openFileStore(path, {
			header: HEADER,
			segmentBytes: 1200,
		});
		await fill(store, 8);
		const before = await loadLog(path);
		const moved = await store.archive(Number.POSITIVE_INFINITY);
		expect(moved.length).toBeGreaterThan(1);
		expect(segmentsOf(path)).toHaveLength(2);
		const after = await loadLog(path);
		expect({ ...after, bytes: 0 }).toStrictEqual({ ...before, bytes: 0 });
		const read: number[] = [];
		for await (const batch of store.read(3))
			read.push(...batch.records.map(({ seq }) => seq));
		expect(read).toEqual(before.contents.slice(2).map(({ seq }) => seq));
		const key = "before the last rotation";
		const facts = mapOperation(store.head.seq);
		await store.append(facts, { key });
		store.rotate();
		await store.append(mapOperation(store.head.seq));
		await store.archive(Number.POSITIVE_INFINITY);
		await store.close();
		const again = await openFileStore(path, { segmentBytes: 1200 });
		expect((await again.append(facts, { key })).repeated).toBe(true);
		expect(again.head.seq).toBe(before.records + 8);
		expect(await again.archive(10)).toEqual([]);
		await again.close();
	});
});

test("a segment that was only begun when its writer died is a tail, for readers, repair and the next writer", async () => {
	const store = await openFileStore(path, {
		header: HEADER,
		segmentBytes: 1200,
	});
	await fill(store, 4);
	await store.close();
	const { records } = await loadLog(path);
	const begun = join(path, `${String(records + 1).padStart(16, "0")}.ndjson`);
	const last =
		readFileSync(join(path, segmentsOf(path).at(-1) ?? ""), "utf8")
			.trimEnd()
			.split("\n")
			.at(-1) ?? "";
	for (const text of [
		"",
		last.slice(0, 30),
		`${last.slice(0, 60)}${"\0".repeat(20)}`,
	]) {
		writeFileSync(begun, text);
		expect(await checkLog(path)).toMatchObject({
			state: "torn",
			summary: { records, tail: { bytes: text.length, path: begun } },
		});
		expect(await repairLog(path)).toMatchObject({
			steps: [{ what: "dropped-tail" }],
			check: { state: "whole" },
		});
		writeFileSync(begun, text);
		const again = await openFileStore(path, { segmentBytes: 1200 });
		expect(again.head.seq).toBe(records);
		await again.close();
		expect(existsSync(begun)).toBe(false);
	}
	writeFileSync(begun, "something else");
	expect((await checkLog(path)).problem?.code).toBe("missing-lines");
});

describe("snapshots", () => {
	test("found, stale, absent", async () => {
		const store = await openFileStore(join(path, "log"), {
			header: HEADER,
			segmentBytes: 1200,
		}).catch(async () => {
			throw new Error("no store");
		});
		const snapshots = snapshotStore(join(path, "snapshots"), { keep: 2 });
		const find = () => snapshots.find((at) => logHas(store, at));
		expect(await find()).toEqual({ state: "absent" });
		for (let i = 0; i < 4; i++) {
			await fill(store, 1);
			await snapshots.save(
				store.head,
				Buffer.from(`state at ${store.head.seq}`),
			);
		}
		await fill(store, 1);
		const newest = await find();
		expect(newest).toMatchObject({
			state: "found",
			snapshot: { at: { seq: 16 } },
		});
		expect(newest.state === "found" && newest.snapshot.bytes.toString()).toBe(
			"state at 16",
		);
		const names = readdirSync(join(path, "snapshots")).sort();
		expect(names).toHaveLength(2);
		// A damaged newest one: the one before is used. None that fits: stale.
		writeFileSync(join(path, "snapshots", names[1] ?? ""), "rubbish");
		expect(await find()).toMatchObject({
			state: "found",
			snapshot: { at: { seq: 12 } },
		});
		rmSync(join(path, "snapshots", names[0] ?? ""));
		await snapshots.save(
			{ seq: 8, hash: "0".repeat(64) },
			Buffer.from("another history"),
		);
		expect((await find()).state).toBe("stale");
		await store.close();
		expect(existsSync(join(path, "log", "lock"))).toBe(false);
	});
});
