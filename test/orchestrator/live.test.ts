/** Systems on a store: answers behind durability, recovery on every kind of end, backends that know, do not know, or answer otherwise. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { LogError } from "../../src/log/error.ts";
import { openFileStore } from "../../src/log/file-store.ts";
import { memoryStore } from "../../src/log/memory-store.ts";
import type { LogStore } from "../../src/log/store.ts";
import type { TimedFact } from "../../src/log/write.ts";
import type { Backend } from "../../src/orchestrator/backend/backend.ts";
import {
	BackendError,
	succeeded,
} from "../../src/orchestrator/backend/backend.ts";
import {
	recordedBackend,
	recordingBackend,
} from "../../src/orchestrator/backend/recorded.ts";
import { runHeader } from "../../src/orchestrator/core.ts";
import {
	createIommuSystem,
	type LiveSystem,
} from "../../src/orchestrator/create.ts";
import { IommuError } from "../../src/orchestrator/error.ts";
import { firstDifference, redecide } from "../../src/orchestrator/redecide.ts";
import { redecidePath } from "../../src/replay/redecide-path.ts";
import { verifyPath } from "../../src/replay/verify-path.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { DEVICES, threeInOneGroup } from "../../src/scenarios/setting.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";

const folder = mkdtempSync(join(tmpdir(), "iommu-ledger-live-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const topology = threeInOneGroup();
const header = runHeader(topology);
const { dev1, dev2 } = DEVICES;
const ctx = "ctx:1";
const area = { iova: "0x100000", length: "0x4000", va: "0x700000", prot: 3 };

async function recordsOf(store: LogStore): Promise<LogRecord[]> {
	const all: LogRecord[] = [];
	for await (const { records } of store.read(1)) all.push(...records);
	return all;
}
async function busy(system: LiveSystem): Promise<void> {
	await system.open();
	for (const dev of [dev1, dev2]) await system.bind({ ctx, dev });
	const ioas = await system.ioasAlloc({ ctx });
	await system.map({ ctx, ioas, ...area });
	for (const dev of [dev1, dev2]) await system.attach({ ctx, dev, pt: ioas });
}
const storeOf = async (records: readonly LogRecord[]): Promise<LogStore> => {
	const store = memoryStore(header);
	if (records.length > 0)
		await store.append(records as unknown as readonly TimedFact[]);
	return store;
};

describe("answers", () => {
	test("that are errors of the caller's own leave nothing in the log", async () => {
		const store = memoryStore(header);
		const system = await createIommuSystem({ store });
		await busy(system);
		const ioas = await system.ioasAlloc({ ctx });
		const wrong = { ctx, ioas, ...area, iova: "zz" } as const;
		await expect(system.map(wrong)).rejects.toThrow(RangeError);
		await expect(system.map(undefined as never)).rejects.toThrow(RangeError);
		await expect(system.map({} as never)).rejects.toThrow(/map needs a ctx/);
		await system.map({ ...wrong, iova: "0x200000" });
		const records = await recordsOf(store);
		const begun = records.filter(({ type }) => type === "op.begin").length;
		const ended = records.filter(({ type }) => type === "op.commit").length;
		expect(begun).toBe(ended);
		expect(records.map(({ seq }) => seq)).toEqual(records.map((_, i) => i + 1));
		expect(verifyRecords(header, records).verdict).toBe("holds");
		expect(firstDifference(redecide(header, records), records)).toBe(-1);
	});
	test("come when the store has acknowledged, in order, and not before", async () => {
		const inner = memoryStore(header);
		const gates: (() => void)[] = [];
		const store: LogStore = {
			...inner,
			get head() {
				return inner.head;
			},
			header,
			append: async (facts, options) => {
				const done = inner.append(facts, options);
				await new Promise<void>((open) => gates.push(open));
				return done;
			},
		};
		const opening = createIommuSystem({ store });
		await new Promise(setImmediate);
		gates.shift()!();
		const system = await opening;
		const seen: string[] = [];
		system.records$.subscribe(({ type }) => seen.push(type));
		const ended: string[] = [];
		const calls = [
			system.open().then(() => ended.push("open")),
			system.ioasAlloc({ ctx }).then(() => ended.push("ioas")),
			system.destroy({ ctx, id: 9 }).catch((error: unknown) => {
				ended.push((error as IommuError).errno);
			}),
		];
		await new Promise(setImmediate);
		expect([ended, seen]).toEqual([[], []]);
		// The store acknowledges out of order; the answers keep theirs.
		gates[2]!();
		gates[1]!();
		await new Promise(setImmediate);
		expect(ended).toEqual([]);
		gates[0]!();
		await Promise.all(calls);
		expect(ended).toEqual(["open", "ioas", "ENOENT"]);
		expect(seen.length).toBe(inner.head.seq - 8);
	});
	test("after a failed append nothing is answered any more", async () => {
		const inner = memoryStore(header);
		let full = false;
		const store: LogStore = {
			...inner,
			get head() {
				return inner.head;
			},
			append: (facts, options) =>
				full
					? Promise.reject(new LogError("disk-full", "no space", { hint: "" }))
					: inner.append(facts, options),
		};
		const system = await createIommuSystem({ store });
		await system.open();
		full = true;
		await expect(system.ioasAlloc({ ctx })).rejects.toMatchObject({
			code: "disk-full",
		});
		full = false;
		await expect(system.ioasAlloc({ ctx })).rejects.toMatchObject({
			code: "disk-full",
		});
		const again = await createIommuSystem({ store: inner });
		expect(await again.ioasAlloc({ ctx })).toBe(1);
	});
	test("another writer of the same log is noticed", async () => {
		const store = memoryStore(header);
		const one = await createIommuSystem({ store });
		const two = await createIommuSystem({ store });
		await one.open();
		await expect(two.open()).rejects.toMatchObject({ code: "conflict" });
	});
	test("snapshot$, violations$ and dispose", async () => {
		const store = memoryStore(runHeader(topology, { flow: "posted-v2" }));
		const system = await createIommuSystem({ store });
		await busy(system);
		const ids: string[] = [];
		let snapshots = 0;
		let ended = 0;
		system.violations$.subscribe({
			next: ({ id }) => ids.push(id),
			complete: () => ended++,
		});
		system.snapshot$.subscribe({
			next: () => snapshots++,
			complete: () => ended++,
		});
		const pt = await system.ioasAlloc({ ctx });
		await system.replace({ ctx, dev: dev1, pt });
		expect(ids).toContain("GRP-4");
		expect(snapshots).toBe(3);
		await system.dispose();
		expect(ended).toBe(2);
		await expect(system.ioasAlloc({ ctx })).rejects.toMatchObject({
			code: "disposed",
		});
		// The broken invariant stops the next start, unless it is told otherwise.
		await expect(createIommuSystem({ store })).rejects.toMatchObject({
			code: "broken-invariant",
			message: expect.stringContaining("breaks 3 times an invariant"),
		});
		const again = await createIommuSystem({ store, onBroken: "start" });
		expect(again.recovery.violations.map(({ id }) => id)).toContain("GRP-4");
	});
	test("times never go back, over a restart neither", async () => {
		const store = memoryStore(header);
		let now = 5000;
		const first = await createIommuSystem({ store, clock: () => now-- });
		await first.open();
		await first.dispose();
		const second = await createIommuSystem({ store });
		await second.ioasAlloc({ ctx });
		const times = (await recordsOf(store)).map(({ t }) => t);
		expect(times).toEqual([...times].sort((a, b) => a - b));
		const records = await recordsOf(store);
		expect(firstDifference(records, redecide(header, records))).toBe(-1);
	});
	test("logs that no system can go on with are refused", async () => {
		const with_ = (more: object) =>
			createIommuSystem({ store: memoryStore({ ...header, ...more }) });
		await expect(with_({ origin: "import" })).rejects.toMatchObject({
			code: "not-a-run",
		});
		await expect(
			with_({ switches: { ...header.switches, failNth: 3 } }),
		).rejects.toMatchObject({ code: "fault-injection" });
	});
});

describe("recovery", () => {
	test("on a file: closed, torn at every record, gone on with", async () => {
		const path = join(folder, "torn.ndjson");
		const store = await openFileStore(path, { header });
		const system = await createIommuSystem({ store });
		await busy(system);
		await system.dispose();
		await store.close();
		const whole = readFileSync(path, "utf8");
		expect((await verifyPath(path)).verdict).toBe("holds");
		expect((await redecidePath(path)).outcome).toBe("same");
		const lines = whole.split("\n");
		for (let n = 2; n < lines.length; n += 3) {
			const torn = join(folder, `torn-${n}.ndjson`);
			writeFileSync(torn, `${lines.slice(0, n).join("\n")}\n`);
			const left = await openFileStore(torn, { header });
			const again = await createIommuSystem({ store: left });
			const { seq } = left.head;
			const at = await again.dispatch({ op: "open", args: {} });
			expect(at).toMatchObject({ ok: true, seq: seq + 1 });
			await again.dispose();
			await left.close();
			expect((await redecidePath(torn)).outcome).toBe("same");
			rmSync(torn);
		}
	});
	test("of an operation that has no end: its rest is decided and written", async () => {
		const store = memoryStore(header);
		const system = await createIommuSystem({ store });
		await busy(system);
		const records = await recordsOf(store);
		for (let cut = 1; cut < records.length; cut += 2) {
			const left = await storeOf(records.slice(0, cut));
			const { recovery } = await createIommuSystem({
				store: left,
				engine: "compiled",
			});
			const last = records[cut - 1]!;
			const open = !["op.commit", "op.fail"].includes(last.type);
			expect(recovery.operation).toEqual(
				open
					? {
							seq: last.op,
							op: (records[last.op - 1]!.data as { op: string }).op,
							handled: "completed",
						}
					: undefined,
			);
			const after = await recordsOf(left);
			expect(after).toEqual(records.slice(0, after.length));
			expect(after.at(-1)!.type).toMatch(/^op\.(commit|fail)$/);
		}
	});
	test("of an operation that this version decides otherwise: refused, or ended as unknown", async () => {
		const store = memoryStore(header);
		const system = await createIommuSystem({ store });
		await busy(system);
		const records = await recordsOf(store);
		const at = records.findIndex(({ type }) => type === "resv.added");
		const odd = records
			.slice(0, at + 1)
			.map((record, i) =>
				i === at ? { ...record, actor: "ctx:1/ioas:3@2" } : record,
			) as LogRecord[];
		const left = await storeOf(odd);
		await expect(createIommuSystem({ store: left })).rejects.toMatchObject({
			code: "drift",
		});
		expect(left.head.seq).toBe(at + 1);
		const again = await createIommuSystem({
			store: left,
			onUnknown: "not-done",
			onBroken: "start",
		});
		await again.ioasAlloc({ ctx });
		const after = await recordsOf(left);
		expect(after[at + 1]).toMatchObject({
			type: "op.unknown",
			data: { code: "drift" },
		});
		const { verdict } = verifyRecords(header, after);
		expect(verdict).not.toBe("holds");
	});
});

/** A backend that answers as a recording of the model does. */
async function recording() {
	const store = memoryStore(header);
	const calls: string[] = [];
	const model = await createIommuSystem({ store: memoryStore(header) });
	const backend = recordingBackend({
		name: "model",
		async execute({ call, args }) {
			calls.push(call);
			const op = { OPEN_IOMMUFD: "open", IOMMU_IOAS_ALLOC: "ioasAlloc" }[call];
			if (op === "open") await model.open();
			return succeeded(
				op === "ioasAlloc" ? { ioas_id: await model.ioasAlloc({ ctx }) } : args,
			);
		},
		async close() {},
	});
	const system = await createIommuSystem({ store, backend });
	await system.open();
	await system.ioasAlloc({ ctx });
	await system.dispose();
	return { store, backend, calls };
}

