/**
 * What one wants to know of a recording before a verdict: rates, sizes, page sizes, domains, groups, flushes per unmap, IOVA
 * footprint. A fold over records; works on any log, imported or our own.
 */
import type { U64 } from "../vocabulary/fields.ts";
import type { LogHeader } from "../vocabulary/header.ts";
import type { LogRecord } from "../vocabulary/records.ts";

const KIB_4 = 4096;
const MIB_2 = 2 ** 21;
const GIB_1 = 2 ** 30;

/** Accumulator of one domain. Bytes. */
interface DomainStat {
	kind: string;
	maps: number;
	unmaps: number;
	mapped: number;
	unmapped: number;
	peak: number;
	low: number;
	high: number;
}
interface GroupStat {
	switches: number;
	attaches: number;
	readonly devices: Set<string>;
}
interface OpStat {
	n: number;
	failed: number;
	ns: number;
	nsMax: number;
}

/** The running sums; made by newStat, changed by addRecord. */
export interface Stat {
	records: number;
	first: number;
	last: number;
	readonly types: Map<string, number>;
	readonly domains: Map<string, DomainStat>;
	readonly groups: Map<string, GroupStat>;
	readonly groupOfDevice: Map<string, string>;
	/** Calls of the core's map by size: exponent of two (rounded down) → calls. */
	readonly mapSizes: Map<number, number>;
	/** Leaves that those maps need at least, by page size. */
	readonly leaves: { "4K": number; "2M": number; "1G": number };
	readonly flushes: Map<string, number>;
	flushedBytes: number;
	wholeFlushes: number;
	readonly ops: Map<string, OpStat>;
	readonly open: Map<number, { readonly name: string; readonly t: number }>;
	dmaDone: number;
	dmaBlocked: number;
	faults: number;
	lost: number;
	unexplained: number;
}

/** An empty summary; the header's topology tells the groups. */
export function newStat(header?: LogHeader): Stat {
	const stat = emptyStat();
	for (const { group, members } of header?.topology.groups ?? [])
		for (const { dev } of members) {
			groupOf(stat, group).devices.add(dev);
			stat.groupOfDevice.set(dev, group);
		}
	return stat;
}

function emptyStat(): Stat {
	return {
		records: 0,
		first: Number.POSITIVE_INFINITY,
		last: 0,
		types: new Map(),
		domains: new Map(),
		groups: new Map(),
		groupOfDevice: new Map(),
		mapSizes: new Map(),
		leaves: { "4K": 0, "2M": 0, "1G": 0 },
		flushes: new Map(),
		flushedBytes: 0,
		wholeFlushes: 0,
		ops: new Map(),
		open: new Map(),
		dmaDone: 0,
		dmaBlocked: 0,
		faults: 0,
		lost: 0,
		unexplained: 0,
	};
}

const bump = <K>(table: Map<K, number>, key: K): void => {
	table.set(key, (table.get(key) ?? 0) + 1);
};

function domainOf(stat: Stat, id: string): DomainStat {
	let domain = stat.domains.get(id);
	if (domain === undefined) {
		domain = {
			kind: "before the log",
			maps: 0,
			unmaps: 0,
			mapped: 0,
			unmapped: 0,
			peak: 0,
			low: Number.POSITIVE_INFINITY,
			high: 0,
		};
		stat.domains.set(id, domain);
	}
	return domain;
}

function groupOf(stat: Stat, id: string): GroupStat {
	let group = stat.groups.get(id);
	if (group === undefined) {
		group = { switches: 0, attaches: 0, devices: new Set() };
		stat.groups.set(id, group);
	}
	return group;
}

