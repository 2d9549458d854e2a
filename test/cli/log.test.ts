/** `log check|repair|stat|cat|convert` as a user meets them: answers, exit codes, bad words, bad files. */
import { spawnSync } from "node:child_process";
import {
	existsSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { logText } from "../../src/log/write.ts";
import { HEADER, mapOperations } from "../log/samples.ts";
import { run } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-cli-log-"));
afterAll(() => rmSync(folder, { recursive: true }));
const text = logText(HEADER, mapOperations(6));
let count = 0;
function file(content: string | Uint8Array): string {
	const path = join(folder, `log-${count++}`);
	writeFileSync(path, content);
	return path;
}
const flipped = text.replace('"first":5', '"first":4');
const beyond = text
	.replace('"first":9,"n":1', '"first":9,"n":2')
	.replace('"iova":"0x9000"', '"iova":"0x8000"');

describe("check", () => {
	test("says whole, torn, broken, and exits so", async () => {
		for (const [content, word, code] of [
			[text, "WHOLE", 0],
			[gzipSync(text), "WHOLE", 0],
			[text.slice(0, -9), "TORN", 3],
			[gzipSync(text).subarray(0, -60), "TORN", 3],
			[flipped, "BROKEN", 2],
			["", "BROKEN", 2],
			["hello\n", "BROKEN", 2],
			[Buffer.alloc(5000, 255), "BROKEN", 2],
		] as const) {
			const path = file(content);
			const plain = await run("log", "check", path);
			expect(plain.out).toMatch(new RegExp(`^${word} `));
			expect(plain.code).toBe(code);
			const { out, code: again } = await run("log", "check", path, "--json");
			expect(again).toBe(code);
			expect(JSON.parse(out)).toMatchObject({ state: word.toLowerCase() });
			expect(out).not.toContain("_handle");
		}
	});

	test("compares the head", async () => {
		const path = file(text);
		const head = JSON.parse((await run("log", "check", path, "--json")).out)
			.summary.head.hash as string;
		expect((await run("log", "check", path, "--head", head)).code).toBe(0);
		const other = await run("log", "check", path, "--head", "0".repeat(64));
		expect(other.code).toBe(2);
		expect(other.out).toContain("head-mismatch");
		expect((await run("log", "check", path, "--head", "3f1c")).err).toContain(
			"64 hex digits",
		);
	});
});

describe("repair", () => {
	test("mends what is certain, keeps copies, cuts only when told to", async () => {
		const torn = file(text.slice(0, -9));
		const done = await run("log", "repair", torn, "--json");
		expect(done.code).toBe(0);
		const [{ savedAs }] = JSON.parse(done.out).steps;
		expect(readFileSync(torn, "utf8") + readFileSync(savedAs, "utf8")).toBe(
			text.slice(0, -9),
		);
		const bit = file(flipped);
		expect((await run("log", "repair", bit)).out).toMatch(/^mended-byte: /);
		expect(readFileSync(bit, "utf8")).toBe(text);
		const bad = file(beyond);
		expect(await run("log", "repair", bad)).toMatchObject({ code: 2 });
		expect(readFileSync(bad, "utf8")).toBe(beyond);
		expect(await run("log", "repair", bad, "--cut")).toMatchObject({ code: 0 });
	});

	test("refuses standard input, compressed files and what is not there", async () => {
		expect((await run("log", "repair", "-")).err).toContain("in place");
		const packed = file(gzipSync(text.slice(0, -9)));
		const { code, err } = await run("log", "repair", packed);
		expect(code).toBe(2);
		expect(err).toContain("gzip -dc");
		const nowhere = join(folder, "nowhere", "log");
		expect(await run("log", "repair", nowhere)).toMatchObject({ code: 2 });
	});
});

describe("convert", () => {
	test("to binary and back, by name or by word, is the same file", async () => {
		const path = file(text);
		const made = await run("log", "convert", path, "-o", `${path}.blog.gz`);
		expect(made).toMatchObject({ code: 0, err: "" });
		const args = ["-o", `${path}.b`, "--codec", "binary", "--json"];
		const binary = await run("log", "convert", path, ...args);
		expect(JSON.parse(binary.out)).toMatchObject({ read: { records: 24 } });
		expect(readFileSync(`${path}.b`)[0]).toBe(0x89);
		for (const from of [`${path}.blog.gz`, `${path}.b`]) {
			await run("log", "convert", from, "-o", `${from}.ndjson`);
			expect(readFileSync(`${from}.ndjson`, "utf8")).toBe(text);
		}
	});

	test("says when a torn tail was left out, and never writes over a file", async () => {
		const path = file(text.slice(0, -9));
		const { code, out } = await run("log", "convert", path, "-o", `${path}.n`);
		expect(code).toBe(3);
		expect(out).toContain("torn tail");
		const again = await run("log", "convert", path, "-o", `${path}.n`);
		expect(again.code).toBe(2);
		expect(again.err).toContain("exists");
		expect((await run("log", "convert", path)).err).toContain("--out");
		expect(existsSync(join(folder, "-"))).toBe(false);
	});
});

test("stat and cat: what is there, up to the damage", async () => {
	const path = file(text);
	const { out } = await run("log", "stat", path, "--json");
	expect(JSON.parse(out)).toMatchObject({
		actors: 3,
		summary: { records: 24, codec: "ndjson" },
	});
	const cut = await run("log", "cat", path, "--from", "5", "--to", "8");
	expect(cut.out.split("\n").map((line) => line.slice(0, 8))).toEqual([
		'{"seq":5',
		'{"seq":6',
		'{"seq":7',
		'{"seq":8',
		"",
	]);
	const broken = await run("log", "cat", file(beyond));
	expect(broken.code).toBe(2);
	expect(broken.out.split("\n")).toHaveLength(9);
	expect(broken.err).toMatch(/line \d+/);
	const json = await run("log", "stat", file(beyond), "--json");
	expect(JSON.parse(json.out)).toMatchObject({ problem: { code: "damaged" } });
});

test("standard input", () => {
	const main = join(import.meta.dirname, "../../src/cli/main.ts");
	const { stdout, status } = spawnSync(
		process.execPath,
		["--import", "tsx", main, "log", "check", "-"],
		{ input: gzipSync(text), encoding: "utf8" },
	);
	expect(stdout).toMatch(/^WHOLE/);
	expect(status).toBe(0);
});

test("bad words are told", async () => {
	const path = file(text);
	for (const [args, said] of [
		[[], "check, repair, stat, cat, convert, archive"],
		[["chek", path], "check, repair, stat, cat, convert, archive"],
		[["check"], "one LOG"],
		[["check", path, path], "one LOG"],
		[["stat", path, "--cut"], "no --cut"],
		[["cat", path, "--from", "x"], "record's number"],
		[["convert", path, "-o", "x", "--codec", "xml"], "ndjson, binary"],
		[["check", join(folder, "nowhere")], "no such file"],
	] as const) {
		const { code, err, out } = await run("log", ...args);
		expect(code).toBe(2);
		expect(err).toContain(said);
		expect(out).toBe("");
	}
	expect((await run("log", "--help")).out).toContain("torn tail");
});
