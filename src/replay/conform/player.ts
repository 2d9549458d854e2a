/**
 * Plays the recording of one test program (corpus page §3) against the model: every record in order, every answer compared in
 * full. A call that cannot be understood is a mismatch.
 */
import { readFaults, writeResponses } from "../../../machines/ops/fault.ts";
import { respondAlways } from "../../../machines/ops/ioas.ts";
import { emptyHost } from "../../drivers/host.ts";
import {
	coveredBytes,
	envelopeErrno,
	isIommufdCommand,
	overlay,
	unknownErrno,
} from "./abi.ts";
import type { JsonObject, Reply } from "./call.ts";
import { Fields, hex, integer, refusal, structure } from "./call.ts";
import { differences } from "./compare.ts";
import { iommufdCall } from "./iommufd-calls.ts";
import type { FactSink } from "./session.ts";
import { Session } from "./session.ts";
import { testCall } from "./test-calls.ts";
import { vfioCall } from "./vfio-calls.ts";

/** Outcome of one record: not a call, equal, followed without comparing, or how it differs. */
export type Played =
	| { readonly kind: "none" }
	| { readonly kind: "matched" }
	| { readonly kind: "skipped"; readonly reason: string }
	| {
			readonly kind: "mismatched";
			readonly call: string;
			readonly expected: string;
			readonly actual: string;
	  };

const text = (record: JsonObject, name: string): string => {
	const value = record[name];
	if (typeof value !== "string") throw new Error(`${name} is not a string`);
	return value;
};
const count = (record: JsonObject, name: string): number => {
	const value = record[name];
	if (typeof value !== "number") throw new Error(`${name} is not a number`);
	return value;
};
/** Number of forks between the test program and the process of a record. */
const depthOf = (record: JsonObject): number =>
	typeof record["proc"] === "number" ? record["proc"] : 0;
const NOTHING: Played = { kind: "none" };
const ARMED =
	"call while the kernel's fail-nth was armed: followed, judged by invariants";
/** Failable steps tried for an injected fault. */
const INJECT_MAX = 200;

/** The player of one sequence. */
export class Player {
	readonly session: Session;
	/** Between a note that arms fail-nth and the one that ends the iteration. */
	#armed = false;
	/** Recordings count forks, so that one child is named like the next; the memory of each is its own. */
	readonly #children = new Map<number, number>();
	#forks = 0;

	constructor(sink?: FactSink) {
		this.session = new Session(emptyHost(), sink);
	}

