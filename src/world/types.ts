/**
 * The state that a log adds up to (iommufd-semantics.md §0.3), rebuilt from records alone.
 *
 * Three-valued where a recording can start in the middle of life: `undefined` = not known, `null` = known to be none.
 * Entities name each other by id, never by reference, so that a changed copy of one leaves the others alone. Arrays inside entities
 * are never changed in place; the entity that holds them is (by whoever owns it, see table.ts).
 */
import type { Iotlb } from "../iotlb/state.ts";
import type { U64, U64Range } from "../vocabulary/fields.ts";
import type { LogHeader, ReservedRegion } from "../vocabulary/header.ts";
import type { Later } from "../vocabulary/later.ts";
import type {
	AccessId,
	ActorId,
	CtxId,
	DeviceId,
	DomainId,
	FaultQueueId,
	GroupId,
	HwptId,
	IdevId,
	IoasId,
	PagesId,
} from "../vocabulary/ids.ts";
import type { LogRecord } from "../vocabulary/records.ts";
import type { Area, AreaList } from "./areas.ts";
import type { Call } from "./calls.ts";
import type { Stream, TableEffect } from "./table-effect.ts";
import type { Memory } from "./memory.ts";
import type { Owner, Table } from "./table.ts";

/** An attach handle of the core: who performed the switch, and to which domain (C:iommu_attach_group_handle). */
export interface Handle {
	readonly pasid: string;
	readonly dev: DeviceId;
	readonly dom: DomainId;
}
/** An iommu_group of the core. */
export interface Group {
	own: Owner;
	readonly id: GroupId;
	readonly driver: string;
	/** Members in the core's list order. */
	members: readonly DeviceId[];
	dom: DomainId | null | undefined;
	def: DomainId | undefined;
	blk: DomainId | undefined;
	/** A blocking domain that it had before, if it ever changed. */
	blkBefore: DomainId | undefined;
	owner: ActorId | null | undefined;
	ocnt: number | undefined;
	/** Members whose kernel driver uses the DMA API. */
	kernelDrivers: readonly DeviceId[];
	handles: readonly Handle[];
	/** Contexts that have an iommufd group object for it. */
	ctxs: readonly CtxId[];
	/** seq of the record that last set `dom` / `owner`; 0 = none. */
	domSeq: number;
	ownerSeq: number;
}
/** What one device may not use for DMA, in bytes, inclusive. */
export interface Region {
	readonly start: U64;
	readonly last: U64;
	readonly kind: ReservedRegion["kind"];
}
/** A device. `hw` is the ghost fact: what its hardware translates through. */
export interface Device {
	own: Owner;
	readonly id: DeviceId;
	group: GroupId | undefined;
	hw: DomainId | undefined;
	hwSeq: number;
	/** undefined = the log does not tell its regions. */
	readonly regions: readonly Region[] | undefined;
	/** Requester ids of its DMA on the bus; empty when its name tells none. */
	readonly sids: readonly number[];
	idev: IdevId | undefined;
	ctx: CtxId | undefined;
	/** Its IOMMU can track dirty pages; undefined = the log does not tell. */
	dirty: boolean | undefined;
	/** Attached (in ig.list), and to which hwpt; `since` is the seq of the list entry. */
	hwpt: HwptId | undefined;
	since: number;
	/** The record that attached it first; moves of its group do not change it. */
	attachedSeq: number;
	/** 2023 flows: idev->hwpt (seed mail 3). */
	idevHwpt: HwptId | undefined;
	iopf: number;
}
/** iommufd's object for a group in a context (I/priv.h:struct iommufd_group). */
export interface Ig {
	own: Owner;
	readonly id: string;
	readonly ctx: CtxId;
	readonly group: GroupId;
	list: readonly DeviceId[];
	hwpt: HwptId | null;
	hwptSeq: number;
	ref: number;
}
/** A bound device object. `u` is undefined until a record tells a count. */
export interface Idev {
	own: Owner;
	readonly id: IdevId;
	readonly dev: DeviceId;
	readonly ctx: CtxId;
	readonly cc: boolean;
	u: number | undefined;
	seq: number;
}
/** A hardware page table object. */
export interface Hwpt {
	own: Owner;
	readonly id: HwptId;
	state: "reserved" | "live" | "gone";
	kind: string;
	dom: DomainId | undefined;
	ioas: IoasId | undefined;
	parent: HwptId | undefined;
	auto: boolean;
	cc: boolean;
	nestParent: boolean;
	fault: FaultQueueId | undefined;
	/** 2023 flows and destruction: taken out of its IOAS' list. */
	linked: boolean;
	u: number | undefined;
	/** Devices attached to it (Device.hwpt = this). */
	devices: number;
	children: number;
	liveSeq: number;
}
/** A struct iommu_domain. */
export interface Domain {
	own: Owner;
	readonly id: DomainId;
	kind: string;
	readonly driver: string | undefined;
	/** seq of dom.created; 0 = alive before the log began. */
	readonly createdSeq: number;
	apertureLast: U64 | undefined;
	pgsizes: U64 | undefined;
	pageMin: number;
	dirtyOps: boolean;
	dirtyOn: boolean;
	cc: boolean;
	cookie: boolean;
	freedSeq: number;
	hwpt: HwptId | undefined;
	ioas: IoasId | undefined;
	/** Devices whose hardware uses it / groups whose current domain it is. */
	hwCount: number;
	groupCount: number;
	/** Its page table. null for kinds without one (blocked, identity) and before the first map. */
	memory: Memory | null;
	/** Frames mapped according to the records; -1 = not known (alive before the log). */
	mapped: number;
	mapSeq: number;
	unmapSeq: number;
	unmapT: number;
	/** seq of the last table.superseded. */
	supersededSeq: number;
}
/** Ranges reserved for one owner, in one IOAS. */
export interface Reservation {
	readonly owner: ActorId;
	readonly ranges: readonly U64Range[];
	readonly seq: number;
}
/** Everything that one owner has reserved, in order: the same entries as in the IOASes, found without looking through those. */
export interface Reserver {
	own: Owner;
	readonly id: ActorId;
	held: readonly { readonly ioas: IoasId; readonly entry: Reservation }[];
}
/** An I/O address space. */
export interface Ioas {
	own: Owner;
	readonly id: IoasId;
	gone: boolean;
	readonly areas: AreaList;
	/** Areas that are claimed or draining. */
	unsettled: number;
	allowed: readonly U64Range[];
	resv: readonly Reservation[];
	doms: readonly DomainId[];
	hwpts: readonly HwptId[];
	/** Hwpts made on it and not gone; more than `hwpts` in the 2023 flows, where unlinked ones live on. */
	hwptsAlive: number;
	accs: readonly AccessId[];
	/** Counts taken on it for accesses, less those given back. */
	accRefs: number;
	align: number;
	/** True when records told the alignment. */
	alignKnown: boolean;
	noLarge: boolean;
	u: number | undefined;
	createdSeq: number;
}
/** An area that shows a part of a pages object; `held`: a domain stores its frames. `first` and `last` count pages. */
export interface PagesArea {
	readonly ioas: IoasId;
	readonly start: U64;
	readonly first: number;
	readonly last: number;
	readonly held: boolean;
}
/** Pages [first, last] that an access holds. */
export interface PagesPin {
	readonly first: number;
	readonly last: number;
}
/** Pinned user memory behind one map call. */
export interface Pages {
	own: Owner;
	readonly id: PagesId;
	npin: number;
	/** Who is charged for its pins; undefined = nobody, as far as the log tells. */
	acct: string | undefined;
	charged: number;
	/** seq of the last record that pinned or unpinned. */
	pinSeq: number;
	areas: readonly PagesArea[];
	pins: readonly PagesPin[];
	/** Some area showed them: the log tells who holds them. */
	shown: boolean;
}
export interface Access {
	own: Owner;
	readonly id: AccessId;
	readonly pinning: boolean;
	ioas: IoasId | undefined;
	switching: boolean;
	/** Outstanding pins: "ioas start length" → count. */
	pins: ReadonlyMap<string, number>;
	gone: boolean;
}
export interface FaultQueue {
	own: Owner;
	readonly id: FaultQueueId;
	/** Fault groups delivered and not answered, by "dev grpid". */
	open: readonly string[];
	u: number | undefined;
	gone: boolean;
}
export interface Ctx {
	own: Owner;
	readonly id: CtxId;
	readonly kind: string;
	/** seq of ctx.opened; 0 = it was open before the log. */
	readonly openedSeq: number;
	closed: boolean;
	vfioIoas: IoasId | undefined;
	acct: string;
	/** Legacy container: its entries, domains and room. */
	type1: Type1 | undefined;
}
/** A legacy container (facts iommufd §5.1). */
export interface Type1 {
	readonly version: string;
	readonly limit: number | undefined;
	/** Its entries, in the form of areas. */
	readonly entries: AreaList;
	/** The entry added last. */
	readonly newest: Area | undefined;
	readonly doms: readonly DomainId[];
	readonly ranges: readonly U64Range[] | undefined;
}
/** An operation that has begun and not ended. */
export interface OpenOp {
	readonly seq: number;
	readonly t: number;
	readonly name: string;
	/** What it was called with: laterValue() reads it. */
	readonly args: Later;
	readonly task: string | undefined;
	readonly actor: ActorId;
	/** Its records of the types in KEPT_STEPS (apply.ts), copied, at most STEPS_MAX. */
	readonly steps: LogRecord[];
	truncated: boolean;
}
/** More records than this of one operation are not kept: checks that need them all are unexplained for it. */
export const STEPS_MAX = 65_536;

