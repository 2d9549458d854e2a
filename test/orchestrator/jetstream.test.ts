/**
 * A whole live system on a real JetStream server: commands and observables, restart with and without a snapshot, several hosts in one stream,
 * two writers of one host, a server that goes away and comes back, another process that follows, sagas that crash after every record.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openNatsStore } from "../../src/log/nats-store.ts";
import { createStream } from "../../src/log/nats-stream.ts";
import { snapshotStore } from "../../src/log/snapshots.ts";
import type { LogStore } from "../../src/log/store.ts";
import type { TimedFact } from "../../src/log/write.ts";
import { runHeader } from "../../src/orchestrator/core.ts";
import {
	createIommuSystem,
	type LiveSystem,
} from "../../src/orchestrator/create.ts";
import { takeSnapshot } from "../../src/orchestrator/recover/fold-snapshot.ts";
import { foldStore } from "../../src/orchestrator/recover/fold-store.ts";
import { stateFromFold } from "../../src/orchestrator/recover/state-from-fold.ts";
import { firstDifference, redecide } from "../../src/orchestrator/redecide.ts";
import { canonical } from "../../src/orchestrator/saga/canonical.ts";
import { SagaError } from "../../src/orchestrator/saga/saga.ts";
import { verifyRecords } from "../../src/replay/verify.ts";
import { DEVICES, threeInOneGroup } from "../../src/scenarios/setting.ts";
import type { LogHeader } from "../../src/vocabulary/header.ts";
import type { LogRecord } from "../../src/vocabulary/records.ts";
import { natsInstalled, NatsServer, natsTitle } from "../log/nats-server.ts";
import { SITUATIONS } from "./saga/situations.ts";

const STREAM = "LEDGER";
const server = new NatsServer();
const folder = mkdtempSync(join(tmpdir(), "ledger-jetstream-"));
const header = runHeader(threeInOneGroup());
const { dev1, dev2 } = DEVICES;
const ctx = "ctx:1";
const area = { iova: "0x100000", length: "0x4000", va: "0x700000", prot: 3 };

let hosts = 0;
const fresh = (): string => `ledger.host-${hosts++}`;
const opened = new Set<LogStore>();
async function openAt(
	subject: string,
	head: LogHeader = header,
): Promise<LogStore> {
	const store = await openNatsStore({
		servers: server.address,
		stream: STREAM,
		subject,
		header: head,
		patienceMs: 20_000,
	});
	opened.add(store);
	return store;
}
async function closed(...stores: readonly LogStore[]): Promise<void> {
	for (const store of stores) {
		opened.delete(store);
		await store.close();
	}
}
async function recordsOf(store: LogStore): Promise<LogRecord[]> {
	const all: LogRecord[] = [];
	for await (const { records } of store.read(1)) all.push(...records);
	return all;
}
/** The log's state, and that it is true: dense, green, and decided again to the same records. */
async function provenState(store: LogStore): Promise<string> {
	const records = await recordsOf(store);
	expect(records.map(({ seq }) => seq)).toEqual(records.map((_, i) => i + 1));
	expect(firstDifference(records, redecide(store.header, records))).toBe(-1);
	expect(verifyRecords(store.header, records).violations).toEqual([]);
	const { judge, notes } = await foldStore(store);
	return canonical(stateFromFold(judge.world, notes));
}
/** Every actor and its state; transactions are none. */
const statesOf = (system: LiveSystem): string[] =>
	system
		.snapshot()
		.filter(({ id }) => !id.includes(" of "))
		.map(({ id, state }) => `${id} ${state}`)
		.sort();
async function busy(system: LiveSystem): Promise<number> {
	await system.open();
	for (const dev of [dev1, dev2]) await system.bind({ ctx, dev });
	const ioas = await system.ioasAlloc({ ctx });
	await system.map({ ctx, ioas, ...area });
	for (const dev of [dev1, dev2]) await system.attach({ ctx, dev, pt: ioas });
	return ioas;
}

