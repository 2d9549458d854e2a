/**
 * A real process on a real disk: killed at random moments (KILL_ROUNDS rounds, default 6; the figure in docs/scale.md is from 500), and
 * watched by strace.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFileStore } from "../../src/log/file-store.ts";
import { thisHolder } from "../../src/log/lock.ts";
import { loadLog } from "../../src/log/read.ts";
import { randomOf } from "../inspector/generate.ts";
import { HEADER, mapOperation } from "./arbitrary.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-kill-"));
afterAll(() => rmSync(folder, { recursive: true }));
const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 6);
const writer = join(import.meta.dirname, "crash-writer.ts");
const command = (path: string, ...rest: string[]): string[] => [
	"--import",
	"tsx",
	writer,
	path,
	...rest,
];

/** Runs the writer and kills it some milliseconds after its first acknowledgement. Returns the last acknowledged record. */
function killAfter(
	ms: number,
	path: string,
	segmentBytes: number,
): Promise<number> {
	const child = spawn(
		process.execPath,
		command(path, "always", String(segmentBytes)),
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	let text = "";
	let armed = false;
	child.stdout.on("data", (chunk: Buffer) => {
		text += chunk.toString();
		if (!armed) setTimeout(() => child.kill("SIGKILL"), ms);
		armed = true;
	});
	return new Promise((resolve) => {
		child.on("close", () =>
			resolve(Number(/.*ack (\d+)\n/s.exec(text)?.[1] ?? 0)),
		);
	});
}

describe.each([
	["one file", 0],
	["segments", 20_000],
])("killed at random moments: %s", (_, segmentBytes) => {
	test(
		`${ROUNDS} rounds: every acknowledged record is there, in order, the chain whole`,
		async () => {
			const random = randomOf(7);
			let path = "";
			for (let round = 0; round < ROUNDS; round++) {
				// Some rounds go on with the log of the round before, some start a new one.
				if (round % 10 === 0)
					path = join(folder, `kill-${segmentBytes}-${round}`);
				const acknowledged = await killAfter(random(40), path, segmentBytes);
				const loaded = await loadLog(path);
				expect(loaded.records).toBeGreaterThanOrEqual(acknowledged);
				loaded.contents.forEach(({ seq, t, type }, i) => {
					const expected = mapOperation(i - (i % 4))[i % 4];
					if (seq !== i + 1 || t !== expected?.t || type !== expected.type)
						throw new Error(`record ${i + 1} is wrong`);
				});
				const store = await openFileStore(
					path,
					segmentBytes === 0 ? {} : { segmentBytes },
				);
				expect(store.head.seq).toBe(loaded.records);
				await store.close();
			}
		},
		20_000 + ROUNDS * 5000,
	);
});

const hasStrace = spawnSync("strace", ["-V"]).status === 0;

/**
 * Reads a strace log: for each acknowledgement, tells whether an fdatasync that began after the seal was written had returned. Calls
 * of other threads appear in two lines ("unfinished …", "resumed").
 */
function unsyncedAcks(trace: string): { acks: number; unsynced: number[] } {
	let sealWritten = 0;
	let sealSynced = 0;
	let acks = 0;
	const writing = new Map<string, number>();
	const syncing = new Map<string, number>();
	const unsynced: number[] = [];
	for (const line of trace.split("\n")) {
		const pid = /^\d+/.exec(line)?.[0] ?? "";
		const seals = [...line.matchAll(/\{\\"seal\\":(\d+),/g)].map((m) =>
			Number(m[1]),
		);
		const returned = !line.includes("<unfinished");
		if (/ pwrite64\(/.test(line)) {
			if (returned) sealWritten = Math.max(sealWritten, ...seals);
			else writing.set(pid, Math.max(...seals));
		} else if (/<\.\.\. pwrite64 resumed/.test(line))
			sealWritten = Math.max(sealWritten, writing.get(pid) ?? 0);
		else if (/ fdatasync\(/.test(line)) {
			if (returned) sealSynced = sealWritten;
			else syncing.set(pid, sealWritten);
		} else if (/<\.\.\. fdatasync resumed.*= 0/.test(line))
			sealSynced = Math.max(sealSynced, syncing.get(pid) ?? 0);
		const ack = Number(/ write\(1, "ack (\d+)/.exec(line)?.[1] ?? 0);
		if (ack === 0) continue;
		acks++;
		if (ack > sealSynced) unsynced.push(ack);
	}
	return { acks, unsynced };
}

function traced(fsync: string): { acks: number; unsynced: number[] } {
	const out = join(folder, `strace-${fsync}`);
	execFileSync(
		"strace",
		[
			"-f",
			"-s",
			"1000000",
			"-e",
			"trace=pwrite64,fdatasync,write",
			"-o",
			out,
			process.execPath,
			...command(join(folder, `traced-${fsync}`), fsync, "0", "60"),
		],
		{
			stdio: "ignore",
		},
	);
	return unsyncedAcks(readFileSync(out, "utf8"));
}

describe.skipIf(!hasStrace)(
	`under strace${hasStrace ? "" : " (strace is not installed: skipped)"}`,
	() => {
		test("no acknowledgement precedes the return of its fdatasync", () => {
			const { acks, unsynced } = traced("always");
			expect(acks).toBe(60);
			expect(unsynced).toEqual([]);
		});

		test("without fdatasync this is noticed", () => {
			const { acks, unsynced } = traced("never");
			expect(acks).toBe(60);
			expect(unsynced.length).toBe(60);
		});
	},
);

describe("one writer", () => {
	const write = (path: string, holder: object): void =>
		writeFileSync(`${path}.lock`, JSON.stringify(holder));

	test("a second one is refused, in this process and in another", async () => {
		const path = join(folder, "two-writers");
		const store = await openFileStore(path, { header: HEADER });
		await expect(openFileStore(path)).rejects.toMatchObject({ code: "locked" });
		const other = spawnSync(
			process.execPath,
			command(path, "always", "0", "1"),
			{ encoding: "utf8" },
		);
		expect(other.status).not.toBe(0);
		expect(other.stderr).toContain("the log has a writer");
		await store.close();
		await (await openFileStore(path)).close();
	});

	test("the lock of a dead process is taken over, one that cannot be judged is not", async () => {
		const path = join(folder, "stale");
		await (await openFileStore(path, { header: HEADER })).close();
		const self = thisHolder();
		const { pid = 0 } = spawnSync(process.execPath, ["-e", ""]);
		for (const dead of [
			{ ...self, pid },
			{ ...self, started: "1" },
			{ ...self, world: "another-boot x" },
		]) {
			write(path, dead);
			await (await openFileStore(path)).close();
		}
		for (const unknown of [
			{ ...self, host: `not-${hostname()}` },
			{ ...self, pid, world: `${self.world.split(" ")[0]} pid:[1]` },
			{ hello: 1 },
		]) {
			write(path, unknown);
			await expect(openFileStore(path)).rejects.toMatchObject({
				code: "locked",
			});
		}
		rmSync(`${path}.lock`);
	});
});

describe("a real full disk", () => {
	const mount = join(folder, "small");
	let mounted = false;
	beforeAll(() => {
		mkdirSync(mount);
		mounted =
			spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", mount])
				.status === 0;
	});
	afterAll(() => {
		if (mounted) execFileSync("umount", [mount]);
	});

	test("fills up, says so, keeps what it acknowledged, and goes on when there is room", async ({
		skip,
	}) => {
		if (!mounted) skip("mounting a tmpfs needs root");
		writeFileSync(join(mount, "ballast"), Buffer.alloc(100_000));
		const path = join(mount, "log");
		const store = await openFileStore(path, { header: HEADER });
		let code = "";
		while (code === "") {
			const before = store.head.seq;
			await store
				.append(mapOperation(before))
				.catch((error: { code: string }) => {
					code = error.code;
					expect(store.head.seq).toBe(before);
				});
		}
		expect(code).toBe("disk-full");
		const acknowledged = store.head.seq;
		expect((await loadLog(path)).records).toBe(acknowledged);
		rmSync(join(mount, "ballast"));
		await store.append(mapOperation(acknowledged));
		await store.close();
		expect(await loadLog(path)).toMatchObject({
			records: acknowledged + 4,
			tail: undefined,
		});
	});

	test("read-only is told as such", async ({ skip }) => {
		if (!mounted) skip("mounting a tmpfs needs root");
		execFileSync("mount", ["-o", "remount,ro", mount]);
		await expect(
			openFileStore(join(mount, "other"), { header: HEADER }),
		).rejects.toMatchObject({ code: "read-only" });
		await expect(openFileStore(join(mount, "log"))).rejects.toMatchObject({
			code: "read-only",
		});
	});
});
