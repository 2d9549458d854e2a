/** The page's side of a log's worker. */
import { signal } from "@preact/signals";
import type {
	CallName,
	Calls,
	FromWorker,
	Progress,
	ToWorker,
} from "../worker/protocol.ts";
import LogWorker from "../worker/worker.ts?worker&inline";

/** A log that the page shows. */
export interface LogPlace {
	readonly name: string;
	readonly live: boolean;
	readonly url?: string;
	readonly bytes?: Uint8Array;
	readonly sizeHintBytes?: number;
}

const NOTHING_YET: Progress = {
	summary: {
		header: undefined,
		count: 0,
		lengthBytes: 0,
		seals: 0,
		operations: 0,
		problems: [],
		problemCount: 0,
		types: [],
		actors: [],
		folded: 0,
		unreadable: 0,
		firstUnreadable: undefined,
		tFirst: 0,
		tLast: 0,
	},
	isComplete: false,
	isJudged: false,
	connection: "none",
	error: undefined,
};

interface Waiting {
	readonly done: (value: unknown) => void;
	readonly failed: (error: Error) => void;
}

/** Talks to one worker. */
export class LogClient {
	readonly name: string;
	readonly live: boolean;
	readonly progress = signal<Progress>(NOTHING_YET);
	readonly #worker: Worker;
	readonly #waiting = new Map<number, Waiting>();
	#nextId = 1;

	constructor(place: LogPlace) {
		this.name = place.name;
		this.live = place.live;
		this.#worker = new LogWorker();
		this.#worker.onmessage = (event: MessageEvent<FromWorker>) =>
			this.#take(event.data);
		const { name: _, ...how } = place;
		const open: ToWorker = { kind: "open", ...how };
		this.#worker.postMessage(open);
	}

	/** Asks the worker. */
	call<K extends CallName>(
		name: K,
		argument: Calls[K][0],
	): Promise<Calls[K][1]> {
		const id = this.#nextId++;
		const message: ToWorker = { kind: "call", id, name, argument };
		this.#worker.postMessage(message);
		return new Promise((done, failed) =>
			this.#waiting.set(id, { done: done as Waiting["done"], failed }),
		);
	}

	#take(message: FromWorker): void {
		if (message.kind === "progress") {
			this.progress.value = message.progress;
			return;
		}
		const waiting = this.#waiting.get(message.id);
		this.#waiting.delete(message.id);
		if (message.error === undefined) waiting?.done(message.value);
		else waiting?.failed(new Error(message.error));
	}
}
