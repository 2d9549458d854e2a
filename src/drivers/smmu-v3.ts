/**
 * Arm SMMUv3: a domain belongs to the SMMU it was made for, a software MSI window, no nesting, no hw_info and no enforced coherency yet. Read in
 * drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c of 6.12.117: arm_smmu_capable, arm_smmu_domain_alloc_user, arm_smmu_domain_finalise,
 * arm_smmu_attach_dev, arm_smmu_dev_enable_feature, arm_smmu_get_resv_regions; io-pgtable-arm.c:arm_lpae_restrict_pgsizes.
 *
 * Capabilities of a device: `ias` input address bits (48), `granule` in bytes (4096), `coherent` page-table walks and DMA (true), `dirty` (false),
 * `pri` (false; here: stalls, with one stream: arm_smmu_master_iopf_supported), `iommu` unit.
 */
import type { DriverOps } from "../../machines/ops/driver.ts";
import type { Dev } from "../../machines/ops/types.ts";
import {
	below,
	DIRTY_TRACKING,
	flagOf,
	G1,
	K4,
	M2,
	numberOf,
	unitOf,
} from "./caps.ts";

const dirtyCapable = (dev: Dev): boolean => flagOf(dev, "dirty", false);
/** Leaf sizes a granule (facts pagetable-semantics.md §1.1). */
const PAGE_SIZES: { readonly [granule: number]: bigint } = {
	4096: K4 | M2 | G1,
	16384: 0x4000n | 0x200_0000n,
	65536: 0x1_0000n | 0x2000_0000n,
};

/** Input bits: only tables of 64K pages go beyond 48 (arm_lpae_restrict_pgsizes). */
const inputBits = (dev: Dev): number =>
	Math.min(
		numberOf(dev, "ias", 48),
		numberOf(dev, "granule", 4096) === 65536 ? 52 : 48,
	);

/** The SMMUv3 personality. */
export const smmuV3: DriverOps = {
	name: "smmu-v3",
	cacheCoherent: (dev) => flagOf(dev, "coherent", true),
	enforcesCoherency: () => false,
	tracksDirty: dirtyCapable,
	isolatedMsi: (dev) => flagOf(dev, "isolatedMsi", true),
	isSelftest: false,
	userDomains: true,
	sharedBlocking: false,
	refusalBlocks: false,
	userPasidTable: false,
	allocPaging: (dev, flags, data) => {
		const dirty = (flags & DIRTY_TRACKING) !== 0;
		if ((flags & ~DIRTY_TRACKING) !== 0 || data.length > 0)
			return { errno: "EOPNOTSUPP" };
		if (dirty && !dirtyCapable(dev)) return { errno: "EOPNOTSUPP" };
		return {
			kind: "unmanaged",
			pgsizes: PAGE_SIZES[numberOf(dev, "granule", 4096)] ?? K4 | M2 | G1,
			apertureStart: 0n,
			apertureLast: below(inputBits(dev)),
			nest: false,
			dirty,
			priv: { iommu: unitOf(dev) },
		};
	},
	allocNested: () => ({ errno: "EOPNOTSUPP" }),
	// Dirty tracking is a matter of the SMMU, so the unit's name decides that too. Another driver's domain names no SMMU of this one.
	attachErrno: (dev, domain) =>
		domain.kind === "unmanaged" && domain.priv["iommu"] !== unitOf(dev)
			? "EINVAL"
			: undefined,
	enablePageRequests: (dev) =>
		flagOf(dev, "pri", false) ? undefined : "EINVAL",
	hwInfo: () => undefined,
};
