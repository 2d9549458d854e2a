/**
 * The NATS JetStream store, for those who outgrow one machine: many hosts append to one stream, a subject per host. One message is one
 * sealed batch, so an operation is never torn; a message reads like a segment: the seal it goes on from, its records, its seal. An
 * operation larger than the server's largest message goes out in parts (nats-parts.ts) and is there with the last of them or not at all.
 *
 * Concurrency: every publish names the stream sequence of the subject's last message as it knows it; of two writers with the same
 * idea exactly one wins. Idempotency: the key is the message id; the server forgets ids after its duplicate window (two minutes
 * unless the stream says otherwise), so a key is good for that long. A publish whose answer was lost is repeated with the same id until it is known.
 *
 * Unlike in the file store, positions are given when the server answers: appends of one store go out one after the other.
 */
import { randomUUID } from "node:crypto";
import {
	type JetStreamClient,
	JetStreamApiError,
	jetstream,
	jetstreamManager,
} from "@nats-io/jetstream";
import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import type { LogHeader } from "../vocabulary/header.ts";
import { NDJSON } from "./codec.ts";
import { LogError } from "./error.ts";
import { connected, HINT, PAUSE_MS } from "./nats-stream.ts";
import { readMessage, type Message } from "./nats-message.ts";
import { cut, partHeaders, partOf } from "./nats-parts.ts";
import { Subject } from "./nats-read.ts";
import type { LogBatch } from "./read.ts";
import { BATCH_BYTES_MAX } from "./scan.ts";
import { type Chain, digest, type Head } from "./seal.ts";
import {
	type Appended,
	type AppendOptions,
	checkAppend,
	closed,
	type LogStore,
	type ReadOptions,
	repeatedAnswer,
	tooLarge,
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
			new Subject(options, client, await jetstreamManager(connection)),
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
	readonly #subject: Subject;
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
		subject: Subject,
	) {
		this.#options = options;
		this.#connection = connection;
		this.#client = client;
		this.#subject = subject;
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
		const { header, subject } = this.#options;
		if ((await this.#subject.last()) === null) {
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
		const first = await this.#subject.message({ next: 1 });
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
		const id = key === undefined ? randomUUID() : keyId(key);
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
			if (bytes.length > BATCH_BYTES_MAX)
				throw tooLarge(bytes.length, this.#chain.head.seq + 1);
			const parts = cut(start.bytes, bytes, this.#bytesMax);
			try {
				const answer = await this.#publishParts(parts, id, chain, until);
				if (answer.duplicate && key !== undefined)
					return await this.#stored(answer.seq, facts, key);
				return this.#advance(chain, answer.seq, facts);
			} catch (error) {
				if (!isConflict(error)) throw error;
				// Writers of several messages each would else undo each other's for ever.
				if (parts.length > 1) await pause(Math.random() * PAUSE_MS);
				await this.#retrying(until, () => this.#catchUp());
			}
		}
	}

	/** Largest message of the server. */
	get #bytesMax(): number {
		return this.#connection.info?.max_payload ?? 1 << 20;
	}

	/** Publishes the messages of one batch, each behind the one before. The last one alone has the append's own id. */
	async #publishParts(
		parts: readonly Buffer[],
		id: string,
		{ head }: Chain,
		until: number,
	): Promise<{ seq: number; duplicate: boolean }> {
		const after = this.#last;
		const count = parts.length;
		let first = 0;
		let last = after;
		for (const [i, part] of parts.slice(0, -1).entries()) {
			const number = i + 1;
			const partId = `part ${number}/${count} of ${head.hash} after ${after}`;
			const made = partHeaders({ number, count, after, first });
			const answer = await this.#retrying(until, () =>
				this.#publish(part, partId, last, made),
			);
			last = answer.seq;
			if (number === 1) first = last;
		}
		const made =
			count > 1
				? partHeaders({ number: count, count, after, first })
				: undefined;
		return this.#retrying(until, () =>
			this.#publish(parts.at(-1) as Buffer, id, last, made),
		);
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
				keyId(key),
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
		const message = await this.#subject.message({ seq: at });
		await this.#catchUp();
		return repeatedAnswer(
			facts,
			message === null
				? undefined
				: (await this.#subject.whole(this.#header, message))?.batch,
			key,
		);
	}

	#publish(
		bytes: Uint8Array,
		id: string,
		last: number,
		made?: MsgHdrs,
	): Promise<{ seq: number; duplicate: boolean }> {
		const { subject } = this.#options;
		return this.#client.publish(subject, bytes, {
			...(made === undefined ? {} : { headers: made }),
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
				await pause(PAUSE_MS);
			}
		}
	}

	/** Learns what others have appended: the last message tells all that an append needs. */
	async #catchUp(): Promise<void> {
		const message = await this.#subject.last();
		if (message === null || message.seq === this.#last) return;
		const found = await this.#subject.whole(this.#header, message);
		if (found !== undefined) {
			this.#learn(found, message.seq);
			return;
		}
		// Parts of a batch that is not there (yet): what counts is what they go on from, and the sequence they have reached.
		const after = partOf(message.header)?.after ?? 0;
		const before = await this.#subject.message({ seq: after });
		const whole = before && (await this.#subject.whole(this.#header, before));
		if (whole === undefined || whole === null)
			throw new LogError("damaged", `message ${after} is not there`, {
				hint: "Another message goes on from it: it was deleted.",
			});
		this.#learn(whole, after);
		this.#last = message.seq;
	}

	#learn({ batch, chain, lastT }: Message, at: number): void {
		this.#chain = chain;
		this.#last = at;
		this.#lastT = lastT ?? this.#lastT;
		if (batch !== undefined) this.#place(batch.seal.seq, at);
	}

	read(from: number, options: ReadOptions = {}): AsyncGenerator<LogBatch> {
		const start = this.#places.findLast(({ seq }) => seq < from)?.at ?? 0;
		return this.#subject.batches(this.#header, from, start, options);
	}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		await this.#turn;
		await this.#connection.close();
	}
}

const pause = (ms: number): Promise<void> =>
	new Promise((resolve) => setTimeout(resolve, ms));

const PLAIN_KEY = /^[!-~]+$/;
/** A key as a header may hold it. The letter in front keeps keys and digests of other keys apart. */
const keyId = (key: string): string =>
	PLAIN_KEY.test(key) ? `k ${key}` : `d ${digest(key)}`;

const isConflict = (error: unknown): boolean =>
	error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;

const answerFor = ({ head }: Chain, facts: readonly TimedFact[]): Appended => ({
	first: head.seq - facts.length + 1,
	last: head.seq,
	head,
	repeated: false,
});
