/**
 * What a log shows about the kernel that made it, by topic: windows in which hardware could still use what memory no longer had, flushes
 * that were missing or not needed, and how often the order of switches, ownership and attachments was checked.
 */
import type { Judge } from "../invariants/judge.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { World } from "../world/types.ts";
import type { Summary } from "./summary.ts";

/** One topic: the invariants behind it and how they came out. */
export interface Topic {
	readonly topic: string;
	readonly ids: readonly string[];
	readonly checked: number;
	readonly violated: number;
	/** None of them was exercised: the log says nothing about it. */
	readonly untold: boolean;
}
/** The windows of one kind in one domain, or in all. Nanoseconds and bytes. */
export interface WindowReport {
	readonly count: number;
	readonly longestNs: number;
	/** Bytes that lay open, all windows together. */
	readonly bytes: number;
}
/** What verify says about the kernel. */
export interface KernelVerdicts {
	readonly topics: readonly Topic[];
	readonly strict: WindowReport;
	readonly lazy: WindowReport;
	readonly domains: readonly {
		readonly dom: DomainId;
		readonly strict: WindowReport;
		readonly lazy: WindowReport;
	}[];
	readonly flushing: {
		readonly pageCommands: number;
		readonly wholeCommands: number;
		/** Over-invalidation: bytes that page-selective commands named per byte that was stale; null without either. */
		readonly factor: number | null;
		/** Page-selective commands that met nothing stale: flushes without need, or after a new map in caching mode. */
		readonly needless: number;
	};
	/** Domains made in the log that nothing used any more when it ended, and that were not freed. */
	readonly orphans: readonly DomainId[];
	/** Cache tags still counted when the log ended, on domains that no entry points to. */
	readonly tagsLeft: number;
}

const TOPICS: readonly (readonly [string, readonly string[]])[] = [
	["unmap without flush", ["PT-31", "PT-32"]],
	["reuse before the queued flush", ["PT-33", "PT-34"]],
	["superpage switch order", ["PT-37", "IOP-17"]],
	["group coherence during switches", ["GRP-1", "GRP-2", "GRP-3", "GRP-7"]],
	[
		"ownership",
		["OWN-1", "OWN-2", "OWN-3", "OWN-4", "OWN-5", "OWN-6", "OWN-7", "OWN-8"],
	],
	["attach and detach balanced", ["LOG-1", "LOG-2", "GRP-8"]],
	["orphan domains", ["HWP-1", "HWP-2", "HWP-3", "REF-8"]],
	["domain id reused without flush", ["PT-53"]],
	["page table freed while reachable", ["PT-43"]],
	["cache tag before context entry", ["PT-54"]],
	["uses by hardware", ["PT-36"]],
];
const ORPHANS_MAX = 100;
const FRAME = 4096;

/** Sums up what was judged. */
export function kernelVerdicts(judge: Judge, summary: Summary): KernelVerdicts {
	const { world } = judge;
	const { pageBytes, neededBytes, ...counts } = summary.flushing;
	const domains = [...world.iotlb.windows.byDomain].map(
		([dom, { strict, lazy }]) => ({
			dom,
			strict: windowReport(strict),
			lazy: windowReport(lazy),
		}),
	);
	return {
		topics: TOPICS.map(([topic, ids]) => topicOf(judge, topic, ids)),
		strict: total(domains.map(({ strict }) => strict)),
		lazy: total(domains.map(({ lazy }) => lazy)),
		domains: domains.toSorted(
			(a, b) =>
				Math.max(b.strict.longestNs, b.lazy.longestNs) -
				Math.max(a.strict.longestNs, a.lazy.longestNs),
		),
		flushing: {
			pageCommands: counts.pageCommands,
			wholeCommands: counts.wholeCommands,
			factor:
				pageBytes > 0 && neededBytes > 0
					? Math.round((pageBytes / neededBytes) * 1000) / 1000
					: null,
			needless: counts.needless,
		},
		orphans: orphansOf(world),
		tagsLeft: tagsLeft(world),
	};
}

function topicOf(
	{ verdicts }: Judge,
	topic: string,
	ids: readonly string[],
): Topic {
	let checked = 0;
	let violated = 0;
	verdicts.catalogue.forEach(({ id }, index) => {
		if (!ids.includes(id)) return;
		checked += verdicts.checked[index] ?? 0;
		violated += verdicts.violated[index] ?? 0;
	});
	return { topic, ids, checked, violated, untold: checked === 0 };
}

const windowReport = (sum: {
	readonly count: number;
	readonly longestNs: number;
	readonly frames: number;
}): WindowReport => ({
	count: sum.count,
	longestNs: sum.longestNs,
	bytes: sum.frames * FRAME,
});

const total = (parts: readonly WindowReport[]): WindowReport => ({
	count: parts.reduce((sum, { count }) => sum + count, 0),
	longestNs: parts.reduce((max, { longestNs }) => Math.max(max, longestNs), 0),
	bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
});

/** Nothing translates through them, no hwpt, group or container has them. */
function orphansOf(world: World): DomainId[] {
	const used = new Set<DomainId>();
	for (const { def, blk } of world.groups.map.values())
		for (const one of [def, blk])
			if (one !== undefined && one !== null) used.add(one);
	const found: DomainId[] = [];
	for (const domain of world.domains.map.values()) {
		if (domain.createdSeq === 0 || domain.freedSeq > 0) continue;
		if (domain.hwCount > 0 || domain.groupCount > 0) continue;
		const holder =
			domain.hwpt === undefined ? undefined : world.hwpts.map.get(domain.hwpt);
		if (
			used.has(domain.id) ||
			(holder !== undefined && holder.state !== "gone")
		)
			continue;
		if (found.length < ORPHANS_MAX) found.push(domain.id);
	}
	return found;
}

function tagsLeft(world: World): number {
	let left = 0;
	for (const unit of world.iotlb.units.values())
		for (const space of unit.spaces.values())
			if (!space.preexisting && space.live.size === 0) left += space.tagRefs;
	return left;
}
