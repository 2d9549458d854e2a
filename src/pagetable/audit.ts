/**
 * From-scratch audits of one page-table state: the rows of facts §8 that memory alone can answer (PT-1, 2, 5–11, 52, 53).
 * What an operation must keep is in audit-operation.ts.
 *
 * Not verified here: anything about caches, flush queues and readers (rows 25–27, 30–43, 45, 46), which needs more than one table.
 */
import { INVALID, LEAF, TABLE, type Walkable } from "./config.ts";
import { LINKED, wordAt, type Page } from "./page.ts";
import { NO_TABLE } from "./race.ts";
import { eachPage, findPage } from "./store.ts";
import { rootLevelOf, visitLeaves, type Leaf } from "./walk.ts";

/** One thing that is not as it must be. Addresses in frames. */
export interface Finding {
	/** The row of facts §8. */
	readonly id: `PT-${number}`;
	readonly message: string;
	readonly iova?: number;
	readonly table?: number;
}

/** Every structural finding of one state; empty when all is well. */
export const auditState = (table: Walkable): Finding[] => [
	...auditLinks(table),
	...auditLeaves(table),
	...auditSeries(table),
	...auditLookup(table),
];

/** PT-1, PT-2, PT-52: each linked table has one parent, each entry leads somewhere legal, each linked table is reached. */
export function auditLinks(table: Walkable): Finding[] {
	const findings: Finding[] = [];
	const parents = new Map<number, number>();
	const root = findPage(table.store, table.root);
	const visit = (page: Page, level: number): void => {
		for (const { slot, child } of childrenOf(table, page, level)) {
			const below = level + table.config.geometry.down;
			const target = findPage(table.store, child);
			const seen = (parents.get(child) ?? 0) + 1;
			parents.set(child, seen);
			if (
				target === undefined ||
				target.state !== LINKED ||
				target.level !== below
			) {
				const what =
					target === undefined
						? "no table in memory"
						: "no linked table of the level below";
				findings.push({
					id: "PT-2",
					message: `slot ${slot} of table ${page.id} points to ${child}: ${what}`,
					table: page.id,
				});
				continue;
			}
			if (seen === 1) visit(target, below);
			else
				findings.push({
					id: "PT-1",
					message: `table ${child} is linked from ${seen} entries`,
					table: child,
				});
		}
	};
	if (root !== undefined) visit(root, rootLevelOf(table));
	eachPage(table.store, (page) => {
		if (page.state !== LINKED || page.id === table.root || parents.has(page.id))
			return;
		findings.push({
			id: "PT-52",
			message: `table ${page.id} counts as linked but no walk reaches it: leaked, and its pages are lost`,
			table: page.id,
		});
	});
	return findings;
}

function* childrenOf(
	table: Walkable,
	page: Page,
	level: number,
): Generator<{ slot: number; child: number }> {
	const { geometry, codec } = table.config;
	if (level === geometry.leafLevel) return;
	for (let slot = 0; slot < 2 ** page.bits; slot++) {
		const word = wordAt(page, slot);
		if (word !== 0 && codec.kind(word, level) === TABLE)
			yield { slot, child: codec.child(word) };
	}
}

const leavesOf = (table: Walkable): Leaf[] => {
	const list: Leaf[] = [];
	visitLeaves(table, 0, 2 ** 53, (leaf) => void list.push(leaf));
	return list;
};
/** First frame of what the leaf claims to cover: a replica's series begins before its own slot. */
const claimStart = (leaf: Leaf): number =>
	Math.floor(leaf.iova / leaf.leafSize) * leaf.leafSize;

/** PT-5, PT-6, PT-7, PT-8: leaves are disjoint, aligned, of a configured size, within the limits, and survive being written down. */
export function auditLeaves(table: Walkable): Finding[] {
	const findings: Finding[] = [];
	const { codec, pageSizes, oas, ias, geometry } = table.config;
	const inputEnd = (geometry.iovaBase ?? 0) + 2 ** (ias - 12);
	const limited = table.config.format !== "amd_v1";
	let previous: Leaf | undefined;
	for (const leaf of leavesOf(table)) {
		const { iova, pa, leafSize, word } = leaf;
		const start = claimStart(leaf);
		const base = pa - (iova - start);
		const note = (id: Finding["id"], message: string): void => {
			findings.push({ id, message, iova, table: leaf.table });
		};
		if (previous !== undefined && overlaps(previous, leaf))
			note(
				"PT-5",
				`the leaf at ${start} overlaps the one at ${claimStart(previous)}`,
			);
		if (base % leafSize !== 0)
			note(
				"PT-6",
				`a leaf of ${leafSize} frames maps to frame ${base}, which is not aligned to it`,
			);
		if (!pageSizes.includes(leafSize))
			note("PT-7", `${leafSize} frames is no configured page size`);
		if (limited && start + leafSize > inputEnd)
			note("PT-7", `the leaf ends beyond ${ias} input bits`);
		if (pa + leaf.slotSize > 2 ** (oas - 12))
			note("PT-7", `the target ends beyond ${oas} output bits`);
		if (
			codec.fromRaw(codec.raw(word)) !== word ||
			codec.kind(word, leaf.level) === INVALID
		)
			note(
				"PT-8",
				`entry ${codec.raw(word).toString(16)} does not survive decoding`,
			);
		previous = leaf;
	}
	return findings;
}

