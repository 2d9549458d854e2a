/**
 * Which pointer, id and number of the trace is which actor of the log. Pointers, object ids, domain ids and group numbers are
 * reused within microseconds (facts/trace-formats.md §3), so everything is keyed by lifetime: a name of the log is given
 * once and never again. What was alive before the trace began is learned when it is first mentioned.
 */
import type {
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	HwptId,
	IdevId,
	IoasId,
	IommuId,
} from "../vocabulary/ids.ts";
import { ctxId, deviceId, domainId, groupId } from "../vocabulary/ids.ts";
import { objectId } from "../vocabulary/ids.ts";
import type { U64, U64Range } from "../vocabulary/fields.ts";

/** Object numbers from here on were given by the importer: the trace never told the kernel's. */
export const UNTOLD_ID_BASE = 1_000_000;
/** `dom = dmar + 0xa0` (facts §3). */
export const DMAR_TO_DOM = 0xa0;
/** `iopt = ioas + 0x10` (facts §3). */
export const IOAS_TO_IOPT = 0x10;
/** `iovad = cookie + 8` (facts §3). */
export const COOKIE_TO_IOVAD = 8;
/** Low 53 bits of 0xffffffff80000000: static objects of the kernel image lie above. */
const KERNEL_IMAGE = 0x1f_ffff * 2 ** 32 + 0x8000_0000;

/** A struct iommu_domain during one lifetime. */
export interface Domain {
	readonly id: DomainId;
	/** Key of its pointer, NaN while not known. */
	pointer: number;
	/** A static object: never freed, shared by groups (blocking, identity). */
	readonly isStatic: boolean;
	/** Its allocation was seen (so its whole content is known). */
	created: boolean;
	/** Unmaps of it go through a flush queue. */
	lazy: boolean;
}
/** An iommu_group. */
export interface Group {
	readonly id: GroupId;
	readonly number: number;
	domain: Domain | undefined;
	defaultDomain: Domain | undefined;
	blockingDomain: Domain | undefined;
	/** Count of claims or drivers, when known. */
	ownerCount: number;
	readonly members: Set<Device>;
	/** iommufd's object for the group, while a device of it is bound. */
	igroup: Igroup | undefined;
}
/** iommufd's own object for a group (struct iommufd_group). */
export interface Igroup {
	readonly ctx: Ctx;
	readonly group: Group;
	ref: number;
	hwpt: Hwpt | undefined;
	/** Attached devices in order of attach; `known` is false when the trace began with some attached. */
	readonly list: Device[];
	known: boolean;
}
/** A device by bus name. */
export interface Device {
	readonly id: DeviceId;
	readonly name: string;
	/** Requester id from the bus name, or -1 when it is no PCI name. */
	readonly sid: number;
	group: Group | undefined;
	domain: Domain | undefined;
	idev: Idev | undefined;
	/** Ranges that iommufd reserves for it, when the recording tells. */
	reserved: readonly U64Range[];
	/** The domain of its live PASID entry (scalable mode). */
	live: Domain | undefined;
}
/** An iommufd context or a legacy container. */
export interface Ctx {
	readonly id: CtxId;
	pointer: number;
	/** Devices bound. */
	bound: number;
	/** File descriptor number in the calling program, or -1. */
	fd: number;
	closed: boolean;
	readonly generations: Map<string, number>;
	readonly ioases: Map<number, Ioas>;
	readonly hwpts: Map<number, Hwpt>;
	readonly idevs: Map<number, Idev>;
	untold: number;
	/** Domains of a legacy container. */
	readonly domains: Set<Domain>;
	/** Entries of a legacy container: start → length. */
	readonly entries: Map<U64, U64>;
	/** Entries went and the recording does not tell which. */
	entriesUntold: boolean;
}
/** An I/O address space. */
export interface Ioas {
	readonly id: IoasId;
	readonly ctx: Ctx;
	number: number;
	/** Key of the struct iommufd_ioas, NaN while not known. */
	pointer: number;
	/** Areas seen to be mapped: start → last. */
	readonly areas: Map<U64, U64>;
	/** Long-term count, NaN when its creation was not seen. */
	users: number;
}
/** A hardware page table object. */
export interface Hwpt {
	readonly id: HwptId;
	readonly ctx: Ctx;
	readonly number: number;
	/** Key of its pointer, NaN while not known. */
	pointer: number;
	readonly domain: Domain;
	ioas: Ioas | undefined;
	auto: boolean;
	live: boolean;
	/** The operation that made it, when seen. */
	op: object | undefined;
	/** Long-term count without look-ups, NaN when not known. */
	users: number;
}
/** iommufd's device object. */
export interface Idev {
	readonly id: IdevId;
	readonly ctx: Ctx;
	readonly number: number;
	pointer: number;
	readonly device: Device;
	/** -1 unknown, 0 not attached, 1 attached. */
	attached: number;
	/** Its bind was seen by a probe, so its unbind will be too. */
	probed: boolean;
	/** The program's file whose close unbinds it, NaN when not known. */
	fd: number;
}
/** An IOMMU unit and its count of invalidation commands. */
export interface Iommu {
	readonly id: IommuId;
	readonly name: string;
	issued: number;
	readonly domains: Map<number, Domain>;
}

