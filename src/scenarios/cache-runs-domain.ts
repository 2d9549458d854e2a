/** Cache runs of tags: PASIDs, nested domains, devices with TLBs of their own, superpages. */
import { domainId } from "../vocabulary/ids.ts";
import { fact } from "../vocabulary/records.ts";
import type { CacheRun } from "./cache-run.ts";
import {
	cacheHeader,
	CacheWriter,
	type CacheMachine,
	type EntryOf,
} from "./cache-writer.ts";
import { DEV, DOM, PAGE, REQUESTER, UNIT } from "./table-flushes.ts";

type Commands = Parameters<CacheWriter["flush"]>[0];
/** A domain nested on DOM. */
const NESTED = domainId(2);
const PASID = 7;
/** What is mapped and unmapped: 16 pages at 1 MiB. */
const IOVA = 0x100000;
const PAGES = 16;
const RANGE = { addr: IOVA, mask: 4 } as const;
/** A device-TLB command for a range, or for all that the device keeps (MAX_AGAW_PFN_WIDTH). */
const device = (range: { addr: number; mask: number }) =>
	({ kind: "devtlb", gran: "page", sid: REQUESTER, ...range }) as const;
const ALL_OF_DEVICE = { addr: 0, mask: 52 };

interface Plan {
	readonly machine: CacheMachine;
	/** Entries that lead to the domain, or to the one nested on it. */
	readonly entries: readonly EntryOf[];
	readonly pages?: number;
	/** The device has ATS, and its TLB was flushed when that was enabled. */
	readonly ats?: true;
	/** What is sent for the unmap, as it is and as it should be. */
	readonly sent: Commands;
	readonly right: Commands;
}

/** Maps and unmaps a range of DOM. */
const unmapRun = (
	run: Pick<CacheRun, "name" | "title" | "source"> & { readonly fix: string },
	{ machine, entries, pages = PAGES, ats, sent, right }: Plan,
): CacheRun => ({
	...run,
	ids: ["PT-32"],
	make: (isFixed, switches) => {
		const log = new CacheWriter();
		const isNested = entries.some(({ dom }) => dom === NESTED);
		log.add(
			fact("dom.created", DOM, {
				dom: DOM,
				kind: "unmanaged",
				...(isNested ? { nest: true } : {}),
			}),
		);
		log.add(fact("did.assigned", UNIT, { iommu: UNIT, did: 1, dom: DOM }));
		if (isNested)
			log.add(
				fact("dom.created", NESTED, {
					dom: NESTED,
					kind: "nested",
					parent: DOM,
				}),
			);
		for (const entry of entries) log.enter({ ...entry, dev: DEV });
		log.add(fact("hw.attach", DEV, { dev: DEV, dom: entries[0]?.dom ?? DOM }));
		if (ats === true) log.flush([device(ALL_OF_DEVICE)]);
		const bytes = { dom: DOM, iova: IOVA, len: pages * PAGE };
		const last = IOVA + bytes.len - 1;
		log.add(fact("dom.map", DOM, { ...bytes, pa: 2 ** 30 + IOVA, prot: 3 }));
		log.add(fact("dom.unmap", DOM, { ...bytes, unmapped: bytes.len }));
		log.flush(isFixed ? right : sent);
		log.add(fact("iotlb.synced", DOM, { dom: DOM, iova: IOVA, last }));
		const header = cacheHeader({
			...machine,
			switches: { ...machine.switches, ...switches },
		});
		return { header, records: log.records };
	},
});

const VTD = { driver: "vtd", scalable: true } as const;
const own = { kind: "iotlb", gran: "page", did: 1, ...RANGE } as const;
const ofNested = { ...own, did: 2 } as const;
const onNested: readonly EntryOf[] = [{ dom: NESTED, did: 2 }];
const pasidRange = (pasid: number) =>
	({ kind: "piotlb", gran: "page", did: 1, pasid, ...RANGE }) as const;

