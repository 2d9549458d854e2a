/**
 * The state that operations work on, as plain immutable data: one host with its iommu_groups, its iommufd contexts and pinned
 * memory. Names follow facts/iommufd-semantics.md §0.3; the kernel structures are struct iommufd_ctx, iommufd_object and kin
 * (drivers/iommu/iommufd/iommufd_private.h).
 */
import type { ErrnoName } from "../../src/vocabulary/errno.ts";
import type {
	AccessId,
	CtxId,
	DeviceId,
	DomainId,
	FaultQueueId,
	GroupId,
	HwptId,
	IdevId,
	IoasId,
} from "../../src/vocabulary/ids.ts";
import type { Fact } from "../../src/vocabulary/records.ts";
import type { Iopt, Range } from "../iopt.ts";
import type { AcctMode, IoptEnv, Mem, PinnedRun } from "../iopt-pages.ts";
import type { Tree } from "../iopt-tree.ts";
import type { DriverOps } from "./driver.ts";

/** What every object of a context has. `u` counts users, the id table's own included; unpublished ids answer ENOENT. */
interface ObjBase {
	readonly id: number;
	readonly u: number;
	readonly published: boolean;
}
/** An I/O address space; `hwpts` are the ids of its paging hwpts in list order. */
export interface Ioas extends ObjBase {
	readonly type: "ioas";
	readonly name: IoasId;
	readonly iopt: Iopt;
	readonly hwpts: readonly number[];
}
/** A hardware page table; `ioas` for paging ones, `parent` for nested ones (object ids). */
export interface Hwpt extends ObjBase {
	readonly type: "hwpt";
	readonly name: HwptId;
	readonly kind: "paging" | "nested";
	readonly dom: DomainId;
	readonly ioas?: number;
	readonly parent?: number;
	readonly fault?: number;
	readonly auto: boolean;
	readonly cc: boolean;
	readonly nestParent: boolean;
	readonly msiCookie: boolean;
}
/** A device bound to the context. */
export interface Idev extends ObjBase {
	readonly type: "idev";
	readonly name: IdevId;
	readonly dev: DeviceId;
	readonly group: GroupId;
	readonly cc: boolean;
	/** Page requests enabled through this device, counted (struct iommufd_device.iopf_enabled). */
	readonly iopf: number;
}
/** A page range that an access keeps pinned; `id` is the selftest's item number. */
export interface AccessItem {
	readonly id: number;
	readonly iova: bigint;
	readonly last: bigint;
}
/** An in-kernel user of an IOAS. `ioasUnpin` differs from `ioas` only while a change is open. */
export interface Access extends ObjBase {
	readonly type: "access";
	readonly name: AccessId;
	readonly ioas?: number;
	readonly ioasUnpin?: number;
	readonly pinning: boolean;
	/** The emulated VFIO device whose bind made it (vfio_iommufd_emulated_bind); other in-kernel users have none. */
	readonly mdev?: string;
	readonly items: readonly AccessItem[];
	readonly nextItem: number;
}
/** One page request of a fault group, as a read of the queue shows it. */
export interface PageFault {
	readonly pasid: number;
	readonly grpid: number;
	readonly perm: number;
	readonly addr: bigint;
	readonly flags: number;
}
/** A group of page requests that is answered as one. `hwpt` is the one whose handle took it. */
export interface FaultGroup {
	readonly devId: number;
	readonly dev: DeviceId;
	readonly hwpt: number;
	readonly grpid: number;
	readonly faults: readonly PageFault[];
	readonly cookie?: number;
}
/** An I/O page fault queue. */
export interface FaultQueue extends ObjBase {
	readonly type: "fault";
	readonly name: FaultQueueId;
	readonly deliver: readonly FaultGroup[];
	readonly response: readonly FaultGroup[];
	readonly fileOpen: boolean;
}
/** The selftest's own object around a mock device (drivers/iommu/iommufd/selftest.c:struct selftest_obj). */
export interface Stdev extends ObjBase {
	readonly type: "stdev";
	readonly idev: number;
}
export type Obj = Ioas | Hwpt | Idev | Access | FaultQueue | Stdev;
export type ObjType = Obj["type"];

/** iommufd's own object for a group (struct iommufd_group): `list` holds the attached devices in attach order. */
export interface Ig {
	readonly group: GroupId;
	readonly hwpt?: number;
	readonly list: readonly DeviceId[];
	/** Start of the software MSI window, learned on attach. */
	readonly msi?: bigint;
	readonly ref: number;
}
/** An open iommufd context. */
export interface Ctx {
	readonly name: CtxId;
	readonly objs: ReadonlyMap<number, Obj>;
	/** How often each id was handed out: the generation in names. */
	readonly gens: ReadonlyMap<number, number>;
	readonly groups: ReadonlyMap<GroupId, Ig>;
	readonly vfioIoas?: number;
	readonly noIommu: boolean;
	readonly acct: "USER" | "MM";
}