/** Two leaves next to each other in address order claim common frames, and are not replicas of one series. */
function overlaps(a: Leaf, b: Leaf): boolean {
	const sameClaim =
		claimStart(a) === claimStart(b) && a.leafSize === b.leafSize;
	const sameTarget = a.pa - a.iova === b.pa - b.iova;
	if (sameClaim && sameTarget) return false;
	return (
		claimStart(a) + a.leafSize > b.iova || claimStart(b) < a.iova + a.slotSize
	);
}

/** PT-9 (AMD v1), PT-10 (v7s): the copies of a replicated leaf are all there and equal, dirty state excepted. */
export function auditSeries(table: Walkable): Finding[] {
	const id =
		table.config.format === "amd_v1"
			? "PT-9"
			: table.config.format === "arm_v7s"
				? "PT-10"
				: undefined;
	if (id === undefined) return [];
	const findings: Finding[] = [];
	const DIRTY = id === "PT-9" ? 1 << 6 : 0;
	const seen = new Set<string>();
	for (const leaf of leavesOf(table)) {
		const copies = leaf.leafSize / leaf.slotSize;
		if (copies === 1) continue;
		const first = leaf.slot - (leaf.slot % copies);
		const key = `${leaf.table}:${first}:${copies}`;
		if (seen.has(key)) continue;
		seen.add(key);
		const page = findPage(table.store, leaf.table);
		if (page === undefined) continue;
		const clean = (word: number): number => word - (word & DIRTY);
		let odd = 0;
		for (let i = 0; i < copies; i++)
			if (clean(wordAt(page, first + i)) !== clean(leaf.word)) odd++;
		if (odd > 0)
			findings.push({
				id,
				message: `${odd} of the ${copies} copies of the leaf at ${claimStart(leaf)} are missing or differ`,
				iova: leaf.iova,
				table: leaf.table,
			});
	}
	return findings;
}

/** PT-11: the driver's lookup agrees with memory at both ends and inside of every leaf. */
export function auditLookup(table: Walkable): Finding[] {
	const findings: Finding[] = [];
	const { driver } = table.config;
	for (const leaf of leavesOf(table)) {
		const inside = Math.floor(leaf.slotSize / 2);
		for (const offset of new Set([
			0,
			1 % leaf.slotSize,
			inside,
			leaf.slotSize - 1,
		])) {
			const found = driver.lookup(table, leaf.iova + offset);
			if (found === leaf.pa + offset) continue;
			findings.push({
				id: "PT-11",
				message: `iova_to_phys of ${leaf.iova + offset} answers ${found}, memory says ${leaf.pa + offset}`,
				iova: leaf.iova + offset,
			});
			break;
		}
	}
	return findings;
}

/** PT-53: after destroy no table is left. */
export function auditDestroyed(table: Walkable): Finding[] {
	if (table.root !== NO_TABLE)
		return [{ id: "PT-53", message: "the table still has a root" }];
	const findings: Finding[] = [];
	eachPage(table.store, (page) =>
		findings.push({
			id: "PT-53",
			message: `table ${page.id} was never freed`,
			table: page.id,
		}),
	);
	return findings;
}

/** PT-8 for one encoding: does (pa, rights, level) come back? `rights`: 1 read, 2 write. The leaf must be mapped at `iova`. */
export function auditEncoding(
	table: Walkable,
	iova: number,
	pa: number,
	rights: number,
): Finding[] {
	let found: Leaf | undefined;
	visitLeaves(table, iova, 1, (leaf) => {
		found = leaf;
		return false;
	});
	const isRight =
		found !== undefined &&
		table.config.codec.kind(found.word, found.level) === LEAF &&
		found.pa + (iova - found.iova) === pa &&
		found.rights === rights;
	if (isRight) return [];
	const got =
		found === undefined
			? "nothing"
			: `frame ${found.pa + (iova - found.iova)}, rights ${found.rights}`;
	return [
		{
			id: "PT-8",
			message: `written as frame ${pa}, rights ${rights}; read back as ${got}`,
			iova,
		},
	];
}
