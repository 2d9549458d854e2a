/**
 * PT-5 … PT-10, PT-44: what stands in page tables that are logged entry by entry (facts pagetable-semantics.md §1, §8). The from-scratch
 * audits of one state are in src/pagetable/audit.ts.
 */
import {
	kindOf,
	spanOf,
	type TablePage,
	type Tables,
} from "../iotlb/tables.ts";
import { leafOf } from "../iotlb/table-walk.ts";
import { hexOfFrame } from "../vocabulary/address.ts";
import type { DomainId } from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { SlotChange } from "../world/table-effect.ts";
import type { World } from "../world/types.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";
import { effectOf } from "./table-acts.ts";
import { SAME_STATE } from "./table-replay.ts";

type Written = LogRecord<"slot.written">;

/** A check of every leaf that a record wrote into a linked table. */
const perLeaf =
	(test: (leaf: WrittenLeaf, tables: Tables, record: Written) => Outcome) =>
	({ world }: Context, record: Written): Outcome => {
		const effect = effectOf(world);
		const page = effect?.page;
		if (effect === undefined || page === undefined) return SKIP;
		let outcome: Outcome = SKIP;
		for (const change of effect.changes) {
			if (kindOf(effect.tables, change.now, page.level) !== "leaf") continue;
			outcome = test(
				leafIn(effect.tables, page, change),
				effect.tables,
				record,
			);
			if (outcome !== undefined && outcome !== SKIP) return outcome;
		}
		return outcome;
	};

interface WrittenLeaf {
	readonly page: TablePage;
	readonly slot: number;
	readonly word: number;
	/** What the leaf claims: frames, first frame (-1: its table is linked nowhere), and where that leads. */
	readonly size: number;
	readonly start: number;
	readonly pa: number;
}

function leafIn(
	tables: Tables,
	page: TablePage,
	{ slot, now }: SlotChange,
): WrittenLeaf {
	const { codec } = tables.config;
	const span = spanOf(tables, page.level);
	const size = codec.leafSize(now, page.level);
	const { pa } = leafOf(tables, page.level, slot, now);
	const [base] = page.bases;
	// A replica begins before its own slot.
	const inside = size > span ? (slot * span) % size : 0;
	const start = base === undefined ? -1 : base + slot * span - inside;
	return { page, slot, word: now, size, start, pa: pa - inside };
}

/** PT-6: base and target are aligned to the size. */
const aligned = perLeaf(({ page, slot, size, pa }, _tables, { data, seq }) =>
	pa % size === 0
		? undefined
		: broken(
				`${data.dom} ${page.id} ${slot} ${seq}`,
				`slot ${slot} of table ${page.id} of ${data.dom} is a leaf of ${size} pages that leads to ${hexOfFrame(pa)}, which is not aligned to it`,
				[data.dom],
				[],
			),
);

/** PT-7: the size is one that was configured, and both ends are within the limits. */
const withinLimits = perLeaf(
	({ page, slot, size, start, pa }, tables, { data, seq }) => {
		const { pageSizes, ias, oas, format, geometry } = tables.config;
		const inputEnd = (geometry.iovaBase ?? 0) + 2 ** (ias - 12);
		const problem = !pageSizes.includes(size)
			? `${size} pages, which is no configured size`
			: format !== "amd_v1" && start >= 0 && start + size > inputEnd
				? `an end beyond ${ias} input bits`
				: pa + size > 2 ** (oas - 12)
					? `a target beyond ${oas} output bits`
					: undefined;
		if (problem === undefined) return undefined;
		return broken(
			`${data.dom} ${page.id} ${slot} ${seq}`,
			`slot ${slot} of table ${page.id} of ${data.dom} is a leaf of ${size} pages with ${problem}`,
			[data.dom],
			[],
		);
	},
);

/** PT-8: the word says what its address, rights and level say, and nothing else. */
function survives({ world }: Context, record: Written): Outcome {
	const effect = effectOf(world);
	const page = effect?.page;
	if (effect === undefined || page === undefined) return SKIP;
	const { data, seq } = record;
	const { codec } = effect.tables.config;
	const stride = BigInt(data.stride ?? 0);
	for (const [i, change] of effect.changes.entries()) {
		const raw = BigInt(data.word) + stride * BigInt(i);
		if (codec.raw(change.now) === raw) continue;
		return broken(
			`${data.dom} ${page.id} ${change.slot} ${seq}`,
			`0x${raw.toString(16)} in slot ${change.slot} of table ${page.id} of ${data.dom} is no entry of ${effect.tables.config.format}: read back it is 0x${codec.raw(change.now).toString(16)}`,
			[data.dom],
			[],
		);
	}
	return undefined;
}

const REPLICATED: { readonly [format: string]: string } = {
	amd_v1: "PT-9",
	arm_v7s: "PT-10",
};

/** Leaves of a table that are kept as several equal entries; the findings of PT-5 and PT-9 or PT-10. */
export function seriesIn(
	tables: Tables,
	page: TablePage,
): { readonly overlap: number | undefined; readonly odd: number | undefined } {
	const span = spanOf(tables, page.level);
	const { codec, format } = tables.config;
	const dirty = format === "amd_v1" ? 1 << 6 : 0;
	const clean = (word: number): number => word - (word & dirty);
	let overlap: number | undefined;
	let odd: number | undefined;
	let end = -1;
	let first = -1;
	let size = 0;
	for (const slot of [...page.words.keys()].sort((a, b) => a - b)) {
		const word = page.words.get(slot) as number;
		if (kindOf(tables, word, page.level) !== "leaf") continue;
		const copies = codec.leafSize(word, page.level) / span;
		const start = slot - (slot % copies);
		const isSame = start === first && copies === size;
		if (!isSame && start < end) overlap ??= slot;
		if (!isSame) {
			first = start;
			size = copies;
			end = Math.max(end, start + copies);
		}
		for (let i = 0; i < copies; i++)
			if (clean(page.words.get(start + i) ?? 0) !== clean(word)) odd ??= slot;
	}
	return { overlap, odd };
}

