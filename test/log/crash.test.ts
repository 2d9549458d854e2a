/** Nothing acknowledged is lost: power cuts at every kind of moment, damaged last batches, failing disks. On a simulated disk. */
import { describe, expect, test } from "vitest";
import { SEAL_BYTES_MIN } from "../../src/log/binary-frames.ts";
import { BINARY } from "../../src/log/binary.ts";
import { NDJSON } from "../../src/log/codec.ts";
import { LogError } from "../../src/log/error.ts";
import type {
	FileStore,
	FileStoreOptions,
} from "../../src/log/file-store-options.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import { randomOf } from "../inspector/generate.ts";
import { HEADER, mapOperation } from "./samples.ts";
import { SimDisk, systemError } from "./sim-disk.ts";

const PATH = "/disk/log";
const ROUNDS = Number(process.env["CRASH_ROUNDS"] ?? 60);
const open = (
	io: SimDisk,
	options: FileStoreOptions = {},
): Promise<FileStore> =>
	openFileStore(PATH, { header: HEADER, ...options, io });
const codeOf = (promise: Promise<unknown>): Promise<string> =>
	promise.then(
		() => "no error",
		(error: unknown) =>
			error instanceof LogError ? error.code : String(error),
	);

async function recordsOf(store: FileStore): Promise<number> {
	let last = 0;
	for await (const { records } of store.read(1))
		for (const record of records) {
			const from = last - (last % 4);
			const { t, type, data } = mapOperation(from)[last % 4] ?? {};
			last++;
			if (
				record.seq !== last ||
				record.t !== t ||
				record.type !== type ||
				JSON.stringify(record.data) !== JSON.stringify(data)
			)
				expect(record).toBe(`record ${last}`);
		}
	return last;
}

interface CutRun {
	readonly disk: SimDisk;
	readonly acknowledged: number;
}

/** Appends, some alone and some many at once, until the power goes at operation `cutAt`. */
async function runUntilCut(
	disk: SimDisk,
	options: FileStoreOptions,
	random: (below: number) => number,
	cutAt: number,
): Promise<CutRun> {
	let operations = 0;
	let acknowledged = 0;
	disk.fault = () => {
		if (++operations >= cutAt) throw systemError("EIO");
	};
	const work = async (): Promise<void> => {
		const store = await open(disk, options);
		acknowledged = store.head.seq;
		for (;;) {
			const together = 1 + random(4);
			const answers = Array.from({ length: together }, () =>
				store.append(mapOperation(store.head.seq)),
			);
			for (const answer of await Promise.allSettled(answers)) {
				if (answer.status === "rejected") throw answer.reason;
				acknowledged = Math.max(acknowledged, answer.value.last);
			}
		}
	};
	await work().catch(() => {});
	return { disk, acknowledged };
}

/** Cuts the power at random moments; returns how many acknowledged records were lost in the worst round. */
async function worstLoss(
	options: FileStoreOptions,
	rounds: number,
): Promise<number> {
	let worst = 0;
	for (let seed = 1; seed <= rounds; seed++) {
		const random = randomOf(seed);
		let disk = new SimDisk();
		let acknowledged = 0;
		for (let life = 0; life < 3; life++) {
			const run = await runUntilCut(disk, options, random, 1 + random(60));
			acknowledged = Math.max(acknowledged, run.acknowledged);
			disk = run.disk.afterCrash(seed * 10 + life);
			const store = await open(disk, options);
			const there = await recordsOf(store);
			expect(there, `seed ${seed}`).toBe(store.head.seq);
			worst = Math.max(worst, acknowledged - there);
			acknowledged = there;
			await store.close();
		}
	}
	return worst;
}

describe("a power cut at a random operation", () => {
	test("loses nothing that was acknowledged: one file", async () => {
		expect(await worstLoss({}, ROUNDS)).toBe(0);
	});
	test("loses nothing that was acknowledged: segments", async () => {
		expect(await worstLoss({ segmentBytes: 1500 }, ROUNDS)).toBe(0);
	});
	test("loses nothing that was acknowledged: binary", async () => {
		expect(await worstLoss({ codec: BINARY }, ROUNDS)).toBe(0);
	});
	test("loses nothing that was acknowledged: binary segments", async () => {
		expect(await worstLoss({ codec: BINARY, segmentBytes: 700 }, ROUNDS)).toBe(
			0,
		);
	});
	test("does lose with policy never: these tests can fail", async () => {
		expect(await worstLoss({ fsync: "never" }, 40)).toBeGreaterThan(0);
	});
});