	/** Whose memory a record is about. */
	#proc(record: JsonObject): number {
		const depth = depthOf(record);
		return this.#children.get(depth) ?? depth;
	}
	#fork(record: JsonObject): void {
		const depth = depthOf(record);
		const child = ++this.#forks;
		this.session.memory.fork(this.#proc(record), child);
		this.#children.set(depth + 1, child);
	}

	/** Plays one record. Never throws: what cannot be understood is a mismatch. */
	play(record: JsonObject): Played {
		this.session.operation = nameOf(record);
		try {
			if (this.#armed && isCall(record)) return this.#follow(record);
			const reply = this.#reply(record);
			if (reply === undefined) return NOTHING;
			const diff = differences(record, reply);
			return diff === undefined
				? { kind: "matched" }
				: { kind: "mismatched", call: nameOf(record), ...diff };
		} catch (error) {
			const actual = `model failed: ${error instanceof Error ? error.message : error}`;
			const expected = `ret=${JSON.stringify(record["ret"])} errno=${JSON.stringify(record["errno"])}`;
			return { kind: "mismatched", call: nameOf(record), expected, actual };
		}
	}

	/**
	 * A call that an injected fault may have hit: plainly, or with the k-th failable step failing; an error that no step of the model gives
	 * changed nothing (the injected one lies in code the model does not have). A success must be the model's.
	 */
	#follow(record: JsonObject): Played {
		let diff: ReturnType<typeof differences>;
		// Twice over: what fails says ENOMEM, or a driver makes EINVAL of it, which lets an attach through an IOAS go on (facts §2.11).
		for (let n = 0; n <= 2 * INJECT_MAX; n++) {
			const k = n >> 1;
			let left = k;
			let fired = false;
			this.session.fail = (step) => {
				if (--left !== 0) return undefined;
				fired = true;
				if (step === "resp") return "EFAULT";
				return n % 2 === 0 ? "ENOMEM" : "EINVAL";
			};
			this.session.failNth = k;
			const now = this.session.attempt(
				() => {
					const reply = this.#reply(record);
					return reply && differences(record, reply);
				},
				(different) => different === undefined,
			);
			this.session.fail = undefined;
			this.session.failNth = 0;
			if (now === undefined) return { kind: "skipped", reason: ARMED };
			diff ??= now;
			if (k > 0 && !fired) break;
		}
		return record["errno"] === null || diff === undefined
			? {
					kind: "mismatched",
					call: nameOf(record),
					...(diff ?? { expected: "", actual: "" }),
				}
			: { kind: "skipped", reason: ARMED };
	}

	/** Performs a record and gives the model's answer, without comparing. Throws when the record cannot be understood. */
	perform(record: JsonObject): Reply | undefined {
		this.session.operation = nameOf(record);
		return this.#reply(record);
	}

	#reply(record: JsonObject): Reply | undefined {
		switch (record["ev"]) {
			case "ioctl":
				return this.#ioctl(record);
			case "open":
				return {
					ret: this.session.openIommufd(count(record, "ret")),
					errno: null,
				};
			case "close":
				return this.session.close(count(record, "fd"), this.#proc(record))
					? { ret: 0, errno: null }
					: refusal("EBADF");
			case "read":
			case "write":
				return this.#faultFile(record);
			default:
				this.#event(record);
				return undefined;
		}
	}

	#event(record: JsonObject): void {
		const { memory } = this.session;
		const proc = this.#proc(record);
		switch (record["ev"]) {
			case "begin":
				if (typeof record["m0_addr"] === "string")
					memory.map(0, {
						addr: BigInt(record["m0_addr"]),
						length: BigInt(text(record, "m0_length")),
						prot: 3,
						hugetlb: false,
					});
				return;
			case "mmap":
				if (record["ret"] !== 0) return;
				memory.map(proc, {
					addr: BigInt(text(record, "addr")),
					length: BigInt(text(record, "length")),
					prot: count(record, "prot"),
					hugetlb: record["hugetlb"] === true,
				});
				return;
			case "munmap":
				if (record["ret"] === 0)
					memory.unmap(
						proc,
						BigInt(text(record, "addr")),
						BigInt(text(record, "length")),
					);
				return;
			case "fork":
				this.#fork(record);
				return;
			case "child_exited":
				memory.exit(this.#proc({ proc: depthOf(record) + 1 }));
				return;
			case "note":
				this.#note(record);
				return;
			case "end":
				for (const fd of Array.from(this.session.files.keys()))
					this.session.close(fd, 0);
				return;
			case "result":
			case "truncated":
				return;
			default:
				throw new Error(`unknown record ${JSON.stringify(record["ev"])}`);
		}
	}

	#note(record: JsonObject): void {
		if (typeof record["fail_nth"] === "number") this.#armed = true;
		if (typeof record["iteration"] === "number") this.#armed = false;
		const bytes = record["rlimit_memlock_bytes"];
		if (typeof bytes === "number")
			this.session.memlockPages = Math.floor(bytes / 4096);
		if (typeof record["uid"] !== "number") return;
		const root = record["uid"] === 0;
		this.session.caller = {
			...this.session.caller,
			uid: record["uid"],
			ipcLock: root,
			sysResource: root,
			rawIo: root,
		};
	}

	#ioctl(record: JsonObject): Reply {
		const cmd = text(record, "cmd");
		const file = this.session.files.get(count(record, "fd"));
		if (file?.kind !== "iommufd") return refusal("EBADF");
		if (cmd === "unknown")
			return refusal(
				unknownErrno(Number(text(record, "req")), readable(record)),
			);
		const base = {
			session: this.session,
			ctx: file.ctx,
			proc: this.#proc(record),
			record,
		};
		const fields = structure(record, "in");
		if (!isIommufdCommand(cmd)) {
			const incoming = { ...base, in: new Fields(fields ?? {}, () => 8) };
			return vfioCall(cmd, incoming) ?? refusal("ENOTTY");
		}
		if (fields === undefined) return refusal("EFAULT");
		const size = Number(integer(fields, "size"));
		const refused = envelopeErrno(cmd, size, tailOf(record));
		if (refused !== undefined) return refusal(refused);
		const covered = (field: string): number => coveredBytes(cmd, size, field);
		const incoming = { ...base, in: new Fields(fields, covered) };
		const reply =
			cmd === "IOMMU_TEST_CMD"
				? testCall((record["op"] ?? null) as string | null, incoming)
				: iommufdCall(cmd, incoming);
		if (reply === undefined) return refusal("ENOTTY");
		const out = Object.entries(reply.out ?? {}).map(
			([name, value]) =>
				[name, written(fields, name, value, covered(name))] as const,
		);
		return { ...reply, out: Object.fromEntries(out) };
	}

	#faultFile(record: JsonObject): Reply {
		const file = this.session.files.get(count(record, "fd"));
		if (file?.kind !== "fault") return refusal("EBADF");
		const length = count(record, "length");
		let reply: Reply = refusal("EBADF");
		this.session.run(file.ctx, this.#proc(record), (x) => {
			if (record["ev"] === "read") {
				const got = readFaults(x, file.obj, length, respondAlways);
				reply =
					"errno" in got
						? refusal(got.errno)
						: {
								ret: got.bytes,
								errno: null,
								faults: got.faults.map(faultRecord),
							};
			} else {
				const done = writeResponses(x, file.obj, length, responsesOf(record));
				reply =
					"errno" in done
						? refusal(done.errno)
						: { ret: done.bytes, errno: null };
			}
			return {};
		});
		return reply;
	}
}

