/**
 * A session over a host with real groups: the same contexts and files, plus device files, containers and group files. Can be set back
 * to an earlier point, since all of its state is values: overlapping calls and injected faults need a search.
 */
import { domainCreated, groupFacts } from "../../../machines/ops/domains.ts";
import type { Dev, Domain, Group, Host } from "../../../machines/ops/types.ts";
import { addGroup } from "../../drivers/host.ts";
import type { Topology, TopologyGroup } from "../../vocabulary/header.ts";
import type { ErrnoName } from "../../vocabulary/errno.ts";
import type { CtxId, DeviceId, GroupId } from "../../vocabulary/ids.ts";
import { fact } from "../../vocabulary/records.ts";
import type { Reply } from "./call.ts";
import { ALL_USER, UserMemory } from "./memory.ts";
import { replyOf } from "./call.ts";
import type { TraceCall } from "./trace-call.ts";
import type { FactSink, OpenFile, SessionPoint } from "./session.ts";
import { Session } from "./session.ts";

/** An open VFIO device file; `ctx` once it is bound. */
export interface DeviceFile {
	readonly dev: DeviceId;
	readonly ctx?: CtxId;
}

/** A point in a session that one can go back to. */
export interface Checkpoint extends SessionPoint {
	readonly devFiles: ReadonlyMap<number, DeviceFile>;
	readonly containers: ReadonlyMap<number, CtxId>;
	readonly groupFiles: ReadonlyMap<number, GroupId>;
	readonly groupDevices: ReadonlyMap<number, DeviceId>;
	readonly joined: ReadonlyMap<GroupId, CtxId>;
}

function refill<K, V>(map: Map<K, V>, from: ReadonlyMap<K, V>): void {
	map.clear();
	for (const [k, v] of from) map.set(k, v);
}

/** The session of a kernel recording. */
export class TraceSession extends Session {
	readonly devFiles = new Map<number, DeviceFile>();
	readonly containers = new Map<number, CtxId>();
	readonly groupFiles = new Map<number, GroupId>();
	/** Device files that a group gave out (VFIO_GROUP_GET_DEVICE_FD). */
	readonly groupDevices = new Map<number, DeviceId>();
	readonly joined = new Map<GroupId, CtxId>();
	readonly #template: TopologyGroup | undefined;

	constructor(host: Host, topology: Topology, sink?: FactSink) {
		super(host, sink, new UserMemory([ALL_USER]));
		this.#template = topology.groups[0];
	}

	/** Where the session stands. */
	override checkpoint(): Checkpoint {
		return {
			...super.checkpoint(),
			devFiles: new Map(this.devFiles),
			containers: new Map(this.containers),
			groupFiles: new Map(this.groupFiles),
			groupDevices: new Map(this.groupDevices),
			joined: new Map(this.joined),
		};
	}
	/** Goes back. */
	override restore(point: Checkpoint): void {
		super.restore(point);
		refill(this.devFiles, point.devFiles);
		refill(this.containers, point.containers);
		refill(this.groupFiles, point.groupFiles);
		refill(this.groupDevices, point.groupDevices);
		refill(this.joined, point.joined);
	}

	/** An open whose file number the recording tells. What else makes an open fail (no such file, no rights) is the environment's. */
	openRecorded(c: TraceCall, open: () => void): Reply {
		if (c.ret >= 0) {
			open();
			return { ret: c.ret, errno: null, out: { fd: c.ret } };
		}
		if (c.errname === "EBUSY") return replyOf({});
		return { ret: -1, errno: c.errname as ErrnoName, out: c.out };
	}
	/** A device of the group is open through it: that keeps the group's file, and the group in its container. */
	groupInUse(group: GroupId): boolean {
		for (const dev of this.groupDevices.values())
			if (this.host.devs.get(dev)?.group === group) return true;
		return false;
	}
	/** Who opens the group's file now is refused, and so is a bind of a member (drivers/vfio/group.c:vfio_device_block_group). */
	groupOpen(group: GroupId): boolean {
		return (
			this.groupInUse(group) || [...this.groupFiles.values()].includes(group)
		);
	}
	/** A member's own device file is bound: the group's file cannot be opened (vfio_group_fops_open). */
	memberBound(group: GroupId): boolean {
		for (const { dev, ctx } of this.devFiles.values())
			if (ctx !== undefined && this.host.devs.get(dev)?.group === group)
				return true;
		return false;
	}
	/** Opens /dev/iommu under a recorded file number. */
	openIommufdAt(fd: number): void {
		const own = this.openIommufd();
		const file = this.files.get(own) as OpenFile;
		this.files.delete(own);
		this.files.set(fd, file);
	}

	/** The device is in that group now: hot plug gives new groups (facts/trace-formats.md §7). */
	place(dev: DeviceId, group: GroupId): void {
		if (this.host.devs.get(dev)?.group === group) return;
		const like = this.host.devs.get(dev);
		const resv = (like?.resv ?? []).map((r) => ({
			start: `0x${r.start.toString(16)}`,
			last: `0x${r.last.toString(16)}`,
			kind: r.kind as TopologyGroup["members"][number]["resv"][number]["kind"],
		}));
		const fallback = this.#template?.members[0]?.resv ?? [];
		const caps = (like?.caps ??
			this.#template?.members[0]?.caps ??
			{}) as NonNullable<TopologyGroup["members"][number]["caps"]>;
		if (like !== undefined) this.unplug(dev);
		const driver = this.#template?.driver ?? "vtd";
		const member = { dev, resv: like === undefined ? fallback : resv, caps };
		const known = this.host.groups.get(group);
		const fresh = addGroup(this.host, { group, driver, members: [member] });
		const device = fresh.devs.get(dev) as Dev;
		if (known === undefined) {
			this.host = fresh;
			const g = fresh.groups.get(group) as Group;
			const made = fresh.domains.get(g.def) as Domain;
			this.tell([domainCreated(made), ...groupFacts(g, [device])]);
			return;
		}
		// A newcomer gets the group's current domain, without a word to iommufd (facts §4.7, R9).
		const groups = new Map(this.host.groups).set(group, {
			...known,
			members: [...known.members, dev],
		});
		const devs = new Map(this.host.devs).set(dev, { ...device, hw: known.dom });
		this.host = { ...this.host, devs, groups };
		this.tell([
			fact("grp.member.added", group, { group, dev }),
			fact("hw.attach", dev, { dev, dom: known.dom }),
		]);
	}

	/** A device is removed from the machine. */
	unplug(dev: DeviceId): void {
		const devs = new Map(this.host.devs);
		const old = devs.get(dev);
		if (old === undefined) return;
		devs.delete(dev);
		const groups = new Map(this.host.groups);
		const g = groups.get(old.group);
		const members = g?.members.filter((m) => m !== dev) ?? [];
		if (g !== undefined && members.length > 0)
			groups.set(old.group, { ...g, members });
		else groups.delete(old.group);
		this.host = { ...this.host, devs, groups };
		this.tell([
			fact("grp.member.removed", old.group, { group: old.group, dev }),
		]);
	}

	/** A member starts or stops using the DMA API through a kernel driver. */
	kernelDriver(dev: DeviceId, delta: 1 | -1): void {
		const group = this.host.devs.get(dev)?.group;
		const g = group === undefined ? undefined : this.host.groups.get(group);
		if (g === undefined) return;
		const groups = new Map(this.host.groups).set(g.group, {
			...g,
			ocnt: g.ocnt + delta,
		});
		this.host = { ...this.host, groups };
	}
}
