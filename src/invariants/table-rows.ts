/** The rows of the catalogue about calls on page tables that are logged entry by entry, and about what devices see of them. */
import type { Invariant, RecordChecks } from "./invariant.ts";
import { assumed } from "./table-acts.ts";
import {
	advances,
	encodedEnough,
	gatherFilled,
	lookedUp,
	loopRight,
	remember,
	sizeChosen,
} from "./core-loops.ts";
import { bytesAddUp, keptPages, refused, unmapDone } from "./unmap-returns.ts";
import {
	failureUndone,
	mapKept,
	negativesGone,
	replacedFlushed,
	restFlushed,
	rightsGone,
} from "./map-returns.ts";
import { deviceBeforeIotlb, FAULTS, STRAYS } from "./table-sight.ts";

/** One check at the success of a call, and at its failure. */
const ends = (
	check: NonNullable<RecordChecks["op.commit"]> &
		NonNullable<RecordChecks["op.fail"]>,
): RecordChecks => ({ "op.commit": check, "op.fail": check });
const split = (id: "PT-19" | "PT-50"): RecordChecks => ({
	"slot.written": keptPages(id),
	"slot.cleared": keptPages(id),
});
/** Several checks at one record type: the first that finds something counts. */
export function both(a: RecordChecks, b: RecordChecks): RecordChecks {
	const merged: Record<string, unknown> = { ...a };
	for (const [type, second] of Object.entries(b)) {
		const first = merged[type] as Check | undefined;
		merged[type] =
			first === undefined ? second : chained(first, second as Check);
	}
	return merged as RecordChecks;
}
type Check = NonNullable<RecordChecks["op.commit"]>;
const chained =
	(first: Check, second: Check): Check =>
	(context, record) => {
		const outcome = first(context, record);
		if (outcome !== undefined && typeof outcome !== "symbol") return outcome;
		const other = second(context, record);
		return typeof other === "symbol" ? outcome : other;
	};

const EXPLORED = "counterexamples of docs/experiments.md";