/** What the last record did to page tables, for whoever judges it. Frames. */
export interface Effect {
	/** area.claimed, area.live, area.gone: the IOAS it was about. */
	ioas: Ioas | undefined;
	/** dom.map, dom.unmap: the domain it was about. */
	domain: Domain | undefined;
	/** dom.map: frames that were mapped already. */
	overlap: number;
	/** dom.unmap: frames that were mapped in the range asked for / in what was reported as unmapped. */
	present: number;
	/** dom.unmap with more unmapped than asked: frames that the last leaf met by the request reaches beyond it. */
	beyond: number;
	/** ig.list.*, ig.hwpt.set, idev.hwpt.set: hwpts that devices were attached to before. */
	leftHwpts: readonly HwptId[];
	/** grp.member.added: the group that still listed the device. */
	formerGroup: GroupId | undefined;
	/** The pages object handled last. */
	pages: Pages | undefined;
	/** pages.freed: what was still pinned; undefined when the log never told. */
	pinsLeft: number | undefined;
	/** resv.dropped: the entries that were there. */
	unreserved: Ioas["resv"];
	/** did.assigned: the domain that had the tag before and may still have entries under it. */
	tagLeft: DomainId | undefined;
	/** The record could not be applied: why. */
	problem: string | undefined;
	/** table.*, slot.*, dirty.reported. */
	tables: TableEffect | undefined;
}

