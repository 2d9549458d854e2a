/** The rows of facts pagetable §8 that a log decides: PT-16 … PT-54. The checks of caches are in caches.ts. */
import { deviceReached, witnessHit } from "./uses.ts";
import { framesOf } from "../world/memory.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import {
	freedTable,
	iovaFreed,
	leafOnly,
	reusedTooEarly,
	rootFreed,
	supersededLeft,
	tagGone,
	tagLate,
	unmapReturned,
} from "./caches.ts";
import { windowBounded } from "./queue-window.ts";
import { freedTwice, freedWhileWalked, walksFreed } from "./table-frees.ts";
import { neighboursKept, unmapFlushed } from "./unmap-returns.ts";
import { both } from "./table-rows.ts";
import {
	CONFLICTS,
	differsForEver,
	filledFromNowhere,
	sparesWalks,
} from "./table-sight.ts";
import {
	broken,
	SKIP,
	type Context,
	type Invariant,
	type Outcome,
} from "./invariant.ts";

/** The selftest's half pages and huge leaves, and pages, 2 MiB and 1 GiB blocks. */
const KNOWN_LEAVES = 0x4030_1800n;

/** PT-16: more was cleared than the leaves that the request met. */
function neighbourCleared(
	{ world }: Context,
	{ data, seq }: LogRecord<"dom.unmap">,
): Outcome {
	const { domain } = world.effect;
	if (
		domain === undefined ||
		domain.memory === null ||
		domain.mapped < 0 ||
		world.effect.problem !== undefined
	)
		return SKIP;
	// Where leaves end is known of the sizes that a VT-d table has (world/memory.ts); AMD's v1 tables have leaves of every power of two.
	if ((BigInt(domain.pgsizes ?? 0) & ~KNOWN_LEAVES) !== 0n) return SKIP;
	const { unit } = domain.memory;
	const over = framesOf(data.unmapped, unit) - framesOf(data.len, unit);
	if (over <= world.effect.beyond) return undefined;
	return broken(
		`${data.dom} ${seq}`,
		`the unmap of 0x${data.len.toString(16)} bytes at 0x${data.iova.toString(16)} of ${data.dom} cleared 0x${data.unmapped.toString(16)} bytes: ${over - world.effect.beyond} page(s) beyond the last leaf it met`,
		[data.dom],
		[domain.mapSeq],
	);
}

