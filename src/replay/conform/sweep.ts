/**
 * fail-nth over recorded calls: before each call is performed for good, it is tried with its first, second, … n-th failable step failing (allocation, pinning,
 * mapping by the driver, driver attach, copies), until no step is left to fail. After each failure the objects must be as before, except where the
 * kernel documents otherwise (facts/iommufd-semantics.md LOG-3).
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Host } from "../../../machines/ops/types.ts";
import { treeValues } from "../../../machines/iopt-tree.ts";
import { hostOf } from "../../drivers/host.ts";
import type { JsonObject, Reply } from "./call.ts";
import { parseLine } from "./call.ts";
import { Player } from "./player.ts";
import type { Session } from "./session.ts";
import type { Source } from "./sources.ts";
import { TracePlayer } from "./trace-player.ts";
import { parseTraceCalls, recordedTopology } from "./trace-recording.ts";
import { TraceSession } from "./trace-session.ts";

/** A failure after which the objects are not as they were, and no documented exception says so. */
export interface SweepFinding {
	readonly index: number;
	readonly call: string;
	/** Which failable step failed: the k-th, by name. */
	readonly k: number;
	readonly step: string;
	readonly message: string;
}
/** What a sweep did. */
export interface SweepReport {
	/** Calls that were swept. */
	readonly calls: number;
	/** Calls that sampling left out, by kind: they were performed, but nothing was made to fail in them. */
	readonly leftOut: { readonly [call: string]: number };
	/** Failures injected: one a failable step of each call. */
	readonly injections: number;
	/** Injected failures that the call tolerated: it succeeded all the same. */
	readonly tolerated: number;
	/** Failures by the step that failed. */
	readonly bySteps: { readonly [step: string]: number };
	/** Failures that changed objects where the kernel documents it, by call and step. */
	readonly documented: { readonly [what: string]: number };
	readonly findings: readonly SweepFinding[];
}

/** Bound on failable steps of one call; the largest recorded calls have some hundred. */
const STEPS_MAX = 5000;

/** Where a failed call leaves a change, with the source (LOG-3 and the section named). */
const DOCUMENTED: readonly {
	readonly call: RegExp;
	readonly step: RegExp;
	readonly why: string;
	/** Only when the call fails by itself, so that the injected failure hits its unwinding. */
	readonly unwinding?: boolean;
	/** Only when the call fails by itself with this. */
	readonly refused?: string;
	/** Only when nothing but reservations differs. */
	readonly reservations?: boolean;
}[] = [
	{
		call: /^MOCK_DOMAIN/,
		step: /^driver\.attach$/,
		unwinding: true,
		why: "going back to the old domain failed too: Torn (§3.8, §4.3)",
	},
	{
		call: /^VFIO_DEVICE_ATTACH_IOMMUFD_PT$/,
		step: /^resp$/,
		why: "a failing copy of the answer detaches the device (A8)",
	},
	{
		call: /^VFIO_DEVICE_ATTACH_IOMMUFD_PT$/,
		step: /^regions\.get$/,
		refused: "EFAULT",
		why: "another way to the same answer that cannot be written (A8)",
	},
	{
		call: /^VFIO_DEVICE_ATTACH_IOMMUFD_PT$/,
		step: /^driver\.attach$/,
		unwinding: true,
		why: "going back to the old domain failed too: Torn (§3.8, §4.3)",
	},
	{
		call: /^VFIO_DEVICE_ATTACH_IOMMUFD_PT$/,
		step: /^(?:handle\.alloc|driver\.attach)$/,
		reservations: true,
		why: "a failed replace within one IOAS drops the reservations (A1)",
	},
	{
		call: /^MOCK_DOMAIN_REPLACE$/,
		step: /^resp$/,
		why: "the device stays replaced (selftest.c:iommufd_test_mock_domain_replace)",
	},
	{
		call: /^IOMMU_IOAS_(?:MAP|COPY|UNMAP)$/,
		step: /^resp$/,
		why: "the mapping stays or is gone (§2.4 step 14, A10)",
	},
	{
		call: /^VFIO_IOMMU_UNMAP_DMA$/,
		step: /^(?:resp|area\.alloc)$/,
		why: "unmapped, or cut, before the error (§5.6)",
	},
	{
		call: /^IOMMU_HWPT_INVALIDATE$/,
		step: /^resp$/,
		why: "entries were invalidated (§2.10)",
	},
	{
		call: /^read$/,
		step: /^(?:resp|cookie\.alloc)$/,
		why: "groups read before it stay read (§2.15)",
	},
];

