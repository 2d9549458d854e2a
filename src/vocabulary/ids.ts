/**
 * Names of everything that acts or is acted upon, as they stand in the log (DESIGN §2).
 *
 * An actor id is readable with grep and unique for the whole log: what lives in an iommufd context carries the
 * context and a generation, since the kernel hands out the lowest free object id again at once
 * (drivers/iommu/iommufd/main.c:_iommufd_object_alloc). Domains have no number in the kernel; ours count creations and
 * are never reused.
 */

/** The machine as a whole. */
export type HostId = "host";
/** An iommu_group by its sysfs number: `group:7`. */
export type GroupId = `group:${number}`;
/** A device by its bus name: `device:0000:01:00.0`. */
export type DeviceId = `device:${string}`;
/** A struct iommu_domain, counted in order of creation: `domain:5`. */
export type DomainId = `domain:${number}`;
/** An open iommufd file (struct iommufd_ctx) or a legacy VFIO container: `ctx:1`. */
export type CtxId = `ctx:${number}`;
/** A hardware page table object of a context: `ctx:1/hwpt:3@2` is the second object to carry id 3 there. */
export type HwptId = `${CtxId}/hwpt:${number}@${number}`;
/** An I/O address space object of a context. */
export type IoasId = `${CtxId}/ioas:${number}@${number}`;
/** The iommufd device object made by bind (struct iommufd_device). */
export type IdevId = `${CtxId}/idev:${number}@${number}`;
/** An in-kernel access object. */
export type AccessId = `${CtxId}/access:${number}@${number}`;
/** An I/O page fault queue object. */
export type FaultQueueId = `${CtxId}/fault-queue:${number}@${number}`;
/** The pinned user memory behind one map call (struct iopt_pages). It has no kernel id; ours counts per context. */
export type PagesId = `${CtxId}/pages:${number}`;
/** Any object that IOMMU_DESTROY could name. */
export type ObjectId = HwptId | IoasId | IdevId | AccessId | FaultQueueId;
/** An IOMMU unit: `iommu:dmar0`. */
export type IommuId = `iommu:${string}`;
/** Whoever performed an operation: a task of a trace or a caller of the library. */
export type TaskId = `task:${string}`;

/** Every name that may stand in a record's `actor`. */
export type ActorId =
	| HostId
	| GroupId
	| DeviceId
	| DomainId
	| CtxId
	| ObjectId
	| PagesId
	| IommuId
	| TaskId;

const OBJECT_KINDS = "hwpt|ioas|idev|access|fault-queue";
const CONTROL_CHARACTERS = "\\u0000-\\u001f\\u007f";
const PATTERNS = {
	host: /^host$/,
	group: /^group:\d{1,15}$/,
	device: new RegExp(`^device:[^${CONTROL_CHARACTERS}]{1,200}$`, "u"),
	domain: /^domain:\d{1,15}$/,
	ctx: /^ctx:\d{1,15}$/,
	hwpt: /^ctx:\d{1,15}\/hwpt:\d{1,10}@\d{1,15}$/,
	ioas: /^ctx:\d{1,15}\/ioas:\d{1,10}@\d{1,15}$/,
	idev: /^ctx:\d{1,15}\/idev:\d{1,10}@\d{1,15}$/,
	access: /^ctx:\d{1,15}\/access:\d{1,10}@\d{1,15}$/,
	faultQueue: /^ctx:\d{1,15}\/fault-queue:\d{1,10}@\d{1,15}$/,
	pages: /^ctx:\d{1,15}\/pages:\d{1,15}$/,
	object: new RegExp(`^ctx:\\d{1,15}/(?:${OBJECT_KINDS}):\\d{1,10}@\\d{1,15}$`),
	iommu: new RegExp(`^iommu:[^${CONTROL_CHARACTERS}]{1,100}$`, "u"),
	task: new RegExp(`^task:[^${CONTROL_CHARACTERS}]{1,100}$`, "u"),
} as const;

/** The kinds of actor that a record field may ask for. */
export type ActorKind = keyof typeof PATTERNS;

/** Tells whether `text` is a well-formed name of that kind of actor. */
export function isActorOfKind(kind: ActorKind, text: string): boolean {
	return PATTERNS[kind].test(text);
}

const ANY_ACTOR = new RegExp(
	Object.values(PATTERNS)
		.map(({ source }) => source)
		.join("|"),
	"u",
);

/** Tells whether `text` names an actor of any kind. */
export function isActorId(text: string): text is ActorId {
	return ANY_ACTOR.test(text);
}

/** Names an iommu_group. */
export const groupId = (number: number): GroupId => `group:${number}`;
/** Names a device by its bus name. */
export const deviceId = (busName: string): DeviceId => `device:${busName}`;
/** Names a domain by its order of creation. */
export const domainId = (number: number): DomainId => `domain:${number}`;
/** Names a context. */
export const ctxId = (number: number): CtxId => `ctx:${number}`;
/** Names an object of a context; `generation` counts the objects that had this id there, from 1. */
export function objectId<
	K extends "hwpt" | "ioas" | "idev" | "access" | "fault-queue",
>(
	kind: K,
	ctx: CtxId,
	id: number,
	generation: number,
): `${CtxId}/${K}:${number}@${number}` {
	return `${ctx}/${kind}:${id}@${generation}`;
}

/** The number in an object's or group's name as the kernel knows it: `ctx:1/hwpt:3@2` → 3, `group:7` → 7. */
export function kernelNumber(actor: string): number {
	const colon = actor.lastIndexOf(":");
	const at = actor.indexOf("@", colon);
	return Number(actor.slice(colon + 1, at < 0 ? undefined : at));
}

/** The context that an object lives in: `ctx:1/hwpt:3@2` → `ctx:1`. */
export function contextOf(object: ObjectId | PagesId): CtxId {
	return object.slice(0, object.indexOf("/")) as CtxId;
}
