/** The command line on native logs: verdicts, exit codes, damage, redecide, expectations. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "iommu-ledger-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

const good = at("good.ndjson");
const bad = at("bad.ndjson");
let lines: string[] = [];

beforeAll(async () => {
	expect((await run("run", "replace-1", "--out", good)).code).toBe(0);
	expect(
		(await run("run", "replace-1", "--flow", "posted-v2", "--out", bad)).code,
	).toBe(1);
	lines = readFileSync(good, "utf8").trimEnd().split("\n");
});

function damaged(name: string, change: (lines: string[]) => string[]): string {
	writeFileSync(at(name), `${change([...lines]).join("\n")}\n`);
	return at(name);
}

describe("verdicts", () => {
	test("a log that holds: exit 0", async () => {
		const { code, out, err } = await run("verify", good);
		expect({ code, err }).toEqual({ code: 0, err: "" });
		expect(out).toMatch(
			/^HOLDS .*121 records, L2, model run, flow group-owned/,
		);
	});

	test("the posted flow breaks group coherence: exit 1, ids and records that led there", async () => {
		const { code, out } = await run("verify", bad);
		expect(code).toBe(1);
		expect(out).toMatch(/GRP-4 at #114, possible/);
		expect(out).toMatch(/GRP-9 at #114, possible/);
		expect(out).toMatch(
			/before {2}#100 grp.domain.set group=group:7 dom=domain:4/,
		);
	});

	test("the worst of several files decides", async () => {
		expect((await run("verify", good, bad)).code).toBe(1);
		expect((await run("verify", good, bad, at("missing"))).code).toBe(2);
	});

	test("--json is one object in the documented shape", async () => {
		const { out } = await run("verify", good, bad, "--json");
		const report = JSON.parse(out);
		expect(report).toMatchObject({
			verdict: "violated",
			records: 263,
			warnings: [],
			unexplained: [],
		});
		expect(report.files.map((f: { verdict: string }) => f.verdict)).toEqual([
			"holds",
			"violated",
		]);
		expect(report.violations[0]).toMatchObject({
			file: bad,
			id: "HWP-10",
			seq: 97,
			evidence: "possible",
		});
		expect(
			report.invariants.find((i: { id: string }) => i.id === "GRP-4").violated,
		).toBeGreaterThan(0);
	});

	test("gzip is read as plain text is", async () => {
		writeFileSync(at("good.gz"), gzipSync(readFileSync(good)));
		expect((await run("verify", at("good.gz"))).code).toBe(0);
	});
});

describe("damage is named for what it is, with its place", () => {
	test.each([
		[
			"flipped byte",
			(l: string[]) =>
				l.with(20, (l[20] as string).replace('"seq":', '"sfq":')),
			/flipped-byte: line 21/,
		],
		[
			"missing line",
			(l: string[]) => l.toSpliced(20, 1),
			/missing-lines: line 21/,
		],
		[
			"swapped lines",
			(l: string[]) => l.with(20, l[21] as string).with(21, l[20] as string),
			/swapped-lines: line 21/,
		],
	])("%s", async (name, change, place) => {
		const { code, out } = await run(
			"verify",
			damaged(`${name}.ndjson`, change),
		);
		expect(code).toBe(2);
		expect(out).toMatch(/^UNUSABLE/);
		expect(out).toMatch(place);
	});

	test("a torn tail: judged up to the last seal, and said", async () => {
		const text = readFileSync(good, "utf8");
		writeFileSync(at("torn.ndjson"), text.slice(0, -200));
		const { code, out } = await run("verify", at("torn.ndjson"));
		expect(code).toBe(3);
		expect(out).toMatch(/^UNEXPLAINED/);
		expect(out).toMatch(
			/torn tail: \d+ bytes from line \d+ on were never sealed/,
		);
	});

	test.each([
		["empty", ""],
		["no log", "hello\n"],
		["binary", "\u0000\u0001\u0002"],
		["other JSON", '{"a":1}\n'],
	])("%s is unusable, without a stack", async (name, text) => {
		writeFileSync(at(name), text);
		const { code, out, err } = await run("verify", at(name));
		expect(code).toBe(2);
		expect(out + err).not.toMatch(/\bat .*\.ts:\d+/);
	});
});

describe("--redecide", () => {
	test("a run decides the same again, byte for byte", async () => {
		const { code, out } = await run("verify", good, "--redecide");
		expect(code).toBe(0);
		expect(out).toContain(
			"decided again: all 121 records are the same, byte for byte",
		);
	});
});

describe("--expect", () => {
	const expectations = (records: number, verdict = "holds"): string => {
		writeFileSync(
			at("expected.json"),
			JSON.stringify({
				files: [{ path: "good.ndjson", verdict, ids: [], records }],
			}),
		);
		return at("expected.json");
	};

	test("exactly as listed: exit 0", async () => {
		const { code, out } = await run("verify", "--expect", expectations(121));
		expect(code).toBe(0);
		expect(out).toMatch(/AS EXPECTED {2}all 1 files/);
	});

	test("an unexpected green fails", async () => {
		const { code, out } = await run(
			"verify",
			"--expect",
			expectations(121, "violated"),
		);
		expect(code).toBe(1);
		expect(out).toContain("verdict: expected violated, found holds");
	});

	test("another number of records fails", async () => {
		expect((await run("verify", "--expect", expectations(120))).code).toBe(1);
	});
});

describe("calls that cannot be understood: exit 2, one line, what to do", () => {
	test.each([
		[[], /iommu-ledger COMMAND/],
		[["verfy"], /There is no command "verfy"\. Did you mean verify\?/],
		[["verify"], /needs at least one PATH/],
		[["verify", "--nope"], /See: iommu-ledger verify --help/],
		[["verify", "--format", "x", "y"], /--format is one of/],
		[["run", "nope"], /neither a file nor a scenario/],
		[["run", "replace-1", "--flow", "nope"], /--flow is one of/],
		[["run", "replace-1", "--set", "x"], /KEY=VALUE/],
		[["run", "replace-1", "--set", "nope=1"], /nope/],
		[["import", "x"], /--out LOG/],
	])("%j", async (argv, text) => {
		const { code, out, err } = await run(...argv);
		expect(code).toBe(2);
		expect(out + err).toMatch(text);
		expect(err.split("\n").length).toBeLessThanOrEqual(2);
	});

	test.each([
		"verify",
		"run",
		"explore",
		"vectors",
		"import",
		"inspect",
		"report",
	])("%s --help teaches", async (name) => {
		const { code, out } = await run(name, "--help");
		expect(code).toBe(0);
		expect(out).toContain(`iommu-ledger ${name}`);
		expect(out).toContain("Exit codes:");
	});
});