/** The rows; PT-51 names the cause where it and PT-14 are broken by one flush. */
export const TABLE_CALLS: readonly Invariant[] = [
	{
		id: "PT-51",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.commit": restFlushed },
		sentence:
			"The flush of a map reaches every address whose translation the map removed or changed.",
		harm: "the rest of a block that a page took the place of lives on in caches",
		source: [
			"drivers/iommu/amd/io_pgtable.c:iommu_v1_map_pages",
			"drivers/iommu/amd/io_pgtable_v2.c:iommu_v2_map_pages",
		],
		brokenBy: "table run amd-v1-page-over-block",
	},
	{
		id: "PT-11",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.commit": lookedUp },
		sentence: "An iova_to_phys answers what a walk of memory finds.",
		harm: "a caller that joins pages by it unmaps page by page, or unpins other pages than were mapped",
		source: [
			"drivers/iommu/io-pgtable-arm.c:arm_lpae_iova_to_phys (before 7c6d90e2bb1a)",
			"seed mail 5",
		],
		brokenBy: "table run arm-lookup-in-block (lookup defect)",
	},
	{
		id: "PT-12",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.commit": mapKept },
		sentence:
			"When a map returns success, memory leads every page of it where it was asked to.",
		harm: "the caller believes in a mapping that is not there",
		source: ["drivers/iommu/intel/iommu.c:__domain_mapping"],
		brokenBy: `table run vtd-map-over-page; ${EXPLORED}: block-against-page`,
	},
	{
		id: "PT-13",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.fail": failureUndone },
		sentence: "A map that fails leaves all translations as they were before.",
		harm: "what was mapped is gone, or what was not asked for stays",
		source: [
			"drivers/iommu/io-pgtable-arm.c:arm_lpae_init_pte",
			"drivers/iommu/intel/iommu.c:__domain_mapping",
		],
		brokenBy: "table run arm-run-of-blocks-fails",
	},
	{
		id: "PT-14",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.commit": replacedFlushed },
		sentence:
			"A map that takes the place of something returns only when no cached entry of that is left.",
		harm: "the device goes on using the old page",
		source: ["drivers/iommu/amd/io_pgtable.c:iommu_v1_map_pages"],
		brokenBy: `table run amd-v1-page-over-page; ${EXPLORED}: amd-v1-silent-replace`,
	},
	{
		id: "PT-15",
		when: "S",
		severity: "error",
		entries: true,
		on: ends(unmapDone),
		sentence: "What an unmap reports as done, memory no longer translates.",
		harm: "the device keeps access to memory that was given back",
		source: ["drivers/iommu/iommu.c:__iommu_unmap"],
		brokenBy: "table run unmap-reports-too-much (fault switch)",
	},
	{
		id: "PT-17",
		when: "S",
		severity: "error",
		entries: true,
		on: both(ends(bytesAddUp), { "slot.cleared": assumed("full") }),
		sentence:
			"An unmap of what leaves inside the range map in full reports the bytes that it cleared.",
		harm: "the caller unpins more or less than was unmapped",
		source: [
			"drivers/iommu/iommu.c:__iommu_unmap",
			"seed mail 0, case 3",
			"seed mail 5",
		],
		brokenBy: `${EXPLORED}: block-unmap-over-holes`,
	},
	{
		id: "PT-18",
		when: "S",
		severity: "error",
		entries: true,
		on: ends(refused),
		sentence:
			"A driver that refuses to unmap a part of a block (Arm from 6.13) changes nothing and reports 0.",
		harm: "model and kernel differ in what is still mapped",
		source: ["drivers/iommu/io-pgtable-arm.c:__arm_lpae_unmap", "seed mail 5"],
		brokenBy: "table run arm-split-where-6.13-refuses",
	},
	{
		id: "PT-19",
		when: "S",
		severity: "error",
		entries: true,
		on: both(FAULTS, split("PT-19")),
		sentence:
			"Pages in use, and pages that a split keeps, are translated at every step.",
		harm: "a DMA that has nothing to do with the change faults, and without PRI cannot be restarted",
		source: [
			"drivers/iommu/io-pgtable-arm.c:arm_lpae_split_blk_unmap",
			"seed mail 2",
		],
		brokenBy: `${EXPLORED}: s-bad-1`,
	},
	{
		id: "PT-20",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.begin": advances, "op.commit": remember },
		sentence:
			"A caller whose unmap took more than it asked for goes on behind what was reported.",
		harm: "pages are unmapped, and unpinned, twice or never",
		source: [
			"drivers/iommu/amd/io_pgtable.c:iommu_v1_unmap_pages",
			"seed mail 5",
		],
		brokenBy: "table run amd-v1-caller-ignores-answer",
	},
	{
		id: "PT-21",
		when: "S",
		severity: "error",
		entries: true,
		on: both(ends(loopRight("iommu_unmap")), ends(loopRight("iommu_map"))),
		sentence:
			"The core calls the driver until all is done or a call does nothing, and reports the sum.",
		harm: "a range stays half mapped and is reported as done, or the loop never ends",
		source: ["drivers/iommu/iommu.c:__iommu_unmap"],
		brokenBy: "table run core-stops-after-one-call (fault switch)",
	},
	{
		id: "PT-22",
		when: "S",
		severity: "error",
		entries: true,
		on: { "drv.mapped": sizeChosen, "drv.unmapped": sizeChosen },
		sentence:
			"The core asks the driver for the largest size that fits, and for no more than is left.",
		harm: "tables are built that nobody needs, or neighbours are mapped and unmapped",
		source: ["drivers/iommu/iommu.c:iommu_pgsize"],
		brokenBy: "table run core-ignores-sizes (fault switch)",
	},
	{
		id: "PT-38",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.commit": rightsGone },
		sentence:
			"When rights were taken away, no cached entry has them when the call returns.",
		harm: "a device writes through a mapping that is read-only",
		source: ["facts pagetable §8, row 38"],
		brokenBy: "table run amd-v1-write-taken-away",
	},
	{
		id: "PT-39",
		when: "S",
		severity: "error",
		entries: true,
		on: { "inv.completed": encodedEnough },
		sentence:
			"The commands of a flush reach the whole range that was asked for.",
		harm: "entries at its end survive a flush that was asked for and waited for",
		source: [
			"drivers/iommu/intel/cache.c:calculate_psi_aligned_address",
			"drivers/iommu/amd/iommu.c:build_inv_address",
		],
		brokenBy: "table run encoder-rounds-down (fault switch)",
	},
	{
		id: "PT-40",
		when: "S",
		severity: "error",
		entries: true,
		on: { "gather.synced": gatherFilled },
		sentence:
			"A gather that is flushed is a range, or empty because nothing was changed.",
		harm: "the flush of a wrapped range reaches something else",
		source: ["include/linux/iommu.h:iommu_iotlb_gather_init"],
		brokenBy: "table run gather-not-filled (fault switch)",
	},
	{
		id: "PT-41",
		when: "S",
		severity: "error",
		on: { "inv.issued": deviceBeforeIotlb },
		sentence:
			"A device's TLB is invalidated after the IOTLB from which it refills.",
		harm: "the device holds the old translation again right after the flush",
		source: [
			"drivers/iommu/intel/cache.c:cache_tag_flush_range (order of tags)",
			"drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c:arm_smmu_tlb_inv_range_domain",
		],
		brokenBy: `${EXPLORED}: ats-order`,
	},
	{
		id: "PT-42",
		when: "S",
		severity: "error",
		entries: true,
		on: { "op.commit": negativesGone },
		sentence:
			'In caching mode a map returns only when no "not present" of it is cached.',
		harm: "the device faults on a page that is mapped",
		source: [
			"drivers/iommu/intel/cache.c:cache_tag_flush_range_np",
			"drivers/iommu/amd/iommu.c:domain_flush_np_cache",
		],
		brokenBy: `${EXPLORED}: caching-mode-map`,
	},
	{
		id: "PT-50",
		when: "S",
		severity: "error",
		entries: true,
		on: both(STRAYS, split("PT-50")),
		sentence:
			"Pages that a split keeps, and pages that must stay, lead where they led.",
		harm: "a device reads and writes other memory",
		source: ["drivers/iommu/io-pgtable-arm-v7s.c:arm_v7s_split_blk_unmap"],
		brokenBy: "table run v7s-split-loses-base",
	},
];