describe.each([
	["NDJSON", NDJSON],
	["binary", BINARY],
])("the last append, damaged at every byte: %s", (_, codec) => {
	async function prepared(): Promise<{
		disk: SimDisk;
		bytes: Buffer;
		start: number;
	}> {
		const disk = new SimDisk();
		const store = await open(disk, { codec });
		for (let i = 0; i < 3; i++) await store.append(mapOperation(i * 4));
		const start = (await disk.readAll(PATH)).length;
		await store.append(mapOperation(12));
		await store.close();
		return { disk, bytes: await disk.readAll(PATH), start };
	}
	const copyOf = (disk: SimDisk, bytes: Uint8Array): SimDisk =>
		disk.with(PATH, Buffer.from(bytes));

	test("truncated: the batches before it are all there, and appending goes on", async () => {
		const { disk, bytes, start } = await prepared();
		for (let size = start; size <= bytes.length; size++) {
			const store = await open(copyOf(disk, bytes.subarray(0, size)), {
				codec,
			});
			const whole = size === bytes.length;
			expect(await recordsOf(store), `cut at ${size}`).toBe(whole ? 16 : 12);
			expect(store.recovery.dropped?.bytes ?? 0).toBe(whole ? 0 : size - start);
			await store.append(mapOperation(store.head.seq), {
				expected: store.head.seq,
			});
			expect(await recordsOf(store)).toBe(whole ? 20 : 16);
			await store.close();
		}
	});

	test("bit-flipped: even the last batch is there, mended by its seal", async () => {
		const { disk, bytes, start } = await prepared();
		for (let at = start; at < bytes.length; at++) {
			const damaged = Buffer.from(bytes);
			damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
			const broken = copyOf(disk, damaged);
			const store = await open(broken, { codec });
			expect(await recordsOf(store), `flipped at ${at}`).toBe(16);
			expect(store.recovery.mended, `flipped at ${at}`).toBeDefined();
			expect(await broken.readAll(PATH)).toEqual(bytes);
			await store.close();
		}
	});

	test("truncated, and a bit of what is left flipped: nothing acknowledged is concerned", async () => {
		const { disk, bytes, start } = await prepared();
		for (let size = start + 1; size < bytes.length; size++) {
			const damaged = Buffer.from(bytes.subarray(0, size));
			const at = start + ((size * 7) % (size - start));
			const was = damaged[at] as number;
			damaged[at] = was ^ (1 << (size % 8));
			// Another number of lines may have held a seal: a person decides (damage.test.ts).
			if (was === 0x0a || damaged[at] === 0x0a) continue;
			const store = await open(copyOf(disk, damaged), { codec });
			expect(await recordsOf(store), `cut at ${size}, flipped at ${at}`).toBe(
				12,
			);
			await store.close();
		}
	});

	test("overwritten with rubbish: set aside, cut off, and the log goes on", async () => {
		const { disk, bytes, start } = await prepared();
		const damaged = Buffer.from(bytes);
		damaged.fill("#", start + 40, start + 60);
		const broken = disk.with(PATH, damaged);
		const store = await open(broken, { codec });
		expect(await recordsOf(store)).toBe(12);
		const { savedAs = "" } = store.recovery;
		expect(await broken.readAll(savedAs)).toEqual(damaged.subarray(start));
		await store.append(mapOperation(12));
		await store.close();
	});

	test("damage before the last batch is not recovered from in silence", async () => {
		const { disk, bytes, start } = await prepared();
		const damaged = Buffer.from(bytes);
		damaged.fill("#", start - 90, start - 85);
		damaged.fill("#", start - 20, start - 10);
		expect(await codeOf(open(disk.with(PATH, damaged), { codec }))).toBe(
			"damaged",
		);
	});
});

test("a write of which only the start of the binary seal arrived, a few zeros behind it, is a tail", async () => {
	const disk = new SimDisk();
	const store = await open(disk, { codec: BINARY });
	await store.append(mapOperation(0));
	const { length } = await disk.readAll(PATH);
	await store.append(mapOperation(4));
	await store.close();
	const bytes = await disk.readAll(PATH);
	const sealAt = bytes.length - SEAL_BYTES_MIN;
	for (let there = 1; there < 9; there++)
		for (let zeros = 1; zeros < 40; zeros++) {
			const torn = Buffer.concat([
				bytes.subarray(0, sealAt + there),
				Buffer.alloc(zeros),
			]);
			const again = await open(disk.with(PATH, torn), { codec: BINARY });
			expect(await recordsOf(again)).toBe(4);
			expect(again.recovery.dropped?.bytes).toBe(torn.length - length);
			await again.close();
		}
});

