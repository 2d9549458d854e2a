/** Agents: the conformance suite passes good ones and fails bad ones; whatever an agent does, the caller gets a typed error and the log stays true. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, describe, expect, test } from "vitest";
import { memoryStore } from "../../../src/log/memory-store.ts";
import { checkAgent } from "../../../src/orchestrator/backend/check.ts";
import { BackendError } from "../../../src/orchestrator/backend/backend.ts";
import {
	connectAgent,
	spawnAgent,
	streamAgent,
} from "../../../src/orchestrator/backend/lines.ts";
import { runHeader } from "../../../src/orchestrator/core.ts";
import { createIommuSystem } from "../../../src/orchestrator/create.ts";
import { threeInOneGroup } from "../../../src/scenarios/setting.ts";
import { run } from "../../cli/harness.ts";
import { createServer } from "node:net";
import { modelAgent } from "./model-agent.ts";

const root = resolve(import.meta.dirname, "../../..");
const folder = mkdtempSync(join(tmpdir(), "iommu-ledger-agent-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const topology = threeInOneGroup();
const example = join(root, "docs/agent.mjs");

describe("the conformance suite", () => {
	test("passes the example agent", async () => {
		const report = await checkAgent(() =>
			spawnAgent(process.execPath, [example]),
		);
		expect(report).toMatchObject({ agent: "example", failed: 0 });
		expect(
			report.checks.filter(({ outcome }) => outcome === "skipped").length,
		).toBe(3);
	});
	test("passes it with an emulated device", async () => {
		const report = await checkAgent(
			() => spawnAgent(process.execPath, [example]),
			{ mdev: "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" },
		);
		expect(report.failed).toBe(0);
		expect(
			report.checks.filter(({ outcome }) => outcome === "skipped").length,
		).toBe(2);
	});
	test("passes an agent with devices, every check of it", async () => {
		const setting = { topology, mdev: "mdev-1" };
		const report = await checkAgent(() => modelAgent(topology), setting);
		expect(report.checks.filter(({ outcome }) => outcome !== "passed")).toEqual(
			[],
		);
	});
	test.each([
		["an errno is another", '"EEXIST"', '"EINVAL"', "address spaces"],
		[
			"ids are not handed out again",
			"let id = 1;",
			"let id = objects.size + 9;",
			"object ids",
		],
		[
			"a partial unmap goes through",
			"if (area.start < start || area.last > last) return",
			"if (false) return",
			"address spaces",
		],
		[
			"repeated requests are carried out again",
			"if (!answers.has(id)) ",
			"",
			"repeated requests",
		],
		["recall knows everything", "answers.has(id)\n", "true\n", "recall"],
		[
			"unknown calls end it",
			'return fail("ENOTTY")',
			"process.exit(3)",
			"unknown calls",
		],
		[
			"another protocol",
			"const PROTOCOL = 1",
			"const PROTOCOL = 2",
			"greeting",
		],
		[
			"contexts share their objects",
			"contexts.set(iommufd, new Map())",
			"contexts.set(iommufd, contexts.get(1) ?? new Map())",
			"contexts",
		],
		[
			"an address space goes with a device on it",
			"some(({ on }) => on === id)",
			"some(() => false)",
			"an emulated device's life",
		],
		[
			"a device is attached to anything",
			'if (spaceAt(objects, pt_id) === undefined) return fail("ENOENT");',
			"",
			"an emulated device's life",
		],
		[
			"a device's object can be destroyed",
			"spaceAt(objects, id) === undefined ||",
			"",
			"an emulated device's life",
		],
		[
			"a detached device holds its address space",
			"device.on = undefined;",
			"",
			"an emulated device's life",
		],
	])("fails an agent: %s", async (_, from, to, check) => {
		const source = readFileSync(example, "utf8");
		expect(source).toContain(from);
		const file = join(folder, `${check.replaceAll(" ", "-")}-${to.length}.mjs`);
		writeFileSync(file, source.replace(from, to));
		const { checks } = await checkAgent(
			() => spawnAgent(process.execPath, [file], { timeoutMs: 2000 }),
			{ only: [check], mdev: "mdev-1" },
		);
		expect(checks.find(({ name }) => name === check)).toMatchObject({
			outcome: "failed",
		});
	});
	test("is a command", async () => {
		const args = ["--mdev", "any", "--", process.execPath, example];
		const { code, out } = await run("agent", ...args);
		expect(out).toMatch(/passed +address spaces/);
		expect(out).toMatch(/passed +an emulated device's life/);
		expect(code).toBe(0);
		expect((await run("agent")).code).toBe(2);
	});
	test("an agent may listen on a Unix socket", async () => {
		const path = join(folder, "agent.sock");
		const server = createServer((socket) => {
			socket.on("data", () =>
				socket.write('{"hello":"listener","protocol":1}\n'),
			);
		}).listen(path);
		const backend = await connectAgent(path);
		expect(backend.name).toBe("listener");
		await backend.close();
		server.close();
	});
});

/** What an agent says to its second request (the first opens the context). */
type Say = (to: PassThrough, id: number) => void;
const good = (id: number, out: object = {}): string =>
	`${JSON.stringify({ id, ret: 0, errno: 0, errname: "", out })}\n`;

