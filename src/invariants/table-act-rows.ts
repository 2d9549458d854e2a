/** The rows of the catalogue about acts on page tables that are logged entry by entry. */
import type { Invariant } from "./invariant.ts";
import {
	assumed,
	leadsAstray,
	linkedTwice,
	plainLink,
	strayRead,
	strayWrite,
	walkedData,
} from "./table-acts.ts";
import {
	freedByWrongSync,
	freedData,
	freedLinked,
	freedUnderReader,
	lostTable,
} from "./table-frees.ts";

const EXPLORED = "counterexamples of docs/experiments.md";

/** The rows. PT-17, 25, 26, 52 and 53 have further checks where they are listed. */
export const TABLE_ACTS: readonly Invariant[] = [
	{
		id: "PT-1",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": linkedTwice },
		sentence: "A linked table has exactly one linked parent entry.",
		harm: "the subtree is freed twice, or changed under another address",
		source: ["drivers/iommu/io-pgtable-arm.c:__arm_lpae_free_pgtable"],
		brokenBy: `${EXPLORED}: linked-twice`,
	},
	{
		id: "PT-2",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": leadsAstray },
		sentence:
			"An entry of a linked table is empty, a leaf, or a pointer to a linked table of the level below.",
		harm: "a walk goes into data or into a freed page",
		source: [
			"drivers/iommu/io-pgtable-arm.c:__arm_lpae_map",
			"drivers/iommu/intel/iommu.c:pfn_to_dma_pte",
		],
		brokenBy: `${EXPLORED}: linked-after-free`,
	},
	{
		id: "PT-3",
		when: "S",
		severity: "error",
		entries: true,
		on: { "data.walked": walkedData(false) },
		sentence: "No leaf above the last level is used as a pointer to a table.",
		harm: "map and unmap read and write the mapped data as if it were entries",
		source: ["drivers/iommu/intel/iommu.c:pfn_to_dma_pte, dma_pte_clear_level"],
		brokenBy: "table run vtd-map-inside-superpage",
	},
	{
		id: "PT-4",
		when: "S",
		severity: "error",
		entries: true,
		on: { "data.freed": freedData },
		sentence: "Only table pages are freed as table pages.",
		harm: "user memory goes to the page allocator while it is mapped",
		source: ["drivers/iommu/amd/io_pgtable_v2.c:v2_alloc_pte"],
		brokenBy: "table run amd-v2-large-over-large",
	},
	{
		id: "PT-23",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": plainLink },
		sentence:
			"A private table is linked by compare-and-swap: from an empty slot, or from the block that is split.",
		harm: "the table that another thread linked is lost",
		source: [
			"drivers/iommu/io-pgtable-arm.c:arm_lpae_install_table",
			"seed mail 0, case 1",
		],
		brokenBy: `${EXPLORED}: install-by-plain-store`,
	},
	{
		id: "PT-24",
		when: "S",
		severity: "error",
		entries: true,
		on: { "table.freed": freedLinked },
		sentence: "A linked table is unlinked before it is freed.",
		harm: "memory still points to a page that somebody else owns",
		source: ["facts pagetable §4"],
		brokenBy: `${EXPLORED}: free-before-unlink`,
	},
	{
		id: "PT-27",
		when: "S",
		severity: "error",
		entries: true,
		on: { "table.freed": freedUnderReader, "table.read": strayRead(true) },
		sentence:
			"A table is freed only after every reader section that was open when it was unlinked has been left.",
		harm: "a dirty sweep or a dump reads, or clears bits in, memory of others",
		source: ["seed mail 1 (RCU-deferred free)", "facts pagetable §4.4"],
		brokenBy: `${EXPLORED}: rcu-sweep, rcu-callback-too-early`,
	},
	{
		id: "PT-28",
		when: "S",
		severity: "error",
		entries: true,
		on: {
			"slot.written": strayWrite,
			"slot.cleared": strayWrite,
			"table.read": strayRead(false),
			"data.walked": walkedData(true),
		},
		sentence:
			"Nobody reads or writes a table that has been freed, or writes one that has been unlinked.",
		harm: "a map reports success and is lost, or changes memory of others",
		source: [
			"drivers/iommu/io-pgtable-arm.c:__arm_lpae_map",
			"seed mail 0, cases 2 and 3",
		],
		brokenBy: `${EXPLORED}: block-against-page, dump-against-unmap`,
	},
	{
		id: "PT-29",
		when: "S",
		severity: "error",
		entries: true,
		on: { "slot.written": assumed("empty") },
		sentence:
			"A block takes the place of a table only if nothing is mapped there, or the caller asked to replace it.",
		harm: "live pages vanish silently",
		source: [
			"drivers/iommu/io-pgtable-arm.c:arm_lpae_init_pte",
			"seed mail 0, case 2",
		],
		brokenBy: `${EXPLORED}: block-over-live-table`,
	},
	{
		id: "PT-30",
		when: "S",
		severity: "error",
		entries: true,
		on: { "table.freed": freedByWrongSync },
		sentence:
			"A table leaves the freelist only in a sync whose flushed range covers what it mapped.",
		harm: "the flush that was to protect it was about another range",
		source: [
			"include/linux/iommu.h:iommu_iotlb_gather_add_page",
			"drivers/iommu/intel/iommu.c:intel_iommu_tlb_sync",
		],
		brokenBy: `${EXPLORED}: gather-sync-mid-unmap`,
	},
	{
		id: "PT-52",
		when: "O",
		severity: "error",
		aspect: "domain",
		test: lostTable,
		sentence:
			"A table leaves the tree only by being unlinked: its pointer is not overwritten.",
		harm: "the table leaks and its pages are lost",
		source: ["drivers/iommu/amd/io_pgtable.c:iommu_v1_unmap_pages"],
		brokenBy: "table runs table-forgotten (fault switch), amd-v1-dirty-replica",
	},
];
