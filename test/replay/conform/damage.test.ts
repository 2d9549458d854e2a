/**
 * Recordings as they must not be: truncated structures, other types, other sizes, missing and doubled lines. Nothing may crash, hang or be
 * passed over; what cannot be understood is a mismatch that says why.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Player } from "../../../src/replay/conform/player.ts";
import { sweepCalls } from "../../../src/replay/conform/sweep.ts";
import { runConform } from "../../../src/replay/conform.ts";

type Rec = Record<string, unknown>;
const FIXTURES = new URL("../../fixtures/calls/", import.meta.url).pathname;
const read = (name: string): Rec[] =>
	gunzipSync(readFileSync(`${FIXTURES}${name}`))
		.toString()
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line) as Rec);
const PROGRAMS = [
	"random/random.abi.002.ndjson.gz",
	"random/random.dirty.002.ndjson.gz",
	"random/random.fault.002.ndjson.gz",
	"random/random.access.002.ndjson.gz",
	"directed/directed.vfio_ioas.ndjson.gz",
].map((name) => read(name).slice(0, 70));

/** Values that a field of a recording can have when something went wrong on the way. */
const strange = fc.constantFrom<unknown>(
	null,
	-1,
	1.5,
	0,
	1,
	7,
	0xffff_ffff,
	1e300,
	"",
	"0x",
	"0xffffffffffffffff",
	"0x10000000000000000",
	"zz",
	"__proto__",
	[],
	[["0x0"]],
	{},
	{ nbits: 1e15, set: 3, fnv1a64: "0x0", head: "ff" },
	{ nbits: "x" },
	true,
);
/** One change of one record: which record, which field, and of which object. */
const change = fc.record({
	line: fc.nat(),
	field: fc.nat(),
	inside: fc.boolean(),
	how: fc.constantFrom("set", "drop", "double", "lose", "cut"),
	value: strange,
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** Carries a change out; a line that was cut in the middle is text that is no JSON any more. */
function changed(
	records: readonly Rec[],
	changes: readonly Change[],
): string[] {
	const lines = records.map((r) => JSON.stringify(r));
	for (const { line, field, inside, how, value } of changes) {
		const at = line % lines.length;
		const text = lines[at] as string;
		if (how === "lose") lines.splice(at, 1);
		else if (how === "double") lines.splice(at, 0, text);
		else if (how === "cut") lines[at] = text.slice(0, field % text.length);
		else lines[at] = patched(text, field, inside, how === "set", value);
	}
	return lines;
}
function patched(
	text: string,
	field: number,
	inside: boolean,
	set: boolean,
	value: unknown,
): string {
	let record: Rec;
	try {
		record = JSON.parse(text) as Rec;
	} catch {
		return text;
	}
	const holder = (inside ? (record["in"] ?? record) : record) as Rec;
	const names = Object.keys(holder);
	const name = names[field % Math.max(1, names.length)] ?? "ev";
	if (set) holder[name] = value;
	else delete holder[name];
	return JSON.stringify(record);
}

let folder = "";
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "damage-"));
});
afterAll(async () => {
	await rm(folder, { recursive: true });
});

const damaged = fc
	.tuple(
		fc.nat(PROGRAMS.length - 1),
		fc.array(change, { minLength: 1, maxLength: 6 }),
	)
	.map(([program, changes]) => changed(PROGRAMS[program] as Rec[], changes));

test("damaged recordings: every call is counted, nothing is skipped, differences are told", async () => {
	const path = join(folder, "damaged.ndjson");
	await fc.assert(
		fc.asyncProperty(damaged, async (lines) => {
			await writeFile(path, lines.join("\n"));
			const report = await runConform([path], { listed: 1000 });
			expect(report.skipped).toEqual([]);
			expect(report.matched + report.mismatched).toBe(report.calls);
			for (const m of report.mismatches)
				expect(`${m.call} ${m.expected} ${m.actual}`).not.toMatch(
					/\[object|NaN|is not a function|Cannot read prop|is not iterable/,
				);
		}),
		{ numRuns: 150, endOnFailure: true },
	);
}, 60_000);

test("damaged recordings in a sweep: it ends, and says what it cannot read", () => {
	fc.assert(
		fc.property(damaged, (lines) => {
			const records: Rec[] = [];
			for (const line of lines)
				try {
					records.push(JSON.parse(line) as Rec);
				} catch {
					// The file reader refuses such a line; sweepCalls gets records.
				}
			expect(sweepCalls(records.slice(0, 40)).calls).toBeGreaterThanOrEqual(0);
		}),
		{ numRuns: 30 },
	);
}, 60_000);

test("a single changed input changes what is compared, never more than the player", () => {
	fc.assert(
		fc.property(damaged, (lines) => {
			const player = new Player();
			for (const line of lines) {
				let record: Rec;
				try {
					record = JSON.parse(line) as Rec;
				} catch {
					continue;
				}
				if (typeof record !== "object" || record === null) continue;
				expect(["none", "matched", "mismatched"]).toContain(
					player.play(record).kind,
				);
			}
		}),
		{ numRuns: 150, endOnFailure: true },
	);
}, 60_000);
