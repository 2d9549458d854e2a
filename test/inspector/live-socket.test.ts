import { once } from "node:events";
import { WebSocket } from "ws";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WINDOW_BYTES } from "../../src/inspector/live-socket.ts";
import { type Inspector, startInspector } from "../../src/inspector/server.ts";
import { LiveLog, type LogSource } from "../../src/inspector/source.ts";
import { buildPage } from "./build-page.ts";

const MIB = 1 << 20;
/** Far more than the window, in pieces of no round size. */
const FLOOD_BYTES = 3 * WINDOW_BYTES + 12_345;
const flood: LogSource = {
	name: "flood",
	live: true,
	sizeBytes: async () => undefined,
	async *read(from) {
		for (let at = from; at < FLOOD_BYTES; at += MIB)
			yield new Uint8Array(Math.min(MIB, FLOOD_BYTES - at));
	},
};

let inspector: Inspector;
let live: LiveLog;

beforeAll(async () => {
	await buildPage();
	live = new LiveLog("live");
	inspector = await startInspector({ logs: [live, flood] });
});
afterAll(() => inspector.close());

interface Opening {
	readonly headers?: Record<string, string>;
	readonly token?: string;
}

function connect(path: string, { headers = {}, token }: Opening = {}) {
	const base = inspector.url.replace(/^http/, "ws");
	const url = token === undefined ? base : base.replace(/\/[^/]+\/$/, token);
	const origin = new URL(inspector.url).origin;
	return new WebSocket(url + path, { headers: { Origin: origin, ...headers } });
}

/** Collects what arrives; reports each piece as read when `isReading`. */
function follow(socket: WebSocket, from: number, isReading: boolean) {
	const state = { at: from, text: "", isReading };
	socket.on("message", (data: Buffer) => {
		state.at += data.length;
		if (data.length < 1000) state.text += String(data);
		if (state.isReading) socket.send(String(state.at));
	});
	return state;
}

const until = async (isTrue: () => boolean): Promise<void> => {
	while (!isTrue()) await new Promise((done) => setTimeout(done, 5));
};

describe("following over a WebSocket", () => {
	it("gives what comes, and goes on from a byte after a lost connection: nothing lost, nothing doubled", async () => {
		live.append("one");
		const first = connect("live/0");
		const before = follow(first, 0, true);
		await until(() => before.text === "one\n");
		live.append("two");
		await until(() => before.text === "one\ntwo\n");
		first.terminate();
		live.append("three");
		const second = connect(`live/0?from=${before.at}`);
		const after = follow(second, before.at, true);
		live.append("four");
		await until(() => after.text === "three\nfour\n");
		live.end();
		const [code] = await once(second, "close");
		expect(code).toBe(1000);
	});

	it("stops sending to a page that does not read, and goes on when it does", async () => {
		const socket = connect("live/1");
		const state = follow(socket, 0, false);
		await until(() => state.at >= WINDOW_BYTES);
		await new Promise((done) => setTimeout(done, 150));
		expect(state.at).toBeLessThanOrEqual(WINDOW_BYTES + (MIB >> 2));
		state.isReading = true;
		socket.send(String(state.at));
		const [code] = await once(socket, "close");
		expect([code, state.at]).toEqual([1000, FLOOD_BYTES]);
	});

	it.each([
		["a position beyond what was sent", String(10 * FLOOD_BYTES)],
		["no number", "abc"],
		["a negative position", "-1"],
	])("ends a connection that reports %s", async (_, message) => {
		const socket = connect("live/1");
		await once(socket, "open");
		socket.send(message);
		const [code] = await once(socket, "close");
		expect(code).toBe(1008);
	});

	it("ends a connection whose message is larger than a position", async () => {
		const socket = connect("live/1");
		await once(socket, "open");
		socket.send("1".repeat(5000));
		const [code] = await once(socket, "close");
		expect(code).toBe(1009);
	});

	it.each<[string, string, Opening, number]>([
		[
			"another origin",
			"live/0",
			{ headers: { Origin: "http://evil.example" } },
			403,
		],
		[
			"an origin of null (a file, a sandboxed frame)",
			"live/0",
			{ headers: { Origin: "null" } },
			403,
		],
		[
			"a name that was pointed at 127.0.0.1",
			"live/0",
			{ headers: { Host: "evil.example:80" } },
			403,
		],
		[
			"that name with its own origin (DNS rebinding)",
			"live/0",
			{
				headers: { Host: "evil.example:80", Origin: "http://evil.example:80" },
			},
			403,
		],
		["a wrong token", "live/0", { token: "/aaaaaaaaaaaaaaaaaaaaaaaa/" }, 404],
		["a log that is not there", "live/7", {}, 404],
		["another place", "log/0", {}, 404],
		["a bad position", "live/0?from=-1", {}, 400],
	])("refuses %s", async (_, path, opening, status) => {
		const socket = connect(path, opening);
		const [, response] = await once(socket, "unexpected-response");
		expect(response.statusCode).toBe(status);
		socket.on("error", () => undefined);
		socket.terminate();
	});

	it("refuses a connection that says no origin", async () => {
		const url = `${inspector.url.replace(/^http/, "ws")}live/0`;
		const socket = new WebSocket(url);
		const [, response] = await once(socket, "unexpected-response");
		expect(response.statusCode).toBe(403);
		socket.on("error", () => undefined);
		socket.terminate();
	});
});
