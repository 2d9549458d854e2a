/** The binary codec: lossless both ways, any chunk size, damage noticed, hostile bytes refused. */
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { ByteWriter } from "../../src/log/binary-bytes.ts";
import {
	FRAME,
	frameHead,
	HASH_BYTES,
	SEAL_BYTES_MIN,
} from "../../src/log/binary-frames.ts";
import {
	type NameTable,
	nameTable,
	writeName,
} from "../../src/log/binary-names.ts";
import { BINARY } from "../../src/log/binary.ts";
import { checkLog } from "../../src/log/care.ts";
import { NDJSON } from "../../src/log/codec.ts";
import { convertedChunks, convertLog } from "../../src/log/convert.ts";
import { LogError } from "../../src/log/error.ts";
import { loadLog } from "../../src/log/read.ts";
import type { LogCodec } from "../../src/log/codec.ts";
import { logText, type TimedFact } from "../../src/log/write.ts";
import { anyFact } from "./arbitrary.ts";
import { HEADER, mapOperation, mapOperations } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-binary-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function converted(source: Uint8Array, codec: LogCodec): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of convertedChunks([source], codec))
		chunks.push(chunk);
	return Buffer.concat(chunks);
}
const textOf = (batches: readonly (readonly TimedFact[])[]): Buffer =>
	Buffer.from(logText(HEADER, batches));

test("NDJSON to binary and back is the same file, whatever is in it", async () => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.array(anyFact, { minLength: 1, maxLength: 6 }), {
				maxLength: 8,
			}),
			fc.integer({ min: 1, max: 3000 }),
			async (batches, size) => {
				const text = textOf(batches);
				const binary = await converted(text, BINARY);
				expect((await converted(binary, NDJSON)).toString()).toBe(
					text.toString(),
				);
				function* chunks(): Generator<Uint8Array> {
					for (let at = 0; at < binary.length; at += size)
						yield binary.subarray(at, at + size);
				}
				expect((await loadLog(chunks())).contents).toStrictEqual(
					(await loadLog([text])).contents,
				);
			},
		),
		{ numRuns: 150 },
	);
});

test("files, compressed or not, and much smaller", async () => {
	const path = join(folder, "log");
	writeFileSync(path, textOf(mapOperations(200)));
	const { bytes } = await convertLog(path, `${path}.blog`, BINARY);
	expect(bytes).toBeLessThan(readFileSync(path).length / 2.5);
	await convertLog(`${path}.blog`, `${path}.blog.gz`, BINARY);
	await convertLog(`${path}.blog.gz`, `${path}.again`, NDJSON);
	expect(readFileSync(`${path}.again`)).toEqual(readFileSync(path));
	expect(await checkLog(`${path}.blog.gz`)).toMatchObject({
		state: "whole",
		canonical: true,
	});
});

test("where code may not be generated, both codecs read the same, only slower", () => {
	const facts = fc.sample(anyFact, { numRuns: 400, seed: 3 });
	const path = join(folder, "no-code");
	writeFileSync(path, textOf(facts.map((fact) => [fact])));
	const run = (...flags: string[]): string[] => {
		const script = join(import.meta.dirname, "digest-log.ts");
		const { stdout, stderr } = spawnSync(
			process.execPath,
			[...flags, "--import", "tsx", script, path, `${path}.blog`],
			{ encoding: "utf8" },
		);
		expect(stderr).toBe("");
		return stdout.trim().split("\n");
	};
	return convertLog(path, `${path}.blog`, BINARY).then(() => {
		const [ndjson, binary] = run();
		expect(ndjson).toMatch(/^400 [0-9a-f]{64}$/);
		expect(binary).toBe(ndjson);
		expect(run("--disallow-code-generation-from-strings")).toEqual([
			ndjson,
			ndjson,
		]);
	});
});

test("a binary log cut at any byte is read up to its last whole seal", async () => {
	const binary = await converted(textOf(mapOperations(3)), BINARY);
	const whole = await loadLog([binary]);
	for (let cut = 0; cut < binary.length; cut++) {
		const part = binary.subarray(0, cut);
		const loaded = await loadLog([part]).catch((error: unknown) => error);
		if (loaded instanceof LogError)
			expect(["torn-tail", "not-a-log"]).toContain(loaded.code);
		else {
			const { records, tail } = loaded as typeof whole;
			expect([0, 4, 8]).toContain(records);
			expect((loaded as typeof whole).contents).toStrictEqual(
				whole.contents.slice(0, records),
			);
			if (tail) expect(tail.offset + tail.bytes).toBe(cut);
		}
	}
});