export const CACHE_RUNS_BY_DOMAIN: readonly CacheRun[] = [
	unmapRun(
		{
			name: "nested-parent-flush",
			title:
				"VT-d: an unmap in a nesting parent flushes its own domain id; what nested domains cached goes by theirs",
			source:
				'intel/iommu.c:intel_iommu_tlb_sync of 6.7, the first with nested domains; commit 821985301124 "iommu/vt-d: Add missing iotlb flush for parent domain" (6.8) mended it; since 6.10 intel/cache.c:cache_tag_flush_range, CACHE_TAG_NESTING_IOTLB',
			fix: "the same range under the nested domain's id, too",
		},
		{
			machine: VTD,
			entries: onNested,
			sent: [own],
			right: [own, ofNested],
		},
	),
	unmapRun(
		{
			name: "nested-first-stage-only",
			title:
				"VT-d: an unmap of the second stage is followed by a PASID-based flush, which names first-stage addresses",
			source: "facts §5.2: PASID-based IOTLB, page",
			fix: "a flush by the second stage's addresses",
		},
		{
			machine: VTD,
			entries: onNested,
			sent: [own, { ...ofNested, kind: "piotlb", pasid: 0 }],
			right: [own, ofNested],
		},
	),
	unmapRun(
		{
			name: "nested-vmid-by-address",
			title:
				"SMMUv3: TLBI S2_IPA alone after an unmap in a nesting parent leaves the combined entries of its VMID",
			source:
				"arm-smmu-v3.c:arm_smmu_tlb_inv_range_domain with a nesting parent, since 6.13 (6.12 has no nesting there)",
			fix: "TLBI NH_ALL for the VMID besides",
		},
		{
			machine: { driver: "smmu-v3" },
			entries: [{ dom: NESTED, did: 1 }],
			sent: [{ ...own, stage: 2 }],
			right: [
				{ ...own, stage: 2 },
				{ kind: "iotlb", gran: "domain", did: 1, stage: 1 },
			],
		},
	),
	unmapRun(
		{
			name: "nested-device-range",
			title:
				"VT-d: the device's TLB is flushed by second-stage addresses, which it does not know",
			source:
				'6.7 sent nothing to the device for a nested domain; commit 5e54e861f16f "iommu/vt-d: Add missing device iotlb flush for parent domain" (6.8) flushes all of it, since 6.10 intel/cache.c:cache_tag_flush_range, CACHE_TAG_NESTING_DEVTLB (facts §5.3)',
			fix: "all that the device keeps is flushed",
		},
		{
			machine: VTD,
			entries: onNested,
			ats: true,
			sent: [own, ofNested, device(RANGE)],
			right: [own, ofNested, device(ALL_OF_DEVICE)],
		},
	),
	unmapRun(
		{
			name: "pasid-left-out",
			title:
				"VT-d first stage: one domain for a device and for a PASID of it, and the flush names PASID 0 only",
			source:
				"intel/cache.c:cache_tag_assign: a cache tag for each domain id and PASID",
			fix: "a command for each PASID",
		},
		{
			machine: VTD,
			entries: [
				{ dom: DOM, did: 1 },
				{ dom: DOM, did: 1, pasid: PASID },
			],
			sent: [pasidRange(0)],
			right: [pasidRange(0), pasidRange(PASID)],
		},
	),
	unmapRun(
		{
			name: "device-tlb-left-out",
			title: "VT-d: the IOTLB is flushed and the device's own TLB is not",
			source: "intel/cache.c:cache_tag_flush_range, CACHE_TAG_DEVTLB",
			fix: "the device's TLB is flushed, after the IOTLB",
		},
		{
			machine: { driver: "vtd" },
			entries: [{ dom: DOM, did: 1 }],
			ats: true,
			sent: [own],
			right: [own, device(RANGE)],
		},
	),
	unmapRun(
		{
			name: "superpage-flushed-by-half",
			title:
				"VT-d: a 2 MiB leaf is flushed as two halves, and no command is large enough to be sure of it",
			source: "facts §5.1: size rule",
			fix: "one command with a mask of the superpage's size",
		},
		{
			machine: { driver: "vtd" },
			entries: [{ dom: DOM, did: 1 }],
			pages: 768,
			// 1 MiB of pages, then a superpage at 2 MiB.
			sent: [
				{ ...own, mask: 8 },
				{ ...own, addr: 0x200000, mask: 8 },
				{ ...own, addr: 0x300000, mask: 8 },
			],
			right: [
				{ ...own, mask: 8 },
				{ ...own, addr: 0x200000, mask: 9 },
			],
		},
	),
	{
		name: "pasid-entry-kept",
		title:
			"VT-d: a PASID entry is cleared and the PASID cache flushed for another PASID; the domain goes",
		source: "intel/pasid.c:intel_pasid_tear_down_entry (facts §5.3)",
		ids: ["PT-43"],
		fix: "the flush names the PASID",
		make: (isFixed, switches) => {
			const log = new CacheWriter();
			log.add(fact("dom.created", DOM, { dom: DOM, kind: "unmanaged" }));
			log.enter({ dom: DOM, did: 1, pasid: PASID });
			log.add(
				fact("ctx.entry.cleared", UNIT, {
					iommu: UNIT,
					sid: REQUESTER,
					pasid: PASID,
				}),
			);
			log.flush([
				{ kind: "pasid", gran: "pasid", did: 1, pasid: isFixed ? PASID : 0 },
				{ kind: "piotlb", gran: "pasid", did: 1, pasid: PASID },
				{ kind: "iotlb", gran: "domain", did: 1 },
			]);
			log.add(fact("dom.freed", DOM, { dom: DOM }));
			const header = cacheHeader({ ...VTD, switches: { ...switches } });
			return { header, records: log.records };
		},
	},
];