describe("backends", () => {
	test("execute what was decided; what they answered can be played again", async () => {
		const { store, backend, calls } = await recording();
		expect(calls).toEqual(["OPEN_IOMMUFD", "IOMMU_IOAS_ALLOC"]);
		const records = await recordsOf(store);
		// Without a divergence a log tells nothing of its backend.
		expect(firstDifference(records, redecide(header, records))).toBe(-1);
		const again = memoryStore(header);
		const system = await createIommuSystem({
			store: again,
			backend: recordedBackend(backend.calls),
		});
		await system.open();
		expect(await system.ioasAlloc({ ctx })).toBe(1);
		await expect(system.ioasAlloc({ ctx })).rejects.toMatchObject({
			code: "unexpected-request",
		});
	});
	test("the intent is durable before the backend is asked", async () => {
		const store = memoryStore(header);
		const backend: Backend = {
			name: "watcher",
			async execute({ id, call, args }) {
				expect(store.head.seq).toBe(id);
				return succeeded(call === "IOMMU_IOAS_ALLOC" ? { ioas_id: 1 } : args);
			},
			async close() {},
		};
		const system = await createIommuSystem({ store, backend });
		await system.open();
		await system.ioasAlloc({ ctx });
		expect.assertions(2);
	});
	test("a refusal that both agree on is the kernel's errno", async () => {
		const backend = recordedBackend([
			{ call: "OPEN_IOMMUFD", ...succeeded({}) },
			{ call: "IOMMU_DESTROY", ret: -1, errno: 2, errname: "ENOENT", out: {} },
		]);
		const system = await createIommuSystem({
			store: memoryStore(header),
			backend,
		});
		await system.open();
		await expect(system.destroy({ ctx, id: 5 })).rejects.toBeInstanceOf(
			IommuError,
		);
	});
	test("what only hardware knows is the backend's word, and decided again from the log", async () => {
		const { vtd } = { vtd: threeInOneGroup() };
		const machine = {
			...vtd,
			groups: vtd.groups.map((group) => ({
				...group,
				members: group.members.map((m) => ({ ...m, caps: { dirty: true } })),
			})),
		};
		const store = memoryStore(runHeader(machine));
		const backend = recordedBackend([
			{ call: "OPEN_IOMMUFD", ...succeeded({}) },
			{ call: "VFIO_DEVICE_BIND_IOMMUFD", ...succeeded({ dev_id: 1 }) },
			{ call: "IOMMU_IOAS_ALLOC", ...succeeded({ ioas_id: 2 }) },
			{ call: "IOMMU_IOAS_MAP", ...succeeded({ iova: "0x100000" }) },
			{ call: "IOMMU_HWPT_ALLOC", ...succeeded({ hwpt_id: 3 }) },
			{ call: "IOMMU_HWPT_SET_DIRTY_TRACKING", ...succeeded({}) },
			{
				call: "IOMMU_HWPT_GET_DIRTY_BITMAP",
				...succeeded({ dirty: [["0x101000", "0x1000"]] }),
			},
		]);
		const system = await createIommuSystem({ store, backend });
		await system.open();
		await system.bind({ ctx, dev: dev1 });
		await system.ioasAlloc({ ctx });
		await system.map({ ctx, ioas: 2, ...area });
		await system.hwptAlloc({ ctx, dev: dev1, pt: 2, flags: 2 });
		await system.dirtySet({ ctx, hwpt: 3, on: true });
		expect(
			await system.dirtyGet({
				ctx,
				hwpt: 3,
				iova: "0x100000",
				length: "0x4000",
				pageSize: "0x1000",
			}),
		).toEqual([{ iova: 0x10_1000, length: 0x1000 }]);
		const records = await recordsOf(store);
		expect(firstDifference(records, redecide(store.header, records))).toBe(-1);
		expect(records.at(-1)!.data).toMatchObject({ told: true });
	});
});

