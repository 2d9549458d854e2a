/** Groups, devices, hwpts and contexts out of the fold. */
import type { DeviceContext } from "../../../machines/device.ts";
import type { HwptContext } from "../../../machines/hwpt.ts";
import type { GroupContext } from "../../../machines/iommu-group.ts";
import { idTableOf } from "../../../machines/id-table.ts";
import type { CtxContext } from "../../../machines/iommufd-ctx.ts";
import { YES } from "../../../machines/steps.ts";
import type {
	Access,
	FaultGroup,
	FaultQueue,
} from "../../../machines/ops/types.ts";
import type { TopologyGroup } from "../../vocabulary/header.ts";
import type {
	AccessId,
	CtxId,
	FaultQueueId,
	HwptId,
	ObjectId,
} from "../../vocabulary/ids.ts";
import { contextOf, kernelNumber } from "../../vocabulary/ids.ts";
import type { Hwpt, World } from "../../world/types.ts";
import type { Standing } from "../engine.ts";
import { memberOf, type Outside } from "../outside.ts";
import type { Beside } from "../plain.ts";
import type { Notes } from "./notes-state.ts";

/** A group: ownership by the core's facts, attachment by iommufd's object. */
export function groupActor(
	world: World,
	notes: Notes,
	{ group, members }: TopologyGroup,
): Standing {
	const g = world.groups.map.get(group)!;
	const ig = [...g.ctxs]
		.map((ctx) => world.igs.map.get(`${ctx} ${group}`))
		.find((one) => one !== undefined);
	const context: GroupContext = {
		group,
		members: g.members.map((dev) =>
			memberOf(members.find((member) => member.dev === dev)!),
		),
		def: g.def ?? null,
		blk: g.blk ?? null,
		dom: g.dom ?? null,
		owner: (g.owner ?? null) as CtxId | null,
		ocnt: g.ocnt ?? 0,
		handles: Object.fromEntries(
			g.handles.map(({ pasid, dev, dom }) => [pasid, { dev, dom }]),
		),
		ctx: ig?.ctx ?? null,
		visitors: [],
		ref: ig?.ref ?? 0,
		list: world.perDevice ? [] : (ig?.list ?? []),
		hwpt: ig?.hwpt ?? null,
		msi: notes.msi.get(group) ?? null,
		locked: false,
		answer: YES,
	};
	return {
		state: `ownership.${ownership(world, context)}|attachment.${attachment(notes, context)}`,
		context,
	};
}

function ownership(world: World, g: GroupContext): string {
	if (g.owner === null) return "Default";
	const torn = g.members.some(
		({ dev }) => (world.devices.map.get(dev)?.hw ?? null) !== g.dom,
	);
	if (torn) return "Owned.Torn";
	return g.dom === g.blk || g.dom === g.def
		? "Owned.OwnedIdle"
		: "Owned.OwnedUser";
}
function attachment(notes: Notes, g: GroupContext): string {
	if (g.ctx === null) return notes.igFreed.has(g.group) ? "Gone" : "Empty";
	return g.list.length > 0 ? "Held.Attached" : "Held.Idle";
}

/** Users of a device object while it is bound; one more while it is attached (facts §3.9). */
const BOUND_USERS = 2;

/** A device of a group. */
export function deviceActor(
	world: World,
	outside: Outside,
	{ dev, resv }: TopologyGroup["members"][number],
): Standing {
	const d = world.devices.map.get(dev)!;
	const u =
		d.idev === undefined ? 0 : (world.idevs.map.get(d.idev)?.u ?? BOUND_USERS);
	const facts = outside.device(dev);
	const context: DeviceContext = {
		dev,
		requireDirect: resv.some(({ kind }) => kind === "direct"),
		cc: facts.ops.enforcesCoherency(facts.dev),
		dirty: facts.ops.tracksDirty(facts.dev),
		hw: d.hw ?? null,
		ctx: d.ctx ?? null,
		idev: d.idev ?? null,
		u,
		hwpt: d.idevHwpt ?? null,
		answer: YES,
	};
	const state = u > BOUND_USERS ? "Attached" : u > 0 ? "Bound" : "Unbound";
	return { state, context };
}

