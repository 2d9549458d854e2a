/**
 * The contract on a JetStream server, and what only a server can do to a client. nats-server is started on a free port of this machine
 * where it is installed (Debian: nats-server).
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NDJSON } from "../../src/log/codec.ts";
import { cut, partHeaders } from "../../src/log/nats-parts.ts";
import { openNatsStore } from "../../src/log/nats-store.ts";
import { createStream } from "../../src/log/nats-stream.ts";
import type { LogBatch } from "../../src/log/read.ts";
import { chainFrom } from "../../src/log/seal.ts";
import type { LogStore } from "../../src/log/store.ts";
import type { TimedFact } from "../../src/log/write.ts";
import { natsInstalled, NatsServer, natsTitle } from "./nats-server.ts";
import { HEADER, mapOperation } from "./samples.ts";
import { storeContract } from "./store-contract.ts";

const STREAM = "LEDGER";
/** Small, so that large operations need several messages. */
const MAX_PAYLOAD = 8192;
const server = new NatsServer(`max_payload: ${MAX_PAYLOAD}`);
const address = (): string => server.address;

let count = 0;
const openAt = (subject: string, patienceMs = 20_000): Promise<LogStore> =>
	openNatsStore({
		servers: address(),
		stream: STREAM,
		subject,
		header: HEADER,
		patienceMs,
	});
const fresh = (): string => `ledger.host-${count++}`;
async function seqsOf(store: LogStore): Promise<number[]> {
	const seqs: number[] = [];
	for await (const { records } of store.read(1))
		seqs.push(...records.map(({ seq }) => seq));
	return seqs;
}
/** An operation of so many records, far more than a message can hold. */
const LARGE = 400;
const largeOperation = (from: number): TimedFact[] =>
	Array.from({ length: LARGE }, (_, i) => ({
		...(mapOperation(from)[1 + (i % 2)] as TimedFact),
		t: from + i,
		op: from + 1,
	}));
/** Publishes the first messages of such an operation as `store` would, and no more: its writer died. */
async function publishTorn(
	subject: string,
	store: LogStore,
	messages: number,
): Promise<void> {
	let seal = "";
	for await (const batch of store.read(1))
		seal = `{"seal":${batch.seal.seq},"n":${batch.seal.count},"hash":"${batch.seal.hash}"}`;
	const start = NDJSON.continuation(chainFrom(seal, store.head));
	const { bytes } = NDJSON.seal(
		start.chain,
		largeOperation(store.head.seq),
		undefined,
	);
	const parts = cut(start.bytes, bytes, MAX_PAYLOAD);
	expect(parts.length).toBeGreaterThan(messages);
	const connection = await connect({ servers: address() });
	const client = jetstream(connection);
	const manager = await jetstreamManager(connection);
	const last = await manager.streams.getMessage(STREAM, {
		last_by_subj: subject,
	});
	const after = last?.seq ?? 0;
	let first = 0;
	for (const [i, part] of parts.slice(0, messages).entries()) {
		const place = { number: i + 1, count: parts.length, after, first };
		const { seq } = await client.publish(subject, part, {
			headers: partHeaders(place),
		});
		if (i === 0) first = seq;
	}
	await connection.close();
}
const upTo = (n: number): number[] =>
	Array.from({ length: n }, (_, i) => i + 1);

