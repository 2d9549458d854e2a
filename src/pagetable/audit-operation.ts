/**
 * What one operation on a page table must keep (facts §8): rows 3, 4, 12–19, 28, 29, 44, 47, 48, 50, 51. Each audit compares the state
 * before with the state after, from scratch.
 */
import type { Finding } from "./audit.ts";
import type { Walkable } from "./config.ts";
import { INVALID } from "./config.ts";
import { encodesAtLeast, type FlushRange } from "./audit-flush.ts";
import type { Effect } from "./events.ts";
import { wordAt } from "./page.ts";
import { findPage } from "./store.ts";
import { translate, visitLeaves, type Leaf } from "./walk.ts";

/** A stretch of translation that is contiguous in both spaces with equal rights. Frames. */
export interface Run {
	readonly iova: number;
	readonly pa: number;
	readonly rights: number;
	size: number;
}

/** The translations of a range, merged. */
export function runsIn(table: Walkable, iova: number, size: number): Run[] {
	const runs: Run[] = [];
	visitLeaves(table, iova, size, (leaf) => {
		const from = Math.max(leaf.iova, iova);
		const length = Math.min(leaf.iova + leaf.slotSize, iova + size) - from;
		const pa = leaf.pa + (from - leaf.iova);
		const last = runs[runs.length - 1];
		const joins =
			last !== undefined &&
			last.iova + last.size === from &&
			last.pa + last.size === pa &&
			last.rights === leaf.rights;
		if (joins) last.size += length;
		else runs.push({ iova: from, pa, rights: leaf.rights, size: length });
	});
	return runs;
}

const EVERYTHING = 2 ** 53;
const sizeOf = (runs: readonly Run[]): number =>
	runs.reduce((sum, run) => sum + run.size, 0);
const sameRuns = (a: readonly Run[], b: readonly Run[]): boolean =>
	JSON.stringify(a) === JSON.stringify(b);

/** Are all translations outside [iova, iova+size) the same in both? */
const sameOutside = (
	a: Walkable,
	b: Walkable,
	iova: number,
	size: number,
): boolean =>
	sameRuns(runsIn(a, 0, iova), runsIn(b, 0, iova)) &&
	sameRuns(
		runsIn(a, iova + size, EVERYTHING - iova - size),
		runsIn(b, iova + size, EVERYTHING - iova - size),
	);

/** PT-3, PT-4, PT-28: hazards that an operation's effects report. */
export function auditEffects(effects: readonly Effect[]): Finding[] {
	const findings: Finding[] = [];
	for (const effect of effects) {
		if (effect[0] === "DW")
			findings.push({
				id: "PT-3",
				message: `the walk followed a leaf into frame ${effect[1]} as if it were a table`,
			});
		else if (effect[0] === "FD")
			findings.push({
				id: "PT-4",
				message: `mapped data at frame ${effect[1]} was given to the page allocator`,
			});
		else if (effect[0] === "UAF" || effect[0] === "UW")
			findings.push({
				id: "PT-28",
				message: `table ${effect[1]} was ${effect[0] === "UAF" ? "followed" : "changed"} after it had been freed`,
				table: effect[1],
			});
	}
	return findings;
}

/** A finished map call. `mapped`: frames reported as done. */
export interface MapCall {
	readonly iova: number;
	readonly pa: number;
	readonly size: number;
	readonly ret: number;
	readonly mapped: number;
	/** The caller said that it replaces what is there. */
	readonly replaces?: boolean;
}

/** PT-12, 13, 14, 29, 47, 51 for one map call that nothing interrupted. */
export function auditMap(
	before: Walkable,
	after: Walkable,
	call: MapCall,
	effects: readonly Effect[],
): Finding[] {
	const findings: Finding[] = [];
	const { iova, size } = call;
	const old = runsIn(before, iova, size);
	if (call.ret === 0) {
		const target = (at: number): number => call.pa + (at - iova);
		const wrong = runsIn(after, iova, call.mapped).find(
			(run) => run.pa !== target(run.iova),
		);
		if (
			wrong !== undefined ||
			sizeOf(runsIn(after, iova, call.mapped)) !== call.mapped
		)
			findings.push({
				id: "PT-12",
				message: `map reported success, but ${wrong === undefined ? "part of the range is not mapped" : `frame ${wrong.iova} leads to ${wrong.pa}`}`,
				iova,
			});
	} else if (
		!sameOutside(before, after, iova, size) ||
		!sameRuns(old, runsIn(after, iova, size))
	)
		findings.push({
			id: "PT-13",
			message: `map failed with ${call.ret} and left other translations than before`,
			iova,
		});
	findings.push(...auditReplaced(before, after, call, effects));
	return findings;
}

/** What a successful map displaced: was it flushed, was it empty, was its dirty state kept? */
function auditReplaced(
	before: Walkable,
	after: Walkable,
	call: MapCall,
	effects: readonly Effect[],
): Finding[] {
	const findings: Finding[] = [];
	const displaced: Leaf[] = [];
	visitLeaves(before, call.iova, call.size, (leaf) => {
		const now = translate(after, leaf.iova);
		if (now?.word !== leaf.word || now.level !== leaf.level)
			displaced.push(leaf);
	});
	const [first] = displaced;
	if (first === undefined || call.ret !== 0) return findings;
	const flushed: FlushRange = encodesAtLeast(effects);
	if (!flushed.any)
		findings.push({
			id: "PT-14",
			message: `the leaf at ${first.iova} was replaced without a flush`,
			iova: first.iova,
		});
	const lost = displaced.find(
		(leaf) => !flushed.covers(leaf.iova, leaf.slotSize),
	);
	if (flushed.any && lost !== undefined)
		findings.push({
			id: "PT-51",
			message: `the leaf at ${lost.iova} lost its translation, the flush does not reach all of it`,
			iova: lost.iova,
		});
	const now = translate(after, call.iova);
	if (
		call.replaces !== true &&
		now !== undefined &&
		now.slotSize > first.slotSize
	)
		findings.push({
			id: "PT-29",
			message: `a block took the place of a table with live pages, the first at ${first.iova}`,
			iova: first.iova,
		});
	const wasDirty = displaced.some((leaf) => isDirty(before, leaf));
	if (wasDirty && now !== undefined && !isDirty(after, now))
		findings.push({
			id: "PT-47",
			message: "dirty pages were replaced by a leaf that does not say so",
			iova: call.iova,
		});
	return findings;
}