/** Adds one record. */
export function addRecord(stat: Stat, record: LogRecord): void {
	stat.records++;
	if (record.t > 0 && record.t < stat.first) stat.first = record.t;
	if (record.t > stat.last) stat.last = record.t;
	bump(stat.types, record.type);
	switch (record.type) {
		case "dom.created":
			domainOf(stat, record.data.dom).kind = record.data.kind;
			return;
		case "dom.map":
			return addMap(stat, record.data);
		case "dom.unmap": {
			const domain = domainOf(stat, record.data.dom);
			domain.unmaps++;
			domain.unmapped += Number(record.data.unmapped);
			return;
		}
		case "grp.member.added":
			groupOf(stat, record.data.group).devices.add(record.data.dev);
			stat.groupOfDevice.set(record.data.dev, record.data.group);
			return;
		case "grp.domain.set":
			groupOf(stat, record.data.group).switches++;
			return;
		case "hw.attach": {
			const group = stat.groupOfDevice.get(record.data.dev);
			if (group !== undefined) groupOf(stat, group).attaches++;
			return;
		}
		default:
			return addOther(stat, record);
	}
}

function addOther(stat: Stat, record: LogRecord): void {
	switch (record.type) {
		case "inv.issued": {
			const { kind, gran, mask } = record.data;
			bump(stat.flushes, `${kind} ${gran}`);
			if (kind !== "iotlb" && kind !== "piotlb") return;
			if (mask === undefined) stat.wholeFlushes++;
			else stat.flushedBytes += KIB_4 * 2 ** mask;
			return;
		}
		case "op.begin":
			stat.open.set(record.seq, { name: record.data.op, t: record.t });
			return;
		case "op.commit":
		case "op.fail":
			return endOp(stat, record);
		case "dma.done":
			if (record.data.outcome === "done") stat.dmaDone++;
			else if (record.data.outcome === "blocked") stat.dmaBlocked++;
			return;
		case "dma.fault":
			stat.faults++;
			return;
		case "trace.lost":
			stat.lost += Math.max(1, record.data.n);
			return;
		case "trace.unexplained":
			stat.unexplained++;
			return;
		default:
	}
}

function endOp(stat: Stat, record: LogRecord): void {
	const begun = stat.open.get(record.op);
	if (begun === undefined) return;
	stat.open.delete(record.op);
	const op = stat.ops.get(begun.name) ?? { n: 0, failed: 0, ns: 0, nsMax: 0 };
	const ns = Math.max(0, record.t - begun.t);
	op.n++;
	if (record.type === "op.fail") op.failed++;
	op.ns += ns;
	op.nsMax = Math.max(op.nsMax, ns);
	stat.ops.set(begun.name, op);
}

function addMap(
	stat: Stat,
	data: { dom: string; iova: U64; pa: U64; len: U64 },
): void {
	const domain = domainOf(stat, data.dom);
	const iova = Number(data.iova);
	const len = Number(data.len);
	domain.maps++;
	domain.mapped += len;
	domain.peak = Math.max(domain.peak, domain.mapped - domain.unmapped);
	domain.low = Math.min(domain.low, iova);
	domain.high = Math.max(domain.high, iova + len);
	if (len <= 0) return;
	bump(stat.mapSizes, Math.floor(Math.log2(len)));
	countLeaves(stat, iova, Number(data.pa), len);
}

/** The fewest leaves that can hold the range: the biggest page that IOVA, physical address and the rest allow (facts §4.8). */
function countLeaves(stat: Stat, iova: number, pa: number, len: number): void {
	const congruent = (unit: number): boolean => iova % unit === pa % unit;
	let head = 0;
	if (congruent(GIB_1)) head = GIB_1;
	else if (congruent(MIB_2)) head = MIB_2;
	const inside = (unit: number): number => {
		if (head < unit) return 0;
		const from = Math.ceil(iova / unit);
		return Math.max(0, Math.floor((iova + len) / unit) - from);
	};
	const giant = inside(GIB_1);
	const huge = inside(MIB_2) - giant * (GIB_1 / MIB_2);
	stat.leaves["1G"] += giant;
	stat.leaves["2M"] += huge;
	stat.leaves["4K"] += Math.round((len - giant * GIB_1 - huge * MIB_2) / KIB_4);
}
