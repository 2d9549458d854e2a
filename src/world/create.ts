/** The world before the first record, and copies of a world. */
import { hardwareOf } from "../iotlb/hardware.ts";
import { copyIotlb } from "../iotlb/copy.ts";
import { newIotlb } from "../iotlb/state.ts";
import { u64FromHex } from "../vocabulary/fields.ts";
import type { LogHeader, TopologyDevice } from "../vocabulary/header.ts";
import { presentMembers } from "../vocabulary/header.ts";
import type {
	CtxId,
	DeviceId,
	DomainId,
	GroupId,
	IoasId,
} from "../vocabulary/ids.ts";
import { newAreas, shareAreas } from "./areas.ts";
import { shareMemory } from "./memory.ts";
import { edit, newTable, put, share } from "./table.ts";
import type {
	Ctx,
	Device,
	Domain,
	Group,
	Ig,
	Ioas,
	Region,
	World,
} from "./types.ts";

/** Flows with a pointer per device instead of one per group (facts §3.5). */
export const PER_DEVICE_FLOWS: readonly string[] = [
	"detach-attach",
	"posted-v2",
	"device-lagging",
	"device-forced",
];

/** The world that a header describes: topology known, nothing has happened. In a run nobody owns anything yet; elsewhere that is not known. */
export function createWorld(header: LogHeader): World {
	const own = {};
	const world: World = {
		own,
		header,
		seq: 0,
		t: 0,
		groups: newTable(own),
		devices: newTable(own),
		igs: newTable(own),
		idevs: newTable(own),
		hwpts: newTable(own),
		domains: newTable(own),
		ioases: newTable(own),
		reservers: newTable(own),
		pages: newTable(own),
		accesses: newTable(own),
		faultQueues: newTable(own),
		ctxs: newTable(own),
		ops: new Map(),
		calls: new Map(),
		streams: [],
		stopped: new Set(),
		iotlb: newIotlb(own, hardwareOf(header)),
		lostSeq: 0,
		lostCount: 0,
		lostOpen: false,
		unexplainedLines: 0,
		moves: 0,
		risks: new Map(),
		dead: 0,
		unsettled: 0,
		perDevice: PER_DEVICE_FLOWS.includes(String(header.switches["flow"] ?? "")),
		seen: {
			handles: false,
			areas: false,
			tags: false,
			resv: false,
			iopt: false,
			pins: false,
			noLarge: false,
		},
		effect: {
			ioas: undefined,
			domain: undefined,
			leftHwpts: [],
			formerGroup: undefined,
			pages: undefined,
			pinsLeft: undefined,
			unreserved: [],
			overlap: 0,
			present: 0,
			beyond: 0,
			tagLeft: undefined,
			problem: undefined,
			tables: undefined,
		},
	};
	for (const topology of header.topology.groups) {
		const group = newGroup(world, topology.group, topology.driver);
		const present = presentMembers(topology);
		group.members = present.map((member) => member.dev);
		group.kernelDrivers = present
			.filter((member) => member.kernelDriver !== undefined)
			.map((member) => member.dev);
		if (header.origin !== "import") group.ocnt = group.kernelDrivers.length;
		for (const member of topology.members)
			newDevice(
				world,
				member.dev,
				member.absent === true ? undefined : topology.group,
				member,
			);
	}
	return world;
}

/** A group that is named for the first time. */
export function newGroup(world: World, id: GroupId, driver = "unknown"): Group {
	const known = world.header.origin !== "import";
	return put(world.groups, world.own, id, {
		own: world.own,
		id,
		driver,
		members: [],
		dom: known ? null : undefined,
		def: undefined,
		blk: undefined,
		blkBefore: undefined,
		owner: known ? null : undefined,
		ocnt: undefined,
		kernelDrivers: [],
		handles: [],
		ctxs: [],
		domSeq: 0,
		ownerSeq: 0,
	});
}

