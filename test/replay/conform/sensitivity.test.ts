/**
 * A comparison that cannot fail proves nothing: every kind of answer is falsified once and must be noticed.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { conformExitCode, runConform } from "../../../src/replay/conform.ts";

type Rec = Record<string, unknown>;
const FIXTURES = new URL("../../fixtures/calls/", import.meta.url).pathname;
const read = (name: string): Rec[] =>
	gunzipSync(readFileSync(`${FIXTURES}${name}`))
		.toString()
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line) as Rec);

let folder = "";
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "conform-"));
});
afterAll(async () => {
	await rm(folder, { recursive: true });
});
let files = 0;
async function play(lines: readonly (Rec | string)[]) {
	const path = join(folder, `${files++}.ndjson`);
	const text = lines.map((l) =>
		typeof l === "string" ? l : JSON.stringify(l),
	);
	await writeFile(path, text.join("\n"));
	return runConform([path]);
}

const out = (r: Rec): Rec => r["out"] as Rec;
const cases: readonly [
	string,
	string,
	(r: Rec) => boolean,
	(r: Rec) => void,
][] = [
	[
		"an object id",
		"directed/directed.id_allocation.ndjson.gz",
		(r) => r["cmd"] === "IOMMU_IOAS_ALLOC",
		(r) => {
			out(r)["out_ioas_id"] = 77;
		},
	],
	[
		"an errno",
		"directed/directed.unmap_arguments.ndjson.gz",
		(r) => r["errno"] === "EOVERFLOW",
		(r) => {
			r["errno"] = "EINVAL";
		},
	],
	[
		"a return value",
		"directed/directed.fault_queue.ndjson.gz",
		(r) => r["ev"] === "read" && r["ret"] === 40,
		(r) => {
			r["ret"] = 80;
		},
	],
	[
		"a range",
		"directed/directed.ranges_buffer.ndjson.gz",
		(r) => "out_ranges" in r && r["errno"] === null,
		(r) => {
			(r["out_ranges"] as string[][])[0]![1] = "0x1234";
		},
	],
	[
		"an IOVA",
		"directed/directed.map_auto_iova_with_domain.ndjson.gz",
		(r) => r["cmd"] === "IOMMU_IOAS_MAP" && r["errno"] === null,
		(r) => {
			out(r)["iova"] = "0x5000";
		},
	],
	[
		"a dirty bitmap",
		"directed/directed.dirty.ndjson.gz",
		(r) => ((r["out_bitmap"] as Rec | null)?.["set"] ?? 0) !== 0,
		(r) => {
			(r["out_bitmap"] as Rec)["fnv1a64"] = "0x0";
		},
	],
	[
		"a count of dirty pages",
		"directed/directed.dirty.ndjson.gz",
		(r) => r["op"] === "DIRTY" && r["errno"] === null,
		(r) => {
			out(r)["out_nr_dirty"] = "0x63";
		},
	],
	[
		"a page fault's fields",
		"directed/directed.fault_queue.ndjson.gz",
		(r) => Array.isArray(r["faults"]),
		(r) => {
			(r["faults"] as Rec[])[0]!["grpid"] = 9;
		},
	],
	[
		"the number of invalidated entries",
		"selftest/iommufd_ioas.mock_domain.alloc_hwpt_nested.ndjson.gz",
		(r) => r["cmd"] === "IOMMU_HWPT_INVALIDATE" && out(r)["entry_num"] === 1,
		(r) => {
			out(r)["entry_num"] = 2;
		},
	],
	[
		"hardware info bytes",
		"selftest/iommufd_ioas.mock_domain.get_hw_info.ndjson.gz",
		(r) => typeof r["out_data"] === "string" && r["errno"] === null,
		(r) => {
			r["out_data"] = `ff${String(r["out_data"]).slice(2)}`;
		},
	],
	[
		"compat capabilities",
		"random/random.vfio.000.ndjson.gz",
		(r) => typeof r["out_caps"] === "string" && r["errno"] === null,
		(r) => {
			r["out_caps"] = String(r["out_caps"]).replace("0300", "0400");
		},
	],
	[
		"a file number",
		"directed/directed.access_pin.ndjson.gz",
		(r) => r["op"] === "CREATE_ACCESS" && r["errno"] === null,
		(r) => {
			out(r)["out_access_fd"] = 9;
		},
	],
];

test.each(cases)("notices %s that differs", async (_, file, which, falsify) => {
	const records = read(file);
	const at = records.findIndex(which);
	expect(at).toBeGreaterThan(0);
	falsify(records[at] as Rec);
	const report = await play(records);
	expect(report.mismatches[0]?.index).toBe(at);
	expect(conformExitCode(report)).toBe(1);
});

test("what cannot be parsed is a mismatch, never a skip", async () => {
	const records: (Rec | string)[] = read(
		"directed/directed.id_allocation.ndjson.gz",
	);
	records.splice(
		8,
		0,
		"{broken",
		'"text"',
		JSON.stringify({ test: "directed.id_allocation", ev: "whatever" }),
	);
	const report = await play(records);
	expect(report.mismatched).toBe(3);
	expect(report.skipped).toEqual([]);
	expect(report.mismatches.map((m) => m.index)).toEqual([8, 9, 10]);
});

test("a call the model does not know is a mismatch", async () => {
	const records = read("directed/directed.id_allocation.ndjson.gz");
	const at = records.findIndex((r) => r["cmd"] === "IOMMU_IOAS_ALLOC");
	records.splice(at, 0, { ...(records[at] as Rec), cmd: "IOMMU_VIOMMU_ALLOC" });
	const report = await play(records);
	expect(report.mismatches[0]).toMatchObject({
		index: at,
		call: "IOMMU_VIOMMU_ALLOC",
	});
});

test("a folder without recordings and a damaged file are errors that name the path", async () => {
	await expect(
		runConform([new URL("../../ops", import.meta.url).pathname]),
	).rejects.toThrow(/no recording/);
	const path = join(folder, "torn.ndjson.gz");
	await writeFile(path, Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]));
	await expect(runConform([path])).rejects.toThrow(/torn\.ndjson\.gz: gzip/);
	await expect(runConform([join(folder, "absent")])).rejects.toThrow(/absent/);
});
