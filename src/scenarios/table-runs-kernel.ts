/** Table runs of what Linux 6.12 breaks by itself. */
import type { TableRun } from "./table-run.ts";
import {
	M2,
	M1,
	ARM,
	vtd,
	arm,
	v7s,
	amd,
	amd2,
	map,
	unmap,
} from "./table-runs-kit.ts";

/** What 6.12 does by itself. */
export const TABLE_RUNS_BY_KERNEL: readonly TableRun[] = [
	{
		name: "vtd-map-inside-superpage",
		title: "VT-d: a page map inside a superpage walks into the mapped data",
		source:
			"intel/iommu.c:pfn_to_dma_pte follows present entries without testing the page-size bit (facts §2.7)",
		...vtd,
		calls: [map(M2, M2, M2), map(M2 + 3, 99, 1)],
		ids: ["PT-3", "PT-12"],
		fix: {
			calls: [map(M2, M2, M2), unmap(M2, M2), map(M2 + 3, 99, 1)],
			how: "the caller unmaps first",
		},
	},
	{
		name: "amd-v2-large-over-large",
		title: "AMD v2: a large page over a large page frees the mapped data page",
		source: "amd/io_pgtable_v2.c:v2_alloc_pte (facts §2.6)",
		...amd2,
		calls: [map(M2, M2, M2), map(M2, 4 * M2, M2)],
		ids: ["PT-4"],
		fix: {
			calls: [map(M2, M2, M2), unmap(M2, M2), map(M2, 4 * M2, M2)],
			how: "the caller unmaps first",
		},
	},
	{
		name: "amd-v2-large-over-table",
		title: "AMD v2: the table under a new large page is freed before the flush",
		source: "amd/io_pgtable_v2.c:v2_alloc_pte (facts §2.6, §4.1)",
		...amd2,
		calls: [map(M2, 7, 1), unmap(M2, 1), map(M2, 4 * M2, M2)],
		ids: ["PT-25", "PT-26"],
		fix: { calls: [map(M2, 4 * M2, M2)], how: "no table stands there" },
	},
	{
		name: "vtd-superpage-over-table",
		title: "VT-d: switch_to_super_page frees the table before it flushes",
		source:
			"intel/iommu.c:switch_to_super_page, dma_pte_free_level (facts §2.7, §4.1)",
		...vtd,
		calls: [map(M2, 7, 1), unmap(M2, 1), map(M2, 4 * M2, M2)],
		ids: ["PT-25", "PT-26"],
		fix: { calls: [map(M2, 4 * M2, M2)], how: "no table stands there" },
	},
	{
		name: "vtd-gather-synced-in-between",
		title:
			"VT-d: a gather is synced in the middle of one unmap and frees the table of the next range",
		source:
			"intel/iommu.c:intel_iommu_unmap, iommu_iotlb_gather_add_page (facts §4.3)",
		...vtd,
		// 512 pages that no superpage can hold: the target is not aligned.
		calls: [map(M2 - 1, 2 * M2 - 1 + 7, 1 + M2), unmap(M2 - 1, 1 + M2)],
		ids: ["PT-30", "PT-25", "PT-26", "PT-31"],
		fix: {
			calls: [
				map(M2 - 1, 2 * M2 - 1 + 7, 1 + M2),
				unmap(M2 - 1, 1),
				unmap(M2, M2),
			],
			how: "the caller unmaps each range by itself",
		},
	},
	{
		name: "amd-v1-small-over-large",
		title: "AMD v1: a small series over a part of a larger one leaves orphans",
		source: "amd/io_pgtable.c:iommu_v1_map_pages (facts §2.5)",
		...amd,
		calls: [map(M2, 0x1000, 16), map(M2, 0x2000, 2)],
		ids: ["PT-5", "PT-9", "PT-14", "PT-37"],
		fix: {
			calls: [map(M2, 0x1000, 16), unmap(M2, 16), map(M2, 0x2000, 2)],
			how: "the caller unmaps first",
		},
	},
	{
		name: "arm-end-beyond-oas",
		title: "Arm: the end of a run is not checked against the output limit",
		source:
			"io-pgtable-arm.c:arm_lpae_map_pages checks only where the run starts (facts §2.1)",
		driver: "smmu-v3",
		request: { ...ARM, oas: 40 },
		calls: [map(16, 2 ** 28 - 1, 2)],
		ids: ["PT-7"],
		fix: {
			calls: [map(16, 2 ** 28 - 2, 2)],
			how: "the run ends below the limit",
		},
	},
	{
		name: "arm-lookup-in-block",
		title:
			"Arm before 7c6d90e2bb1a: iova_to_phys of any page of a block answers its first page",
		source: "seed 5 (facts §1.3)",
		...arm,
		policy: { iovaToPhysBlockDefect: true },
		calls: [map(M2, 4 * M2, M2), { do: "lookup", iova: M2 + 5 }],
		ids: ["PT-11"],
		fix: {
			policy: { iovaToPhysBlockDefect: false },
			how: "iovaToPhysBlockDefect=false",
		},
	},
	{
		name: "vtd-map-over-page",
		title: "VT-d: a map over a page reports success and leaves the old entry",
		source: "intel/iommu.c:__domain_mapping (facts §0, §2.7)",
		...vtd,
		calls: [map(8, 100, 1), map(8, 200, 1)],
		ids: ["PT-12"],
		fix: {
			calls: [map(8, 100, 1), unmap(8, 1), map(8, 200, 1)],
			how: "the caller unmaps first",
		},
	},
	{
		name: "arm-run-of-blocks-fails",
		title:
			"Arm: a run of blocks that fails with -EEXIST has removed tables before",
		source: "io-pgtable-arm.c:arm_lpae_init_pte (facts §2.1)",
		...arm,
		calls: [map(0, 7, 1), map(M2, 4 * M2, M2), map(0, 8 * M2, 2 * M2)],
		ids: ["PT-13"],
		fix: {
			calls: [map(0, 7, 1), map(M2, 4 * M2, M2), map(2 * M2, 8 * M2, 2 * M2)],
			how: "the range is free",
		},
	},
	{
		name: "amd-v1-page-over-page",
		title: "AMD v1: a page over a page is written without a flush",
		source: "amd/io_pgtable.c:iommu_v1_map_pages (facts §2.5)",
		...amd,
		calls: [map(8, 100, 1), map(8, 200, 1)],
		ids: ["PT-14", "PT-37"],
		fix: {
			calls: [map(8, 100, 1), unmap(8, 1), map(8, 200, 1)],
			how: "the caller unmaps first",
		},
	},
	{
		name: "amd-v1-write-taken-away",
		title:
			"AMD v1: a page is mapped read-only over itself; cached entries still allow writing",
		source: "amd/io_pgtable.c:iommu_v1_map_pages (facts §2.5, §8 row 38)",
		...amd,
		calls: [map(8, 100, 1, 3), map(8, 100, 1, 1)],
		ids: ["PT-38"],
		fix: {
			calls: [map(8, 100, 1, 3), unmap(8, 1), map(8, 100, 1, 1)],
			how: "the caller unmaps first",
		},
	},
	{
		name: "vtd-unmap-enlarged",
		title:
			"VT-d: an unmap of a hole clears the neighbours within the missing level's span",
		source: "intel/iommu.c:intel_iommu_unmap (facts §0, §2.7)",
		...vtd,
		calls: [map(M2, 7, 1), unmap(8, 1)],
		ids: ["PT-16"],
		fix: { policy: { holeOnUnmap: "count" }, how: "holeOnUnmap=count" },
	},
	{
		name: "arm-split-where-6.13-refuses",
		title:
			"A log that says 6.13 (partial unmaps are refused), of a driver that splits as 6.12 does",
		source: "io-pgtable-arm.c:__arm_lpae_unmap, 33729a5fc0ca (facts §2.2)",
		...arm,
		claims: { partialUnmap: "refuse" },
		calls: [map(M2, 4 * M2, M2), unmap(M2, 1)],
		ids: ["PT-18", "PT-32", "PT-37"],
		fix: {
			policy: { partialUnmap: "refuse" },
			how: "partialUnmap=refuse in the driver, too",
		},
	},
	{
		name: "v7s-split-loses-base",
		title:
			"Arm v7s: after the split of a section the pages that stay lead elsewhere",
		source: "io-pgtable-arm-v7s.c:arm_v7s_split_blk_unmap (facts §2.4)",
		...v7s,
		calls: [map(M1, 0x80000, M1), unmap(M1, 1)],
		ids: ["PT-50"],
		fix: { policy: { v7sSplitBase: "kept" }, how: "v7sSplitBase=kept" },
	},
	{
		name: "amd-v1-page-over-block",
		title:
			"AMD v1: a page takes the place of a block, the flush names only the page",
		source: "amd/io_pgtable.c:iommu_v1_map_pages (facts §2.5)",
		...amd,
		calls: [map(M2, 4 * M2, M2), map(M2, 100, 1)],
		ids: ["PT-51", "PT-14", "PT-37"],
		fix: {
			calls: [map(M2, 4 * M2, M2), unmap(M2, M2), map(M2, 100, 1)],
			how: "the caller unmaps first",
		},
	},
	{
		name: "amd-v1-dirty-replica",
		title:
			"AMD v1: replicas that differ in the dirty bit survive, and a later unmap through one loses a table",
		source:
			"amd/io_pgtable.c:iommu_v1_map_pages, iommu_v1_unmap_pages (facts §2.5)",
		...amd,
		calls: [
			map(0x800, 0x100000, 0x400),
			{ do: "write", iova: 0x800 },
			map(0xa01, 0x100800, 1),
			unmap(0x800, 1),
		],
		ids: ["PT-9", "PT-51", "PT-14", "PT-37", "PT-52", "PT-16"],
		fix: {
			calls: [
				map(0x800, 0x100000, 0x400),
				unmap(0x800, 0x400),
				map(0xa01, 0x100800, 1),
				unmap(0x800, 1),
			],
			how: "the caller unmaps first",
		},
	},
	{
		name: "amd-v1-caller-ignores-answer",
		title:
			"AMD v1: a caller unmaps a block page by page and does not look at what was reported",
		source: "seed 5 (facts §2.5, §8 row 20)",
		...amd,
		calls: [map(M2, 4 * M2, M2), unmap(M2, 1), unmap(M2 + 1, 1)],
		ids: ["PT-20"],
		fix: {
			calls: [map(M2, 4 * M2, M2), unmap(M2, 1), unmap(2 * M2, 1)],
			how: "the caller goes on behind the answer",
		},
	},
];
