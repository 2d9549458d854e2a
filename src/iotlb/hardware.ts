/**
 * What the hardware of a log can cache, and the model switches of facts pagetable-semantics.md §9 that its documents leave open. Read
 * from the header: explored logs name all of them, imported ones none, so the defaults are those of VT-d with 4 levels.
 */
import type { Json } from "../vocabulary/fields.ts";
import type { LogHeader } from "../vocabulary/header.ts";

/** Parameters of an IOMMU's caches. */
export interface Hardware {
	/** Leaf entries are kept (IOTLB). */
	readonly leaf: boolean;
	/** Pointers to tables are kept (paging-structure caches); else a pointer lives only within one walk. */
	readonly directory: boolean;
	/** Devices keep translations of their own (ATS). */
	readonly device: boolean;
	/** "Not present" is cached, too (VT-d caching mode, AMD NpCache). */
	readonly negative: boolean;
	/** Directory entries that an invalidation with IH=0 drops: those of its range, or all of the domain (facts §4.3). */
	readonly ih0NonLeafScope: "range" | "domain";
	/** A TTL in a command limits which leaf entries are sure to go (SMMUv3 range commands). */
	readonly tlbiTTL: "honoured" | "ignored";
	/** Whose IOMMUs they are, where all are of one kind: what a command means may differ. */
	readonly family: "vtd" | "smmu-v3" | "amd-vi" | "other";
	/** VT-d scalable mode: entries are PASID entries, which commands for context entries spare. */
	readonly scalable: boolean;
	/** Below 2, entries of two sizes for one address are a conflict (Arm BBM level). */
	readonly bbm: number;
	/** An invalidation of a part of a superpage drops the cached superpage (Arm) or need not (VT-d, AMD). A superpage is one entry. */
	readonly smallFlushDropsLargeLeaf: boolean;
	/** A DMA that faults is restarted (PRI). */
	readonly pri: boolean;
}

/** The parameters that a header names. */
export function hardwareOf(header: LogHeader): Hardware {
	const { switches, iommu } = header;
	const moves = switches["hardware"];
	const can = (move: string, otherwise: boolean): boolean =>
		Array.isArray(moves) ? moves.includes(move) : otherwise;
	const bbm = switches["bbm"];
	const family = familyOf(header);
	return {
		leaf: can("cacheLeaf", true),
		directory: can("cacheDirectory", true),
		device: can("cacheDevice", false),
		negative: switches["cachingMode"] === true || iommu.cachingMode === true,
		ih0NonLeafScope:
			switches["ih0NonLeafScope"] === "domain" ? "domain" : "range",
		tlbiTTL: switches["tlbiTTL"] === "ignored" ? "ignored" : "honoured",
		family,
		scalable: header.iommu.scalable === true,
		bbm: typeof bbm === "number" ? bbm : 2,
		smallFlushDropsLargeLeaf: isSet(
			switches["smallFlushDropsLargeLeaf"],
			family !== "vtd" && family !== "amd-vi",
		),
		pri: switches["pri"] === true,
	};
}

const isSet = (value: Json | undefined, otherwise: boolean): boolean =>
	typeof value === "boolean" ? value : otherwise;

const FAMILIES = ["vtd", "smmu-v3", "amd-vi"] as const;

function familyOf({ topology: { groups } }: LogHeader): Hardware["family"] {
	const family = FAMILIES.find((one) => one === groups[0]?.driver);
	return family !== undefined && groups.every(({ driver }) => driver === family)
		? family
		: "other";
}