/** Dirty state as the format keeps it (facts §7). */
function isDirty(table: Walkable, leaf: Leaf): boolean {
	switch (table.config.format) {
		case "vtd":
			return (leaf.word & (1 << 9)) !== 0;
		case "amd_v1":
			return (leaf.word & (1 << 6)) !== 0;
		case "arm64_s1":
			return (leaf.word & (1 << 12)) !== 0 && (leaf.word & (1 << 7)) === 0;
		default:
			return false;
	}
}

/** A finished unmap call. */
export interface UnmapCall {
	readonly iova: number;
	/** Frames asked for. */
	readonly size: number;
	/** Frames reported. */
	readonly reported: number;
}

/** PT-15, 16, 17, 18, 19, 50 for one unmap call that nothing interrupted. */
export function auditUnmap(
	before: Walkable,
	after: Walkable,
	call: UnmapCall,
): Finding[] {
	const { iova, size, reported } = call;
	const findings: Finding[] = [];
	const note = (id: Finding["id"], message: string): void => {
		findings.push({ id, message, iova });
	};
	const promised = Math.min(reported, size);
	if (promised > 0 && runsIn(after, iova, promised).length > 0)
		note("PT-15", "unmap reported frames that are still mapped");
	const leavesBefore: Leaf[] = [];
	visitLeaves(before, 0, EVERYTHING, (leaf) => void leavesBefore.push(leaf));
	const touches = (leaf: Leaf): boolean => {
		const start = Math.floor(leaf.iova / leaf.leafSize) * leaf.leafSize;
		return start < iova + size && start + leaf.leafSize > iova;
	};
	const gone = leavesBefore.filter(
		(leaf) => runsIn(after, leaf.iova, leaf.slotSize).length === 0,
	);
	const neighbour = gone.find((leaf) => !touches(leaf));
	if (neighbour !== undefined)
		note(
			"PT-16",
			`the leaf at ${neighbour.iova} outside the request was cleared too`,
		);
	const inside = runsIn(before, iova, size);
	const aligned = leavesBefore
		.filter(touches)
		.every(
			(leaf) => leaf.iova >= iova && leaf.iova + leaf.slotSize <= iova + size,
		);
	const cleared = gone.reduce((sum, leaf) => sum + leaf.slotSize, 0);
	if (sizeOf(inside) === size && aligned && cleared !== reported)
		note(
			"PT-17",
			`a fully mapped range: ${cleared} frames cleared, ${reported} reported`,
		);
	const isPartial = leavesBefore.some(
		(leaf) =>
			touches(leaf) &&
			(leaf.iova < iova || leaf.iova + leaf.slotSize > iova + size),
	);
	const policy = before.config.policy.partialUnmap;
	if (
		isPartial &&
		policy === "refuse" &&
		!sameRuns(runsIn(before, 0, EVERYTHING), runsIn(after, 0, EVERYTHING))
	)
		note(
			"PT-18",
			"a partial unmap that the policy refuses changed translations",
		);
	if (
		isPartial &&
		policy === "split" &&
		!sameOutside(before, after, iova, size)
	) {
		const kept = leavesBefore.find(
			(leaf) =>
				touches(leaf) && sizeOf(runsIn(after, leaf.iova, leaf.slotSize)) > 0,
		);
		if (kept === undefined)
			note("PT-19", "the pages that a split keeps are gone");
		else
			note("PT-50", "the pages that a split keeps lead elsewhere than before");
	}
	return findings;
}

/** PT-48: a sweep changes dirty state only: the same leaves, targets and rights. `before` and `after` of one sweep. */
export function auditSweep(before: Walkable, after: Walkable): Finding[] {
	const shape = (table: Walkable): string[] => {
		const list: string[] = [];
		visitLeaves(
			table,
			0,
			EVERYTHING,
			({ iova, pa, slotSize }) => void list.push(`${iova} ${pa} ${slotSize}`),
		);
		return list;
	};
	if (JSON.stringify(shape(before)) === JSON.stringify(shape(after))) return [];
	return [{ id: "PT-48", message: "a dirty sweep changed leaves" }];
}

/** PT-44 (AMD v1): growth keeps every translation, never shrinks, and entry 0 of each new root leads to the old one. */
export function auditGrowth(before: Walkable, after: Walkable): Finding[] {
	if (after.mode < before.mode)
		return [
			{
				id: "PT-44",
				message: `the table shrank from ${before.mode} to ${after.mode} levels`,
			},
		];
	let id = after.root;
	for (let mode = after.mode; mode > before.mode; mode--) {
		const page = findPage(after.store, id);
		const word = page === undefined ? 0 : wordAt(page, 0);
		if (after.config.codec.kind(word, mode - 1) === INVALID) break;
		id = after.config.codec.child(word);
	}
	if (id === before.root) return [];
	return [
		{
			id: "PT-44",
			message: `entry 0 of the new root does not lead to the old root ${before.root}`,
			table: after.root,
		},
	];
}