/** A field after the kernel wrote as many of its bytes as the caller's size covers. */
function written(
	before: JsonObject,
	name: string,
	value: unknown,
	bytes: number,
): unknown {
	if (bytes >= 8 || !(name in before)) return value;
	const after = overlay(
		integer(before, name),
		BigInt(value as number | string),
		bytes,
	);
	return typeof value === "string" ? hex(after) : Number(after);
}

/** The responses of a write; undefined = its memory was not readable. */
function responsesOf(
	record: JsonObject,
): { cookie: number; code: number }[] | undefined {
	const list = record["responses"];
	if (list === undefined) return undefined;
	const isResponse = (one: unknown): boolean =>
		typeof (one as { cookie?: unknown } | null)?.cookie === "number" &&
		typeof (one as { code?: unknown }).code === "number";
	if (!Array.isArray(list) || !list.every(isResponse))
		throw new Error("responses is no list of cookies and codes");
	return list as { cookie: number; code: number }[];
}

const isCall = (record: JsonObject): boolean =>
	["ioctl", "open", "close", "read", "write"].includes(String(record["ev"]));

const faultRecord = (f: { readonly addr: bigint }): JsonObject => ({
	...f,
	__reserved: 0,
	addr: hex(f.addr),
});

function tailOf(record: JsonObject): {
	firstNonzero: number | null;
	unreadableAt: number | null;
} {
	const number = (name: string): number | null =>
		typeof record[name] === "number" ? (record[name] as number) : null;
	return {
		firstNonzero: number("in_extra_first_nonzero"),
		unreadableAt: number("in_extra_unreadable_at"),
	};
}

/** What the pointer of an unknown request points at: "other" and "stack" are the program's memory, absent is none. */
const readable = (record: JsonObject): boolean =>
	record["arg_sym"] !== null && record["arg_sym"] !== undefined;

function nameOf(record: JsonObject): string {
	const cmd = record["cmd"] ?? record["ev"];
	const name = typeof cmd === "string" ? cmd : JSON.stringify(cmd ?? null);
	return typeof record["op"] === "string" ? `${name}:${record["op"]}` : name;
}
