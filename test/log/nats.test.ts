/**
 * The contract on a JetStream server, and what only a server can do to a client. nats-server is started on a free port of this machine
 * where it is installed (Debian: nats-server).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openNatsStore } from "../../src/log/nats-store.ts";
import { createStream } from "../../src/log/nats-stream.ts";
import type { LogStore } from "../../src/log/store.ts";
import { HEADER, mapOperation } from "./arbitrary.ts";
import { storeContract } from "./store-contract.ts";

const installed = spawnSync("nats-server", ["--version"]).status === 0;
const STREAM = "LEDGER";
const folder = mkdtempSync(join(tmpdir(), "ledger-nats-"));
let server: ChildProcess | undefined;
let port = 0;
const address = (): string => `127.0.0.1:${port}`;

const freePort = (): Promise<number> =>
	new Promise((resolve) => {
		const probe = createServer().listen(0, "127.0.0.1", () => {
			const found = probe.address();
			probe.close(() =>
				resolve(typeof found === "object" && found !== null ? found.port : 0),
			);
		});
	});

/** Starts the server on its port and waits until it is ready. */
async function start(): Promise<void> {
	server = spawn(
		"nats-server",
		["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", folder],
		{ stdio: ["ignore", "ignore", "pipe"] },
	);
	const ready = new Promise<void>((resolve) => {
		server?.stderr?.on("data", (text: Buffer) => {
			if (text.includes("Server is ready")) resolve();
		});
	});
	await ready;
}
async function stop(signal: NodeJS.Signals): Promise<void> {
	const ended = new Promise((resolve) => server?.once("exit", resolve));
	server?.kill(signal);
	await ended;
}

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
const upTo = (n: number): number[] =>
	Array.from({ length: n }, (_, i) => i + 1);

describe.skipIf(!installed)(
	`JetStream${installed ? "" : " (nats-server is not installed: skipped)"}`,
	() => {
		beforeAll(async () => {
			port = await freePort();
			await start();
			await createStream(address(), STREAM, ["ledger.>"]);
		});
		afterAll(async () => {
			await stop("SIGTERM");
			rmSync(folder, { recursive: true });
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
				await stop(signal);
				await new Promise((resolve) => setTimeout(resolve, 200));
				await start();
			}
			await Promise.all(answers);
			expect(store.head.seq).toBe(800);
			expect(await seqsOf(store)).toEqual(upTo(800));
			await store.close();
			const again = await openAt(subject);
			expect(again.head).toEqual(store.head);
			await again.close();
		});

		test("a server that stays away is told as unavailable", async () => {
			const subject = fresh();
			const store = await openAt(subject, 3000);
			await store.append(mapOperation(0));
			await stop("SIGTERM");
			await expect(store.append(mapOperation(4))).rejects.toMatchObject({
				code: "unavailable",
			});
			await expect(openAt(subject)).rejects.toMatchObject({
				code: "unavailable",
			});
			await start();
			await store.append(mapOperation(4), { expected: 4 });
			expect(await seqsOf(store)).toEqual(upTo(8));
			await store.close();
		});
	},
);