/** Rows whose page tables may be logged by ranges (dom.map, dom.unmap) or entry by entry. */
export const PAGE_TABLES: readonly Invariant[] = [
	{
		id: "PT-16",
		when: "S",
		severity: "error",
		on: {
			"dom.unmap": neighbourCleared,
			"op.commit": neighboursKept,
			"op.fail": neighboursKept,
		},
		sentence: "An unmap clears only leaves that meet the range asked for.",
		harm: "a neighbour's mapping is lost",
		source: ["drivers/iommu/intel/iommu.c:intel_iommu_unmap"],
		brokenBy: "record sequence in test/invariants",
	},
	{
		id: "PT-25",
		when: "S",
		severity: "error",
		on: both(
			{ "table.freed": freedTable },
			{ "table.freed": freedWhileWalked },
		),
		sentence:
			"A table page is freed only after an invalidation that started after it was unlinked has completed.",
		harm: "hardware walks recycled memory",
		source: ["drivers/iommu/intel/iommu.c:dma_pte_free_level", "seed mail 2"],
		brokenBy: "record sequence in test/invariants",
	},
	{
		id: "PT-26",
		when: "S",
		severity: "error",
		aspect: "domain",
		test: walksFreed,
		sentence: "No paging-structure cache entry leads to a freed page.",
		harm: "hardware walks recycled memory",
		source: ["facts pagetable §8, row 26 (the state form of PT-25)"],
		brokenBy: "counterexamples of docs/experiments.md: m-bad-1, m-bad-2",
	},
	{
		id: "PT-31",
		when: "S",
		severity: "error",
		on: { "iotlb.synced": leafOnly, "inv.issued": sparesWalks },
		sentence:
			"A flush that spares walk caches is enough only when no table of the range was unlinked.",
		harm: "a stale walk-cache entry leads into a freed table",
		source: [
			"drivers/iommu/intel/cache.c:cache_tag_flush_range",
			"facts pagetable §4.3",
		],
		brokenBy: "record sequence in test/invariants",
	},
	{
		id: "PT-32",
		when: "S",
		severity: "error",
		on: { "iotlb.synced": unmapReturned, "op.commit": unmapFlushed },
		sentence:
			"When a strict unmap returns, everything cached for its range has been invalidated.",
		harm: "the device reads and writes pages that have been given to somebody else",
		source: [
			"drivers/iommu/iommu.c:iommu_unmap",
			"drivers/iommu/intel/iommu.c:dmar_domain_attach_device",
			"kernel-findings F2",
		],
		brokenBy:
			"recording f2_attach_v1.B1; a trace with one qi_submit removed; cache runs strict-use-after-unmap, nested-parent-flush, pasid-left-out, device-tlb-left-out",
	},
	{
		id: "PT-33",
		when: "S",
		severity: "error",
		on: { "dom.map": reusedTooEarly },
		sentence:
			"A range in the flush queue is not mapped again before it is released.",
		harm: "two owners share a stale translation",
		source: ["drivers/iommu/dma-iommu.c:queue_iova, fq_ring_free_locked"],
		brokenBy: "cache run lazy-hands-out-queued",
	},
	{
		id: "PT-34",
		when: "S",
		severity: "error",
		on: { "iova.freed": iovaFreed },
		sentence:
			"A range leaves the flush queue only after a flush that was started after it was queued has completed.",
		harm: "its IOVA is reused while the old translation lives",
		source: ["drivers/iommu/dma-iommu.c:fq_flush_iotlb"],
		brokenBy: "cache run lazy-releases-without-flush",
	},
	{
		id: "PT-35",
		when: "S",
		severity: "error",
		on: { "fq.queued": windowBounded },
		sentence:
			"A flush queue holds at most one ring per CPU, and nothing longer than its timeout and one flush.",
		harm: "a device can reach pages that were given back for an unbounded time",
		source: [
			"drivers/iommu/dma-iommu.c:queue_iova, fq_flush_timeout",
			"facts pagetable §5.4",
		],
		brokenBy: "cache runs lazy-ring-without-end, lazy-timer-never-fires",
	},
	{
		id: "PT-36",
		when: "S",
		severity: "error",
		on: {
			"witness.hit": witnessHit,
			"dma.done": deviceReached,
			"hw.filled": filledFromNowhere,
		},
		sentence:
			"Hardware uses only translations that memory offered since the last covering invalidation.",
		harm: "a translation out of nowhere: the projection, the recording or the hardware is wrong",
		source: ["facts pagetable §5.1"],
		brokenBy: "record sequence in test/invariants",
	},
	{
		id: "PT-37",
		when: "Q",
		severity: "error",
		on: both({ "dom.map": supersededLeft }, CONFLICTS),
		aspect: "domain",
		test: differsForEver,
		sentence:
			"Entries of one address that differ in size or target exist only between a change and its completed flush.",
		harm: "hardware holds two translations of different size for one address: undefined (seed mail 2)",
		source: ["drivers/iommu/intel/iommu.c:switch_to_super_page", "seed mail 2"],
		brokenBy: "record sequence in test/invariants",
	},
	{
		id: "PT-43",
		when: "S",
		severity: "error",
		on: { "dom.freed": rootFreed },
		sentence:
			"Before a page table's root is freed, its context entries are cleared and invalidated, and then its tag.",
		harm: "DMA through a freed page table",
		source: ["drivers/iommu/intel/pasid.c:intel_pasid_tear_down_entry"],
		brokenBy: "record sequence in test/invariants; cache run pasid-entry-kept",
	},
	{
		id: "PT-53",
		when: "S",
		severity: "error",
		sentence:
			"A table page is freed once, and a domain id is given to another domain only when no entry under it is left.",
		harm: "two owners share a page, or the new owner of the id meets the old one's translations",
		source: ["drivers/iommu/intel/iommu.c:domain_exit"],
		brokenBy: "record sequence in test/invariants",
		on: {
			"table.freed": freedTwice,
			"did.assigned": ({ world }, { data, seq }) => {
				const { tagLeft } = world.effect;
				if (tagLeft === undefined) return undefined;
				return broken(
					`${data.iommu} ${data.did} ${seq}`,
					`domain id ${data.did} on ${data.iommu} went to ${data.dom} while entries of ${tagLeft} may still be cached under it`,
					[data.iommu, data.dom, tagLeft],
					[world.domains.map.get(tagLeft)?.unmapSeq ?? 0],
				);
			},
		},
	},
	{
		id: "PT-54",
		when: "S",
		severity: "warning",
		on: { "tag.assigned": tagLate, "tag.unassigned": tagGone },
		sentence:
			"A cache tag exists from before the first context entry of its domain id is live until after the last one is cleared.",
		harm: "an unmap in between finds no tag and returns without an invalidation (PT-32)",
		source: [
			"drivers/iommu/intel/iommu.c:dmar_domain_attach_device, device_block_translation",
			"kernel-findings F2",
		],
		brokenBy:
			"every VT-d attach and detach of Linux 6.12: recording a_mfunc_v1.M1",
	},
];