describe.skipIf(!natsInstalled)(natsTitle("JetStream"), () => {
	beforeAll(async () => {
		await server.start();
		await createStream(address(), STREAM, ["ledger.>"]);
	});
	afterAll(async () => {
		await server.remove();
	});

	storeContract("JetStream", async () => {
		const subject = fresh();
		return {
			open: () => openAt(subject),
			openBeside: () => openAt(subject),
			lasting: true,
			oneFile: false,
		};
	});

	test("hosts do not see each other's logs", async () => {
		const [a, b] = [await openAt(fresh()), await openAt(fresh())];
		await Promise.all([a.append(mapOperation(0)), b.append(mapOperation(0))]);
		await b.append(mapOperation(4));
		expect(await seqsOf(a)).toEqual(upTo(4));
		expect(await seqsOf(b)).toEqual(upTo(8));
		await a.close();
		await b.close();
	});

	test("two writers without expectations both get in, one after the other", async () => {
		const subject = fresh();
		const [a, b] = [await openAt(subject), await openAt(subject)];
		const answers = await Promise.all(
			[1, 2, 3, 4, 5].flatMap(() =>
				[a, b].map((store) =>
					store.append(mapOperation(0, 0).map((fact) => ({ ...fact, t: 5 }))),
				),
			),
		);
		expect(answers.map(({ last }) => last).sort((x, y) => x - y)).toEqual(
			upTo(10).map((n) => 4 * n),
		);
		expect(await seqsOf(a)).toEqual(upTo(40));
		await a.close();
		await b.close();
	});

	test("the server is killed and started again: nothing is lost or doubled", async () => {
		const subject = fresh();
		const store = await openAt(subject);
		const answers: Promise<unknown>[] = [];
		for (let i = 0; i < 200; i++)
			answers.push(store.append(mapOperation(i * 4), { expected: i * 4 }));
		for (const signal of ["SIGKILL", "SIGTERM"] as const) {
			await answers[signal === "SIGKILL" ? 40 : 120];
			await server.stop(signal);
			await new Promise((resolve) => setTimeout(resolve, 200));
			await server.start();
		}
		await Promise.all(answers);
		expect(store.head.seq).toBe(800);
		expect(await seqsOf(store)).toEqual(upTo(800));
		await store.close();
		const again = await openAt(subject);
		expect(again.head).toEqual(store.head);
		await again.close();
	});

	test("an operation larger than a message can be is one batch all the same", async () => {
		const subject = fresh();
		const store = await openAt(subject);
		await store.append(mapOperation(0));
		const answer = await store.append(largeOperation(4), { key: "large" });
		expect(answer).toMatchObject({ first: 5, last: 4 + LARGE });
		expect(
			await store.append(largeOperation(4), { key: "large" }),
		).toStrictEqual({ ...answer, repeated: true });
		await store.append(mapOperation(4 + LARGE));
		const batches: LogBatch[] = [];
		for await (const batch of store.read(1)) batches.push(batch);
		expect(batches.map(({ records }) => records.length)).toEqual([4, LARGE, 4]);
		expect(batches[1]?.records.map(({ data }) => data)).toStrictEqual(
			largeOperation(4).map(({ data }) => data),
		);
		await store.close();
		const again = await openAt(subject);
		expect(again.head).toEqual(store.head);
		expect(await seqsOf(again)).toEqual(upTo(8 + LARGE));
		await again.close();
	});

	test.each([1, 3])(
		"a writer that died after %i messages of such an operation leaves nothing of it",
		async (messages) => {
			const subject = fresh();
			const store = await openAt(subject);
			await store.append(mapOperation(0));
			await publishTorn(subject, store, messages);
			expect(await seqsOf(store)).toEqual(upTo(4));
			const other = await openAt(subject);
			expect(other.head).toEqual(store.head);
			await other.append(largeOperation(4), { expected: 4 });
			await publishTorn(subject, other, messages);
			await store.append(mapOperation(4 + LARGE), { expected: 4 + LARGE });
			expect(await seqsOf(other)).toEqual(upTo(8 + LARGE));
			await other.close();
			await store.close();
		},
	);

	test("of two writers of such operations, exactly one wins each position", async () => {
		const subject = fresh();
		const [a, b] = [await openAt(subject), await openAt(subject)];
		for (let round = 0; round < 4; round++) {
			const expected = round * LARGE;
			const tries = await Promise.allSettled(
				[a, b].map((store) =>
					store.append(largeOperation(expected), { expected }),
				),
			);
			expect(tries.map(({ status }) => status).sort()).toEqual([
				"fulfilled",
				"rejected",
			]);
		}
		// Without expectations both get in.
		const late = largeOperation(4 * LARGE).map((fact) => ({
			...fact,
			t: 6 * LARGE,
		}));
		await Promise.all([a, b].map((store) => store.append(late)));
		expect(await seqsOf(a)).toEqual(upTo(6 * LARGE));
		await a.close();
		await b.close();
	});

	test("a reader that follows goes on when the server is back: nothing missed, nothing twice", async () => {
		const subject = fresh();
		const store = await openAt(subject);
		const told = new AbortController();
		const seen: number[] = [];
		const reader = (async () => {
			for await (const { records } of store.read(1, {
				follow: told.signal,
			})) {
				seen.push(...records.map(({ seq }) => seq));
				if (seen.length >= 400) told.abort();
			}
		})();
		for (let i = 0; i < 100; i++) {
			await store.append(mapOperation(i * 4));
			if (i !== 30 && i !== 60) continue;
			await server.stop(i === 30 ? "SIGKILL" : "SIGTERM");
			await server.start();
		}
		await reader;
		expect(seen).toEqual(upTo(400));
		await store.close();
	});

	test("a stream that cannot be made is told", async () => {
		await expect(
			createStream(address(), "OTHER", ["ledger.>"]),
		).rejects.toMatchObject({ code: "unavailable" });
	});

	test("a server that stays away is told as unavailable", async () => {
		const subject = fresh();
		const store = await openAt(subject, 3000);
		await store.append(mapOperation(0));
		await server.stop("SIGTERM");
		await expect(store.append(mapOperation(4))).rejects.toMatchObject({
			code: "unavailable",
		});
		await expect(openAt(subject)).rejects.toMatchObject({
			code: "unavailable",
		});
		await server.start();
		await store.append(mapOperation(4), { expected: 4 });
		expect(await seqsOf(store)).toEqual(upTo(8));
		await store.close();
	});
});
