/**
 * Brings the bytes of a log into a session: from the server (and on and on for a live log, from the byte that was reached,
 * after a lost connection), or from bytes inside the page. Plain or gzip, told apart by the first bytes.
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

/** Reads a stream to its end, unpacking gzip. */
async function drain(
	stream: ReadableStream<Uint8Array<ArrayBuffer>>,
	push: (chunk: Uint8Array) => void,
	mayBePacked: boolean,
): Promise<void> {
	const reader = stream.getReader();
	const first = await reader.read();
	if (first.done) return;
	if (mayBePacked && isGzip(first.value)) {
		reader.releaseLock();
		const rest = stream;
		const whole = new ReadableStream<Uint8Array<ArrayBuffer>>({
			async start(controller) {
				controller.enqueue(first.value);
				const more = rest.getReader();
				for (;;) {
					const { done, value } = await more.read();
					if (done) break;
					controller.enqueue(value);
				}
				controller.close();
			},
		});
		await drain(
			whole.pipeThrough(new DecompressionStream("gzip")),
			push,
			false,
		);
		return;
	}
	push(first.value);
	for (;;) {
		const { done, value } = await reader.read();
		if (done) return;
		push(value);
	}
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

/** Follows a live log until the server ends it. Lost connections are made again, slower each time. */
export async function feedLive(url: string, events: FeedEvents): Promise<void> {
	let at = 0;
	let wait = RECONNECT_FIRST_MS;
	for (;;) {
		try {
			const answer = await fetch(`${url}?from=${at}`);
			if (!answer.ok || answer.body === null)
				throw new Error(`the server answered ${answer.status}`);
			events.connection("following");
			await drain(
				answer.body,
				(chunk) => {
					at += chunk.length;
					wait = RECONNECT_FIRST_MS;
					events.push(chunk);
				},
				false,
			);
			events.connection("ended");
			return;
		} catch {
			events.connection("reconnecting");
			await new Promise((done) => setTimeout(done, wait));
			wait = Math.min(wait * 2, RECONNECT_LAST_MS);
		}
	}
}
