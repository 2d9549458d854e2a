/**
 * AMD-Vi: what users get is a v1 page table whatever the kernel itself uses (protection_domain_alloc), so every power-of-two leaf. Read in
 * drivers/iommu/amd/iommu.c of 6.12.117: amd_iommu_capable, amd_iommu_domain_alloc_user, do_iommu_domain_alloc, protection_domain_alloc,
 * dma_max_address, amd_iommu_attach_device, amd_iommu_enforce_cache_coherency, amd_iommu_dev_enable_feature. It has no hw_info and no nesting.
 *
 * Capabilities of a device: `pgtable` "v1" or "v2" (the kernel's own choice, amd_iommu=pgtbl_v2: it limits the aperture), `dirty` hardware dirty tracking (false), `intremap` (true), `iommu` unit.
 */
import type { DriverOps } from "../../machines/ops/driver.ts";
import type { Dev } from "../../machines/ops/types.ts";
import { below, DIRTY_TRACKING, flagOf } from "./caps.ts";

const dirtyCapable = (dev: Dev): boolean => flagOf(dev, "dirty", false);
const isV2 = (dev: Dev): boolean => dev.caps["pgtable"] === "v2";
/** All powers of two from 4K but 512G (amd_iommu_types.h: AMD_IOMMU_PGSIZES; facts pagetable-semantics.md §1.1). */
const V1_SIZES = (below(52) & ~below(12)) ^ (512n << 30n);
/** The lower half of four levels: dma_max_address looks at the kernel's choice, not at the table that this domain has. */
const V2_LAST = below(47);

/** The AMD-Vi personality. */
export const amdVi: DriverOps = {
	name: "amd-vi",
	cacheCoherent: () => true,
	enforcesCoherency: () => true,
	tracksDirty: dirtyCapable,
	isolatedMsi: (dev) => flagOf(dev, "intremap", true),
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
			pgsizes: V1_SIZES,
			apertureStart: 0n,
			apertureLast: isV2(dev) ? V2_LAST : below(64),
			nest: false,
			dirty,
			priv: {},
		};
	},
	allocNested: () => ({ errno: "EOPNOTSUPP" }),
	// Another driver's domain it would take for its own (A5): the core alone asks whose it is.
	attachErrno: (dev, domain) =>
		domain.kind === "unmanaged" &&
		domain.dirty !== undefined &&
		!dirtyCapable(dev)
			? "EINVAL"
			: undefined,
	// Agrees for every device. PRI itself is turned on in attach_device, and not for v1 tables: a user's domain gets no page requests.
	enablePageRequests: () => undefined,
	hwInfo: () => undefined,
};