/** Requester id of a PCI bus name (0000:02:01.0 → 0x208), or -1. */
export function requesterId(name: string): number {
	const match = /^[0-9a-f]+:([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(name);
	if (match === null) return -1;
	const [, bus = "0", slot = "0", fn = "0"] = match;
	return (
		(Number.parseInt(bus, 16) << 8) |
		(Number.parseInt(slot, 16) << 3) |
		Number(fn)
	);
}

/** All names given so far. */
export class Identity {
	readonly domains = new Map<number, Domain>();
	readonly groups = new Map<number, Group>();
	readonly groupsByPointer = new Map<number, Group>();
	readonly devices = new Map<string, Device>();
	readonly contexts = new Map<number, Ctx>();
	/** Legacy containers by their struct vfio_iommu, which lives from SET_IOMMU to the last group's leaving. */
	readonly containers = new Map<number, Ctx>();
	readonly contextsByFd = new Map<number, Ctx>();
	readonly ioases = new Map<number, Ioas>();
	readonly hwpts = new Map<number, Hwpt>();
	readonly idevs = new Map<number, Idev>();
	readonly iommus = new Map<string, Iommu>();
	readonly iommusByPointer = new Map<number, Iommu>();
	/** struct device pointers as reservation owners. */
	readonly owners = new Map<number, Device>();
	/** Domains by the cookie of the DMA API. */
	readonly cookies = new Map<number, Domain>();
	/** IOASes allocated whose number and pointer are not known yet: markers tell neither them nor the context. */
	untoldIoases = 0;
	private domainCount = 0;
	private ctxCount = 0;

	/** The living domain with this pointer; learned when it is new. */
	domain(pointer: number): Domain {
		return this.domains.get(pointer) ?? this.newDomain(pointer);
	}

	/** Starts a new lifetime for this pointer. */
	newDomain(pointer: number): Domain {
		const domain: Domain = {
			id: domainId(++this.domainCount),
			pointer,
			isStatic: pointer >= KERNEL_IMAGE,
			created: false,
			lazy: false,
		};
		if (!Number.isNaN(pointer)) this.domains.set(pointer, domain);
		return domain;
	}

	/** The group with this sysfs number. */
	group(number: number): Group {
		let group = this.groups.get(number);
		if (group === undefined) {
			group = {
				id: groupId(number),
				number,
				domain: undefined,
				defaultDomain: undefined,
				blockingDomain: undefined,
				ownerCount: 0,
				members: new Set(),
				igroup: undefined,
			};
			this.groups.set(number, group);
		}
		return group;
	}

	/** The device with this bus name. */
	device(name: string): Device {
		let device = this.devices.get(name);
		if (device === undefined) {
			device = {
				id: deviceId(name),
				name,
				sid: requesterId(name),
				group: undefined,
				domain: undefined,
				idev: undefined,
				reserved: [],
				live: undefined,
			};
			this.devices.set(name, device);
		}
		return device;
	}

	/** A new context; pointer NaN or fd -1 when not known. */
	newCtx(pointer: number, fd: number): Ctx {
		const ctx: Ctx = {
			id: ctxId(++this.ctxCount),
			pointer,
			bound: 0,
			fd,
			closed: false,
			generations: new Map(),
			ioases: new Map(),
			hwpts: new Map(),
			idevs: new Map(),
			untold: 0,
			domains: new Set(),
			entries: new Map(),
			entriesUntold: false,
		};
		if (!Number.isNaN(pointer)) this.contexts.set(pointer, ctx);
		if (fd >= 0) this.contextsByFd.set(fd, ctx);
		return ctx;
	}

	/** A new IOAS object in a context. `number` NaN: the trace has not told it. */
	newIoas(ctx: Ctx, number: number, pointer: number): Ioas {
		const told = Number.isNaN(number) ? UNTOLD_ID_BASE + ++ctx.untold : number;
		const ioas: Ioas = {
			id: objectId("ioas", ctx.id, told, generation(ctx, told)),
			ctx,
			number,
			pointer,
			areas: new Map(),
			users: Number.NaN,
		};
		if (!Number.isNaN(number)) ctx.ioases.set(number, ioas);
		if (!Number.isNaN(pointer)) this.ioases.set(pointer, ioas);
		return ioas;
	}

	/** A new hwpt object. */
	newHwpt(ctx: Ctx, number: number, pointer: number, domain: Domain): Hwpt {
		const told = Number.isNaN(number) ? UNTOLD_ID_BASE + ++ctx.untold : number;
		const hwpt: Hwpt = {
			id: objectId("hwpt", ctx.id, told, generation(ctx, told)),
			ctx,
			number,
			pointer,
			domain,
			ioas: undefined,
			auto: false,
			live: false,
			op: undefined,
			users: Number.NaN,
		};
		if (!Number.isNaN(number)) ctx.hwpts.set(number, hwpt);
		if (!Number.isNaN(pointer)) this.hwpts.set(pointer, hwpt);
		return hwpt;
	}

	/** A new iommufd device object. */
	newIdev(ctx: Ctx, number: number, pointer: number, device: Device): Idev {
		const told = Number.isNaN(number) ? UNTOLD_ID_BASE + ++ctx.untold : number;
		const idev: Idev = {
			id: objectId("idev", ctx.id, told, generation(ctx, told)),
			ctx,
			number,
			pointer,
			device,
			attached: -1,
			probed: false,
			fd: Number.NaN,
		};
		device.idev = idev;
		if (!Number.isNaN(number)) ctx.idevs.set(number, idev);
		if (!Number.isNaN(pointer)) this.idevs.set(pointer, idev);
		return idev;
	}

	/** The IOMMU unit with this name. */
	iommu(name: string): Iommu {
		let iommu = this.iommus.get(name);
		if (iommu === undefined) {
			iommu = { id: `iommu:${name}`, name, issued: 0, domains: new Map() };
			this.iommus.set(name, iommu);
		}
		return iommu;
	}
}

/** Counts the objects that carried this number in this context (ids are one space for all kinds, iommufd/main.c). */
function generation(ctx: Ctx, number: number): number {
	const key = String(number);
	const next = (ctx.generations.get(key) ?? 0) + 1;
	ctx.generations.set(key, next);
	return next;
}
