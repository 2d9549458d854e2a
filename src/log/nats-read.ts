/** Reading the messages of one subject: single ones, and all of them in order as batches. */
import {
	DeliverPolicy,
	type JetStreamClient,
	type JetStreamManager,
	type MsgRequest,
	type StoredMsg,
} from "@nats-io/jetstream";
import type { LogHeader } from "../vocabulary/header.ts";
import { LogError } from "./error.ts";
import { type Message, readMessage } from "./nats-message.ts";
import { PartCollector, partOf } from "./nats-parts.ts";
import type { LogBatch } from "./read.ts";
import { LineDecoder } from "./scan-line.ts";
import { batchFrom, type ReadOptions } from "./store.ts";

/** A server that was away is noticed when two heartbeats are missing. */
const CONSUME = { expires: 10_000, idle_heartbeat: 1000 };

/** A log's subject in its stream. */
export class Subject {
	readonly #stream: string;
	readonly #subject: string;
	readonly #client: JetStreamClient;
	readonly #manager: JetStreamManager;
	readonly #decoder = new LineDecoder();

	constructor(
		{ stream, subject }: { readonly stream: string; readonly subject: string },
		client: JetStreamClient,
		manager: JetStreamManager,
	) {
		this.#stream = stream;
		this.#subject = subject;
		this.#client = client;
		this.#manager = manager;
	}

	/** The last message; null when there is none. */
	last(): Promise<StoredMsg | null> {
		return this.#manager.streams.getMessage(this.#stream, {
			last_by_subj: this.#subject,
		});
	}

	/** The message at a stream sequence, or the next one of the subject from there on. */
	message(
		which: { seq: number } | { next: number },
	): Promise<StoredMsg | null> {
		// The server knows the second request (NextMsgRequest); the client's types offer it for direct gets only.
		const request =
			"seq" in which
				? which
				: ({ seq: which.next, next_by_subj: this.#subject } as MsgRequest);
		return this.#manager.streams.getMessage(this.#stream, request);
	}

	/** The batch that ends with a message; undefined when none does. */
	async whole(
		header: LogHeader,
		message: StoredMsg,
	): Promise<Message | undefined> {
		const parts = new PartCollector();
		let one: StoredMsg | null = message;
		const first = partOf(message.header)?.first ?? 0;
		if (first > 0) one = await this.message({ seq: first });
		while (one !== null) {
			const data = parts.take(one.seq, one.data, partOf(one.header));
			if (one.seq >= message.seq)
				return data && readMessage(data, header, this.#decoder);
			one = await this.message({ next: one.seq + 1 });
		}
		return undefined;
	}

	/** Batches from record `from` on, read from behind stream sequence `start`. */
	async *batches(
		header: LogHeader,
		from: number,
		start: number,
		{ follow }: ReadOptions,
	): AsyncGenerator<LogBatch> {
		const last = (await this.last())?.seq ?? 0;
		if (follow?.aborted || (follow === undefined && last <= start)) return;
		const consumer = await this.#client.consumers.get(this.#stream, {
			filter_subjects: this.#subject,
			deliver_policy: DeliverPolicy.StartSequence,
			opt_start_seq: start + 1,
		});
		const messages = await consumer.consume(CONSUME);
		const stop = (): void => messages.stop();
		follow?.addEventListener("abort", stop);
		const parts = new PartCollector();
		const decoder = new LineDecoder();
		let before = "";
		try {
			for await (const { seq, data, headers } of messages) {
				const whole = parts.take(seq, data, partOf(headers));
				const found = whole && readMessage(whole, header, decoder);
				if (found !== undefined) {
					if (before !== "" && found.before !== before)
						throw broken(found, seq);
					before = found.chain.line;
					const part = found.batch && batchFrom(found.batch, from);
					if (part !== undefined) yield part;
				}
				if (follow?.aborted || (follow === undefined && seq >= last)) return;
			}
		} finally {
			follow?.removeEventListener("abort", stop);
			messages.stop();
			await consumer.delete().catch(() => {});
		}
	}
}

const broken = (message: Message, at: number): LogError =>
	new LogError(
		"missing-lines",
		`message ${at} does not go on from the one before it`,
		{
			seq: message.batch?.records[0]?.seq,
			hint: "A message of this subject was deleted, or written past this store.",
		},
	);
