/** The result of stat.ts as a value for machines and as text for people. */
import type { Stat } from "./stat.ts";

/** Domains and groups shown at most, busiest first. */
const SHOWN_MAX = 20;

/** The summary, ready for JSON. Bytes, seconds, counts. */
export interface StatSummary {
	readonly records: number;
	readonly seconds: number;
	readonly types: { readonly [type: string]: number };
	readonly perSecond: {
		readonly maps: number;
		readonly unmaps: number;
		readonly invalidations: number;
	};
	readonly mapSizes: { readonly [size: string]: number };
	readonly leaves: Stat["leaves"];
	readonly flushes: { readonly [kind: string]: number };
	readonly flushesPerUnmap: number | null;
	/** Bytes invalidated by page-selective commands per byte unmapped: over-invalidation. */
	readonly flushedPerUnmapped: number | null;
	readonly domains: readonly {
		readonly domain: string;
		readonly kind: string;
		readonly maps: number;
		readonly unmaps: number;
		readonly mapped: number;
		readonly unmapped: number;
		readonly peak: number;
		readonly iova: readonly [string, string] | null;
	}[];
	readonly domainCount: number;
	readonly groups: readonly {
		readonly group: string;
		readonly devices: number;
		readonly switches: number;
		readonly attaches: number;
	}[];
	readonly operations: {
		readonly [name: string]: {
			readonly n: number;
			readonly failed: number;
			readonly meanUs: number;
			readonly maxUs: number;
		};
	};
	readonly dma: {
		readonly done: number;
		readonly blocked: number;
		readonly faults: number;
	};
	readonly lost: number;
	readonly unexplained: number;
}

const SIZE_NAMES = ["", "K", "M", "G", "T", "P", "E"] as const;

/** 2^n bytes as people write it: 12 → "4K". */
export const sizeName = (exponent: number): string =>
	`${2 ** (exponent % 10)}${SIZE_NAMES[Math.floor(exponent / 10)] ?? "?"}`;

const round = (value: number): number => Math.round(value * 1000) / 1000;
const sorted = <V>(table: ReadonlyMap<string, V>): [string, V][] =>
	[...table].sort(([a], [b]) => (a < b ? -1 : 1));

/** Makes the summary. */
export function summarize(stat: Stat): StatSummary {
	const seconds = stat.first < stat.last ? (stat.last - stat.first) / 1e9 : 0;
	const n = (type: string): number => stat.types.get(type) ?? 0;
	const rate = (type: string): number =>
		seconds > 0 ? round(n(type) / seconds) : 0;
	const flushes = [...stat.flushes.values()].reduce((a, b) => a + b, 0);
	const iotlb = [...stat.flushes]
		.filter(([kind]) => /^p?iotlb /.test(kind))
		.reduce((sum, [, count]) => sum + count, 0);
	let unmapped = 0;
	for (const domain of stat.domains.values()) unmapped += domain.unmapped;
	return {
		records: stat.records,
		seconds: round(seconds),
		types: Object.fromEntries(sorted(stat.types)),
		perSecond: {
			maps: rate("dom.map"),
			unmaps: rate("dom.unmap"),
			invalidations: seconds > 0 ? round(flushes / seconds) : 0,
		},
		mapSizes: Object.fromEntries(
			[...stat.mapSizes]
				.sort(([a], [b]) => a - b)
				.map(([exponent, count]) => [sizeName(exponent), count]),
		),
		leaves: stat.leaves,
		flushes: Object.fromEntries(sorted(stat.flushes)),
		flushesPerUnmap: n("dom.unmap") > 0 ? round(iotlb / n("dom.unmap")) : null,
		flushedPerUnmapped:
			unmapped > 0 ? round(stat.flushedBytes / unmapped) : null,
		domains: domainRows(stat),
		domainCount: stat.domains.size,
		groups: sorted(stat.groups).map(
			([group, { devices, switches, attaches }]) => ({
				group,
				devices: devices.size,
				switches,
				attaches,
			}),
		),
		operations: Object.fromEntries(
			sorted(stat.ops).map(([name, op]) => [
				name,
				{
					n: op.n,
					failed: op.failed,
					meanUs: round(op.ns / op.n / 1000),
					maxUs: round(op.nsMax / 1000),
				},
			]),
		),
		dma: { done: stat.dmaDone, blocked: stat.dmaBlocked, faults: stat.faults },
		lost: stat.lost,
		unexplained: stat.unexplained,
	};
}

function domainRows(stat: Stat): StatSummary["domains"] {
	return [...stat.domains]
		.sort(([, a], [, b]) => b.maps + b.unmaps - a.maps - a.unmaps)
		.slice(0, SHOWN_MAX)
		.map(([domain, { low, high, ...rest }]) => ({
			domain,
			...rest,
			iova:
				high > 0
					? [
							`0x${BigInt(low).toString(16)}`,
							`0x${(BigInt(high) - 1n).toString(16)}`,
						]
					: null,
		}));
}

const bytes = (n: number): string => {
	let value = n;
	let unit = 0;
	while (value >= 1024 && unit < SIZE_NAMES.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${Math.round(value * 10) / 10}${SIZE_NAMES[unit]}`;
};
const pairs = (table: { readonly [key: string]: number }): string =>
	Object.entries(table)
		.map(([key, value]) => `${key} ${value}`)
		.join(", ") || "none";

/** The summary as text. */
export function statText(summary: StatSummary): string {
	const { perSecond, dma } = summary;
	const lines = [
		`${summary.records} records in ${summary.seconds} s: ${perSecond.maps} maps/s, ${perSecond.unmaps} unmaps/s, ${perSecond.invalidations} invalidations/s`,
		`map calls by size: ${pairs(summary.mapSizes)}`,
		`leaves needed at least: ${pairs(summary.leaves)}`,
		`invalidations: ${pairs(summary.flushes)}`,
		`IOTLB flushes per unmap: ${summary.flushesPerUnmap ?? "no unmap"}; bytes flushed by page per byte unmapped: ${summary.flushedPerUnmapped ?? "-"}`,
		`DMA told by devices: ${dma.done} done, ${dma.blocked} blocked; faults: ${dma.faults}`,
		`domains (${summary.domainCount}):`,
		...summary.domains.map(
			(d) =>
				`  ${d.domain} ${d.kind}: ${d.maps} maps ${bytes(d.mapped)}, ${d.unmaps} unmaps ${bytes(d.unmapped)}, peak ${bytes(d.peak)}${d.iova === null ? "" : `, IOVA ${d.iova[0]}-${d.iova[1]}`}`,
		),
		"groups:",
		...summary.groups.map(
			(g) =>
				`  ${g.group}: ${g.devices} devices, ${g.switches} switches, ${g.attaches} device attaches`,
		),
		"operations:",
		...Object.entries(summary.operations).map(
			([name, op]) =>
				`  ${name}: ${op.n} (${op.failed} failed), mean ${op.meanUs} us, longest ${op.maxUs} us`,
		),
	];
	if (summary.lost > 0) lines.push(`events lost: at least ${summary.lost}`);
	if (summary.unexplained > 0)
		lines.push(`lines not explained: ${summary.unexplained}`);
	return `${lines.join("\n")}\n`;
}
