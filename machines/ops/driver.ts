/**
 * What the step lists ask of an IOMMU driver (struct iommu_ops, struct iommu_domain_ops; include/linux/iommu.h). The personalities
 * are in src/drivers; here is only the shape, so that operations do not import upwards.
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type { Dev, Domain } from "./types.ts";

/** A domain as the driver makes it; the host adds name and state. */
export type DomainSpec = Pick<
	Domain,
	"kind" | "pgsizes" | "apertureStart" | "apertureLast" | "nest" | "priv"
> & { readonly dirty: boolean; readonly iotlb?: readonly number[] };
/** A made domain or the driver's refusal. */
export type MadeDomain = DomainSpec | { readonly errno: ErrnoName };

/** User data of HWPT_ALLOC or HWPT_INVALIDATE: `bytes` undefined = the memory is not readable. */
export interface UserData {
	readonly type: number;
	readonly length: number;
	readonly bytes?: Uint8Array;
}
/** Outcome of an invalidation request: how many entries were done, the entries afterwards, the errno of the first bad one. */
export interface Invalidated {
	readonly done: number;
	readonly iotlb: readonly number[];
	readonly errno?: ErrnoName;
}

/** A driver personality. */
export interface DriverOps {
	readonly name: string;
	/** Reports IOMMU_CAP_CACHE_COHERENCY: bind refuses a device without. */
	readonly cacheCoherent: (dev: Dev) => boolean;
	/** Reports IOMMU_CAP_ENFORCE_CACHE_COHERENCY. */
	readonly enforcesCoherency: (dev: Dev) => boolean;
	/** Reports IOMMU_CAP_DIRTY_TRACKING. */
	readonly tracksDirty: (dev: Dev) => boolean;
	/** Interrupts are isolated: bind asks for it of every member (facts §2.1). */
	readonly isolatedMsi: (dev: Dev) => boolean;
	/** Exempt from the isolated MSI check (the selftest mock). */
	readonly isSelftest: boolean;
	/** Has domain_alloc_user: flags and nesting are possible. */
	readonly userDomains: boolean;
	/** `def` and `blk` are one static object: claim and release switch nothing (the mock; facts §4.1). */
	readonly sharedBlocking: boolean;
	/** Makes a paging domain; `flags` as in struct iommu_hwpt_alloc. */
	readonly allocPaging: (dev: Dev, flags: number, data: UserData) => MadeDomain;
	/** Makes a nested domain on `parent`. */
	readonly allocNested: (
		dev: Dev,
		flags: number,
		parent: Domain,
		data: UserData,
	) => MadeDomain;
	/** Why this device cannot use that domain; undefined = attached. */
	readonly attachErrno: (dev: Dev, domain: Domain) => ErrnoName | undefined;
	/** A refused attach leaves the device without translation (VT-d, facts A13). */
	readonly refusalBlocks: boolean;
	/** Handles user invalidation entries of a nested domain, in order, until the first bad one. */
	readonly invalidate?: (
		domain: Domain,
		dataType: number,
		entryLen: number,
		entryNum: number,
		bytes: Uint8Array | undefined,
	) => Invalidated;
	/** Page requests can be enabled on a device: errno or undefined. */
	readonly enablePageRequests: (dev: Dev) => ErrnoName | undefined;
	/** The PASID table of a nested domain is the user's: faults of any PASID go to the domain of the plain attachment. */
	readonly userPasidTable: boolean;
	/** GET_HW_INFO: data type and bytes; undefined = the driver has no hw_info. */
	readonly hwInfo: (
		dev: Dev,
	) => { readonly type: number; readonly bytes: Uint8Array } | undefined;
}
