/**
 * The iommufd selftest's mock driver (drivers/iommu/iommufd/selftest.c; corpus page §4): cache coherent, half-page leaves, one
 * static domain that is both default and blocking. A device's `caps.flags`: 1 no dirty tracking, 2 additional 1 MiB leaves.
 */
import type {
	DriverOps,
	Invalidated,
	MadeDomain,
} from "../../machines/ops/driver.ts";
import type { Dev, Domain } from "../../machines/ops/types.ts";

const NO_DIRTY = 1;
const HUGE_IOVA = 2;
/** HWPT_ALLOC flags. */
const NEST_PARENT = 1;
const DIRTY_TRACKING = 2;
/** Half a page, and the size of a huge leaf, in bytes. */
const PAGE = 0x800n;
const HUGE = 0x10_0000n;
const APERTURE_START = 0x100_0000n;
const APERTURE_LAST = 0x7fff_ffffn;
/** Data types of nested domains and of their invalidations (iommufd_test.h). */
const HWPT_DATA = 0xdead;
const INVALIDATE_DATA = 0xdeadbeef;
const IOTLB_ENTRIES = 4;
/** An invalidation entry {flags, iotlb_id}, in bytes; flag 1 = all. */
const ENTRY_BYTES = 8;
const HW_INFO_TYPE = 0xfeedbeef;

const flagsOf = (dev: Dev): number => Number(dev.caps["flags"] ?? 0);

function nested(
	parent: Domain,
	length: number,
	bytes?: Uint8Array,
): MadeDomain {
	if (parent.driver !== "mock" || !parent.nest) return { errno: "EINVAL" };
	if (length !== 4) return { errno: "EINVAL" };
	if (bytes === undefined) return { errno: "EFAULT" };
	const value = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
	return {
		kind: "nested",
		pgsizes: 0n,
		apertureStart: 0n,
		apertureLast: 0n,
		nest: false,
		dirty: false,
		priv: {},
		iotlb: Array.from({ length: IOTLB_ENTRIES }, () => value),
	};
}

function invalidate(
	domain: Domain,
	dataType: number,
	entryLen: number,
	entryNum: number,
	bytes: Uint8Array | undefined,
): Invalidated {
	const iotlb = [...domain.iotlb];
	if (dataType !== INVALIDATE_DATA) return { done: 0, iotlb, errno: "EINVAL" };
	let done = 0;
	for (; done < entryNum; done++) {
		if (entryLen !== ENTRY_BYTES) return { done, iotlb, errno: "EINVAL" };
		const at = done * entryLen;
		if (bytes === undefined || bytes.length < at + entryLen)
			return { done, iotlb, errno: "EFAULT" };
		const entry = new DataView(bytes.buffer, bytes.byteOffset + at);
		const flags = entry.getUint32(0, true);
		const index = entry.getUint32(4, true);
		if ((flags & ~1) !== 0) return { done, iotlb, errno: "EOPNOTSUPP" };
		if (index >= IOTLB_ENTRIES) return { done, iotlb, errno: "EINVAL" };
		if (flags === 1) iotlb.fill(0);
		else iotlb[index] = 0;
	}
	return { done, iotlb };
}

/** The mock personality. */
export const mock: DriverOps = {
	name: "mock",
	cacheCoherent: () => true,
	enforcesCoherency: () => false,
	tracksDirty: (dev) => (flagsOf(dev) & NO_DIRTY) === 0,
	isolatedMsi: () => true,
	isSelftest: true,
	userDomains: true,
	sharedBlocking: true,
	refusalBlocks: false,
	userPasidTable: true,
	allocPaging: (dev, flags, data) => {
		const noDirty = (flagsOf(dev) & NO_DIRTY) !== 0;
		const dirty = (flags & DIRTY_TRACKING) !== 0;
		if ((flags & ~(NEST_PARENT | DIRTY_TRACKING)) !== 0 || data.length > 0)
			return { errno: "EOPNOTSUPP" };
		if (dirty && noDirty) return { errno: "EOPNOTSUPP" };
		return {
			kind: "unmanaged",
			pgsizes: (flagsOf(dev) & HUGE_IOVA) !== 0 ? PAGE | HUGE : PAGE,
			apertureStart: APERTURE_START,
			apertureLast: APERTURE_LAST,
			nest: (flags & NEST_PARENT) !== 0,
			dirty,
			priv: {},
		};
	},
	allocNested: (_dev, _flags, parent, data) =>
		data.type === HWPT_DATA
			? nested(parent, data.length, data.bytes)
			: { errno: "EOPNOTSUPP" },
	attachErrno: (dev, domain) =>
		domain.dirty !== undefined && (flagsOf(dev) & NO_DIRTY) !== 0
			? "EINVAL"
			: undefined,
	invalidate,
	enablePageRequests: () => undefined,
	hwInfo: () => {
		const bytes = new Uint8Array(8);
		new DataView(bytes.buffer).setUint32(4, 0xdeadbeef, true);
		return { type: HW_INFO_TYPE, bytes };
	},
};
