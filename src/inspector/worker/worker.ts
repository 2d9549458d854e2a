/// <reference lib="dom" />
/** The worker of one log: takes messages, runs a Session. */
import { feedBytes, feedLive, feedOnce } from "./feed.ts";
import type { FromWorker, Progress, ToWorker } from "./protocol.ts";
import { Session } from "./session.ts";

const PROGRESS_EVERY_MS = 80;

const post = (message: FromWorker): void => self.postMessage(message);

const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();
/** Ends after the messages that are waiting now. */
const pause = (): Promise<void> =>
	new Promise((done) => {
		waiting.push(done);
		channel.port2.postMessage(0);
	});

let session = new Session(pause);
let connection: Progress["connection"] = "none";
let error: string | undefined;
let isComplete = false;
let isLive = false;
let isJudged = false;
let toldAt = 0;

function tell(now = performance.now()): void {
	toldAt = now;
	const summary = session.summary();
	post({
		kind: "progress",
		progress: { summary, isComplete, isJudged, connection, error },
	});
}

function push(chunk: Uint8Array): void {
	session.push(chunk);
	if (isLive) void workOn();
	const now = performance.now();
	if (now - toldAt > PROGRESS_EVERY_MS) tell(now);
	else scheduleTell();
}

let telling = false;
/** A live log may be quiet after a chunk: what came is told all the same. */
function scheduleTell(): void {
	if (telling) return;
	telling = true;
	setTimeout(() => {
		telling = false;
		tell();
	}, PROGRESS_EVERY_MS);
}

let isWorking = false;
/** Folds the log in slices, so that questions are answered in between. */
async function workOn(): Promise<void> {
	if (isWorking) return;
	isWorking = true;
	while (session.work()) {
		scheduleTell();
		await pause();
	}
	if (isComplete) {
		session.track.finish();
		isJudged = true;
	}
	isWorking = false;
	scheduleTell();
}

async function openLog(
	message: Extract<ToWorker, { kind: "open" }>,
): Promise<void> {
	session = new Session(pause, message.sizeHintBytes);
	isLive = message.live;
	try {
		if (message.bytes !== undefined) await feedBytes(message.bytes, push);
		else if (message.live)
			await feedLive(message.url as string, {
				push,
				connection: (state) => {
					connection = state;
					tell();
				},
			});
		else await feedOnce(message.url as string, push);
	} catch (problem) {
		error = problem instanceof Error ? problem.message : String(problem);
	}
	session.finish();
	isComplete = true;
	tell();
	void workOn();
}

async function call(
	message: Extract<ToWorker, { kind: "call" }>,
): Promise<void> {
	const { id, name, argument } = message;
	try {
		const run = session.calls[name] as (argument: unknown) => unknown;
		post({ kind: "answer", id, value: await run(argument) });
	} catch (problem) {
		post({ kind: "answer", id, error: String(problem) });
	}
}

self.onmessage = (event: MessageEvent<ToWorker>) => {
	void (event.data.kind === "open" ? openLog(event.data) : call(event.data));
};
