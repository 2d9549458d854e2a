/** Reading: header, seals, chunks of any size, gzip, streams, tails; and everything that is no log. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { LogError } from "../../src/log/error.ts";
import { loadLog, readLog, scanLog } from "../../src/log/read.ts";
import { logText } from "../../src/log/write.ts";
import { anyFact } from "./arbitrary.ts";
import { HEADER, mapOperations } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-read-"));
afterAll(() => rmSync(folder, { recursive: true }));

const log = logText(HEADER, mapOperations(20));
const bytes = Buffer.from(log);

function* inChunks(source: Uint8Array, size: number): Generator<Uint8Array> {
	for (let at = 0; at < source.length; at += size)
		yield source.subarray(at, at + size);
}
const errorOf = async (source: Iterable<Uint8Array>): Promise<LogError> => {
	try {
		await scanLog(source);
	} catch (error) {
		if (error instanceof LogError) return error;
		throw error;
	}
	throw new Error("the log was read without an error");
};

describe("a whole log", () => {
	test("gives back header, records and seals", async () => {
		const loaded = await loadLog([bytes]);
		expect(loaded.header).toStrictEqual(HEADER);
		expect(loaded.contents.map((r) => r.seq)).toEqual(
			Array.from({ length: 80 }, (_, i) => i + 1),
		);
		expect(loaded.sealed.map((s) => [s.seq, s.count])).toEqual([
			[0, 0],
			...Array.from({ length: 20 }, (_, i) => [4 * (i + 1), 4]),
		]);
		expect(loaded).toMatchObject({
			records: 80,
			seals: 21,
			lines: 102,
			bytes: bytes.length,
			uncanonical: 0,
			tail: undefined,
		});
		expect(loaded.head).toMatchObject({
			seq: 80,
			hash: loaded.sealed.at(-1)?.hash,
		});
	});

	test("in chunks of any size", async () => {
		const whole = await loadLog([bytes]);
		for (const size of [1, 2, 7, 64, 1000, 4096])
			expect(await loadLog(inChunks(bytes, size))).toStrictEqual(whole);
	});

	test("with records of every kind, in batches of any size", async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(fc.array(anyFact, { minLength: 1, maxLength: 8 }), {
					maxLength: 6,
				}),
				fc.integer({ min: 50, max: 5000 }),
				async (batches, size) => {
					const text = Buffer.from(logText(HEADER, batches));
					const loaded = await loadLog(inChunks(text, size));
					const facts = batches.flat();
					expect(loaded.contents).toStrictEqual(
						facts.map(({ t, type, actor, op, data }, i) => ({
							seq: i + 1,
							t,
							type,
							actor,
							op,
							data,
						})),
					);
				},
			),
			{ numRuns: 100 },
		);
	});

	test("compressed, from a file, batch by batch", async () => {
		const path = join(folder, "log.gz");
		writeFileSync(path, gzipSync(bytes));
		const whole = await loadLog([bytes]);
		expect(await loadLog(path)).toStrictEqual(whole);
		const open = await readLog(path);
		expect(open.header).toStrictEqual(HEADER);
		const records = [];
		for await (const batch of open.batches()) {
			expect(batch.records).toHaveLength(batch.seal.count);
			records.push(...batch.records);
		}
		expect(records).toStrictEqual(whole.contents);
	});

	test("reading batch by batch may stop early", async () => {
		const open = await readLog(inChunks(bytes, 100));
		for await (const batch of open.batches()) {
			expect(batch.records[0]?.seq).toBe(1);
			break;
		}
	});

	test("has hashes that sha256sum confirms, as docs/log-format.md says", () => {
		const seal = log.lastIndexOf('{"seal":', log.length / 2);
		const offset = log.indexOf(',"hash":', seal);
		const path = join(folder, "by-hand");
		writeFileSync(path, log);
		const sum = execFileSync(
			"sh",
			["-c", `head -c ${offset} ${path} | sha256sum`],
			{ encoding: "utf8" },
		);
		expect(log.slice(offset)).toMatch(
			new RegExp(`^,"hash":"${sum.slice(0, 64)}"`),
		);
	});
});

test("lines that are not canonical are read and counted", async () => {
	const loose = Buffer.from(
		logText(HEADER, mapOperations(1)).replace('"t":0,', '"t": 0,'),
	);
	expect((await errorOf([loose])).code).not.toBe("bad-record");
	const { sealBatch, CHAIN_START } = await import("../../src/log/seal.ts");
	const header = log.slice(0, log.indexOf("\n") + 1);
	const first = sealBatch(CHAIN_START, header, 0, 0);
	const line =
		'{"t":1, "seq":1,"type":"dom.freed","actor":"domain:1","op":0,"data":{"dom":"domain:1"}}\n';
	const text = `${header}${first.line}\n${line}${sealBatch(first, line, 1, 1).line}\n`;
	expect(await loadLog([Buffer.from(text)])).toMatchObject({
		records: 1,
		uncanonical: 1,
		contents: [{ seq: 1 }],
	});
});

test("a log cut at any byte is read up to its last whole seal, and the tail is reported", async () => {
	const small = Buffer.from(logText(HEADER, mapOperations(2)));
	const seals = [...small.toString().matchAll(/\{"seal":(\d+).*\n/g)].map(
		(m) => ({ seq: Number(m[1]), end: m.index + m[0].length }),
	);
	for (let cut = 0; cut < small.length; cut++) {
		const last = seals.filter((seal) => seal.end <= cut).at(-1);
		const part = small.subarray(0, cut);
		if (last === undefined) {
			expect(["torn-tail", "not-a-log"], `cut at ${cut}`).toContain(
				(await errorOf([part])).code,
			);
			continue;
		}
		const loaded = await loadLog([part]);
		expect(loaded.contents.length, `cut at ${cut}`).toBe(last.seq);
		expect(loaded.tail?.bytes ?? 0, `cut at ${cut}`).toBe(cut - last.end);
		if (loaded.tail)
			expect(loaded.tail).toMatchObject({
				seq: last.seq + 1,
				offset: last.end,
				line: part.subarray(0, last.end).toString().split("\n").length,
			});
	}
});

test("a truncated gzip file is a torn tail", async () => {
	const packed = gzipSync(bytes);
	const loaded = await loadLog([packed.subarray(0, packed.length - 60)]);
	expect(loaded.records).toBeGreaterThan(0);
	expect(loaded.tail).toBeDefined();
});

describe("what is no log", () => {
	test.each([
		["nothing", "", "not-a-log"],
		[
			"a trace",
			"# tracer: nop\n#\n          <idle>-0 [000] d..1. 1.0: map: IOMMU\n".repeat(
				200,
			),
			"not-a-log",
		],
		["one line of something", "hello\n", "not-a-log"],
		["other JSON", '{"a":1}\n{"b":2}\n', "not-a-log"],
		["binary rubbish", "\u0000\u0001\u0002".repeat(5000), "not-a-log"],
		[
			"a log whose version byte was changed",
			log.replace('"version":1', '"version":2').slice(0, 200) + log.slice(200),
			"flipped-byte",
		],
	])("%s", async (_, text, code) => {
		const error = await errorOf([Buffer.from(text)]);
		expect(error.code).toBe(code);
		expect(error.line).toBe(1);
		expect(error.hint).toBeTruthy();
	});

	test("a log of a newer version, whole", async () => {
		const { sealBatch, CHAIN_START } = await import("../../src/log/seal.ts");
		const header = `${log.slice(0, log.indexOf("\n")).replace('"version":1', '"version":99')}\n`;
		const error = await errorOf([
			Buffer.from(`${header}${sealBatch(CHAIN_START, header, 0, 0).line}\n`),
		]);
		expect(error).toMatchObject({ code: "newer-version", line: 1 });
		expect(error.message).toContain("99");
	});

	test("damaged gzip data", async () => {
		const packed = Buffer.from(gzipSync(bytes));
		packed.fill(0x55, 30, 60);
		expect((await errorOf([packed])).code).toBe("bad-gzip");
	});

	test("a missing file is the system's own error, with its path", async () => {
		await expect(scanLog(join(folder, "absent"))).rejects.toThrow(
			/ENOENT.*absent/,
		);
	});

	test("a header and then megabytes without a seal", async () => {
		const header = log.slice(0, log.indexOf('{"seq"'));
		function* endless(): Generator<Uint8Array> {
			yield Buffer.from(header);
			const block = Buffer.alloc(1 << 20, "x");
			for (let i = 0; i < 80; i++) yield block;
		}
		expect(await errorOf(endless())).toMatchObject({
			code: "too-large",
			seq: 1,
		});
	});
});
