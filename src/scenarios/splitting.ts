/**
 * Who ever sees a partial unmap of a block? The history told in seed 5 (Deacon/Gunthorpe, 2024-11-01) as data: each way in which VFIO and
 * iommufd have called unmap, run against each driver's answer. Every outcome is computed by the page-table reducer.
 *
 * Since 6fe1010d6d9c found the run by iova_to_phys before it unmapped, no driver was asked for a part of a block any more — except where
 * the lookup itself was wrong (fixed by 7c6d90e2bb1a), where fgsp is set (AMD only, which answers with the whole block), or where
 * userspace itself cut a mapping (ended by TYPE1v2, 1ef3e2bc0422). That is the argument with which 6.13 dropped the split.
 */
import type { TableRequest } from "../pagetable/config.ts";
import { coreMap, coreUnmapFast } from "../pagetable/core.ts";
import type { Edit } from "../pagetable/edit.ts";
import { newGather, syncGather } from "../pagetable/gather.ts";
import type { PolicyOverrides } from "../pagetable/policy.ts";
import { beginEdit, createTable, lookup } from "../pagetable/table.ts";
import { translate } from "../pagetable/walk.ts";

/** A mapping to be taken away. Frames. */
export interface MappedEntry {
	readonly iova: number;
	readonly pa: number;
	readonly size: number;
}

/** What an unmap engine has done so far. */
interface Progress {
	/** Frames the driver said were unmapped: what gets unpinned. */
	unpinned: number;
	/** Calls that asked for less than a leaf. */
	partialCalls: number;
	calls: number;
	/** The engine gave up: a call returned 0. */
	stuck: boolean;
	/** Unpins that named other physical pages than those mapped. */
	wrongUnpins: number;
}
type UnmapCall = (iova: number, size: number) => number;

/** One way of unmapping. */
export interface UnmapCaller {
	readonly name: string;
	readonly source: string;
	/** Only where vfio_test_domain_fgsp says so. */
	readonly needsFgsp?: true;
	/**
	 * Takes [iova, iova+size) away through `unmap`; `phys` is iova_to_phys. Ends when a call answers 0. `unpin` is told which physical
	 * pages the caller takes for released, where it learns them from the page table.
	 */
	readonly run: (
		entry: MappedEntry,
		unmap: UnmapCall,
		phys: (iova: number) => number,
		unpin: (iova: number, pa: number) => void,
	) => void;
}

/** Page by page, advancing by what the driver says: "unmap smaller gives the larger size". */
function pageByPage(
	entry: MappedEntry,
	unmap: UnmapCall,
	phys: (iova: number) => number,
	unpin: (iova: number, pa: number) => void,
): void {
	for (let at = entry.iova; at < entry.iova + entry.size; ) {
		const start = phys(at);
		const done = unmap(at, 1);
		if (done === 0) return;
		unpin(at, start);
		at += done;
	}
}

/** The run that iova_to_phys shows to be contiguous goes in one call. */
function chunked(
	entry: MappedEntry,
	unmap: UnmapCall,
	phys: (iova: number) => number,
	unpin: (iova: number, pa: number) => void,
): void {
	const end = entry.iova + entry.size;
	for (let at = entry.iova; at < end; ) {
		const start = phys(at);
		let length = 1;
		while (at + length < end && phys(at + length) === start + length) length++;
		const done = unmap(at, length);
		if (done === 0) return;
		unpin(at, start);
		at += done;
	}
}

/** The callers, oldest first. */
export const UNMAP_CALLERS: readonly UnmapCaller[] = [
	{
		name: "type1, page by page",
		source: "166fd7d94afd (seed 5): iommu_unmap(domain, iova, PAGE_SIZE)",
		run: pageByPage,
	},
	{
		name: "type1 v1, userspace cuts a mapping",
		source: "v1 before 1ef3e2bc0422 coalesced user mappings (seed 5)",
		run: (entry, unmap) => {
			// The user takes one page out of the middle of the first block, nothing else.
			unmap(entry.iova + 3, 1);
		},
	},
	{
		name: "type1, chunks by iova_to_phys",
		source: "6fe1010d6d9c (seed 5); facts iommufd-semantics §5.4",
		run: chunked,
	},
	{
		name: "type1, fgsp set",
		source:
			"6fe1010d6d9c with domain->fgsp: chunk = one page (facts iommufd-semantics §5.4)",
		needsFgsp: true,
		run: pageByPage,
	},
	{
		name: "iommufd, whole area",
		source:
			"iommufd/pages.c:iopt_area_unmap_domain_range: the area's own range in one call",
		run: (entry, unmap) => {
			unmap(entry.iova, entry.size);
		},
	},
];

