/**
 * The backend for agents in any language: one JSON object a line, over stdio or a Unix socket (docs/backends.md). One request at a time. After
 * any misbehaviour the connection is over: what the agent sends later cannot be told from an answer to something else.
 */
import { spawn } from "node:child_process";
import { connect } from "node:net";
import type { Readable, Writable } from "node:stream";
import { errnoName } from "../../vocabulary/errno.ts";
import type {
	Backend,
	BackendAnswer,
	BackendRequest,
	Recalled,
} from "./backend.ts";
import { BackendError, type BackendErrorCode } from "./backend.ts";
import { LineSplitter } from "./line-splitter.ts";

/** The version of the protocol. */
export const PROTOCOL = 1;
/** Limits of a connection. */
export interface AgentOptions {
	/** How long one answer may take. Default 5000. */
	readonly timeoutMs?: number;
	/** The longest line that is accepted. Default 1 MiB. */
	readonly lineBytesMax?: number;
}
const TIMEOUT_MS = 5000;
const LINE_BYTES_MAX = 1 << 20;
/** How long an agent may take to end after its input was closed. */
const EXIT_MS = 1000;
/** What is kept of an agent's standard error for the message when it dies. */
const STDERR_BYTES_MAX = 2000;

type Json = { readonly [field: string]: unknown };
interface Waiting {
	readonly id: number | "hello";
	readonly request: BackendRequest | undefined;
	readonly resolve: (message: Json) => void;
	readonly reject: (error: BackendError) => void;
	readonly timer: NodeJS.Timeout;
}

class Lines implements Backend {
	name = "agent";
	readonly #output: Writable;
	readonly #timeoutMs: number;
	readonly #lines: LineSplitter;
	readonly #end: () => Promise<void>;
	/** More about a death: the agent's last words. */
	readonly #lastWords: () => string;
	#waiting: Waiting | undefined;
	#broken: BackendError | undefined;
	#recalls = false;

	constructor(
		input: Readable,
		output: Writable,
		options: AgentOptions,
		end: () => Promise<void>,
		lastWords: () => string = () => "",
	) {
		this.#output = output;
		this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
		this.#lines = new LineSplitter(options.lineBytesMax ?? LINE_BYTES_MAX);
		this.#end = end;
		this.#lastWords = lastWords;
		input.on("data", (chunk: Buffer) => this.#read(chunk));
		input.on("end", () => this.#closed());
		input.on("close", () => this.#closed());
		for (const stream of [input, output])
			stream.on("error", (error) => this.#break("closed", error.message));
	}

	async hello(): Promise<void> {
		const hello = await this.#ask("hello", undefined, {
			hello: "iommu-ledger",
			protocol: PROTOCOL,
		});
		if (hello["protocol"] !== PROTOCOL || typeof hello["hello"] !== "string")
			throw this.#break(
				"protocol",
				`the agent greets with ${JSON.stringify(hello)}; expected protocol ${PROTOCOL} and its name in hello`,
			);
		this.name = hello["hello"];
		this.#recalls = hello["recall"] === true;
	}

	async execute(request: BackendRequest): Promise<BackendAnswer> {
		const { id, call, args } = request;
		const message = await this.#ask(id, request, { id, call, args });
		return this.#answer(message, request);
	}
	async recall(id: number): Promise<Recalled> {
		const request = { id, call: "RECALL", args: {} };
		if (!this.#recalls)
			throw new BackendError(
				"closed",
				`${this.name} keeps no answers: what became of request ${id} cannot be known`,
				{ request },
			);
		const { out } = this.#answer(
			await this.#ask(id, request, request),
			request,
		);
		if (out["known"] === false) return "never";
		return this.#answer(
			{ id, ...(out["answer"] as Json | undefined) },
			request,
		);
	}
	async close(): Promise<void> {
		this.#broken ??= new BackendError("closed", "the backend was closed");
		this.#output.end();
		await this.#end();
	}

