/**
 * The NATS JetStream store, for those who outgrow one machine: many hosts append to one stream, a subject per host. One message is one
 * sealed batch, so an operation is never torn; a message reads like a segment: the seal it goes on from, its records, its seal.
 *
 * Concurrency: every publish names the stream sequence of the subject's last message as it knows it; of two writers with the same
 * idea exactly one wins. Idempotency: the key is the message id; the server forgets ids after its duplicate window (two minutes
 * unless the stream says otherwise), so a key is good for that long. A publish whose answer was lost is repeated with the same id until it is known.
 *
 * Unlike in the file store, positions are given when the server answers: appends of one store go out one after the other.
 */
import { randomUUID } from "node:crypto";
import {
	DeliverPolicy,
	type JetStreamClient,
	type JetStreamManager,
	JetStreamApiError,
	jetstream,
	jetstreamManager,
	type StoredMsg,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { LogHeader } from "../vocabulary/header.ts";
import { NDJSON } from "./codec.ts";
import { LogError } from "./error.ts";
import { connected, HINT, PAUSE_MS } from "./nats-stream.ts";
import { readMessage, type Message } from "./nats-message.ts";
import type { LogBatch } from "./read.ts";
import type { Chain, Head } from "./seal.ts";
import {
	type Appended,
	type AppendOptions,
	batchFrom,
	checkAppend,
	closed,
	type LogStore,
	type ReadOptions,
	repeatedAnswer,
} from "./store.ts";
import type { TimedFact } from "./write.ts";

/** Where a log lives on a JetStream server. */
export interface NatsStoreOptions {
	/** `host:port`, or several of a cluster. */
	readonly servers: string | readonly string[];
	/** The stream, which must exist (`createStream`). */
	readonly stream: string;
	/** The log's own subject, such as `iommu.ledger.host-17`. */
	readonly subject: string;
	/** Needed to start a new log; ignored when there is one. */
	readonly header?: LogHeader;
	/** How long an append is tried when the server does not answer. Default 30,000 ms. */
	readonly patienceMs?: number;
}

/** The server's code for "wrong last sequence". */
const WRONG_LAST_SEQUENCE = 10071;
/** How long to wait for one answer. */
const ANSWER_MS = 2000;

/** Opens a log on a JetStream server for reading and appending, or starts it. Throws LogError `unavailable`, `not-a-log`. */
export async function openNatsStore(
	options: NatsStoreOptions,
): Promise<LogStore> {
	const connection = await connected(options.servers);
	try {
		const client = jetstream(connection, { timeout: ANSWER_MS });
		const store = new Store(
			options,
			connection,
			client,
			await jetstreamManager(connection),
		);
		await store.open();
		return store;
	} catch (error) {
		await connection.close();
		throw error instanceof LogError
			? error
			: new LogError("unavailable", String(error), {
					hint: HINT,
					cause: error,
				});
	}
}

class Store implements LogStore {
	readonly #options: NatsStoreOptions;
	readonly #connection: NatsConnection;
	readonly #client: JetStreamClient;
	readonly #manager: JetStreamManager;
	#header!: LogHeader;
	#chain!: Chain;
	/** Stream sequence of the subject's last message. */
	#last = 0;
	#lastT = 0;
	#turn: Promise<unknown> = Promise.resolve();
	#closed = false;
	/** Every so many records: where in the stream the batch that ends with it is. */
	readonly #places: { seq: number; at: number }[] = [];

	constructor(
		options: NatsStoreOptions,
		connection: NatsConnection,
		client: JetStreamClient,
		manager: JetStreamManager,
	) {
		this.#options = options;
		this.#connection = connection;
		this.#client = client;
		this.#manager = manager;
	}

	get #patienceMs(): number {
		return this.#options.patienceMs ?? 30_000;
	}
	get header(): LogHeader {
		return this.#header;
	}
	get head(): Head {
		return this.#chain.head;
	}

	/** Reads the first and the last message, or publishes the first. */
	async open(): Promise<void> {
		const { header, subject, stream } = this.#options;
		if ((await this.#lastMessage()) === null) {
			if (header === undefined)
				throw new LogError("not-a-log", `there is no log at ${subject}`, {
					seq: 0,
					hint: "To start one, give its header.",
				});
			const start = NDJSON.start(header);
			await this.#publish(start.bytes, start.chain.head.hash, 0).catch(
				(error: unknown) => {
					// Somebody else started it at the same moment.
					if (!isConflict(error)) throw error;
				},
			);
		}
		// The server knows this request (NextMsgRequest); the client's types offer it for direct gets only.
		const firstOf = { seq: 1, next_by_subj: subject } as { seq: number };
		const first = await this.#manager.streams.getMessage(stream, firstOf);
		if (first === null)
			throw new LogError(
				"unavailable",
				"the log's first message is not there",
				{ hint: HINT },
			);
		this.#header = readMessage(first.data, undefined).header;
		await this.#catchUp();
	}

	append(
		facts: readonly TimedFact[],
		options: AppendOptions = {},
	): Promise<Appended> {
		if (this.#closed) return Promise.reject(closed());
		const turn = this.#turn.then(() => this.#append(facts, options));
		this.#turn = turn.catch(() => {});
		return turn;
	}

	async #append(
		facts: readonly TimedFact[],
		options: AppendOptions,
	): Promise<Appended> {
		const { key, expected } = options;
		const until = Date.now() + this.#patienceMs;
		const id = key ?? randomUUID();
		if (expected !== undefined && expected !== this.#chain.head.seq)
			await this.#retrying(until, () => this.#catchUp());
		for (;;) {
			try {
				checkAppend(facts, options, this.#chain.head, this.#lastT);
			} catch (error) {
				// A second try with a key is old by then; its key says so before its position and time do.
				const known =
					key === undefined
						? undefined
						: await this.#retrying(until, () => this.#byKey(facts, key));
				if (known !== undefined) return known;
				throw error;
			}
			const start = NDJSON.continuation(this.#chain);
			const { bytes, chain } = NDJSON.seal(start.chain, facts, key);
			const message = Buffer.concat([start.bytes, bytes]);
			try {
				const answer = await this.#retrying(until, () =>
					this.#publish(message, id, this.#last),
				);
				if (answer.duplicate && key !== undefined)
					return await this.#stored(answer.seq, facts, key);
				return this.#advance(chain, answer.seq, facts);
			} catch (error) {
				if (!isConflict(error)) throw error;
				await this.#retrying(until, () => this.#catchUp());
			}
		}
	}

	#advance(chain: Chain, at: number, facts: readonly TimedFact[]): Appended {
		this.#chain = chain;
		this.#last = at;
		this.#lastT = facts.at(-1)?.t ?? this.#lastT;
		this.#place(chain.head.seq, at);
		return answerFor(chain, facts);
	}

	#place(seq: number, at: number): void {
		if (seq - (this.#places.at(-1)?.seq ?? 0) >= 1000)
			this.#places.push({ seq, at });
	}

	/** Asks the server whether it knows the key: it looks at ids before it looks at expectations, so this can store nothing. */
	async #byKey(
		facts: readonly TimedFact[],
		key: string,
	): Promise<Appended | undefined> {
		try {
			const { seq } = await this.#publish(
				new Uint8Array(0),
				key,
				Number.MAX_SAFE_INTEGER,
			);
			return await this.#stored(seq, facts, key);
		} catch (error) {
			if (isConflict(error)) return undefined;
			throw error;
		}
	}

	/** The answer for a key that the server knew: its batch is in message `at`. */
	async #stored(
		at: number,
		facts: readonly TimedFact[],
		key: string,
	): Promise<Appended> {
		const message = await this.#manager.streams.getMessage(
			this.#options.stream,
			{ seq: at },
		);
		await this.#catchUp();
		return repeatedAnswer(
			facts,
			message === null ? undefined : this.#read(message).batch,
			key,
		);
	}

	#publish(
		bytes: Uint8Array,
		id: string,
		last: number,
	): Promise<{ seq: number; duplicate: boolean }> {
		const { subject } = this.#options;
		return this.#client.publish(subject, bytes, {
			msgID: `${subject} ${id}`,
			expect: { lastSubjectSequence: last },
			timeout: Math.min(ANSWER_MS, this.#patienceMs),
		});
	}

	/** Tries again while the server does not answer. Its refusals are answers. */
	async #retrying<T>(until: number, attempt: () => Promise<T>): Promise<T> {
		for (;;) {
			try {
				return await attempt();
			} catch (error) {
				if (error instanceof JetStreamApiError || error instanceof LogError)
					throw error;
				if (this.#closed) throw closed();
				if (Date.now() > until)
					throw new LogError(
						"unavailable",
						`the server does not answer: ${String(error)}`,
						{
							seq: this.#chain.head.seq + 1,
							hint: `${HINT} Whether this append is there, its key will tell.`,
							cause: error,
						},
					);
				await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
			}
		}
	}

	#lastMessage(): Promise<StoredMsg | null> {
		const { stream, subject } = this.#options;
		return this.#manager.streams.getMessage(stream, { last_by_subj: subject });
	}

	/** Learns what others have appended: the last message tells all that an append needs. */
	async #catchUp(): Promise<void> {
		const message = await this.#lastMessage();
		if (message === null || message.seq === this.#last) return;
		const { batch, chain, lastT } = this.#read(message);
		this.#chain = chain;
		this.#last = message.seq;
		this.#lastT = lastT ?? this.#lastT;
		if (batch !== undefined) this.#place(batch.seal.seq, message.seq);
	}

	#read(message: StoredMsg): Message {
		return readMessage(message.data, this.#header);
	}

	async *read(
		from: number,
		options: ReadOptions = {},
	): AsyncGenerator<LogBatch> {
		const { stream, subject } = this.#options;
		const start = this.#places.findLast(({ seq }) => seq < from)?.at ?? 0;
		const last = (await this.#lastMessage())?.seq ?? 0;
		const { follow } = options;
		if (follow?.aborted) return;
		const consumer = await this.#client.consumers.get(stream, {
			filter_subjects: subject,
			deliver_policy: DeliverPolicy.StartSequence,
			opt_start_seq: start + 1,
		});
		const messages = await consumer.consume();
		const stop = (): void => messages.stop();
		follow?.addEventListener("abort", stop);
		let before = "";
		try {
			if (follow === undefined && last <= start) return;
			for await (const message of messages) {
				const found = readMessage(message.data, this.#header);
				if (before !== "" && found.before !== before)
					throw broken(found, message.seq);
				before = found.chain.line;
				const part = found.batch && batchFrom(found.batch, from);
				if (part !== undefined) yield part;
				if (follow?.aborted || (follow === undefined && message.seq >= last))
					return;
			}
		} finally {
			follow?.removeEventListener("abort", stop);
			messages.stop();
			await consumer.delete().catch(() => {});
		}
	}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		await this.#turn;
		await this.#connection.close();
	}
}

const isConflict = (error: unknown): boolean =>
	error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;

const answerFor = ({ head }: Chain, facts: readonly TimedFact[]): Appended => ({
	first: head.seq - facts.length + 1,
	last: head.seq,
	head,
	repeated: false,
});

const broken = (message: Message, at: number): LogError =>
	new LogError(
		"missing-lines",
		`message ${at} does not go on from the one before it`,
		{
			seq: message.batch?.records[0]?.seq,
			hint: "A message of this subject was deleted, or written past this store.",
		},
	);
