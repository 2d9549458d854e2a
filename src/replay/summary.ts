/** What happened, for people: per call who was attached or moved, which groups were switched, which calls changed nothing. */
import { spaceAt } from "../iotlb/state.ts";
import {
	newPredictions,
	notePrediction,
	type Predictions,
} from "../invariants/prediction.ts";
import type { ErrnoName } from "../vocabulary/errno.ts";
import type { DeviceId, DomainId, GroupId, HwptId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { World } from "../world/types.ts";

/** One switch of a group's domain. */
export interface Switch {
	readonly group: GroupId;
	readonly from: DomainId | null;
	readonly to: DomainId;
	/** Members whose hardware was moved, in order. */
	readonly members: readonly DeviceId[];
}
/** One call that concerned attachments. */
export interface Call {
	/** seq of its op.begin. */
	readonly seq: number;
	readonly op: string;
	dev: DeviceId | undefined;
	did: "attached" | "replaced" | "detached" | "unchanged" | undefined;
	hwpt: HwptId | undefined;
	readonly switches: Switch[];
	outcome: "ok" | ErrnoName;
}
/** The summary of a log. Bounded: at most CALLS_MAX calls are kept, all are counted. */
export interface Summary {
	readonly calls: Call[];
	callsTotal: number;
	operations: number;
	failed: number;
	maps: number;
	unmaps: number;
	invalidations: number;
	dmas: number;
	/** Bytes that page-selective commands named, commands for a whole domain id or more, and page-selective ones that met nothing stale. */
	readonly flushing: {
		pageCommands: number;
		pageBytes: number;
		wholeCommands: number;
		needless: number;
		/** Of the bytes of page-selective commands, those that were stale. */
		neededBytes: number;
	};
	/** Uses of cached translations that an independent witness saw. */
	witnessed: number;
	/** How what devices saw met what the projection predicted. */
	readonly predictions: Predictions;
	/** Calls in progress: op → what is known. */
	readonly open: Map<number, Call & { moved: DeviceId[] }>;
}
export const CALLS_MAX = 500;
const PAGE = 4096;

/** Nothing has happened. */
export const newSummary = (): Summary => ({
	calls: [],
	callsTotal: 0,
	operations: 0,
	failed: 0,
	maps: 0,
	unmaps: 0,
	invalidations: 0,
	dmas: 0,
	flushing: {
		pageCommands: 0,
		pageBytes: 0,
		wholeCommands: 0,
		needless: 0,
		neededBytes: 0,
	},
	witnessed: 0,
	predictions: newPredictions(),
	open: new Map(),
});

type Noter = (summary: Summary, world: World, record: LogRecord) => void;

function callOf(
	summary: Summary,
	world: World,
	op: number,
): (Call & { moved: DeviceId[] }) | undefined {
	if (op === 0) return undefined;
	let call = summary.open.get(op);
	if (call === undefined) {
		const open = world.ops.get(op);
		if (open === undefined) return undefined;
		call = {
			seq: op,
			op: open.name,
			dev: undefined,
			did: undefined,
			hwpt: undefined,
			switches: [],
			outcome: "ok",
			moved: [],
		};
		summary.open.set(op, call);
	}
	return call;
}

function outcome(did: Call["did"]): Noter {
	return (summary, world, record) => {
		const call = callOf(summary, world, record.op);
		if (call === undefined) return;
		const data = record.data as {
			readonly dev: DeviceId;
			readonly hwpt?: HwptId;
		};
		call.dev = data.dev;
		call.did = did;
		call.hwpt = data.hwpt;
	};
}

function close(
	summary: Summary,
	record: LogRecord,
	errno: ErrnoName | undefined,
): void {
	summary.operations++;
	if (errno !== undefined) summary.failed++;
	const call = summary.open.get(record.op);
	if (call === undefined) return;
	summary.open.delete(record.op);
	call.outcome = errno ?? "ok";
	summary.callsTotal++;
	if (summary.calls.length < CALLS_MAX) {
		const { moved: _, ...kept } = call;
		summary.calls.push(kept);
	}
}

function noteFlush(
	{ flushing }: Summary,
	world: World,
	{ data }: LogRecord<"inv.issued">,
): void {
	if (data.kind !== "iotlb" && data.kind !== "piotlb") return;
	const { addr, mask } = data;
	if (addr === undefined || mask === undefined) {
		flushing.wholeCommands++;
		return;
	}
	flushing.pageCommands++;
	flushing.pageBytes += PAGE * 2 ** mask;
	const space = spaceAt(
		world.iotlb.units.get(data.iommu),
		data.did ?? -1,
		data.kind === "piotlb" ? (data.pasid ?? 0) : 0,
	);
	if (space === undefined) return;
	const n = 2 ** mask;
	const start = Math.floor(Number(addr) / PAGE / n) * n;
	const end = start + n;
	let needed = 0;
	for (const { parts } of space.stale)
		for (const part of parts)
			needed += Math.max(
				0,
				Math.min(end, part.start + part.n) - Math.max(start, part.start),
			);
	flushing.neededBytes += PAGE * Math.min(needed, n);
	const tables = space.tables.some(
		(one) => one.start < end && start < one.start + one.n,
	);
	if (needed === 0 && !tables) flushing.needless++;
}

const NOTERS: ReadonlyMap<string, Noter> = new Map<string, Noter>([
	["dev.attached", outcome("attached")],
	["dev.replaced", outcome("replaced")],
	["dev.replace.noop", outcome("unchanged")],
	["dev.detached", outcome("detached")],
	[
		"hw.attach",
		(summary, world, record) => {
			const { dev } = record.data as { readonly dev: DeviceId };
			callOf(summary, world, record.op)?.moved.push(dev);
		},
	],
	[
		"grp.domain.set",
		(summary, world, record) => {
			const { group, dom } = record.data as {
				readonly group: GroupId;
				readonly dom: DomainId;
			};
			const call = callOf(summary, world, record.op);
			if (call === undefined) return;
			call.switches.push({
				group,
				from: world.groups.map.get(group)?.dom ?? null,
				to: dom,
				members: call.moved,
			});
			call.moved = [];
		},
	],
	["op.commit", (summary, _, record) => close(summary, record, undefined)],
	[
		"op.fail",
		(summary, _, record) =>
			close(
				summary,
				record,
				(record.data as { readonly errno: ErrnoName }).errno,
			),
	],
	["dom.map", (summary) => void summary.maps++],
	["dom.unmap", (summary) => void summary.unmaps++],
	[
		"inv.issued",
		(summary, world, record) => {
			summary.invalidations++;
			noteFlush(summary, world, record as LogRecord<"inv.issued">);
		},
	],
	["witness.hit", (summary) => void summary.witnessed++],
	[
		"dma.done",
		(summary, world, record) => {
			summary.dmas++;
			notePrediction(
				summary.predictions,
				world,
				record as LogRecord<"dma.done">,
			);
		},
	],
]);

/** Those who fill a summary, by record type: each sees its records before they are folded. */
export function summariser(
	summary: Summary,
): ReadonlyMap<string, (world: World, record: LogRecord) => void> {
	const bound = new Map<string, (world: World, record: LogRecord) => void>();
	for (const [type, note] of NOTERS)
		bound.set(type, (world, record) => note(summary, world, record));
	return bound;
}