describe.skipIf(!natsInstalled)(natsTitle("a system on JetStream"), () => {
	beforeAll(async () => {
		await server.start();
		await createStream(server.address, STREAM, ["ledger.>"]);
	});
	afterAll(async () => {
		await closed(...opened);
		await server.remove();
		rmSync(folder, { recursive: true });
	});

	test("commands answer, observables tell what the server has, refusals are the kernel's", async () => {
		const store = await openAt(fresh());
		const system = await createIommuSystem({ store });
		const told: LogRecord[] = [];
		const ahead: number[] = [];
		let snapshots = 0;
		const broken: string[] = [];
		system.records$.subscribe((record) => {
			told.push(record);
			if (record.seq > store.head.seq) ahead.push(record.seq);
		});
		system.snapshot$.subscribe(() => snapshots++);
		system.violations$.subscribe(({ id }) => broken.push(id));
		const boot = store.head.seq;
		await busy(system);
		await expect(system.unbind({ ctx, dev: dev1 })).rejects.toMatchObject({
			errno: "EBUSY",
		});
		expect(told).toEqual((await recordsOf(store)).slice(boot));
		expect([ahead, broken]).toEqual([[], []]);
		// One batch a command, and how it was before.
		expect(snapshots).toBe(1 + 8);
		await system.dispose();
		await provenState(store);
		await closed(store);
	});

	test("a restart goes on from the stream, and from a snapshot and the tail behind it", async () => {
		const subject = fresh();
		const first = await openAt(subject);
		const system = await createIommuSystem({ store: first });
		const ioas = await busy(system);
		const kept = snapshotStore(join(folder, subject));
		const at = await takeSnapshot(first, kept);
		await system.unmap({ ctx, ioas, iova: area.iova, length: area.length });
		await system.detach({ ctx, dev: dev2 });
		await system.dispose();
		await closed(first);

		const whole = await openAt(subject);
		const folded = await createIommuSystem({ store: whole });
		const quick = await createIommuSystem({ store: whole, snapshots: kept });
		expect(folded.recovery).toMatchObject({
			records: whole.head.seq,
			snapshot: 0,
		});
		expect(quick.recovery.snapshot).toBe(at.seq);
		expect(at.seq).toBeLessThan(whole.head.seq);
		expect(quick.snapshot()).toEqual(folded.snapshot());
		await folded.dispose();
		// It goes on: the same ids, the same refusals.
		expect(await quick.ioasAlloc({ ctx })).toBe(ioas + 2);
		await expect(
			quick.attach({ ctx, dev: dev2, pt: 99 }),
		).rejects.toMatchObject({ errno: "ENOENT" });
		await quick.dispose();
		await provenState(whole);
		await closed(whole);
	});

	test("two hosts in one stream do not see each other", async () => {
		const stores = [await openAt(fresh()), await openAt(fresh())];
		const systems = await Promise.all(
			stores.map((store) => createIommuSystem({ store })),
		);
		await Promise.all(systems.map(busy));
		await systems[1]!.detach({ ctx, dev: dev1 });
		for (const system of systems) await system.dispose();
		const [one, two] = await Promise.all(stores.map(provenState));
		expect(one).not.toBe(two);
		expect(stores[1]!.head.seq).toBeGreaterThan(stores[0]!.head.seq);
		await closed(...stores);
	});

	test("of two writers of one host exactly one wins; the loser says so, tells nobody what it decided, and starts again", async () => {
		const subject = fresh();
		const stores = [await openAt(subject), await openAt(subject)];
		const first = await createIommuSystem({ store: stores[0]! });
		await busy(first);
		await first.dispose();
		for (let round = 0; round < 6; round++) {
			const systems = await Promise.all(
				stores.map((store) => createIommuSystem({ store })),
			);
			const told: number[][] = [[], []];
			systems.forEach((system, i) =>
				system.records$.subscribe(({ seq }) => told[i]!.push(seq)),
			);
			const before = await recordsOf(stores[0]!);
			const tries = await Promise.allSettled(
				systems.map((system) => system.ioasAlloc({ ctx })),
			);
			const lost = tries.findIndex(({ status }) => status === "rejected");
			expect(tries[1 - lost]).toMatchObject({ status: "fulfilled" });
			expect(tries[lost]).toMatchObject({
				reason: { name: "LogError", code: "conflict" },
			});
			expect(told[lost]).toEqual([]);
			// It takes no command, since it has decided further than the log goes.
			await expect(systems[lost]!.open()).rejects.toMatchObject({
				code: "conflict",
			});
			const after = await recordsOf(stores[lost]!);
			expect(after.slice(0, before.length)).toEqual(before);
			expect(after.slice(before.length).map(({ seq }) => seq)).toEqual(
				told[1 - lost],
			);
			for (const system of systems) await system.dispose();
			// Both stores are as good as before: a new start on the loser's sees what the winner did.
			const again = await createIommuSystem({ store: stores[lost]! });
			const ids = again.snapshot().filter(({ id }) => id.includes("/ioas:"));
			expect(ids.length).toBe(round + 2);
			await again.dispose();
		}
		await provenState(stores[1]!);
		await closed(...stores);
	});

	test("the server is killed and started under a running system: nothing is lost or done twice", async () => {
		const store = await openAt(fresh());
		const system = await createIommuSystem({ store });
		await busy(system);
		const answers: Promise<number>[] = [];
		for (let i = 0; i < 60; i++) answers.push(system.ioasAlloc({ ctx }));
		for (const [at, signal] of [
			[10, "SIGKILL"],
			[35, "SIGTERM"],
		] as const) {
			await answers[at];
			await server.stop(signal);
			await new Promise((resolve) => setTimeout(resolve, 200));
			await server.start();
		}
		const ids = await Promise.all(answers);
		expect(new Set(ids).size).toBe(60);
		const live = statesOf(system);
		await system.dispose();
		const again = await createIommuSystem({ store });
		expect(statesOf(again)).toEqual(live);
		await again.dispose();
		await provenState(store);
		await closed(store);
	});

	test("another process follows a host", async () => {
		const subject = fresh();
		const store = await openAt(subject);
		const system = await createIommuSystem({ store });
		const child = spawn(
			process.execPath,
			[
				"--import",
				"tsx",
				join(import.meta.dirname, "jetstream-reader.ts"),
				server.address,
				STREAM,
				subject,
			],
			{ stdio: ["ignore", "pipe", "inherit"] },
		);
		let said = "";
		child.stdout.on("data", (text: Buffer) => (said += text.toString()));
		const ended = new Promise((resolve) => child.on("close", resolve));
		await new Promise((resolve) => child.stdout.once("data", resolve));
		await busy(system);
		for (const dev of [dev1, dev2]) {
			await system.detach({ ctx, dev });
			await system.unbind({ ctx, dev });
		}
		await system.close({ ctx });
		expect(await ended).toBe(0);
		const records = await recordsOf(store);
		const upTo = records.findIndex(({ type }) => type === "ctx.closed");
		const lines = said.trim().split("\n").slice(1);
		expect(lines.slice(0, upTo + 1)).toEqual(
			records.slice(0, upTo + 1).map(({ seq, type }) => `${seq} ${type}`),
		);
		await system.dispose();
		await closed(store);
	});

	test.each(
		SITUATIONS.filter(({ name }) =>
			[
				"3 devices, automatic hwpts, group-owned",
				"the second device's driver refuses the new domain",
			].includes(name),
		),
	)(
		"a saga crashes after every record and is resumed: $name",
		async ({ topology, switches, setUp, saga }) => {
			const head = runHeader(topology, switches);
			const store = await openAt(fresh(), head);
			const system = await createIommuSystem({ store });
			await setUp(system);
			const before = store.head.seq;
			await saga(system).run().catch(refusedOnly);
			await system.dispose();
			const records = await recordsOf(store);
			await closed(store);
			expect(records.length).toBeGreaterThan(before + 5);
			for (let cut = before + 1; cut <= records.length; cut++) {
				const left = await openAt(fresh(), head);
				await left.append(records.slice(0, cut) as readonly TimedFact[]);
				const again = await createIommuSystem({ store: left });
				await again.resumeSaga().catch(refusedOnly);
				await again.dispose();
				const after = await recordsOf(left);
				expect({ cut, first: firstDifference(after, records) }).toEqual({
					cut,
					first: -1,
				});
				await closed(left);
			}
		},
	);
});

/** A saga that was taken back is an outcome, everything else a failure. */
function refusedOnly(error: unknown): void {
	if (!(error instanceof SagaError)) throw error;
}
