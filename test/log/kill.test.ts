/**
 * A real process on a real disk: killed at random moments (KILL_ROUNDS rounds from KILL_SEED; the figure in docs/scale.md is from hundreds), and
 * watched by strace.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BINARY } from "../../src/log/binary.ts";
import { type LogCodec, NDJSON } from "../../src/log/codec.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import { thisHolder } from "../../src/log/lock.ts";
import { loadLog } from "../../src/log/read.ts";
import { repairLog } from "../../src/log/repair.ts";
import { digest } from "../../src/log/seal.ts";
import { randomOf } from "../inspector/generate.ts";
import { HEADER, mapOperation } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "ledger-kill-"));
afterAll(() => rmSync(folder, { recursive: true }));
const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 5);
const SEED = Number(process.env["KILL_SEED"] ?? 7);
/** The writer as one file of JavaScript: starts at once, so that hundreds of rounds take minutes. */
const writer = join(folder, "crash-writer.mjs");
beforeAll(async () => {
	await build({
		configFile: false,
		logLevel: "silent",
		ssr: { noExternal: true },
		build: {
			ssr: join(import.meta.dirname, "crash-writer.ts"),
			outDir: folder,
			emptyOutDir: false,
			target: "node20",
			rolldownOptions: { output: { entryFileNames: "crash-writer.mjs" } },
		},
	});
});
const command = (path: string, ...rest: string[]): string[] => [
	writer,
	path,
	...rest,
];

