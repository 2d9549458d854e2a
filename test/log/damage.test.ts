/** Each kind of damage is reported as what it is, with its position. */
import { describe, expect, test } from "vitest";
import { LogError } from "../../src/log/error.ts";
import { scanLog } from "../../src/log/read.ts";
import type { ScanSummary } from "../../src/log/scan.ts";
import { logText } from "../../src/log/write.ts";
import { HEADER, mapOperations } from "./samples.ts";

const log = logText(HEADER, mapOperations(5));
const lines = log.split("\n").slice(0, -1);
const textOf = (some: readonly string[]): Buffer =>
	Buffer.from(some.map((line) => `${line}\n`).join(""));

async function outcome(bytes: Uint8Array): Promise<LogError | ScanSummary> {
	try {
		return await scanLog([bytes]);
	} catch (error) {
		if (error instanceof LogError) return error;
		throw error;
	}
}
/** seq of a record line, or of the record behind a seal line; header 0. */
const seqOf = (line: string | undefined): number =>
	Number(/^\{"(?:seq|seal)":(\d+)/.exec(line ?? "")?.[1] ?? 0);
const isSeal = (line: string | undefined): boolean =>
	line?.startsWith('{"seal"') ?? false;

test("the log is what these tests think it is", () => {
	expect(lines.length).toBe(2 + 5 * 5);
});

describe("a flipped byte", () => {
	test("every bit 1 of every byte is found at its line and column, and can be mended", async () => {
		const bytes = Buffer.from(logText(HEADER, mapOperations(1)));
		let line = 1;
		let column = 1;
		for (let at = 0; at < bytes.length; at++) {
			const was = bytes[at] as number;
			bytes[at] = was ^ 1;
			const found = await outcome(bytes);
			bytes[at] = was;
			expect(found, `byte ${at}`).toMatchObject({
				code: "flipped-byte",
				line,
				column,
			});
			expect((found as LogError).damage?.fix).toEqual({
				offset: at,
				byte: was,
			});
			column++;
			if (was === 0x0a) {
				line++;
				column = 1;
			}
		}
	});

	test.each([
		["to another digit", '"len":"0x1000"', '"len":"0x8000"'],
		["to a newline", '"actor":"domain:1"', '"actor":"domain\n1"'],
		["to NUL", '"prot":3', '"prot":\0'],
		["in a record's seq", '{"seq":6,', '{"seq":9,'],
		["in a seal's seq", '{"seal":8,', '{"seal":9,'],
		["in a seal's count", '{"seal":8,"n":4', '{"seal":8,"n":5'],
	])("%s", async (_, was, is) => {
		const at = log.indexOf(was, log.indexOf('{"seal":4,'));
		const text = log.slice(0, at) + is + log.slice(at + was.length);
		const before = log.slice(0, at);
		const line = before.split("\n").length;
		const shift = [...was].findIndex((char, i) => char !== is[i]);
		const column = at - before.lastIndexOf("\n") + shift;
		expect(await outcome(Buffer.from(text))).toMatchObject({
			code: "flipped-byte",
			line,
			column,
			seq: seqOf(lines[line - 1]),
		});
	});
});

test("every missing line is reported, with the record that is gone", async () => {
	for (const [index, line] of lines.entries()) {
		const found = await outcome(textOf(lines.filter((_, i) => i !== index)));
		if (index === lines.length - 1) {
			// The last seal: the same bytes as an append that was cut short.
			expect(found).toMatchObject({ tail: { records: 4, seq: 17 } });
			continue;
		}
		expect(found, `line ${index + 1}`).toMatchObject({
			code: "missing-lines",
			line: index + 1,
			seq: seqOf(line),
		});
		expect((found as LogError).message).toContain(
			index === 0
				? "header"
				: isSeal(line)
					? "seal line"
					: `record ${seqOf(line)} is missing`,
		);
	}
});

test("missing runs of lines, whole batches included", async () => {
	const found = await outcome(
		textOf([...lines.slice(0, 7), ...lines.slice(12)]),
	);
	expect(found).toMatchObject({ code: "missing-lines", line: 8, seq: 5 });
	expect((found as LogError).message).toContain("records 5 to 8 are missing");
	expect(
		await outcome(textOf([...lines.slice(0, 3), ...lines.slice(5)])),
	).toMatchObject({ code: "missing-lines", line: 4, seq: 2 });
});

test("every swapped pair of lines is found, neighbours and others", async () => {
	for (let a = 0; a < lines.length; a++)
		for (let b = a + 1; b < lines.length; b++) {
			const swapped = [...lines];
			[swapped[a], swapped[b]] = [lines[b] as string, lines[a] as string];
			const found = await outcome(textOf(swapped));
			expect(found, `lines ${a + 1} and ${b + 1}`).toMatchObject({
				code: "swapped-lines",
				line: a + 1,
			});
			expect((found as LogError).message).toContain(
				`lines ${a + 1} and ${b + 1} are swapped`,
			);
		}
});

test("every doubled line is found", async () => {
	for (const [index, line] of lines.entries()) {
		const found = await outcome(
			textOf([...lines.slice(0, index + 1), line, ...lines.slice(index + 1)]),
		);
		expect(found, `line ${index + 1}`).toMatchObject({
			code: "duplicate-line",
			line: index + 2,
		});
	}
});

test("a torn tail is a tail, not damage", async () => {
	const found = await outcome(Buffer.from(log.slice(0, -30)));
	expect(found).toMatchObject({
		records: 16,
		tail: { line: 23, records: 4, seq: 17 },
	});
});

test("several changed bytes are damage, with the first line that shows it", async () => {
	const text = log
		.replaceAll('"first":9', '"first":7')
		.replace('"0x9000"', '"0x8000"');
	expect(text).not.toBe(log);
	const found = await outcome(Buffer.from(text));
	expect(found).toMatchObject({
		code: "damaged",
		seq: 9,
		damage: { lastBatch: false },
	});
	expect((found as LogError).message).toContain("lines 13 to 17 were changed");
});

describe("is the last append alone concerned? Only then may recovery act by itself", () => {
	const seals = lines.flatMap((line, i) => (isSeal(line) ? [i] : []));
	const [beforeLast = 0, last = 0] = seals.slice(-2);
	const spoil = (index: number): string =>
		(lines[index] as string).replace(/"n"|"seq"/, "#####").slice(0, -9);
	const lastBatch = async (changed: string[]): Promise<unknown> =>
		((await outcome(textOf(changed))) as LogError).damage?.lastBatch;
	const withSpoilt = (...at: number[]): string[] =>
		lines.map((line, i) => (at.includes(i) ? spoil(i) : line));

	test("a record of it, its seal, or both are spoilt: yes", async () => {
		expect(await lastBatch(withSpoilt(last - 2))).toBe(true);
		expect(await lastBatch(withSpoilt(last))).toBe(true);
		expect(await lastBatch(withSpoilt(last - 2, last))).toBe(true);
	});

	test("the seal before it, or a record before that: no", async () => {
		expect(await lastBatch(withSpoilt(beforeLast))).toBe(false);
		expect(await lastBatch(withSpoilt(beforeLast, last))).toBe(false);
		expect(await lastBatch(withSpoilt(beforeLast - 1))).toBe(false);
		expect(await lastBatch(withSpoilt(beforeLast).slice(0, -1))).toBe(false);
	});

	test("the seal before it is gone: no", async () => {
		expect(await lastBatch(lines.filter((_, i) => i !== beforeLast))).toBe(
			false,
		);
	});
});

test("zeros behind the last seal, as a crashed file system leaves them, are a torn tail", async () => {
	expect(
		await outcome(Buffer.concat([Buffer.from(log), Buffer.alloc(700)])),
	).toMatchObject({ records: 20, tail: { bytes: 700, records: 0 } });
});