/** A device of the host as the core knows it. */
export interface Dev {
	readonly dev: DeviceId;
	readonly group: GroupId;
	readonly driver: string;
	/** What attach reserves: regions that are not relaxable; software MSI apart. */
	readonly resv: readonly (Range & { readonly kind: string })[];
	/** A mandated direct region: the core refuses the blocking domain (facts §3.3). */
	readonly requireDirect: boolean;
	readonly caps: { readonly [name: string]: unknown };
	/** Ghost: the domain the hardware uses; absent = none, the driver has torn it down. */
	readonly hw?: DomainId;
	/** Its object while it is bound. */
	readonly idev?: IdevId;
}
/** The attach handle of a group: the domain, and the device through which the last switch was made. */
export interface Handle {
	readonly dev: DeviceId;
	readonly dom: DomainId;
}
/** An iommu_group (drivers/iommu/iommu.c:struct iommu_group). */
export interface Group {
	readonly group: GroupId;
	readonly members: readonly DeviceId[];
	readonly def: DomainId;
	readonly blk?: DomainId;
	readonly dom: DomainId;
	readonly owner?: CtxId;
	readonly ocnt: number;
	readonly handles: { readonly [pasid: string]: Handle };
}
/** A struct iommu_domain. */
export interface Domain {
	readonly dom: DomainId;
	readonly kind: "unmanaged" | "nested" | "blocked" | "dma" | "identity";
	readonly driver: string;
	readonly pgsizes: bigint;
	readonly apertureStart: bigint;
	readonly apertureLast: bigint;
	readonly nest: boolean;
	/** Dirty tracking: undefined = the domain has no dirty operations. */
	readonly dirty?: boolean;
	/** Numbers of marked pages, in the domain's smallest page size. */
	readonly marks: ReadonlySet<number>;
	readonly cc: boolean;
	/** Device flags or other properties the driver keeps with the domain. */
	readonly priv: { readonly [name: string]: unknown };
	/** Nested: the entries that user invalidations clear. */
	readonly iotlb: readonly number[];
}
/** A DMA entry of a legacy container: one MAP_DMA, with the page frames it pinned. */
export interface DmaEntry {
	readonly iova: bigint;
	readonly size: bigint;
	readonly vaddr: bigint;
	readonly prot: number;
	readonly mapped: boolean;
	readonly runs: readonly PinnedRun[];
	readonly account: string;
	readonly charged: number;
}
/** A domain of a legacy container and the groups on it; `fgsp`: its IOMMU makes leaves of any power of two (facts §5.4). */
export interface VfioDomain {
	readonly dom: DomainId;
	readonly groups: readonly GroupId[];
	readonly fgsp: boolean;
	readonly cc: boolean;
}
/** A legacy VFIO container with a type1 IOMMU (drivers/vfio/vfio_iommu_type1.c). */
export interface Container {
	readonly name: CtxId;
	/** Groups that joined; their ownership is claimed. */
	readonly groups: readonly GroupId[];
	/** Set by SET_IOMMU. */
	readonly v2?: boolean;
	/** VFIO_TYPE1_NESTING_IOMMU was asked for. */
	readonly nesting?: boolean;
	readonly domains: readonly VfioDomain[];
	/** Usable ranges; undefined before the first domain. */
	readonly ranges?: readonly Range[];
	readonly dma: Tree<bigint, DmaEntry>;
	readonly entries: number;
	readonly avail: number;
}
/** Everything. */
export interface Host {
	readonly ctxs: ReadonlyMap<CtxId, Ctx>;
	/** Legacy VFIO containers (facts §5). */
	readonly containers: ReadonlyMap<CtxId, Container>;
	readonly groups: ReadonlyMap<GroupId, Group>;
	readonly devs: ReadonlyMap<DeviceId, Dev>;
	readonly domains: ReadonlyMap<DomainId, Domain>;
	readonly mem: Mem;
	readonly nextDomain: number;
	readonly nextGroup: number;
}

/** Who calls: decides accounting and permissions. */
export interface Caller {
	/** Number of the process in the memory model. */
	readonly proc: number;
	readonly uid: number;
	/** CAP_IPC_LOCK: pinned memory is not charged. */
	readonly ipcLock: boolean;
	/** CAP_SYS_RESOURCE: may change the accounting mode. */
	readonly sysResource: boolean;
	/** CAP_SYS_RAWIO. */
	readonly rawIo: boolean;
}
/** What operations ask of the outside, as plain functions. */
export interface OpEnv extends IoptEnv {
	readonly caller: Caller;
	readonly drivers: { readonly [name: string]: DriverOps };
	/** A driver made to refuse for a scenario or a sweep; asked before the personality's own check. */
	readonly refuse?: (
		dev: DeviceId,
		dom: DomainId,
		how: { readonly undo: boolean; readonly blocking: boolean },
	) => ErrnoName | undefined;
	/** So many of the lowest free object ids are held by calls on other threads. */
	readonly heldIds?: number;
	/** Named switches (facts §9); absent = the kernel as it is. */
	readonly switches?: { readonly sameIoasUnreserve?: boolean };
	/** The kernel has VFIO no-IOMMU mode (CONFIG_VFIO_NOIOMMU). */
	readonly noIommu?: boolean;
	/** Reads or writes process memory without pinning (copy_to_user, copy_from_user); the errno of the first byte out of reach. */
	readonly touch: (
		proc: number,
		va: bigint,
		length: bigint,
		write: boolean,
	) => ErrnoName | undefined;
}

/** What an operation answers: `out` are the fields it would copy back. */
export interface Answer {
	readonly errno?: ErrnoName;
	/** Where it failed. */
	readonly step?: string;
	/** The failure has its op.fail record already: what followed was cleaning up. */
	readonly settled?: boolean;
	readonly out?: {
		readonly [field: string]: number | bigint | readonly unknown[];
	};
}
/** The outcome of one operation: new state, facts in order, the answer. */
export interface Outcome extends Answer {
	readonly host: Host;
	readonly facts: readonly Fact[];
}
/** Account modes of pages, re-exported for callers that print them. */
export type { AcctMode };
