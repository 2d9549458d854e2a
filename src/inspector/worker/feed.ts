/// <reference lib="dom" />
/**
 * Brings the bytes of a log into a session: from the server (a live log over a WebSocket, after a lost connection from the byte that
 * was reached), or from bytes inside the page. Plain or gzip, told apart by the first bytes.
 */

/** What a feed tells while it runs. */
export interface FeedEvents {
	readonly push: (chunk: Uint8Array) => void;
	readonly connection: (state: "following" | "reconnecting" | "ended") => void;
}

const RECONNECT_FIRST_MS = 250;
const RECONNECT_LAST_MS = 5000;

const isGzip = (start: Uint8Array): boolean =>
	start[0] === 0x1f && start[1] === 0x8b;

type Stream = ReadableStream<Uint8Array<ArrayBuffer>>;
/** The next piece, or undefined at the end. A piece may be overwritten by the next. */
type Next = () => Promise<Uint8Array<ArrayBuffer> | undefined>;

const BUFFER_BYTES = 1 << 20;

/**
 * Reads into one buffer over and over where the stream can do that, since a log of hundreds of megabytes in pieces of its own leaves
 * as much garbage behind.
 */
function readerOf(stream: Stream): { next: Next; release: () => void } {
	try {
		const reader = stream.getReader({ mode: "byob" });
		let buffer = new ArrayBuffer(BUFFER_BYTES);
		const next: Next = async () => {
			const { done, value } = await reader.read(new Uint8Array(buffer));
			if (done || value === undefined) return undefined;
			buffer = value.buffer;
			return value;
		};
		return { next, release: () => reader.releaseLock() };
	} catch {
		const reader = stream.getReader();
		const next: Next = async () => (await reader.read()).value;
		return { next, release: () => reader.releaseLock() };
	}
}

/** Reads a stream to its end, unpacking gzip. */
async function drain(
	stream: Stream,
	push: (chunk: Uint8Array) => void,
	mayBePacked: boolean,
): Promise<void> {
	const { next, release } = readerOf(stream);
	let piece = await next();
	if (piece !== undefined && mayBePacked && isGzip(piece)) {
		const first = piece.slice();
		release();
		await drain(unpacked(first, stream), push, false);
		return;
	}
	for (; piece !== undefined; piece = await next()) push(piece);
}

/** The content of a gzip stream whose first piece was read already. */
function unpacked(first: Uint8Array<ArrayBuffer>, rest: Stream): Stream {
	const reader = rest.getReader();
	const whole = new ReadableStream<Uint8Array<ArrayBuffer>>({
		start: (controller) => controller.enqueue(first),
		async pull(controller) {
			const { done, value } = await reader.read();
			if (done) controller.close();
			else controller.enqueue(value);
		},
	});
	return whole.pipeThrough(new DecompressionStream("gzip"));
}

/** Feeds bytes that are in the page already. */
export async function feedBytes(
	bytes: Uint8Array,
	push: (chunk: Uint8Array) => void,
): Promise<void> {
	const copy = new Uint8Array(bytes);
	await drain(new Blob([copy]).stream(), push, true);
}

/** Feeds a log from the server, once. Throws when the server does not answer well. */
export async function feedOnce(
	url: string,
	push: (chunk: Uint8Array) => void,
): Promise<void> {
	const answer = await fetch(url);
	if (!answer.ok || answer.body === null)
		throw new Error(`the server answered ${answer.status}`);
	await drain(answer.body, push, true);
}

/** Close code of a log that has ended (live-socket.ts). */
const ENDED = 1000;

/** Follows a live log until the server says that it has ended. Lost connections are made again, slower each time. */
export async function feedLive(url: string, events: FeedEvents): Promise<void> {
	let at = 0;
	let wait = RECONNECT_FIRST_MS;
	for (;;) {
		const code = await followOnce(`${url}?from=${at}`, at, {
			...events,
			push: (chunk) => {
				at += chunk.length;
				wait = RECONNECT_FIRST_MS;
				events.push(chunk);
			},
		});
		if (code === ENDED) {
			events.connection("ended");
			return;
		}
		events.connection("reconnecting");
		await new Promise((done) => setTimeout(done, wait));
		wait = Math.min(wait * 2, RECONNECT_LAST_MS);
	}
}

/** One connection. Each piece is acknowledged when it has been worked on, which lets the server send on. Gives the close code. */
function followOnce(
	url: string,
	from: number,
	events: FeedEvents,
): Promise<number> {
	return new Promise((done) => {
		const socket = new WebSocket(url);
		let at = from;
		socket.binaryType = "arraybuffer";
		socket.onopen = () => events.connection("following");
		socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
			const chunk = new Uint8Array(data);
			at += chunk.length;
			events.push(chunk);
			socket.send(String(at));
		};
		socket.onclose = ({ code }) => done(code);
	});
}
