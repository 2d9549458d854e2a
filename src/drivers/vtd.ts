/**
 * Intel VT-d, second stage (drivers/iommu/intel/iommu.c, 6.12). Facts: iommufd-semantics.md §2.9.2, §3.4, §4.8, A13; pagetable-semantics.md §1.1.
 *
 * Capabilities of a device: `aw` address width of its IOMMU (48), `snoopControl` (true), `intremap` (true), `dirty` second-stage dirty
 * tracking of scalable mode (false), `nesting` (false), `superpages` 2M and 1G leaves (true), `cap`, `ecap` registers, `iommu` unit.
 */
import type { DriverOps, MadeDomain } from "../../machines/ops/driver.ts";
import type { Dev, Domain } from "../../machines/ops/types.ts";
import {
	below,
	DIRTY_TRACKING,
	flagOf,
	G1,
	K4,
	M2,
	NEST_PARENT,
	numberOf,
	registerOf,
} from "./caps.ts";

const HW_INFO_TYPE = 1;
/** struct iommu_hwpt_vtd_s1, in bytes; its data type, and that of its invalidations. */
const S1_BYTES = 24;
const S1_DATA = 1;

const width = (dev: Dev): number => numberOf(dev, "aw", 48);
const dirtyCapable = (dev: Dev): boolean => flagOf(dev, "dirty", false);
const nestingCapable = (dev: Dev): boolean => flagOf(dev, "nesting", false);

function allocPaging(dev: Dev, flags: number, dataLength: number): MadeDomain {
	const dirty = (flags & DIRTY_TRACKING) !== 0;
	const nest = (flags & NEST_PARENT) !== 0;
	if (
		(flags & ~(NEST_PARENT | DIRTY_TRACKING)) !== 0 ||
		dataLength > 0 ||
		(nest && !nestingCapable(dev)) ||
		(dirty && !dirtyCapable(dev))
	)
		return { errno: "EOPNOTSUPP" };
	return {
		kind: "unmanaged",
		pgsizes: flagOf(dev, "superpages", true) ? K4 | M2 | G1 : K4,
		apertureStart: 0n,
		apertureLast: below(width(dev)),
		nest,
		dirty,
		priv: {},
	};
}

/** What prepare_domain_attach_device() refuses: forced snooping or dirty tracking that the IOMMU lacks, a domain wider than it. */
function attachErrno(dev: Dev, domain: Domain): "EINVAL" | undefined {
	if (domain.kind !== "unmanaged") return undefined;
	if (domain.cc && !flagOf(dev, "snoopControl", true)) return "EINVAL";
	if (domain.apertureLast > below(width(dev))) return "EINVAL";
	return domain.dirty !== undefined && !dirtyCapable(dev)
		? "EINVAL"
		: undefined;
}

/** The VT-d personality. */
export const vtd: DriverOps = {
	name: "vtd",
	cacheCoherent: () => true,
	enforcesCoherency: (dev) => flagOf(dev, "snoopControl", true),
	tracksDirty: dirtyCapable,
	isolatedMsi: (dev) => flagOf(dev, "intremap", true),
	isSelftest: false,
	userDomains: true,
	sharedBlocking: false,
	refusalBlocks: true,
	userPasidTable: true,
	allocPaging: (dev, flags, data) => allocPaging(dev, flags, data.length),
	allocNested: (dev, flags, parent, data) => {
		if (!nestingCapable(dev) || flags !== 0) return { errno: "EOPNOTSUPP" };
		if (data.type !== S1_DATA) return { errno: "EOPNOTSUPP" };
		if (!parent.nest || data.length !== S1_BYTES) return { errno: "EINVAL" };
		if (data.bytes === undefined) return { errno: "EFAULT" };
		const empty = { pgsizes: 0n, apertureStart: 0n, apertureLast: 0n };
		return { kind: "nested", ...empty, nest: false, dirty: false, priv: {} };
	},
	attachErrno,
	enablePageRequests: (dev) =>
		flagOf(dev, "pri", false) ? undefined : "ENODEV",
	hwInfo: (dev) => {
		const bytes = new Uint8Array(24);
		const view = new DataView(bytes.buffer);
		view.setBigUint64(8, registerOf(dev, "cap"), true);
		view.setBigUint64(16, registerOf(dev, "ecap"), true);
		return { type: HW_INFO_TYPE, bytes };
	},
};