/** A hwpt that is alive. */
export function hwptActor(world: World, notes: Notes, h: Hwpt): Standing {
	const over =
		h.parent === undefined ? undefined : world.hwpts.map.get(h.parent);
	const ioas = over?.ioas ?? h.ioas ?? null;
	const context: HwptContext = {
		hwpt: h.id,
		ctx: contextOf(h.id),
		ioas,
		dom: h.dom ?? null,
		cc: h.cc,
		auto: h.auto,
		fault: h.fault !== undefined,
		nestParent: h.nestParent,
		u: h.u ?? 1,
		devices: world.perDevice ? (notes.devices.get(h.id) ?? []) : [],
		answer: YES,
	};
	const filled =
		h.dom !== undefined &&
		ioas !== null &&
		world.ioases.map.get(ioas)?.doms.includes(h.dom) === true;
	return { state: filled ? "Live.Filled" : "Live.Empty", context };
}

/** A context, open or closed. */
export function ctxActor(notes: Notes, ctx: CtxId): Standing {
	const { open, ids, generations } = notes.ctxs.get(ctx)!;
	const context: CtxContext = {
		ctx,
		ids: idTableOf<ObjectId | null>(ids),
		generations: idTableOf(generations),
		answer: YES,
	};
	return { state: open ? "Open" : "Closed", context };
}

/** What is kept of a context beside its actors. */
export function besideOfCtx(world: World, notes: Notes, ctx: CtxId): Beside {
	const objs = new Map<number, Access | FaultQueue>();
	const nested = new Map<number, { parent?: number; fault?: number }>();
	const table = notes.ctxs.get(ctx)!;
	for (const [id, name] of table.ids) {
		if (name.includes("/access:"))
			objs.set(id, accessOf(world, notes, name as AccessId));
		else if (name.includes("/fault-queue:"))
			objs.set(id, queueOf(world, notes, name as FaultQueueId));
		else if (name.includes("/hwpt:")) {
			const h = world.hwpts.map.get(name as HwptId);
			if (h?.parent === undefined) continue;
			nested.set(id, {
				parent: kernelNumber(h.parent),
				...(h.fault === undefined ? {} : { fault: kernelNumber(h.fault) }),
			});
		}
	}
	const c = world.ctxs.map.get(ctx);
	return {
		objs,
		nested,
		acct: c?.acct === "MM" ? "MM" : "USER",
		...(c?.vfioIoas === undefined
			? {}
			: { vfioIoas: kernelNumber(c.vfioIoas) }),
	};
}

/** The creating driver's count and the id table's (facts §1.1). */
const ACCESS_USERS = 2;

function accessOf(world: World, notes: Notes, name: AccessId): Access {
	const access = world.accesses.map.get(name)!;
	const { items, next, mdev } = notes.items.get(name)!;
	const ioas =
		access.ioas === undefined ? undefined : kernelNumber(access.ioas);
	return {
		id: kernelNumber(name),
		u: ACCESS_USERS,
		published: true,
		type: "access",
		name,
		pinning: access.pinning,
		items: [...items],
		nextItem: next,
		...(mdev === undefined ? {} : { mdev }),
		...(ioas === undefined ? {} : { ioas, ioasUnpin: ioas }),
	};
}

function queueOf(world: World, notes: Notes, name: FaultQueueId): FaultQueue {
	const { deliver, response } = notes.queues.get(name)!;
	const id = kernelNumber(name);
	const taken = (group: FaultGroup): FaultGroup => ({
		...group,
		...takenBy(world, group),
	});
	return {
		id,
		u: notes.users.get(name) ?? 1,
		published: true,
		type: "fault",
		name,
		deliver: deliver.map(taken),
		response: response.map(taken),
		fileOpen: notes.ctxs.get(contextOf(name))!.fileOpen.has(id),
	};
}

/** The hwpt whose handle took a page request, and the device object that the handle names. */
function takenBy(world: World, { dev }: FaultGroup) {
	const group = world.devices.map.get(dev)?.group;
	const handle = group && world.groups.map.get(group)?.handles[0];
	const by = handle && world.devices.map.get(handle.dev)?.idev;
	const hwpt = handle && world.domains.map.get(handle.dom)?.hwpt;
	return {
		devId: by === undefined ? 0 : kernelNumber(by),
		hwpt: hwpt === undefined ? 0 : kernelNumber(hwpt),
	};
}
