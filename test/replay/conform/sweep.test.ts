/** fail-nth over recorded calls: each failable step fails once, the objects are as before, the sweep ends. */
import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { findSources } from "../../../src/replay/conform/sources.ts";
import { Sweeper, sweepCalls } from "../../../src/replay/conform/sweep.ts";

const FIXTURES = new URL("../../fixtures/calls/", import.meta.url).pathname;
const read = (name: string) =>
	gunzipSync(readFileSync(`${FIXTURES}${name}`))
		.toString()
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line) as Record<string, unknown>);

test("all directed recordings", () => {
	let injections = 0;
	const steps = new Set<string>();
	for (const name of readdirSync(`${FIXTURES}directed`)) {
		const report = sweepCalls(read(`directed/${name}`));
		expect(report.findings, name).toEqual([]);
		injections += report.injections;
		for (const step of Object.keys(report.bySteps)) steps.add(step);
	}
	expect(injections).toBeGreaterThan(900);
	for (const step of [
		"id.reserve",
		"pages.pin",
		"dom.map",
		"driver.attach",
		"resv.alloc",
		"resp",
		"handle.alloc",
	])
		expect(steps).toContain(step);
}, 30_000);

test.each([
	"lifecycle",
	"map",
	"nested",
	"access",
	"dirty",
	"fault",
	"vfio",
	"limits",
])(
	"a random recording of profile %s",
	(profile) => {
		const name = readdirSync(`${FIXTURES}random`).find((n) =>
			n.startsWith(`random.${profile}.`),
		);
		const report = sweepCalls(read(`random/${name}`));
		expect(report.findings).toEqual([]);
		expect(report.injections).toBeGreaterThan(50);
	},
	30_000,
);

test("a mapping whose IOVA cannot be told stays (A10), and is reported as documented", () => {
	const report = sweepCalls(
		read("directed/directed.unmap_is_not_atomic.ndjson.gz"),
	);
	const documented = Object.keys(report.documented).filter((k) =>
		k.startsWith("IOMMU_IOAS_MAP at resp"),
	);
	expect(documented).toHaveLength(1);
});

test.each([
	"d_errors.M1",
	"f4_ro_mfunc_v1.B5",
	"c_mfunc_v2.M1",
	"e_type1_v1.M2",
	"h_hotplug.M1",
])(
	"the calls of kernel recording %s: what changes is what LOG-3 names",
	async (name) => {
		const sweeper = new Sweeper();
		const path = new URL(`../../fixtures/traces/${name}`, import.meta.url);
		for await (const source of findSources(path.pathname))
			sweeper.source(source);
		const { calls, injections, findings } = sweeper.report;
		expect(findings).toEqual([]);
		expect(calls).toBeGreaterThan(10);
		expect(injections).toBeGreaterThan(50);
	},
	30_000,
);

test("a line that cannot be read is a finding", () => {
	const sweeper = new Sweeper();
	sweeper.source({
		kind: "tests",
		file: "-",
		name: "-",
		text: '{"ev":"begin","test":"x"}\n{"ev":',
	});
	expect(sweeper.report.findings).toMatchObject([
		{ index: 1, call: "unreadable line" },
	]);
});
