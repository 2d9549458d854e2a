/**
 * fail-nth over recorded calls: before each call is performed for good, it is tried with its first, second, … n-th failable step failing (allocation, pinning,
 * mapping by the driver, driver attach, copies), until no step is left to fail. After each failure the objects must be as before, except where the
 * kernel documents otherwise (facts/iommufd-semantics.md LOG-3).
 */
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { Host } from "../../../machines/ops/types.ts";
import { treeValues } from "../../../machines/iopt-tree.ts";
import type { JsonObject, Reply } from "./call.ts";
import { Player } from "./player.ts";

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
	readonly calls: number;
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
}[] = [
	{
		call: /^MOCK_DOMAIN/,
		step: /^driver\.attach$/,
		unwinding: true,
		why: "going back to the old domain failed too: Torn (§3.8, §4.3)",
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

/** The objects of a host as text, without counters that only ever grow. */
export function objectState(host: Host): string {
	const plain = (value: unknown): unknown =>
		typeof value === "bigint" ? `0x${value.toString(16)}` : value;
	const ctxs = [...host.ctxs.values()].map((c) => ({
		...c,
		gens: undefined,
		groups: [...c.groups.values()],
		objs: [...c.objs.values()].map((o) =>
			o.type === "ioas"
				? { ...o, iopt: { ...o.iopt, areas: [...treeValues(o.iopt.areas)] } }
				: o,
		),
	}));
	const state = {
		ctxs,
		groups: [...host.groups.values()],
		devs: [...host.devs.values()],
		domains: [...host.domains.values()].map((d) => ({
			...d,
			marks: [...d.marks],
		})),
		pages: [...treeValues(host.mem.pages)],
		locked: [...host.mem.locked].filter(([, n]) => n !== 0),
	};
	return JSON.stringify(state, (_, value) => plain(value));
}

/** Sweeps the calls of one recorded test program. Calls that do not match the recording are a finding as well. */
export function sweepCalls(records: readonly JsonObject[]): SweepReport {
	const player = new Player();
	const { session } = player;
	const findings: SweepFinding[] = [];
	const bySteps: Record<string, number> = {};
	const documented: Record<string, number> = {};
	let calls = 0;
	let injections = 0;
	let tolerated = 0;
	for (const [index, record] of records.entries()) {
		if (
			record["ev"] === "ioctl" ||
			record["ev"] === "read" ||
			record["ev"] === "write"
		) {
			calls++;
			const call = String(record["op"] ?? record["cmd"] ?? record["ev"]);
			const refusedAnyway = record["errno"] !== null;
			for (let k = 1; k <= STEPS_MAX; k++) {
				const tried = tryFailing(player, record, k);
				if (tried === undefined) break;
				injections++;
				bySteps[tried.step] = (bySteps[tried.step] ?? 0) + 1;
				if (tried.succeeded) tolerated++;
				else if (tried.changed !== undefined) {
					const exception = DOCUMENTED.find(
						(d) =>
							d.call.test(call) &&
							d.step.test(tried.step) &&
							(d.unwinding !== true || refusedAnyway),
					);
					if (exception === undefined)
						findings.push({
							index,
							call,
							k,
							step: tried.step,
							message: tried.changed,
						});
					else {
						const what = `${call} at ${tried.step}: ${exception.why}`;
						documented[what] = (documented[what] ?? 0) + 1;
					}
				}
			}
		}
		const played = player.play(record);
		if (played.kind === "mismatched")
			findings.push({
				index,
				call: played.call,
				k: 0,
				step: "",
				message: `expected ${played.expected}, got ${played.actual}`,
			});
		session.fail = undefined;
	}
	return { calls, injections, tolerated, bySteps, documented, findings };
}

/** Performs a call with its k-th failable step failing, then goes back. Undefined: it has no k-th step. */
function tryFailing(
	player: Player,
	record: JsonObject,
	k: number,
):
	| { step: string; succeeded: boolean; changed: string | undefined }
	| undefined {
	const { session } = player;
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
		reply = player.perform(record);
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
	return { step: failed, succeeded, changed };
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