/** A driver's answer to a partial unmap. */
export interface SplitDriver {
	readonly name: string;
	readonly request: TableRequest;
	readonly policy: PolicyOverrides;
	/** Frames of the smallest block. */
	readonly blockFrames: number;
}

const ARM: TableRequest = {
	format: "arm64_s1",
	pageSizes: 0x40201000n,
	ias: 48,
	oas: 48,
};
/** The drivers. */
export const SPLIT_DRIVERS: readonly SplitDriver[] = [
	{ name: "Arm to 6.12", request: ARM, policy: {}, blockFrames: 512 },
	{
		name: "Arm from 6.13",
		request: ARM,
		policy: { partialUnmap: "refuse" },
		blockFrames: 512,
	},
	{
		name: "Arm with the lookup defect",
		request: ARM,
		policy: { iovaToPhysBlockDefect: true },
		blockFrames: 512,
	},
	{
		name: "Arm from 6.13 with the lookup defect",
		request: ARM,
		policy: { partialUnmap: "refuse", iovaToPhysBlockDefect: true },
		blockFrames: 512,
	},
	{
		name: "Arm v7s to 6.12",
		request: { format: "arm_v7s", pageSizes: 0x111000n },
		policy: {},
		blockFrames: 256,
	},
	{
		name: "AMD v1",
		request: { format: "amd_v1" },
		policy: {},
		blockFrames: 512,
	},
	{ name: "VT-d", request: { format: "vtd" }, policy: {}, blockFrames: 512 },
];

/** What became of a mapping. */
export type SplitOutcome =
	/** No call asked for less than a leaf: the policy was never consulted. */
	| "never asked"
	/** Asked for less, answered with the whole leaf; the caller that advances by the answer is right, and unpins what it must. */
	| "whole leaf"
	/** The block was split; nothing wrong, tables made for nothing. */
	| "split"
	/** The driver refused; the rest stays mapped and pinned. */
	| "refused"
	/** The caller asked the page table which pages to unpin, and was told others. */
	| "wrong pages unpinned"
	/** Pages that were to stay lead elsewhere, or are gone. */
	| "kept pages harmed"
	/** The walk went into mapped data. */
	| "walked into data";

/** One cell of the table: caller against driver. */
export interface SplitReport {
	readonly outcome: SplitOutcome;
	readonly calls: number;
	readonly partialCalls: number;
	/** Tables allocated while unmapping. */
	readonly tablesMade: number;
	readonly unpinned: number;
	/** Frames still mapped of those that were to go. */
	readonly leftMapped: number;
	readonly wrongUnpins: number;
}

/** Two blocks and a tail of pages, contiguous. */
const entryFor = (driver: SplitDriver): MappedEntry => ({
	iova: 4 * driver.blockFrames,
	pa: 64 * driver.blockFrames,
	size: 2 * driver.blockFrames + 8,
});

/** Runs one caller against one driver. */
export function runSplitCase(
	caller: UnmapCaller,
	driver: SplitDriver,
): SplitReport {
	const entry = entryFor(driver);
	const edit = beginEdit(createTable(driver.request, driver.policy));
	const mapped = coreMap(edit, entry.iova, entry.pa, entry.size, 3);
	if (mapped !== 0) throw new Error(`setting up failed with ${mapped}`);
	const tables = edit.counts.allocated;
	const progress: Progress = {
		unpinned: 0,
		partialCalls: 0,
		calls: 0,
		stuck: false,
		wrongUnpins: 0,
	};
	const targets: [number, number][] = [];
	const unmap = (iova: number, size: number): number => {
		targets.push([iova, size]);
		return unmapOnce(edit, iova, size, progress);
	};
	const unpin = (iova: number, pa: number): void => {
		if (pa !== entry.pa + (iova - entry.iova)) progress.wrongUnpins++;
	};
	caller.run(entry, unmap, (iova) => lookup(edit, iova), unpin);
	return reportOn(edit, entry, targets, progress, tables);
}