/** A system whose agent misbehaves at the second request. */
async function against(say: Say, store = memoryStore(runHeader(topology))) {
	const toAgent = new PassThrough();
	const fromAgent = new PassThrough();
	let requests = 0;
	toAgent.on("data", (chunk: Buffer) => {
		const { id } = JSON.parse(chunk.toString());
		if (id === undefined) fromAgent.write('{"hello":"test","protocol":1}\n');
		else if (++requests === 1) fromAgent.write(good(id));
		else say(fromAgent, id);
	});
	const backend = await streamAgent(fromAgent, toAgent, {
		timeoutMs: 200,
		lineBytesMax: 4096,
	});
	const system = await createIommuSystem({ store, backend });
	const ctx = await system.open();
	return { store, system, ctx, backend };
}

describe("an agent that misbehaves", () => {
	const CASES: readonly (readonly [string, string, Say])[] = [
		["says nothing", "timeout", () => {}],
		["dies", "closed", (to) => void to.end()],
		["dies within a line", "closed", (to) => void to.end('{"id":')],
		["says no JSON", "bad-line", (to) => void to.write("hello\n")],
		[
			"sends bytes that are no text",
			"bad-line",
			(to) => void to.write(Buffer.from([0xff, 0xfe, 0x0a])),
		],
		[
			"sends a line without end",
			"line-too-long",
			(to) => void to.write("x".repeat(10_000)),
		],
		[
			"answers something else",
			"wrong-id",
			(to, id) => void to.write(good(id + 1)),
		],
		["answers with a list", "bad-answer", (to) => void to.write("[]\n")],
		[
			"answers without ret",
			"bad-answer",
			(to, id) =>
				void to.write(`{"id":${id},"errno":0,"errname":"","out":{}}\n`),
		],
		[
			"names another errno than it numbers",
			"bad-answer",
			(to, id) =>
				void to.write(
					`{"id":${id},"ret":-1,"errno":16,"errname":"EINVAL","out":{}}\n`,
				),
		],
		[
			"answers otherwise than the model",
			"divergence",
			(to, id) => void to.write(good(id, { ioas_id: 7 })),
		],
		["leaves a field out", "divergence", (to, id) => void to.write(good(id))],
		[
			"refuses",
			"divergence",
			(to, id) =>
				void to.write(
					`{"id":${id},"ret":-1,"errno":12,"errname":"ENOMEM","out":{}}\n`,
				),
		],
	];
	test.each(CASES)("%s: %s", async (_, code, say) => {
		const { system, store, ctx } = await against(say);
		const error = await system.ioasAlloc({ ctx }).catch((e: unknown) => e);
		expect(error).toBeInstanceOf(BackendError);
		expect(error).toMatchObject({ code });
		// The log says that nobody knows, and nothing of what the model decided.
		const types: string[] = [];
		let last: unknown;
		for await (const { records } of store.read(1))
			for (const record of records) {
				types.push(record.type);
				last = record.data;
			}
		expect(types.slice(-3)).toEqual(
			code === "divergence"
				? ["op.begin", "divergence", "op.unknown"]
				: ["op.commit", "op.begin", "op.unknown"],
		);
		expect(last).toMatchObject({ code });
		expect(types).not.toContain("ioas.created");
		// The system takes no more commands, and a new one does not start on this log unless told to.
		await expect(system.ioasAlloc({ ctx })).rejects.toBe(error);
		await system.dispose();
		await expect(createIommuSystem({ store })).rejects.toMatchObject({
			code: "unknown-end",
		});
		const again = await createIommuSystem({ store, onUnknown: "not-done" });
		expect(await again.ioasAlloc({ ctx })).toBe(1);
	});
	test("answers cut into bytes are put together", async () => {
		const { system, ctx } = await against((to, id) => {
			for (const byte of Buffer.from(good(id, { ioas_id: 1 })))
				to.write(Buffer.from([byte]));
		});
		expect(await system.ioasAlloc({ ctx })).toBe(1);
	});
	test("speaks before it is asked", async () => {
		const { system, ctx } = await against((to, id) => {
			to.write(good(id, { ioas_id: 1 }) + good(id, { ioas_id: 1 }));
		});
		expect(await system.ioasAlloc({ ctx })).toBe(1);
		await expect(system.ioasAlloc({ ctx })).rejects.toMatchObject({
			code: "wrong-id",
		});
	});
	test("cannot be started: its last words are in the error", async () => {
		await expect(spawnAgent("/nowhere/agent")).rejects.toMatchObject({
			code: "closed",
			message: expect.stringContaining("ENOENT"),
		});
		await expect(
			spawnAgent(process.execPath, [
				"-e",
				"console.error('no /dev/iommu here'); process.exit(1)",
			]),
		).rejects.toMatchObject({
			code: "closed",
			message: expect.stringContaining("no /dev/iommu here"),
		});
	});
});