describe("a crash between intent and answer", () => {
	/** The log of a system that died while its backend had the second request. */
	async function cut(): Promise<LogStore> {
		const { store } = await recording();
		const records = await recordsOf(store);
		const at = records.findIndex(
			({ type, data }) =>
				type === "op.begin" && (data as { op: string }).op === "ioasAlloc",
		);
		return storeOf(records.slice(0, at + 1));
	}
	const answering = (
		recall: Backend["recall"],
		execute: Backend["execute"] = () => {
			throw new Error("it must not be asked again");
		},
	): Backend => ({
		name: "test",
		execute,
		...(recall === undefined ? {} : { recall }),
		async close() {},
	});
	test("the backend remembers: its answer is taken", async () => {
		const store = await cut();
		const backend = answering(async () => succeeded({ ioas_id: 1 }));
		const { recovery } = await createIommuSystem({ store, backend });
		expect(recovery.operation).toMatchObject({ handled: "recalled" });
		expect((await recordsOf(store)).at(-1)!.type).toBe("op.commit");
	});
	test("the backend never saw it: it is carried out now", async () => {
		const store = await cut();
		const backend = answering(
			async () => "never",
			async () => succeeded({ ioas_id: 1 }),
		);
		const { recovery } = await createIommuSystem({ store, backend });
		expect(recovery.operation).toMatchObject({ handled: "executed" });
	});
	test("the backend remembers another answer: a divergence", async () => {
		const store = await cut();
		const backend = answering(async () => succeeded({ ioas_id: 4 }));
		await expect(createIommuSystem({ store, backend })).rejects.toMatchObject({
			code: "divergence",
		});
		expect((await recordsOf(store)).map(({ type }) => type).slice(-2)).toEqual([
			"divergence",
			"op.unknown",
		]);
	});
	test("the backend cannot say: the end is unknown, and so the log says", async () => {
		const store = await cut();
		await expect(
			createIommuSystem({ store, backend: answering(undefined) }),
		).rejects.toBeInstanceOf(BackendError);
		expect((await recordsOf(store)).at(-1)).toMatchObject({
			type: "op.unknown",
			data: { code: "closed" },
		});
		const report = verifyRecords(header, await recordsOf(store));
		expect(report.verdict).toBe("unexplained");
		const again = await createIommuSystem({ store, onUnknown: "not-done" });
		expect(await again.ioasAlloc({ ctx })).toBe(1);
		const records = await recordsOf(store);
		expect(firstDifference(records, redecide(header, records))).toBe(-1);
	});
});