/** A reserved region and whose it is. */
export interface Risk {
	readonly region: Region;
	readonly device: DeviceId;
}
/** Reserved regions of members of groups whose hardware uses an IOAS: of attached members / of those that reserved nothing in it. */
export interface Risks {
	readonly moves: number;
	readonly attached: readonly Risk[];
	readonly unreserved: readonly Risk[];
}

/** Everything known after some record of a log. Made by createWorld, changed by applyRecord. */
export interface World {
	own: Owner;
	readonly header: LogHeader;
	/** seq and t of the last record applied. */
	seq: number;
	t: number;
	readonly groups: Table<GroupId, Group>;
	readonly devices: Table<DeviceId, Device>;
	readonly igs: Table<string, Ig>;
	readonly idevs: Table<IdevId, Idev>;
	readonly hwpts: Table<HwptId, Hwpt>;
	readonly domains: Table<DomainId, Domain>;
	readonly ioases: Table<IoasId, Ioas>;
	/** Who has ranges reserved somewhere. */
	readonly reservers: Table<ActorId, Reserver>;
	readonly pages: Table<PagesId, Pages>;
	readonly accesses: Table<AccessId, Access>;
	readonly faultQueues: Table<FaultQueueId, FaultQueue>;
	readonly ctxs: Table<CtxId, Ctx>;
	/** Open operations by the seq of their op.begin. */
	readonly ops: Map<number, OpenOp>;
	/** Those of them that are calls on a page table that is logged entry by entry. */
	readonly calls: Map<number, Call>;
	/** What devices use all the time, and devices whose DMA is stopped. */
	streams: readonly Stream[];
	stopped: ReadonlySet<DeviceId>;
	iotlb: Iotlb;
	/** seq of the last trace.lost and number of them. */
	lostSeq: number;
	lostCount: number;
	/** Events are missing, or out of order, from the last trace.lost on. */
	lostOpen: boolean;
	/** Lines the importer could not explain. */
	unexplainedLines: number;
	/** True in logs of a flow with a pointer per device (2023 flows). */
	perDevice: boolean;
	/** Counts records that change who uses what: groups, attachments, reservations, domains of IOASes. Caches of such facts hang on it. */
	moves: number;
	/** A cache of the judge: reserved regions that matter to an IOAS, as of `moves`. Holds no facts. */
	readonly risks: Map<IoasId, Risks>;
	/** Areas of all IOASes that are claimed or draining. */
	unsettled: number;
	/** Objects that died since the dead were last forgotten. */
	dead: number;
	/** Record types that some checks need to have seen at all. */
	readonly seen: Seen;
	readonly effect: Effect;
}
/** Kinds of evidence that a log has shown so far; a check without its kind is not exercised. */
export interface Seen {
	handles: boolean;
	/** Any ctx.opened, hence a whole life of contexts. */
	areas: boolean;
	tags: boolean;
	/** resv.added: the log tells reservations. */
	resv: boolean;
	/** iopt.dom.added: the log tells which domains an IOAS fills. */
	iopt: boolean;
	/** pages.pinned: the log tells pins. */
	pins: boolean;
	/** ioas.hugepages.set off: some IOAS maps page by page. */
	noLarge: boolean;
}