function unmapOnce(
	edit: Edit,
	iova: number,
	size: number,
	progress: Progress,
): number {
	progress.calls++;
	if (cutsALeaf(edit, iova, size)) progress.partialCalls++;
	const gather = newGather();
	const done = coreUnmapFast(edit, iova, size, gather);
	syncGather(edit, gather);
	progress.unpinned += done;
	progress.stuck ||= done === 0;
	return done;
}

/** Does the request begin or end inside a leaf? */
function cutsALeaf(edit: Edit, iova: number, size: number): boolean {
	const isEdgeInside = (at: number, edge: number): boolean => {
		const leaf = translate(edit, at);
		if (leaf === undefined) return false;
		const start = Math.floor(leaf.iova / leaf.leafSize) * leaf.leafSize;
		return edge > start && edge < start + leaf.leafSize;
	};
	return isEdgeInside(iova, iova) || isEdgeInside(iova + size - 1, iova + size);
}

function reportOn(
	edit: Edit,
	entry: MappedEntry,
	targets: readonly (readonly [number, number])[],
	progress: Progress,
	tables: number,
): SplitReport {
	let leftMapped = 0;
	let harmed = 0;
	for (let i = 0; i < entry.size; i++) {
		const iova = entry.iova + i;
		const wanted = targets.some(([at, size]) => iova >= at && iova < at + size);
		const leaf = translate(edit, iova);
		if (wanted) leftMapped += leaf === undefined ? 0 : 1;
		else if (
			leaf === undefined ||
			leaf.pa + (iova - leaf.iova) !== entry.pa + i
		)
			harmed++;
	}
	const tablesMade = edit.counts.allocated - tables;
	const { calls, partialCalls, unpinned, stuck, wrongUnpins } = progress;
	// Frames a driver gave back beyond the request are gone with their caller's knowledge when it advances by the answer.
	const unknown = harmed - Math.max(0, unpinned - targetSize(targets));
	const outcome: SplitOutcome = edit.hazard
		? "walked into data"
		: partialCalls === 0
			? "never asked"
			: stuck
				? "refused"
				: wrongUnpins > 0
					? "wrong pages unpinned"
					: unknown > 0
						? "kept pages harmed"
						: tablesMade > 0
							? "split"
							: "whole leaf";
	return {
		outcome,
		calls,
		partialCalls,
		tablesMade,
		unpinned,
		leftMapped,
		wrongUnpins,
	};
}
const targetSize = (targets: readonly (readonly [number, number])[]): number =>
	targets.reduce((sum, [, size]) => sum + size, 0);

/** vfio_test_domain_fgsp: maps two pages at once, unmaps one; more than one page back means fine-grained superpages. */
export function measuresFgsp(driver: SplitDriver): boolean {
	const edit = beginEdit(createTable(driver.request, driver.policy));
	coreMap(edit, 0, 1024, 2, 3);
	return coreUnmapFast(edit, 0, 1, newGather()) > 1;
}

/** Does VFIO ever call this driver so? fgsp is set only where its own test finds fine-grained superpages. */
export const occursOn = (caller: UnmapCaller, driver: SplitDriver): boolean =>
	caller.needsFgsp !== true || measuresFgsp(driver);

/** The callers that there are with either driver, and to whom it makes a difference which of the two answers. */
export const whoSees = (a: SplitDriver, b: SplitDriver): string[] =>
	UNMAP_CALLERS.filter(
		(caller) =>
			occursOn(caller, a) &&
			occursOn(caller, b) &&
			runSplitCase(caller, a).outcome !== runSplitCase(caller, b).outcome,
	).map((caller) => caller.name);

/** The whole table: outcome by caller and driver. */
export function splittingTable(): Record<string, Record<string, SplitOutcome>> {
	const table: Record<string, Record<string, SplitOutcome>> = {};
	for (const caller of UNMAP_CALLERS) {
		const row: Record<string, SplitOutcome> = {};
		for (const driver of SPLIT_DRIVERS)
			row[driver.name] = runSplitCase(caller, driver).outcome;
		table[caller.name] = row;
	}
	return table;
}