const BUS_NAME = /^device:[0-9a-f]{4,8}:([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/;

/** The requester id in a PCI bus name: bus, device, function; undefined for other names. */
export function requesterId(dev: DeviceId): number | undefined {
	const parts = BUS_NAME.exec(dev);
	if (parts === null) return undefined;
	return (
		(Number.parseInt(parts[1] as string, 16) << 8) |
		(Number.parseInt(parts[2] as string, 16) << 3) |
		Number(parts[3])
	);
}

const regionsOf = (member: TopologyDevice): readonly Region[] =>
	member.resv.flatMap((region) => {
		const start = u64FromHex(region.start);
		const last = u64FromHex(region.last);
		return start === undefined || last === undefined
			? []
			: [{ start, last, kind: region.kind }];
	});

/** A device that is named for the first time; `member` is what the topology tells of it. */
export function newDevice(
	world: World,
	id: DeviceId,
	group: GroupId | undefined,
	member?: TopologyDevice,
): Device {
	const rid = requesterId(id);
	return put(world.devices, world.own, id, {
		own: world.own,
		id,
		group,
		hw: undefined,
		hwSeq: 0,
		regions: member === undefined ? undefined : regionsOf(member),
		sids: member?.aliases ?? (rid === undefined ? [] : [rid]),
		idev: undefined,
		dirty: undefined,
		ctx: undefined,
		hwpt: undefined,
		since: 0,
		attachedSeq: 0,
		idevHwpt: undefined,
		iopf: 0,
	});
}

/** The group for writing, made when it is new. */
export function groupOf(world: World, id: GroupId): Group {
	world.moves++;
	return edit(world.groups, world.own, id) ?? newGroup(world, id);
}

/** The device for writing, made when it is new. */
export function deviceOf(world: World, id: DeviceId): Device {
	world.moves++;
	return edit(world.devices, world.own, id) ?? newDevice(world, id, undefined);
}

/** The domain for writing, made (as one that was alive before) when it is new. */
export function domainOf(world: World, id: DomainId): Domain {
	const found = world.domains.map.get(id);
	if (found === undefined) return newDomain(world, id, "unknown", 0, undefined);
	if (found.own === world.own) return found;
	const memory = found.memory === null ? null : shareMemory(found.memory);
	return put(world.domains, world.own, id, {
		...found,
		own: world.own,
		memory,
	});
}

/** A domain that comes to life at `createdSeq`. */
export function newDomain(
	world: World,
	id: DomainId,
	kind: string,
	createdSeq: number,
	driver: string | undefined,
): Domain {
	return put(world.domains, world.own, id, {
		own: world.own,
		id,
		kind,
		driver,
		createdSeq,
		apertureLast: undefined,
		pgsizes: undefined,
		pageMin: 4096,
		dirtyOps: false,
		dirtyOn: false,
		cc: false,
		cookie: false,
		freedSeq: 0,
		hwpt: undefined,
		ioas: undefined,
		hwCount: 0,
		groupCount: 0,
		memory: null,
		mapped: createdSeq === 0 ? -1 : 0,
		mapSeq: 0,
		unmapSeq: 0,
		unmapT: 0,
		supersededSeq: 0,
	});
}

/** The IOAS for writing, made when it is new. */
export function ioasOf(world: World, id: IoasId): Ioas {
	const found = world.ioases.map.get(id);
	if (found === undefined) return newIoas(world, id, 0);
	if (found.own === world.own) return found;
	return put(world.ioases, world.own, id, {
		...found,
		own: world.own,
		areas: shareAreas(found.areas, world.own),
	});
}

/** An IOAS that comes to life at `createdSeq`; 0 = it was alive before the log. */
export function newIoas(world: World, id: IoasId, createdSeq: number): Ioas {
	return put(world.ioases, world.own, id, {
		own: world.own,
		id,
		gone: false,
		areas: newAreas(world.own),
		unsettled: 0,
		allowed: [],
		resv: [],
		doms: [],
		hwpts: [],
		hwptsAlive: 0,
		accs: [],
		accRefs: 0,
		align: 1,
		alignKnown: false,
		noLarge: false,
		u: createdSeq > 0 && world.header.origin !== "import" ? 1 : undefined,
		createdSeq,
	});
}

/** The context for writing, made when it is new. */
export function ctxOf(
	world: World,
	id: CtxId,
	openedSeq = 0,
	kind = "iommufd",
): Ctx {
	return (
		edit(world.ctxs, world.own, id) ??
		put(world.ctxs, world.own, id, {
			own: world.own,
			id,
			kind,
			openedSeq,
			closed: false,
			vfioIoas: undefined,
			acct: "USER",
			type1: undefined,
		})
	);
}

/** Key of an iommufd group object. */
export const igKey = (ctx: CtxId, group: GroupId): string => `${ctx} ${group}`;

/** iommufd's object of a group in a context, made when it is new. */
export function igOf(world: World, ctx: CtxId, group: GroupId): Ig {
	const id = igKey(ctx, group);
	const found = edit(world.igs, world.own, id);
	if (found !== undefined) return found;
	const owner = groupOf(world, group);
	owner.ctxs = [...owner.ctxs, ctx];
	return put(world.igs, world.own, id, {
		own: world.own,
		id,
		ctx,
		group,
		list: [],
		hwpt: null,
		hwptSeq: 0,
		ref: 0,
	});
}

/** The projection for writing. */
export function iotlbOf(world: World): World["iotlb"] {
	if (world.iotlb.own !== world.own)
		world.iotlb = copyIotlb(world.iotlb, world.own);
	return world.iotlb;
}

/** A copy that shares everything and owns nothing: it and the original copy what they change. O(open operations). */
function copyWorld(world: World): World {
	return {
		...world,
		own: {},
		risks: new Map(),
		groups: share(world.groups),
		devices: share(world.devices),
		igs: share(world.igs),
		idevs: share(world.idevs),
		hwpts: share(world.hwpts),
		domains: share(world.domains),
		ioases: share(world.ioases),
		reservers: share(world.reservers),
		pages: share(world.pages),
		accesses: share(world.accesses),
		faultQueues: share(world.faultQueues),
		ctxs: share(world.ctxs),
		ops: new Map(
			[...world.ops].map(([seq, op]) => [
				seq,
				{ ...op, steps: op.steps.slice() },
			]),
		),
		calls: new Map(
			[...world.calls].map(([seq, call]) => [
				seq,
				{
					...call,
					lost: call.lost.slice(),
					added: call.added.slice(),
					commands: call.commands.slice(),
					unlinked: call.unlinked.slice(),
				},
			]),
		),
		seen: { ...world.seen },
		effect: { ...world.effect },
	};
}

/** The state as it is now, as a value: later records applied to `world` do not show in it. Cheap: shares all that is equal. */
export function snapshotWorld(world: World): World {
	const snapshot = copyWorld(world);
	// From now on the live world copies what it changes, too.
	world.own = {};
	return snapshot;
}

/** Used by reduce: the next state starts as a copy; the state it comes from is never written again through it. */
export const successor = (world: World): World => copyWorld(world);