/**
 * The objects of a host as text, without what may stay after a failed call: counters that only ever grow, and a group's blocking domain,
 * made once and kept (drivers/iommu/iommu.c:__iommu_group_alloc_blocking_domain).
 */
export function objectState(host: Host, reservations = true): string {
	const plain = (value: unknown): unknown => {
		if (typeof value === "bigint") return `0x${value.toString(16)}`;
		if (typeof value !== "object" || value === null || Array.isArray(value))
			return value;
		return Object.fromEntries(
			Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)),
		);
	};
	const blocking = new Set([...host.groups.values()].map(({ blk }) => blk));
	const ctxs = [...host.ctxs.values()].map((c) => ({
		...c,
		gens: undefined,
		groups: [...c.groups.values()],
		objs: [...c.objs.values()].map((o) =>
			o.type === "ioas"
				? {
						...o,
						iopt: {
							...o.iopt,
							areas: [...treeValues(o.iopt.areas)],
							...(reservations ? {} : { resv: [] }),
						},
					}
				: o,
		),
	}));
	const state = {
		ctxs,
		groups: [...host.groups.values()].map((g) => ({ ...g, blk: undefined })),
		devs: [...host.devs.values()],
		domains: [...host.domains.values()]
			.filter((d) => !blocking.has(d.dom))
			.map((d) => ({ ...d, marks: [...d.marks] })),
		pages: [...treeValues(host.mem.pages)],
		locked: [...host.mem.locked].filter(([, n]) => n !== 0),
	};
	return JSON.stringify(state, (_, value) => plain(value));
}

/** A call to sweep: how to perform it, and the errno with which it is refused without any failure of ours. */
interface Swept {
	readonly index: number;
	readonly call: string;
	readonly refusal: string | undefined;
	readonly perform: () => Reply | undefined;
}

/** Counts what sweeps found, over any number of sessions. */
export class Sweeper {
	/** Of each kind of call the first, and then every so many-th, is swept. */
	readonly #every: number;
	/** Calls so far by kind and by how they end: a rare refusal is not lost among a thousand successes. */
	readonly #met = new Map<string, number>();
	readonly #leftOut: Record<string, number> = {};
	#calls = 0;
	#injections = 0;
	#tolerated = 0;
	readonly #bySteps: Record<string, number> = {};
	readonly #documented: Record<string, number> = {};
	readonly #findings: SweepFinding[] = [];

	constructor(every = 1) {
		this.#every = every;
	}

	/** What was found so far. */
	get report(): SweepReport {
		return {
			calls: this.#calls,
			leftOut: this.#leftOut,
			injections: this.#injections,
			tolerated: this.#tolerated,
			bySteps: this.#bySteps,
			documented: this.#documented,
			findings: this.#findings,
		};
	}

	/** Sweeps a recording of either kind: of test programs, or of a kernel with groups.txt beside it. */
	source(source: Source): void {
		if (source.kind === "trace") {
			this.#trace(source);
			return;
		}
		const records: JsonObject[] = [];
		for (const [index, line] of source.text.split("\n").entries()) {
			if (line.trim() === "") continue;
			const record = parseLine(line);
			if (typeof record === "string") this.#unreadable(index, record);
			else records.push(record);
		}
		this.tests(records);
	}

