import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runVectors, SKIP_REASONS } from "../../src/replay/vectors.ts";

const FIXTURES = new URL("../fixtures/vectors/", import.meta.url).pathname;
/** Exact figures per file: sequences, calls compared, calls skipped after a hazard, probes through stray replicas. */
const FILES: readonly (readonly [string, number, number, number, number])[] = [
	["amd-v1", 10, 12728, 0, 14],
	["amd-v2", 12, 11456, 0, 0],
	["arm-s1", 24, 34557, 0, 0],
	["arm-s2-misc", 30, 39932, 0, 0],
	["arm-v7s", 8, 9466, 0, 0],
	["geometries", 130, 8454, 0, 2],
	["hazards", 84, 5560, 0, 0],
	["pgsize", 1, 4000, 0, 0],
	["ranges", 1, 3000, 0, 0],
	["scenarios", 1022, 7792, 110, 0],
	["vtd", 20, 21933, 0, 0],
];
const fixture = (name: string): string => join(FIXTURES, `${name}.ndjson.gz`);

describe("golden vectors of the real C code", () => {
	test.each(FILES)("%s", async (name, sequences, calls, hazards, strays) => {
		const report = await runVectors([fixture(name)]);
		expect(report.mismatches).toEqual([]);
		expect(report).toMatchObject({ sequences, calls, matched: calls });
		const skipped = (reason: string): number =>
			report.skipped.find((entry) => entry.reason === reason)?.count ?? 0;
		expect(skipped(SKIP_REASONS.hazard)).toBe(hazards);
		expect(skipped(SKIP_REASONS.strayReplica)).toBe(strays);
	});
});

describe("what cannot be right is a mismatch", () => {
	let folder = "";
	beforeAll(() => {
		folder = mkdtempSync(join(tmpdir(), "vectors-"));
	});
	afterAll(() => rmSync(folder, { recursive: true }));
	const write = (name: string, content: string | Buffer): string => {
		const path = join(folder, name);
		writeFileSync(path, content);
		return path;
	};
	const cfg = gunzipSync(readFileSync(fixture("vtd")))
		.toString()
		.split("\n", 1)[0] as string;
	const map =
		'{"op":"map","iova":"0x1000","pa":"0x2000","sz":"0x1000","n":1,"prot":3,"ret":0,"mapped":"0x1000","ev":[["A",4096,2],["A",4096,3],["A",4096,4]],"live":4}';

	test("a good session matches", async () => {
		const report = await runVectors([write("ok", `${cfg}\n${map}\n`)]);
		expect(report).toMatchObject({ calls: 2, matched: 2, mismatched: 0 });
	});

	test.each([
		["another return value", map.replace('"ret":0', '"ret":-12'), "map"],
		["another event", map.replace('"A",4096,4', '"A",4096,5'), "map"],
		["a missing event", map.replace(',["A",4096,4]', ""), "map"],
		["an unknown answer field", map.replace("{", '{"colour":1,'), "map"],
		["an unknown operation", '{"op":"remap"}', "remap"],
		["a missing field", map.replace('"n":1,', ""), "map"],
		["an address that is no hex", map.replace('"0x1000"', '"zero"'), "map"],
		["an unaligned address", map.replace('"0x1000"', '"0x1001"'), "map"],
		["a line that is no JSON", map.slice(0, 40), "line"],
		["a line that is a list", "[1]", "line"],
	])("%s", async (_what, line, call) => {
		const report = await runVectors([write("bad", `${cfg}\n${line}\n`)]);
		expect(report.mismatched).toBe(1);
		expect(report.mismatches[0]).toMatchObject({ call, index: 1, sequence: 1 });
		expect(report.skipped).toEqual([]);
	});

	test("a call before any session", async () => {
		const report = await runVectors([write("early", `${map}\n`)]);
		expect(report.mismatched).toBe(1);
		expect(String(report.mismatches[0]?.actual)).toMatch(/cfg line/);
	});

	test("a file that is cut off, empty or missing", async () => {
		const cut = readFileSync(fixture("vtd")).subarray(0, 50_000);
		const paths = [
			write("cut.gz", cut),
			write("empty", ""),
			join(folder, "no"),
		];
		const report = await runVectors(paths);
		const files = report.mismatches.filter((one) => one.call === "file");
		expect(files.map((one) => one.file)).toEqual(paths);
		expect(report.unusable).toEqual(paths);
		expect(report.matched).toBeGreaterThan(100);
	});

	test("counts are not capped, the list is", async () => {
		const bad = `${map.replace('"ret":0', '"ret":-12')}\n`.repeat(80);
		const report = await runVectors([write("many", `${cfg}\n${bad}`)], {
			mismatchLimit: 5,
		});
		expect(report.mismatched).toBe(80);
		expect(report.mismatches).toHaveLength(5);
	});
});
