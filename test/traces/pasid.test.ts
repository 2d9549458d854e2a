/** Descriptors and cache tags that name a PASID (intel/iommu.h: QI_PC_*, QI_EIOTLB_*, QI_DEV_EIOTLB_*; trace/events of intel/cache.c). */
import { expect, test } from "vitest";
import { importAll, only } from "./support.ts";

const line = (at: number, text: string): string =>
	`           task-1077    [001] d..1.    22.9000${at}: ${text}`;
const TRACE = `${[
	line(10, "cache_tag_assign: dmar0/dmar0 type iotlb did 13 pasid 0 ref 1"),
	line(11, "cache_tag_assign: dmar0/dmar0 type iotlb did 13 pasid 7 ref 1"),
	// A nesting parent's tag carries the id of the domain that is nested on it.
	line(
		12,
		"cache_tag_assign: dmar0/dmar0 type nesting_iotlb did 13 pasid 0 ref 1",
	),
	line(20, "qi_submit: pc_inv dmar0: 0x7000d0017 0x0 0x0 0x0"),
	line(21, "qi_submit: p_iotlb_inv dmar0: 0x7000d0026 0x0 0x0 0x0"),
	line(22, "qi_submit: p_iotlb_inv dmar0: 0x7000d0036 0x4043 0x0 0x0"),
	line(23, "qi_submit: dev_tlb_inv dmar0: 0x10000000003 0x4000 0x0 0x0"),
	line(24, "qi_submit: pasid_devtlb dmar0: 0x701000008 0x5800 0x0 0x0"),
].join("\n")}\n`;

test("what is imported names the PASID, and whom it is for", async () => {
	const { records } = await importAll({ trace: TRACE });
	expect(
		only(records, "tag.assigned").map(({ data }) => data.pasid ?? 0),
	).toEqual([0, 7]);
	expect(
		only(records, "inv.issued").map(
			({ data: { iommu: _, inv: __, ...rest } }) => rest,
		),
	).toEqual([
		{ kind: "pasid", gran: "pasid", did: 13, pasid: 7 },
		{ kind: "piotlb", gran: "pasid", did: 13, pasid: 7 },
		{
			kind: "piotlb",
			gran: "page",
			did: 13,
			pasid: 7,
			addr: 0x4000,
			mask: 3,
			ih: true,
		},
		{ kind: "devtlb", gran: "page", addr: 0x4000, mask: 0, sid: 0x100 },
		// Size bit 11; the lowest clear address bit says four pages.
		{
			kind: "devtlb",
			gran: "page",
			addr: 0x4000,
			mask: 2,
			sid: 0x100,
			pasid: 7,
		},
	]);
});
