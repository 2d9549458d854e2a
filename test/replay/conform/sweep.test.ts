/** fail-nth over recorded calls: each failable step fails once, the objects are as before, the sweep ends. */
import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { sweepCalls } from "../../../src/replay/conform/sweep.ts";

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