	#ask(
		id: Waiting["id"],
		request: BackendRequest | undefined,
		message: object,
	): Promise<Json> {
		return new Promise((resolve, reject) => {
			if (this.#broken !== undefined) return reject(this.#broken);
			if (this.#waiting !== undefined)
				throw new Error("one request at a time: the caller must wait");
			const timer = setTimeout(
				() => this.#break("timeout", `no answer within ${this.#timeoutMs} ms`),
				this.#timeoutMs,
			);
			this.#waiting = { id, request, resolve, reject, timer };
			this.#output.write(`${JSON.stringify(message)}\n`);
		});
	}

	#read(chunk: Buffer): void {
		if (this.#broken !== undefined) return;
		try {
			for (const line of this.#lines.push(chunk)) this.#line(line);
		} catch (error) {
			if (!(error instanceof BackendError)) throw error;
			this.#break(error.code, error.message);
		}
	}
	#line(line: string): void {
		if (this.#broken !== undefined) return;
		let message: Json;
		try {
			message = JSON.parse(line) as Json;
		} catch {
			this.#break("bad-line", `no JSON: ${shown(line)}`);
			return;
		}
		const waiting = this.#waiting;
		if (
			typeof message !== "object" ||
			message === null ||
			Array.isArray(message)
		)
			return void this.#break("bad-answer", `no object: ${shown(line)}`);
		if (waiting === undefined)
			return void this.#break(
				"wrong-id",
				`an answer that nobody asked for: ${shown(line)}`,
			);
		if (waiting.id !== "hello" && message["id"] !== waiting.id)
			return void this.#break(
				"wrong-id",
				`an answer to request ${JSON.stringify(message["id"])}, expected ${waiting.id}`,
			);
		clearTimeout(waiting.timer);
		this.#waiting = undefined;
		waiting.resolve(message);
	}
	#closed(): void {
		const cut =
			this.#lines.pending > 0
				? `; its last line has no end (${this.#lines.pending} bytes)`
				: "";
		this.#break("closed", `the agent ended${cut}${this.#lastWords()}`);
	}

	/** The connection is over; whoever waits learns why. */
	#break(code: BackendErrorCode, why: string): BackendError {
		const waiting = this.#waiting;
		const at = waiting?.request;
		const error = new BackendError(
			code,
			`${this.name}: ${why}${at === undefined ? "" : ` (request ${at.id}, ${at.call})`}`,
			{ request: at },
		);
		this.#broken ??= error;
		this.#waiting = undefined;
		if (waiting !== undefined) {
			clearTimeout(waiting.timer);
			waiting.reject(this.#broken);
		}
		return this.#broken;
	}

	#answer(message: Json, request: BackendRequest): BackendAnswer {
		const problem = answerProblem(message);
		if (problem === undefined) return message as unknown as BackendAnswer;
		this.#broken ??= new BackendError(
			"bad-answer",
			`${this.name}: ${problem}: ${shown(JSON.stringify(message))} (request ${request.id}, ${request.call})`,
			{ request },
		);
		throw this.#broken;
	}
}

const SHOWN_MAX = 200;
const shown = (line: string): string =>
	line.length <= SHOWN_MAX ? line : `${line.slice(0, SHOWN_MAX)}…`;

/** What is wrong with an answer; undefined when nothing is. */
function answerProblem(message: Json): string | undefined {
	const { ret, errno, errname, out } = message;
	if (!Number.isSafeInteger(ret)) return "ret is not an integer";
	if (!Number.isSafeInteger(errno)) return "errno is not an integer";
	if (typeof errname !== "string") return "errname is not a string";
	if (typeof out !== "object" || out === null || Array.isArray(out))
		return "out is not an object";
	if ((ret as number) >= 0)
		return errno === 0 && errname === ""
			? undefined
			: "a success has errno 0 and an empty errname";
	const name = errnoName(errno as number);
	if (errno === 0 || errname === "")
		return "an error has an errno and its name";
	return name === undefined || name === errname
		? undefined
		: `errno ${errno as number} is ${name}`;
}

async function greeted(lines: Lines): Promise<Backend> {
	try {
		await lines.hello();
		return lines;
	} catch (error) {
		await lines.close();
		throw error;
	}
}

/** Talks to an agent through two streams. Rejects with BackendError. */
export const streamAgent = (
	input: Readable,
	output: Writable,
	options: AgentOptions = {},
): Promise<Backend> =>
	greeted(new Lines(input, output, options, async () => {}));

/** Starts an agent and talks to it through its standard input and output; `close` ends it. Rejects with BackendError. */
export function spawnAgent(
	command: string,
	args: readonly string[] = [],
	options: AgentOptions = {},
): Promise<Backend> {
	const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
	let words = "";
	let failure = "";
	child.stderr.on("data", (chunk: Buffer) => {
		words = `${words}${chunk.toString()}`.slice(-STDERR_BYTES_MAX);
	});
	const ended = new Promise<void>((resolve) => {
		child.on("close", () => resolve());
		child.on("error", (error) => {
			failure = error.message;
			resolve();
		});
	});
	const end = async (): Promise<void> => {
		const timer = setTimeout(() => child.kill("SIGKILL"), EXIT_MS);
		await ended;
		clearTimeout(timer);
	};
	const lastWords = (): string => {
		const said = (failure || words).trim();
		return said === "" ? "" : `; it said: ${said}`;
	};
	return greeted(new Lines(child.stdout, child.stdin, options, end, lastWords));
}

/** Talks to an agent that listens on a Unix socket. Rejects with BackendError. */
export function connectAgent(
	path: string,
	options: AgentOptions = {},
): Promise<Backend> {
	const socket = connect(path);
	return greeted(
		new Lines(socket, socket, options, async () => {
			socket.destroy();
		}),
	);
}