	/** Sweeps the calls of recorded test programs; each test starts on a fresh machine. */
	tests(records: readonly JsonObject[]): void {
		let player = new Player();
		let sequence: unknown;
		for (const [index, record] of records.entries()) {
			if (record["test"] !== sequence || record["ev"] === "begin") {
				sequence = record["test"];
				player = new Player();
			}
			const { ev } = record;
			if (ev === "ioctl" || ev === "read" || ev === "write")
				this.#sweep(player.session, {
					index,
					call: String(record["op"] ?? record["cmd"] ?? ev),
					refusal:
						record["errno"] === null ? undefined : String(record["errno"]),
					perform: () => player.perform(record),
				});
			const played = player.play(record);
			if (played.kind === "mismatched")
				this.#mismatch(index, played.call, played.expected, played.actual);
			player.session.fail = undefined;
		}
	}

	/** Sweeps the calls of a kernel recording in the order that conformance finds for them. */
	#trace({ text, groups, commandLine }: Source): void {
		const { calls, unreadable } = parseTraceCalls(text);
		for (const { line, why } of unreadable) this.#unreadable(line, why);
		const { topology, drivers } = recordedTopology(
			groups ?? "",
			commandLine ?? "",
		);
		const fresh = (): TraceSession =>
			new TraceSession(hostOf(topology), topology);
		const found = new TracePlayer(fresh(), drivers);
		const outcomes = found.play(calls);
		for (const { line, call } of calls) {
			const outcome = outcomes.get(line);
			if (outcome?.kind === "mismatched")
				this.#mismatch(line, call, outcome.expected, outcome.actual);
		}
		const session = fresh();
		new TracePlayer(session, drivers).retrace(found, (c, perform) =>
			this.#sweep(session, {
				index: c.line,
				call: c.call,
				refusal: c.ret < 0 ? c.errname : undefined,
				perform,
			}),
		);
	}

	#unreadable(index: number, why: string): void {
		this.#found(index, "unreadable line", 0, "", why);
	}
	#mismatch(
		index: number,
		call: string,
		expected: string,
		actual: string,
	): void {
		this.#found(index, call, 0, "", `expected ${expected}, got ${actual}`);
	}
	#found(
		index: number,
		call: string,
		k: number,
		step: string,
		message: string,
	): void {
		this.#findings.push({ index, call, k, step, message });
	}

	/** Is it this call's turn? */
	#samples({ call, refusal }: Swept): boolean {
		const kind = `${call} ${refusal ?? ""}`;
		const met = this.#met.get(kind) ?? 0;
		this.#met.set(kind, met + 1);
		if (met % this.#every === 0) return true;
		this.#leftOut[call] = (this.#leftOut[call] ?? 0) + 1;
		return false;
	}

	#sweep(session: Session, swept: Swept): void {
		if (!this.#samples(swept)) return;
		this.#calls++;
		const { index, call } = swept;
		for (let k = 1; k <= STEPS_MAX; k++) {
			const tried = tryFailing(session, swept, k);
			if (tried === undefined) return;
			const { step, changed } = tried;
			this.#injections++;
			this.#bySteps[step] = (this.#bySteps[step] ?? 0) + 1;
			if (tried.succeeded) this.#tolerated++;
			if (changed === undefined) continue;
			const exception = DOCUMENTED.find(
				(d) =>
					d.call.test(call) &&
					d.step.test(step) &&
					(d.unwinding !== true || swept.refusal !== undefined) &&
					(d.refused === undefined || d.refused === swept.refusal) &&
					(d.reservations !== true || tried.onlyReservations),
			);
			if (exception === undefined) this.#found(index, call, k, step, changed);
			else {
				const what = `${call} at ${step}: ${exception.why}`;
				this.#documented[what] = (this.#documented[what] ?? 0) + 1;
			}
		}
	}
}

/** Sweeps the calls of recorded test programs. Calls that do not match the recording are a finding as well. */
export function sweepCalls(records: readonly JsonObject[]): SweepReport {
	const sweeper = new Sweeper();
	sweeper.tests(records);
	return sweeper.report;
}

/** Performs a call with its k-th failable step failing, then goes back. Undefined: it has no k-th step. */
function tryFailing(
	session: Session,
	{ perform }: Swept,
	k: number,
):
	| {
			step: string;
			succeeded: boolean;
			changed: string | undefined;
			onlyReservations: boolean;
	  }
	| undefined {
	const before = session.checkpoint();
	let left = k;
	let failed: string | undefined;
	session.fail = (step): ErrnoName | undefined => {
		if (--left !== 0) return undefined;
		failed = step;
		return step === "resp" ? "EFAULT" : "ENOMEM";
	};
	let reply: Reply | undefined;
	let after = before.host;
	try {
		reply = perform();
		after = session.host;
	} catch {
		// A call that cannot be understood has no steps; playing it for good tells why.
		return undefined;
	} finally {
		session.fail = undefined;
		session.restore(before);
	}
	if (failed === undefined) return undefined;
	const succeeded = reply?.errno === null;
	const changed =
		!succeeded && after !== before.host
			? difference(before.host, after)
			: undefined;
	const onlyReservations =
		changed !== undefined &&
		objectState(before.host, false) === objectState(after, false);
	return { step: failed, succeeded, changed, onlyReservations };
}

/** Where two object states differ, as a short text; undefined when they do not. */
function difference(before: Host, after: Host): string | undefined {
	const a = objectState(before);
	const b = objectState(after);
	if (a === b) return undefined;
	let at = 0;
	while (a[at] === b[at]) at++;
	const from = Math.max(0, at - 60);
	return `objects differ: …${a.slice(from, at + 60)}… became …${b.slice(from, at + 60)}…`;
}
