/**
 * The invalidation commands of VT-d, SMMUv3 and AMD-Vi, and what each must drop (facts pagetable-semantics.md §5.2), by the names of the kernel
 * (docs/caches.md says which of them Linux 6.12 does not send); and the commands that each driver sends for a range (§5.3). `inv.issued` records hold them in one spelling:
 * kind, gran, ih, ttl, stage, pasid. What of it reaches which tag is in reach.ts.
 */
import {
	EMPTY_RANGE,
	encodeAmdRange,
	encodeAtcRange,
	encodeSmmuRange,
	encodeVtdRange,
	type FrameRange,
} from "./ranges.ts";

/** What of each cache a command must drop: all, what has the tag, what is of the range besides, or nothing. */
export interface Drops {
	readonly leaf: "all" | "tag" | "range" | "level" | "none";
	readonly walk: "all" | "tag" | "range" | "none";
	readonly context: "all" | "named" | "none";
	readonly device: "range" | "none";
	/** Combined entries of a nested domain, the range being one of the second stage. */
	readonly combined: "all" | "tag" | "range" | "none";
}
/** A command. */
export interface CommandRow {
	readonly driver: "vtd" | "smmu-v3" | "amd-vi";
	/** As the kernel or the hardware's manual calls it. */
	readonly name: string;
	/** Fields of inv.issued. */
	readonly kind: string;
	readonly gran: "global" | "domain" | "pasid" | "page" | "device" | "asid";
	readonly ih?: true;
	readonly ttl?: true;
	readonly stage?: 1 | 2;
	/** It names a PASID, and spares what others of the domain id cached. */
	readonly pasid?: true;
	readonly drops: Drops;
}

const NONE = {
	leaf: "none",
	walk: "none",
	context: "none",
	device: "none",
	combined: "none",
} as const;
const RANGE = { ...NONE, leaf: "range", walk: "range" } as const;
const LEAF = { ...NONE, leaf: "range" } as const;
const BOTH = { ...RANGE, combined: "range" } as const;
const BOTH_LEAF = { ...LEAF, combined: "range" } as const;
const TAG = { ...NONE, leaf: "tag", walk: "tag", combined: "tag" } as const;
const CONTEXTS = { ...NONE, context: "all" } as const;
const CONTEXT = { ...NONE, context: "named" } as const;
const DEVICE = { ...NONE, device: "range" } as const;
const IH = { ih: true } as const;
const PASID = { pasid: true } as const;

const row = (
	driver: CommandRow["driver"],
	name: string,
	kind: string,
	gran: CommandRow["gran"],
	drops: Drops,
	flags: Pick<CommandRow, "ih" | "ttl" | "stage" | "pasid"> = {},
): CommandRow => ({ driver, name, kind, gran, ...flags, drops });

/** The table of facts §5.2. */
export const COMMANDS: readonly CommandRow[] = [
	row("vtd", "IOTLB global", "iotlb", "global", {
		...NONE,
		leaf: "all",
		walk: "all",
		combined: "all",
	}),
	row("vtd", "IOTLB domain", "iotlb", "domain", TAG),
	row("vtd", "IOTLB page, IH=0", "iotlb", "page", BOTH),
	row("vtd", "IOTLB page, IH=1", "iotlb", "page", BOTH_LEAF, IH),
	row("vtd", "PASID-based IOTLB, PASID-wide", "piotlb", "pasid", TAG, PASID),
	row("vtd", "PASID-based IOTLB page, IH=0", "piotlb", "page", RANGE, PASID),
	row("vtd", "PASID-based IOTLB page, IH=1", "piotlb", "page", LEAF, {
		...IH,
		...PASID,
	}),
	row("vtd", "context cache global", "context", "global", CONTEXTS),
	row("vtd", "context cache domain", "context", "domain", CONTEXT),
	row("vtd", "context cache device", "context", "device", CONTEXT),
	row("vtd", "PASID cache global", "pasid", "global", CONTEXTS),
	row("vtd", "PASID cache domain", "pasid", "domain", CONTEXT),
	row("vtd", "PASID cache PASID", "pasid", "pasid", CONTEXT, PASID),
	row("vtd", "device TLB", "devtlb", "page", DEVICE),
	row("vtd", "device TLB with PASID", "devtlb", "page", DEVICE, PASID),
	row("smmu-v3", "TLBI NH_VA, S2_IPA, leaf=0", "iotlb", "page", RANGE),
	row("smmu-v3", "TLBI NH_VA, S2_IPA, leaf=1", "iotlb", "page", LEAF, IH),
	row(
		"smmu-v3",
		"TLBI NH_VA, S2_IPA, leaf=1, TTL=L",
		"iotlb",
		"page",
		{ ...LEAF, leaf: "level" },
		{ ...IH, ttl: true },
	),
	row("smmu-v3", "TLBI NH_ASID, S12_VMALL", "iotlb", "domain", TAG),
	row("smmu-v3", "TLBI NH_ALL", "iotlb", "domain", TAG, { stage: 1 }),
	row("smmu-v3", "TLBI NH_VA of a guest", "iotlb", "page", RANGE, {
		stage: 1,
	}),
	row("smmu-v3", "TLBI NH_ASID of a guest", "iotlb", "asid", NONE, {
		stage: 1,
	}),
	row("smmu-v3", "CFGI_STE", "context", "device", CONTEXT),
	row("smmu-v3", "CFGI_CD", "pasid", "pasid", CONTEXT, PASID),
	row("smmu-v3", "CFGI_CD_ALL", "pasid", "device", CONTEXT),
	row("smmu-v3", "ATC_INV", "devtlb", "page", DEVICE),
	row("smmu-v3", "ATC_INV with SSID", "devtlb", "page", DEVICE, PASID),
	row(
		"amd-vi",
		"INVALIDATE_IOMMU_PAGES, PDE=0",
		"iotlb",
		"page",
		BOTH_LEAF,
		IH,
	),
	row("amd-vi", "INVALIDATE_IOMMU_PAGES, PDE=1", "iotlb", "page", BOTH),
	row("amd-vi", "… all pages", "iotlb", "domain", TAG),
	row("amd-vi", "… GN=1, PDE=1", "piotlb", "page", RANGE, PASID),
	row("amd-vi", "… GN=1, all pages", "piotlb", "pasid", TAG, PASID),
	row("amd-vi", "INVALIDATE_IOTLB_PAGES", "devtlb", "page", DEVICE),
	row("amd-vi", "… GN=1", "devtlb", "page", DEVICE, PASID),
	row("amd-vi", "INVALIDATE_DEVTAB_ENTRY", "context", "device", CONTEXT),
];

