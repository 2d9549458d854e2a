/** `log archive` from end to end: a running system's log in segments, archived, and everything that reads logs goes on reading it. */
import {
	existsSync,
	mkdtempSync,
	readdirSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
	readFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BINARY } from "../../src/log/binary.ts";
import type { LogCodec } from "../../src/log/codec.ts";
import { NDJSON } from "../../src/log/codec.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import { runHeader } from "../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../src/orchestrator/create.ts";
import { DEVICES, threeInOneGroup } from "../../src/scenarios/setting.ts";
import { run } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-archive-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const ctx = "ctx:1";
const dev = DEVICES.dev1;

const open = (path: string, codec: LogCodec = NDJSON) =>
	openFileStore(path, {
		header: runHeader(threeInOneGroup()),
		segmentBytes: codec === BINARY ? 400 : 1500,
		codec,
	});
/** A system that has run for a while; its log in at least six segments. */
async function segmented(codec?: LogCodec): Promise<string> {
	const path = join(folder, `log-${count++}`);
	const store = await open(path, codec);
	const system = await createIommuSystem({ store });
	await system.open();
	await system.bind({ ctx, dev });
	const ioas = await system.ioasAlloc({ ctx });
	for (let i = 0; i < 12; i++) {
		await system.attach({ ctx, dev, pt: ioas });
		await system.detach({ ctx, dev });
	}
	await system.dispose();
	await store.close();
	expect(names(path).length).toBeGreaterThan(6);
	return path;
}
const names = (path: string): string[] =>
	existsSync(path)
		? readdirSync(path)
				.filter((name) => /^\d{16}\./.test(name))
				.sort()
		: [];
const archived = (path: string): string[] => names(join(path, "archive"));
const head = async (path: string): Promise<unknown> =>
	JSON.parse((await run("log", "check", path, "--json")).out).summary.head;

describe.each([["ndjson", NDJSON] as const, ["binary", BINARY] as const])(
	"a log in %s segments",
	(_, codec) => {
		test("reads the same archived: check, cat, stat, verify, report, recovery, convert", async () => {
			const path = await segmented(codec);
			const all = names(path);
			const before = await head(path);
			const cat = await run("log", "cat", path);
			const verify = await run("verify", path, "--json");
			const { code, out, err } = await run("log", "archive", path);
			expect({ code, err }).toEqual({ code: 0, err: "" });
			expect(out).toMatch(
				new RegExp(`^${all.length - 2} segments archived`, "m"),
			);
			expect(names(path)).toEqual(all.slice(-2));
			expect(archived(path)).toEqual(
				all.slice(0, -2).map((name) => `${name}.gz`),
			);
			expect(await head(path)).toEqual(before);
			expect(await run("log", "cat", path)).toEqual(cat);
			const judged = async () =>
				JSON.parse((await run("verify", path, "--json")).out);
			const { seconds: _s, ...rest } = await judged();
			expect({ ...JSON.parse(verify.out), seconds: 0 }).toEqual({
				...rest,
				seconds: 0,
			});
			expect((await run("log", "stat", path)).code).toBe(0);
			const page = join(folder, `page-${count++}.csv`);
			const exported = await run("export", path, "--as", "csv", "-o", page);
			expect(exported).toMatchObject({ code: 0, err: "" });
			expect(readFileSync(page, "utf8").split("\n").length).toBeGreaterThan(
				100,
			);
			// Recovery folds it from the archive on, and appends behind it.
			const store = await open(path, codec);
			const system = await createIommuSystem({ store });
			expect(system.recovery.records).toBe(store.head.seq);
			expect(await system.ioasAlloc({ ctx })).toBe(3);
			await system.dispose();
			await store.close();
			expect((await run("verify", path)).code).toBe(0);
			// Again: what has become old since, no more.
			const again = await run("log", "archive", path, "--json");
			expect(JSON.parse(again.out)).toMatchObject({
				archivedBefore: all.length - 2,
				dryRun: false,
			});
			expect((await run("log", "check", path)).out).toMatch(/^WHOLE/);
		});
	},
);

test("--dry-run and --before: what would be done, and only up to there", async () => {
	const path = await segmented();
	const all = names(path);
	const dry = await run("log", "archive", path, "--dry-run");
	expect(dry.code).toBe(0);
	expect(dry.out).toContain(`${all[0]}  records 1 to `);
	expect(dry.out).toMatch(/segments would be archived/);
	expect([names(path), archived(path)]).toEqual([all, []]);
	const third = Number(all[2]!.slice(0, 16));
	const args = ["log", "archive", path, "--before", String(third)];
	expect((await run(...args)).out).toMatch(/^2 segments archived/m);
	expect(archived(path)).toEqual(all.slice(0, 2).map((name) => `${name}.gz`));
	expect((await run(...args)).out).toMatch(/^0 segments archived .*2 were/m);
	expect((await run("log", "check", path)).out).toMatch(/^WHOLE/);
});

test("an archive that is elsewhere: linked it is read, missing it is missed by name", async () => {
	const path = await segmented();
	await run("log", "archive", path);
	const before = await head(path);
	const elsewhere = join(folder, `disk-${count++}`);
	renameSync(join(path, "archive"), elsewhere);
	for (const args of [
		["log", "check", path],
		["log", "cat", path],
		["verify", path],
		["log", "archive", path],
	]) {
		const { code, out, err } = await run(...args);
		expect(code).toBe(2);
		expect(out + err).toMatch(/earlier segments are missing.*folder archive/);
		expect(out + err).toContain("Mount it, or link");
	}
	await expect(open(path)).rejects.toMatchObject({ code: "missing-lines" });
	symlinkSync(elsewhere, join(path, "archive"));
	expect(await head(path)).toEqual(before);
	// One of them gone: the chain says where.
	const [, second = ""] = names(elsewhere);
	rmSync(join(elsewhere, second));
	const broken = await run("log", "check", path);
	expect(broken.code).toBe(2);
	expect(broken.out).toMatch(/missing-lines: \d{16}.*does not start with/);
	const store = await open(path);
	const starting = createIommuSystem({ store });
	await expect(starting).rejects.toMatchObject({ code: "missing-lines" });
	await store.close();
});

test("refusals: one file, no log, a writer at work, damage", async () => {
	const path = await segmented();
	const all = names(path);
	const file = join(folder, "one.ndjson");
	writeFileSync(file, "");
	const refused = async (said: RegExp, ...args: string[]) => {
		const { code, err, out } = await run("log", "archive", ...args);
		expect({ code, out }).toEqual({ code: 2, out: "" });
		expect(err).toMatch(said);
	};
	await refused(/not a directory of segments[\s\S]*log convert/, file);
	await refused(/no such file/, join(folder, "nowhere"));
	await refused(/not -/, "-");
	await refused(/record's number/, path, "--before", "soon");
	const store = await open(path);
	await refused(/locked|holds|writ/, path);
	expect(names(path)).toEqual(all);
	expect((await run("log", "archive", path, "--dry-run")).code).toBe(0);
	await store.close();
	// A damaged segment is left where repair can reach it, and so is everything else.
	const victim = join(path, all[3]!);
	const text = readFileSync(victim, "utf8");
	expect(text).toContain('"hw.attach"');
	writeFileSync(victim, text.replace('"hw.attach"', '"hw.attbch"'));
	await refused(new RegExp(all[3]!), path);
	expect(names(path)).toEqual(all);
});