test("every flipped bit is noticed, and nothing behind it is handed on", async () => {
	const binary = await converted(textOf(mapOperations(3)), BINARY);
	const whole = await loadLog([binary]);
	for (let at = 0; at < binary.length; at++) {
		const damaged = Buffer.from(binary);
		damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
		const loaded = await loadLog([damaged]).catch((error: unknown) => error);
		if (loaded instanceof LogError) continue;
		const { records, contents, tail } = loaded as typeof whole;
		// Zeros in what can be one write count as never written: a tail, and the bytes are all reported.
		expect(tail, `byte ${at}`).toBeDefined();
		expect(contents).toStrictEqual(whole.contents.slice(0, records));
	}
});

test("hostile bytes with a right hash are refused, not crashed on", async () => {
	const start = BINARY.start(HEADER);
	const seal = BINARY.seal(start.chain, mapOperations(1)[0] ?? []).bytes;
	const sealFrame = seal.subarray(
		seal.length - (9 + 16 + HASH_BYTES),
		-HASH_BYTES,
	);
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 300 }), (content) => {
			const bytes = Buffer.concat([
				start.bytes,
				frameHead(FRAME.batch, content.length),
				content,
				sealFrame,
			]);
			const log = Buffer.concat([
				bytes,
				createHash("sha256").update(bytes).digest(),
			]);
			const scanner = BINARY.scanner({
				record: ({ data }) =>
					void JSON.stringify(data, (_, v: unknown) =>
						typeof v === "bigint" ? "" : v,
					),
			});
			try {
				scanner.push(log);
				scanner.end();
			} catch (error) {
				expect(error).toBeInstanceOf(LogError);
			}
		}),
		{ numRuns: 2000 },
	);
});

describe("a log that another version of the program wrote", () => {
	/** One record of a type laid out so, sealed as the codec does. */
	async function written(
		schema: string,
		fields: (out: ByteWriter, names: NameTable) => void,
	): Promise<Buffer> {
		const out = new ByteWriter();
		const names = nameTable();
		out.byte(0);
		out.count(1);
		writeName(out, names, schema, Number.POSITIVE_INFINITY);
		out.int(5);
		writeName(out, names, "domain:1");
		out.int(1);
		fields(out, names);
		const start = BINARY.start(HEADER);
		const seal = BINARY.seal(start.chain, [mapOperation(0)[3] as TimedFact]);
		const content = out.taken();
		const bytes = Buffer.concat([
			start.bytes,
			frameHead(FRAME.batch, content.length),
			content,
			seal.bytes.subarray(-SEAL_BYTES_MIN, -HASH_BYTES),
		]);
		return Buffer.concat([bytes, createHash("sha256").update(bytes).digest()]);
	}
	const read = (bytes: Buffer) => loadLog([bytes]);

	test("fields in another order, and without those that came later", async () => {
		const bytes = await written(
			"dom.map(len:hex,pa:hex,dom:domain,iova:hex)",
			(out, names) => {
				out.hex(0x1000);
				out.hex(0x5000);
				writeName(out, names, "domain:1");
				out.hex(0x2000);
			},
		);
		const { contents } = await read(bytes);
		expect(contents[0]?.data).toStrictEqual({
			len: 0x1000,
			pa: 0x5000,
			dom: "domain:1",
			iova: 0x2000,
		});
		const text = (await converted(bytes, NDJSON)).toString();
		expect(text).toContain(
			'"data":{"dom":"domain:1","iova":"0x2000","pa":"0x5000","len":"0x1000"}',
		);
	});

	test("a field or a type that this one does not know is told", async () => {
		for (const [schema, said] of [
			["dom.map(dom:domain,iova:hex,pa:hex,len:hex,colour:text)", "colour"],
			["dom.map(dom:group,iova:hex,pa:hex,len:hex)", "dom:group"],
			["dom.map(dom:domain,iova:hex)", "has no"],
			["dom.map(dom:domain,dom:domain)", "twice"],
			["dom.painted(dom:domain)", "dom.painted"],
			["dom.map", "unknown record type"],
		] as const)
			await expect(read(await written(schema, () => {}))).rejects.toMatchObject(
				{
					code: "bad-record",
					message: expect.stringContaining(said),
				},
			);
	});
});
