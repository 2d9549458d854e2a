/** The other commands end to end: import, stat, explore, export, vectors, conform, log. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { run } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "iommu-ledger-commands-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const root = resolve(import.meta.dirname, "../..");
const recording = join(root, "logs/kernel/f2_attach_v1.B1");

describe("import", () => {
	test("a recording becomes a log with the same verdict", async () => {
		const { code, out } = await run(
			"import",
			recording,
			"--out",
			at("f2.ndjson"),
		);
		expect(code).toBe(0);
		expect(out).toMatch(/170 records from \d+ lines/);
		const judged = JSON.parse(
			(await run("verify", at("f2.ndjson"), "--json")).out,
		);
		expect(judged.verdict).toBe("violated");
		expect(judged.violations.map((v: { id: string }) => v.id)).toContain(
			"PT-32",
		);
		expect((await run("log", "check", at("f2.ndjson"))).code).toBe(0);
	});

	test("what is not a recording is one line, and no file is left", async () => {
		writeFileSync(at("nothing.txt"), "no trace\n");
		const { code, err } = await run(
			"import",
			at("missing"),
			"--out",
			at("x.ndjson"),
		);
		expect(code).toBe(2);
		expect(err).toMatch(/missing/);
		expect(() => readFileSync(at("x.ndjson"))).toThrow();
	});
});

test("stat tells sizes and flushes", async () => {
	const { code, out } = await run("stat", recording, "--json");
	expect(code).toBe(0);
	expect(JSON.parse(out).files[0]).toMatchObject({ records: 170 });
});

describe("explore", () => {
	test("the disaster of the seed mail, and its fix", async () => {
		const bad = await run("explore", "m-bad-1", "--json");
		expect(bad.code).toBe(1);
		expect(
			JSON.parse(bad.out).violations.map((v: { id: string }) => v.id),
		).toEqual(["PT-25", "PT-26"]);
		expect((await run("explore", "m-bad-1", "--set", "flush=true")).code).toBe(
			0,
		);
	});

	test("the shortest counterexample is a log", async () => {
		expect(
			(await run("explore", "m-bad-1", "--out", at("m.ndjson"))).code,
		).toBe(1);
		expect((await run("log", "check", at("m.ndjson"))).code).toBe(0);
	});

	test("calls under the group lock: R1 is found, and gone when whole calls exclude each other", async () => {
		const { code, out } = await run("explore", "detach-against-replace");
		expect(code).toBe(1);
		expect(out).toMatch(/RSV-1|REF-1/);
		expect(
			(await run("explore", "detach-against-replace", "--set", "locks=call"))
				.code,
		).toBe(0);
	});

	test("a bad scenario file names the place", async () => {
		writeFileSync(at("bad.yaml"), "name: x\nthreads: [\n");
		const { code, err } = await run("explore", at("bad.yaml"));
		expect(code).toBe(2);
		expect(err).toMatch(/bad\.yaml:\d+:\d+/);
	});
});

describe("export", () => {
	test.each([
		["mermaid", /^stateDiagram-v2/],
		["svg", /^<svg /],
		["scxml", /<scxml /],
		["dot", /^digraph state_automaton/],
	])("replace as %s", async (format, start) => {
		const { code, out } = await run("export", "replace", "--as", format);
		expect(code).toBe(0);
		expect(out).toMatch(start);
	});

	test("a log as Perfetto trace and as CSV", async () => {
		const log = join(root, "logs/scenarios/replace-1.group-owned.ndjson");
		const trace = await run("export", log, "--as", "perfetto");
		expect(JSON.parse(trace.out).traceEvents.length).toBeGreaterThan(50);
		const rows = (await run("export", log, "--as", "csv")).out
			.trimEnd()
			.split("\r\n");
		expect(rows.length).toBe(122);
	});
});

test("log cat filters, log repair leaves a whole log alone", async () => {
	const log = join(root, "logs/scenarios/replace-1.group-owned.ndjson");
	const { out } = await run("log", "cat", log, "--type", "hw.attach");
	expect(out.trimEnd().split("\n").length).toBe(12);
	writeFileSync(at("copy.ndjson"), readFileSync(log));
	expect((await run("log", "repair", at("copy.ndjson"))).out).toMatch(
		/nothing to repair/,
	);
});

describe("what is no log", () => {
	test.each([
		["stat"],
		["bisect"],
		["inspect"],
		["report", "-o", "PAGE"],
		["export", "--as", "csv"],
	])(
		"%s names the file, the place and what to do",
		async (command, ...rest) => {
			writeFileSync(at("prose.txt"), "no trace\n");
			const { code, err } = await run(
				command,
				at("prose.txt"),
				...rest.map((word) => (word === "PAGE" ? at("page.html") : word)),
			);
			expect(code).toBe(2);
			expect(err).toMatch(/prose\.txt: line 1, column 1: .*--format ftrace/);
		},
	);
});

test("export and report read recordings and binary logs, too", async () => {
	const csv = await run("export", recording, "--as", "csv");
	expect(csv.out.trimEnd().split("\n")).toHaveLength(171);
	const log = join(root, "logs/scenarios/replace-1.posted-v2.ndjson");
	await run("log", "convert", log, "-o", at("binary.blog"));
	const [text, binary] = await Promise.all(
		[log, at("binary.blog")].map((path) => run("export", path, "--as", "csv")),
	);
	expect(binary?.out).toBe(text?.out);
	expect(binary?.out.length).toBeGreaterThan(1000);
});

describe("run splitting", () => {
	test("who sees a partial unmap, for the shipped drivers and one of the user's", async () => {
		const { code, out } = await run("run", "splitting", "--json");
		expect(code).toBe(0);
		const { callers, sees } = JSON.parse(out);
		expect(callers).toHaveLength(5);
		// The argument of seed 5: with a right lookup no caller of today sees that 6.13 refuses.
		expect(sees[0]).toEqual({
			from: "Arm to 6.12",
			to: "Arm from 6.13",
			callers: ["type1, page by page", "type1 v1, userspace cuts a mapping"],
		});
		const own = await run(
			"run",
			"splitting",
			"--driver",
			"arm64_s2",
			"--set",
			"partialUnmap=larger",
		);
		expect(own.out).toMatch(/arm64_s2 partialUnmap=larger +whole leaf/);
	});

	test.each([
		[["--driver", "riscv"], /not a format/],
		[["--set", "partialUnmap=maybe"], /known: split, refuse, larger/],
	])("%j is refused in one line", async (options, why) => {
		const { code, err } = await run("run", "splitting", ...options);
		expect(code).toBe(2);
		expect(err).toMatch(why);
	});
});
