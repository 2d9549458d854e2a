/**
 * `iommu-ledger inspect`: serves the page and the bytes of the logs on 127.0.0.1. All work on a log is done in the browser.
 *
 *   GET /TOKEN/          the page
 *   GET /TOKEN/logs      [{name, live, sizeBytes}]
 *   GET /TOKEN/log/N     bytes of log N
 *   WS  /TOKEN/live/N    bytes of the live log N, on and on (live-socket.ts)
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
	newToken,
	refusalOf,
	securityHeaders,
	socketRefusalOf,
} from "./guard.ts";
import { LiveSockets, refuseSocket } from "./live-socket.ts";
import { readPage } from "./page-file.ts";
import { fileSource, type LogSource } from "./source.ts";

/** What to serve. */
export interface InspectorOptions {
	/** Logs: paths of native NDJSON files (plain or gzip), or sources. Two logs open side by side. */
	readonly logs: readonly (string | LogSource)[];
	/** TCP port; a free one when absent or 0. */
	readonly port?: number;
	/** Follow files as they grow. */
	readonly live?: boolean;
}

/** A running server. */
export interface Inspector {
	/** The address to open, token included. */
	readonly url: string;
	readonly port: number;
	/** Ends all connections and the server. */
	close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";

/** Starts serving. Throws PageMissingError when the page was not built; errors of listening (a port in use) as Node gives them. */
export async function startInspector(
	options: InspectorOptions,
): Promise<Inspector> {
	const page = await readPage();
	const token = newToken();
	const sources = options.logs.map((log) =>
		typeof log === "string"
			? fileSource(log, { live: options.live ?? false })
			: log,
	);
	const stopping = new AbortController();
	const server = createServer((request, response) => {
		const { port } = server.address() as AddressInfo;
		const refusal = refusalOf(request, port, token);
		for (const [name, value] of Object.entries(securityHeaders(page)))
			response.setHeader(name, value);
		if (refusal !== undefined) {
			answer(response, refusal.status, "text/plain", refusal.why);
			return;
		}
		route(request, response, page, sources, stopping.signal).catch(() =>
			response.destroy(),
		);
	});
	const sockets = new LiveSockets();
	server.on("upgrade", (request, socket, head) => {
		const { port } = server.address() as AddressInfo;
		const refusal = socketRefusalOf(request, port, token);
		if (refusal !== undefined)
			refuseSocket(socket, refusal.status, refusal.why);
		else upgrade(request, socket, head, sources, sockets);
	});
	await listen(server, options.port ?? 0);
	const { port } = server.address() as AddressInfo;
	return {
		url: `http://${LOOPBACK}:${port}/${token}/`,
		port,
		close: async () => {
			stopping.abort();
			sockets.close();
			server.closeAllConnections();
			await new Promise<void>((done) => server.close(() => done()));
		},
	};
}

function listen(server: Server, port: number): Promise<void> {
	return new Promise((done, failed) => {
		server.once("error", failed);
		server.listen(port, LOOPBACK, done);
	});
}

function answer(
	response: ServerResponse,
	status: number,
	type: string,
	body: string,
): void {
	response.writeHead(status, { "Content-Type": `${type}; charset=utf-8` });
	response.end(body);
}

async function route(
	request: IncomingMessage,
	response: ServerResponse,
	page: string,
	sources: readonly LogSource[],
	stopping: AbortSignal,
): Promise<void> {
	const url = new URL(request.url ?? "/", "http://x");
	const [, , place, number] = url.pathname.split("/");
	if (place === "") return answer(response, 200, "text/html", page);
	if (place === "logs") {
		const list = await Promise.all(sources.map(describe));
		return answer(response, 200, "application/json", JSON.stringify(list));
	}
	const source = place === "log" ? sources[Number(number)] : undefined;
	if (source === undefined)
		return answer(response, 404, "text/plain", "no such log");
	if (source.live)
		return answer(
			response,
			426,
			"text/plain",
			"this log is live: follow it over a WebSocket at live/N",
		);
	const from = positionIn(url);
	if (from === undefined)
		return answer(response, 400, "text/plain", "from is not a byte position");
	await sendLog(response, source, from, stopping);
}

/** The byte position asked for; undefined when it is none. */
function positionIn(url: URL): number | undefined {
	const from = Number(url.searchParams.get("from") ?? "0");
	return Number.isSafeInteger(from) && from >= 0 ? from : undefined;
}

function upgrade(
	request: IncomingMessage,
	socket: Duplex,
	head: Buffer,
	sources: readonly LogSource[],
	sockets: LiveSockets,
): void {
	const url = new URL(request.url ?? "/", "http://x");
	const [, , place, number] = url.pathname.split("/");
	const source = place === "live" ? sources[Number(number)] : undefined;
	const from = positionIn(url);
	if (source?.live !== true) refuseSocket(socket, 404, "no such live log");
	else if (from === undefined)
		refuseSocket(socket, 400, "from is not a byte position");
	else sockets.accept(request, socket, head, source, from);
}

async function describe(source: LogSource): Promise<object> {
	const { name, live } = source;
	return { name, live, sizeBytes: await source.sizeBytes() };
}

async function sendLog(
	response: ServerResponse,
	source: LogSource,
	from: number,
	stopping: AbortSignal,
): Promise<void> {
	const gone = new AbortController();
	response.once("close", () => gone.abort());
	const signal = AbortSignal.any([gone.signal, stopping]);
	response.writeHead(200, { "Content-Type": "application/octet-stream" });
	response.flushHeaders();
	const bytes = Readable.from(source.read(from, signal), { objectMode: false });
	await pipeline(bytes, response, { signal }).catch((error: unknown) => {
		if (!signal.aborted) throw error;
	});
}