test("blocks that never arrived are cut off, and a copy stays", async () => {
	for (const codec of [NDJSON, BINARY]) {
		const disk = new SimDisk();
		const store = await open(disk, { codec });
		for (let i = 0; i < 12; i++) await store.append(mapOperation(i * 4));
		await store.close();
		const bytes = await disk.readAll(PATH);
		const sector = Math.floor(bytes.length / 512) * 512;
		const damaged = Buffer.from(bytes).fill(0, sector - 512, sector);
		const holed = disk.with(PATH, damaged);
		const again = await open(holed, { codec });
		const there = await recordsOf(again);
		expect(there).toBeLessThan(48);
		const { dropped, savedAs = "" } = again.recovery;
		expect(dropped).toMatchObject({ unwritten: true, seq: there + 1 });
		expect(await holed.readAll(savedAs)).toEqual(
			damaged.subarray(dropped?.offset),
		);
		await again.close();
	}
});

describe("a failing disk", () => {
	test("full: refused, nothing acknowledged lost, and goes on when there is room", async () => {
		const disk = new SimDisk();
		const store = await open(disk);
		await store.append(mapOperation(0));
		const { length } = await disk.readAll(PATH);
		for (const room of [0, 1, 100, 400]) {
			disk.capacity =
				(await disk.readAll(`${PATH}.lock`)).length + length + room;
			const both = [
				store.append(mapOperation(4)),
				store.append(mapOperation(8)),
			];
			expect(await Promise.all(both.map(codeOf))).toEqual([
				"disk-full",
				"disk-full",
			]);
			expect(store.head.seq).toBe(4);
			expect((await disk.readAll(PATH)).length).toBe(length);
		}
		disk.capacity = Number.POSITIVE_INFINITY;
		await store.append(mapOperation(4), { expected: 4 });
		await store.close();
		const again = await open(disk);
		expect(await recordsOf(again)).toBe(8);
		await again.close();
	});

	test.each(["write", "datasync"])(
		"EIO in %s: the writer stops, the log stays readable",
		async (operation) => {
			const disk = new SimDisk();
			const store = await open(disk);
			await store.append(mapOperation(0));
			disk.fault = (what) => {
				if (what === operation) throw systemError("EIO");
			};
			expect(await codeOf(store.append(mapOperation(4)))).toBe("io");
			disk.fault = () => {};
			expect(await codeOf(store.append(mapOperation(4)))).toBe("io");
			expect(await recordsOf(store)).toBe(4);
			await store.close();
			const again = await open(disk);
			expect(await recordsOf(again)).toBe(4);
			await again.append(mapOperation(4));
			await again.close();
		},
	);

	test("EIO in a later fdatasync (policy interval) is told to the next append", async () => {
		const disk = new SimDisk();
		const store = await open(disk, { fsync: "interval", fsyncIntervalMs: 1 });
		disk.fault = (what) => {
			if (what === "datasync") throw systemError("EIO");
		};
		await store.append(mapOperation(0));
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(await codeOf(store.append(mapOperation(4)))).toBe("io");
		await store.close();
	});

	test("read-only and full at opening", async () => {
		const readOnly = new SimDisk();
		readOnly.fault = (what) => {
			if (/create|write|mkdir/.test(what)) throw systemError("EROFS");
		};
		expect(await codeOf(open(readOnly))).toBe("read-only");
		expect(await codeOf(open(readOnly, { segmentBytes: 1000 }))).toBe(
			"read-only",
		);
		const full = new SimDisk();
		full.capacity = 300;
		expect(await codeOf(open(full))).toBe("disk-full");
		full.capacity = 1 << 20;
		expect(await codeOf(open(full))).toBe("no error");
	});

	test("a segment that cannot be started: refused, then goes on", async () => {
		const disk = new SimDisk();
		const store = await open(disk, { segmentBytes: 1500 });
		await store.append(mapOperation(0));
		await store.append(mapOperation(4));
		disk.fault = (what) => {
			if (what === "open-create") throw systemError("ENOSPC");
		};
		store.rotate();
		expect(await codeOf(store.append(mapOperation(8)))).toBe("disk-full");
		disk.fault = () => {};
		await store.append(mapOperation(8));
		await store.close();
		const again = await open(disk, { segmentBytes: 1500 });
		expect(await recordsOf(again)).toBe(12);
		await again.close();
	});
});