const series =
	(id: string) =>
	(world: World, dom: string): Outcome => {
		const tables = world.iotlb.tables.get(dom as DomainId);
		const replicated =
			tables === undefined ? undefined : REPLICATED[tables.config.format];
		if (tables === undefined || replicated === undefined) return SKIP;
		if (id !== "PT-5" && id !== replicated) return SKIP;
		for (const page of tables.pages.values()) {
			if (page.life !== "linked") continue;
			const { overlap, odd } = seriesIn(tables, page);
			const slot = id === "PT-5" ? overlap : odd;
			if (slot === undefined) continue;
			return broken(
				`${dom} ${page.id} ${slot}`,
				id === "PT-5"
					? `the leaf in slot ${slot} of table ${page.id} of ${dom} overlaps the one before it`
					: `copies of the leaf in slot ${slot} of table ${page.id} of ${dom} are missing or differ`,
				[dom as DomainId],
				[],
			);
		}
		return undefined;
	};

/** PT-44: a root that takes the place of another leads to it by entry 0, and levels never get fewer. */
function grown(
	{ world }: Context,
	{ data, seq }: LogRecord<"table.rooted">,
): Outcome {
	const effect = effectOf(world);
	const former = effect?.former;
	if (effect === undefined || former === undefined || former.id === data.table)
		return SKIP;
	if (data.table === 0) return SKIP;
	let page = effect.page;
	for (
		let level = data.levels;
		level > effect.levels && page !== undefined && page !== former;
		level--
	) {
		const word: number = page.words.get(0) ?? 0;
		page = effect.tables.pages.get(
			effect.tables.byFrame.get(effect.tables.config.codec.child(word)) ?? -1,
		);
	}
	const problem =
		data.levels < effect.levels
			? `it shrank from ${effect.levels} to ${data.levels} levels`
			: page !== former
				? `entry 0 of the new root does not lead to the old root, table ${former.id}`
				: undefined;
	if (problem === undefined) return undefined;
	return broken(
		`${data.dom} ${seq}`,
		`table ${data.table} became the root of ${data.dom}: ${problem}`,
		[data.dom],
		[],
	);
}

/** The rows. */
export const TABLE_WORDS: readonly Invariant[] = [
	{
		id: "PT-5",
		when: "O",
		severity: "error",
		aspect: "domain",
		test: series("PT-5"),
		sentence: "No two leaves cover the same address.",
		harm: "which translation hardware uses is not defined",
		source: ["drivers/iommu/amd/io_pgtable.c:iommu_v1_map_pages"],
		brokenBy: "table run amd-v1-small-over-large",
	},
	{
		id: "PT-6",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": aligned },
		sentence: "A leaf's target is aligned to the leaf's size.",
		harm: "the low bits of the address are lost or taken for flags",
		source: [
			"drivers/iommu/iommu.c:iommu_pgsize",
			"drivers/iommu/intel/iommu.c:hardware_largepage_caps",
		],
		brokenBy: "table run misaligned-superpage (fault switch)",
	},
	{
		id: "PT-7",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": withinLimits },
		sentence:
			"A leaf has a configured size and ends within the input and output limits.",
		harm: "the mapping cannot be reached, or its address is cut off",
		source: [
			"drivers/iommu/io-pgtable-arm.c:arm_lpae_map_pages (checks only starts)",
		],
		brokenBy: "table run arm-end-beyond-oas",
	},
	{
		id: "PT-8",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": survives },
		sentence: "An entry is what its address, rights and level encode to.",
		harm: "hardware reads another address or other rights than were meant",
		source: [
			"drivers/iommu/io-pgtable-arm.c:paddr_to_iopte",
			"drivers/iommu/amd/amd_iommu_types.h:PAGE_SIZE_PTE",
		],
		brokenBy: "table run stray-bits (fault switch)",
	},
	{
		id: "PT-9",
		when: "O",
		severity: "error",
		aspect: "domain",
		test: series("PT-9"),
		sentence:
			"All entries of one AMD v1 leaf are there and equal, the dirty bit excepted.",
		harm: "orphans go on translating, or decode to another size",
		source: ["drivers/iommu/amd/io_pgtable.c:first_pte_l7"],
		brokenBy: "table run amd-v1-small-over-large",
	},
	{
		id: "PT-10",
		when: "O",
		severity: "error",
		aspect: "domain",
		test: series("PT-10"),
		sentence:
			"All 16 entries of one v7s large page or supersection are there and equal.",
		harm: "a torn large page: what hardware caches depends on the entry it met",
		source: ["drivers/iommu/io-pgtable-arm-v7s.c:arm_v7s_split_cont"],
		brokenBy: "table run v7s-torn-large-page (fault switch)",
	},
	{
		id: "PT-44",
		when: "S",
		severity: "error",
		entries: true,
		on: { "table.rooted": grown },
		sentence:
			"A page table grows by a root whose entry 0 leads to the old one, and never shrinks.",
		harm: "address space is lost while devices use it",
		source: ["drivers/iommu/amd/io_pgtable.c:increase_address_space"],
		brokenBy: "table run amd-v1-growth-without-link (fault switch)",
	},
	SAME_STATE,
];