/** One command for a range, ready for inv.issued: a naturally aligned block of 2^mask frames, or everything of the tag. */
export interface RangeCommand {
	readonly start: number;
	readonly mask: number;
	readonly all: boolean;
	readonly ih: boolean;
	readonly ttl: number;
}

const block = (
	start: number,
	mask: number,
	ih: boolean,
	ttl = 0,
): RangeCommand => ({
	start,
	mask,
	all: false,
	ih,
	ttl,
});
const everything: RangeCommand = {
	start: 0,
	mask: 0,
	all: true,
	ih: false,
	ttl: 0,
};

/** Largest address mask of a page-selective command, as of QEMU's emulation (VTD_MAMV, hw/i386/intel_iommu_internal.h): 1 GiB. */
export const VTD_MASK_MAX = 18;

/** intel/cache.c:cache_tag_flush_range: one page-selective command, or the whole domain when the mask is too large (IH then 0). */
export function vtdFlush(
	range: FrameRange | undefined,
	ih: boolean,
): RangeCommand[] {
	const { addr, mask } = encodeVtdRange(range ?? EMPTY_RANGE);
	return [mask > VTD_MASK_MAX ? everything : block(addr, mask, ih)];
}

/** amd/iommu.c:build_inv_address, PDE=1 as Linux always sends it. */
export function amdFlush(range: FrameRange | undefined): RangeCommand[] {
	const { frame, sizeBit } = encodeAmdRange(range ?? EMPTY_RANGE);
	if (sizeBit === 0) return [block(frame, 0, false)];
	// The lowest zero of the address gives the size: bit m of the frame clear, all below set, means 2^(m+1) frames.
	let mask = 1;
	while (Math.floor(frame / 2 ** (mask - 1)) % 2 === 1 && mask < 52) mask++;
	if (mask >= 51) return [everything];
	return [block(Math.floor(frame / 2 ** mask) * 2 ** mask, mask, false)];
}

/** arm-smmu-v3.c:__arm_smmu_tlb_inv_range: range commands, each cut here into naturally aligned blocks; nothing for an empty gather. */
export function smmuFlush(
	range: FrameRange | undefined,
	granuleFrames: number,
	leaf: boolean,
	ttl: number,
): RangeCommand[] {
	if (range === undefined) return [];
	const shift = 12 + Math.log2(granuleFrames);
	const { commands } = encodeSmmuRange(
		range.start,
		range.last - range.start + 1,
		shift,
		leaf,
	);
	return commands.flatMap(({ va, scale, num }) =>
		alignedBlocks(va, (num + 1) * 2 ** scale * granuleFrames).map(
			({ start, mask }) => block(start, mask, leaf, ttl),
		),
	);
}

/** ATC_INV and the device-TLB commands: the smallest aligned span. */
export function deviceFlush(range: FrameRange): RangeCommand[] {
	const { addr, log2 } = encodeAtcRange(range);
	return [block(addr, log2, false)];
}

/** Cuts a range into naturally aligned blocks, the fewest. */
export function alignedBlocks(
	start: number,
	n: number,
): { readonly start: number; readonly mask: number }[] {
	const blocks: { start: number; mask: number }[] = [];
	let at = start;
	let left = n;
	while (left > 0) {
		let mask = 0;
		while (at % 2 ** (mask + 1) === 0 && 2 ** (mask + 1) <= left) mask++;
		blocks.push({ start: at, mask });
		at += 2 ** mask;
		left -= 2 ** mask;
	}
	return blocks;
}