/** Runs the writer and kills it some milliseconds after its first acknowledgement. Returns the last acknowledged record. */
function killAfter(
	ms: number,
	path: string,
	segmentBytes: number,
	codec: LogCodec,
): Promise<number> {
	const child = spawn(
		process.execPath,
		command(path, "always", String(segmentBytes), "0", codec.name),
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
	["one file", 0, NDJSON],
	["segments", 20_000, NDJSON],
	["binary segments", 5000, BINARY],
])("killed at random moments: %s", (_, segmentBytes, codec) => {
	test(
		`${ROUNDS} rounds: every acknowledged record is there, in order, the chain whole`,
		async () => {
			const random = randomOf(SEED);
			let path = "";
			for (let round = 0; round < ROUNDS; round++) {
				// Some rounds go on with the log of the round before, some start a new one.
				if (round % 10 === 0)
					path = join(folder, `kill-${codec.name}-${segmentBytes}-${round}`);
				const acknowledged = await killAfter(
					random(40),
					path,
					segmentBytes,
					codec,
				);
				const loaded = await loadLog(path);
				expect(loaded.records).toBeGreaterThanOrEqual(acknowledged);
				loaded.contents.forEach(({ seq, t, type }, i) => {
					const expected = mapOperation(i - (i % 4))[i % 4];
					if (seq !== i + 1 || t !== expected?.t || type !== expected.type)
						throw new Error(`record ${i + 1} is wrong`);
				});
				const store = await openFileStore(
					path,
					segmentBytes === 0 ? {} : { segmentBytes, codec },
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

/**
 * Reads a strace log of a segmented log: acknowledgements of records in a segment whose name was not durable yet, which takes an fsync
 * of the directory (the only fsyncs there are) that began after the file was made.
 */
function unnamedAcks(trace: string): { segments: number; unnamed: number[] } {
	const made: { first: number; durable: boolean }[] = [];
	const creating = new Map<string, number>();
	const syncing = new Map<string, typeof made>();
	const unnamed: number[] = [];
	const returned = (pid: string): void => {
		for (const segment of syncing.get(pid) ?? []) segment.durable = true;
	};
	for (const line of trace.split("\n")) {
		const pid = /^\d+/.exec(line)?.[0] ?? "";
		const started = !line.includes("resumed>");
		const ended = !line.includes("<unfinished");
		if (line.includes("openat")) {
			const name = /\/(\d{16})\.ndjson", [^)]*O_CREAT/.exec(line)?.[1];
			if (started) creating.delete(pid);
			if (name !== undefined) creating.set(pid, Number(name));
			const first = creating.get(pid);
			if (ended && first !== undefined) made.push({ first, durable: false });
		} else if (line.includes("fsync")) {
			if (started) syncing.set(pid, [...made]);
			if (ended && line.endsWith("= 0")) returned(pid);
		}
		const ack = Number(/ write\(1, "ack (\d+)/.exec(line)?.[1] ?? 0);
		if (ack === 0) continue;
		if (made.findLast(({ first }) => first <= ack)?.durable !== true)
			unnamed.push(ack);
	}
	return { segments: made.length, unnamed };
}

function traced(fsync: string, segmentBytes: number): string {
	const name = `${fsync}-${segmentBytes}`;
	const out = join(folder, `strace-${name}`);
	execFileSync(
		"strace",
		[
			"-f",
			"-s",
			"1000000",
			"-o",
			out,
			"-e",
			"trace=pwrite64,fdatasync,write,openat,fsync",
			process.execPath,
			...command(
				join(folder, `traced-${name}`),
				fsync,
				String(segmentBytes),
				"60",
			),
		],
		{ stdio: "ignore" },
	);
	return readFileSync(out, "utf8");
}

describe.skipIf(!hasStrace)(
	`under strace${hasStrace ? "" : " (strace is not installed: skipped)"}`,
	() => {
		test("no acknowledgement precedes the return of its fdatasync", () => {
			const { acks, unsynced } = unsyncedAcks(traced("always", 0));
			expect(acks).toBe(60);
			expect(unsynced).toEqual([]);
		});

		test("nor, in a new segment, that of the fsync which makes the segment's name durable", () => {
			const trace = traced("always", 4000);
			expect(unsyncedAcks(trace)).toEqual({ acks: 60, unsynced: [] });
			const { segments, unnamed } = unnamedAcks(trace);
			expect(segments).toBeGreaterThan(4);
			expect(unnamed).toEqual([]);
			// Without these fsyncs it would be noticed.
			const without = trace.replaceAll(/^.*\bfsync\b.*$/gm, "");
			expect(unnamedAcks(without).unnamed).toHaveLength(60);
		});

		test("without fdatasync this is noticed", () => {
			const { acks, unsynced } = unsyncedAcks(traced("never", 0));
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

test("one log has one writer, by whatever name it is opened", async () => {
	const path = join(folder, "real");
	const link = join(mkdtempSync(join(folder, "elsewhere-")), "link");
	const store = await openFileStore(path, { header: HEADER });
	symlinkSync(path, link);
	await expect(openFileStore(link)).rejects.toMatchObject({ code: "locked" });
	await expect(repairLog(link)).rejects.toMatchObject({ code: "locked" });
	await store.close();
	const again = await openFileStore(link);
	await expect(openFileStore(path)).rejects.toMatchObject({ code: "locked" });
	await again.close();
});

test("takers that died while they took over are taken over in turn, and nothing is left behind", async () => {
	const path = join(folder, "takers");
	await (await openFileStore(path, { header: HEADER })).close();
	const dead = (started: string): string =>
		JSON.stringify({ ...thisHolder(), started });
	const right = (lock: string, text: string): string =>
		`${lock}~${digest(text).slice(0, 8)}`;
	const [first, second, third] = [dead("1"), dead("2"), dead("3")];
	const rightOfFirst = right(`${path}.lock`, first);
	writeFileSync(`${path}.lock`, first);
	writeFileSync(rightOfFirst, second);
	writeFileSync(right(rightOfFirst, second), third);
	const store = await openFileStore(path);
	await expect(openFileStore(path)).rejects.toMatchObject({ code: "locked" });
	await store.close();
	const left = readdirSync(folder).filter((name) =>
		name.startsWith("takers.lock"),
	);
	expect(left).toEqual([]);
});

test("of many that find a dead lock at once, one opens the log", async () => {
	const path = join(folder, "many");
	await (await openFileStore(path, { header: HEADER })).close();
	for (let round = 0; round < 20; round++) {
		writeFileSync(
			`${path}.lock`,
			JSON.stringify({ ...thisHolder(), started: "1" }),
		);
		const tries = await Promise.allSettled(
			Array.from({ length: 8 }, () => openFileStore(path)),
		);
		const open = tries.flatMap((one) =>
			one.status === "fulfilled" ? [one.value] : [],
		);
		expect(open).toHaveLength(1);
		for (const one of tries)
			if (one.status === "rejected") expect(one.reason.code).toBe("locked");
		await open[0]?.close();
	}
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
