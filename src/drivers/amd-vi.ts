/**
 * AMD-Vi (drivers/iommu/amd/iommu.c, 6.12), v1 page tables by default: every power-of-two leaf, whole address space. What is not in the facts page is
 * from knowledge of the driver and said so in docs/operations.md.
 *
 * Capabilities of a device: `pgtable` "v1" or "v2", `dirty` hardware dirty tracking (false), `intremap` (true), `iommu` unit.
 */
import type { DriverOps } from "../../machines/ops/driver.ts";
import type { Dev } from "../../machines/ops/types.ts";
import { below, DIRTY_TRACKING, flagOf, G1, K4, M2 } from "./caps.ts";

const dirtyCapable = (dev: Dev): boolean => flagOf(dev, "dirty", false);
const isV2 = (dev: Dev): boolean => dev.caps["pgtable"] === "v2";
/** All powers of two from 4K but 512G (facts pagetable-semantics.md §1.1). */
const V1_SIZES = (below(52) & ~below(12)) ^ (512n << 30n);
/** The lower half of four levels (facts ibid.). */
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
			pgsizes: isV2(dev) ? K4 | M2 | G1 : V1_SIZES,
			apertureStart: 0n,
			apertureLast: isV2(dev) ? V2_LAST : below(64),
			nest: false,
			dirty,
			priv: {},
		};
	},
	allocNested: () => ({ errno: "EOPNOTSUPP" }),
	attachErrno: (dev, domain) => {
		if (domain.kind !== "unmanaged") return undefined;
		if (domain.driver !== "amd-vi") return "EINVAL";
		return domain.dirty !== undefined && !dirtyCapable(dev)
			? "EINVAL"
			: undefined;
	},
	enablePageRequests: (dev) =>
		flagOf(dev, "pri", false) ? undefined : "ENODEV",
	hwInfo: () => undefined,
};
