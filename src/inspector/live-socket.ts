/**
 * Following a live log: a WebSocket whose messages are the bytes of the log from a position on.
 *
 *   WS /TOKEN/live/N?from=BYTES     server → page: bytes of log N, in order, nothing between them
 *                                   page → server: the position that it has read, as a decimal number
 *
 * Back-pressure: at most WINDOW_BYTES are on their way unread. Browsers take WebSocket messages in however busy the page is, so
 * the connection's own flow control would not be enough. Reconnecting: the log is append-only, so asking again from the byte that was
 * reached loses and doubles nothing. Close code 1000: the log has ended; any other: try again.
 */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { LogSource } from "./source.ts";

/** Bytes sent and not yet reported as read, at most: some tenths of a second of the page's work. */
export const WINDOW_BYTES = 4 << 20;
const PIECE_BYTES = 1 << 18;
/** A position is at most 16 digits. */
const PAYLOAD_BYTES_MAX = 32;
/** A page that does not answer for two of these is gone (a laptop that sleeps sends no goodbye). */
const PING_EVERY_MS = 20_000;

const ENDED = 1000;
const BAD_MESSAGE = 1008;
const SOURCE_FAILED = 1011;

/** Serves connections until closed. */
export class LiveSockets {
	readonly #server = new WebSocketServer({
		noServer: true,
		clientTracking: true,
		maxPayload: PAYLOAD_BYTES_MAX,
		perMessageDeflate: false,
	});
	readonly #silent = new WeakSet<WebSocket>();
	readonly #timer: NodeJS.Timeout;

	constructor() {
		this.#timer = setInterval(() => this.#ping(), PING_EVERY_MS);
		this.#timer.unref();
	}

	/** Takes a connection that was let in. */
	accept(
		request: IncomingMessage,
		socket: Duplex,
		head: Buffer,
		source: LogSource,
		from: number,
	): void {
		this.#server.handleUpgrade(request, socket, head, (connection) => {
			connection.on("pong", () => this.#silent.delete(connection));
			// What a broken peer sent is told by the close code; there is nobody else to tell.
			connection.on("error", () => undefined);
			void sendLog(connection, source, from);
		});
	}

	/** Ends all connections. */
	close(): void {
		clearInterval(this.#timer);
		for (const connection of this.#server.clients) connection.terminate();
		this.#server.close();
	}

	#ping(): void {
		for (const connection of this.#server.clients) {
			if (this.#silent.has(connection)) connection.terminate();
			else {
				this.#silent.add(connection);
				connection.ping();
			}
		}
	}
}

/** Refuses a connection, as HTTP does. */
export function refuseSocket(
	socket: Duplex,
	status: number,
	reason: string,
): void {
	socket.once("finish", () => socket.destroy());
	socket.end(
		`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(reason)}\r\n\r\n${reason}`,
	);
}

async function sendLog(
	connection: WebSocket,
	source: LogSource,
	from: number,
): Promise<void> {
	const gone = new AbortController();
	connection.once("close", () => gone.abort());
	const reader = new Reader(connection, from);
	try {
		for await (const bytes of source.read(from, gone.signal))
			for (let at = 0; at < bytes.length; at += PIECE_BYTES)
				await reader.send(bytes.subarray(at, at + PIECE_BYTES), gone.signal);
		connection.close(ENDED, "the log has ended");
	} catch {
		connection.close(SOURCE_FAILED, "the log could not be read on");
	}
}

/** How far the page is. */
class Reader {
	readonly #connection: WebSocket;
	#sent: number;
	#read: number;

	constructor(connection: WebSocket, from: number) {
		this.#connection = connection;
		this.#sent = from;
		this.#read = from;
		connection.on("message", (message, isBinary) => {
			const read = isBinary ? Number.NaN : Number(String(message));
			const isSane =
				Number.isSafeInteger(read) && read >= this.#read && read <= this.#sent;
			if (!isSane) connection.close(BAD_MESSAGE, "not a position read");
			else {
				this.#read = read;
				connection.emit("read");
			}
		});
	}

	/** Sends a piece once the page has read enough of those before. */
	async send(bytes: Uint8Array, gone: AbortSignal): Promise<void> {
		while (this.#sent - this.#read >= WINDOW_BYTES)
			await once(this.#connection, "read", { signal: gone });
		this.#sent += bytes.length;
		await new Promise<void>((done, failed) =>
			this.#connection.send(bytes, { binary: true }, (error) =>
				error ? failed(error) : done(),
			),
		);
	}
}
