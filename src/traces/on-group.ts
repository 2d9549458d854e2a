/**
 * Events of the iommu core (drivers/iommu/iommu.c): groups, ownership, default and blocking domains, the switch of a group's
 * domain, attach handles, domain life.
 */
import { errnoName } from "../vocabulary/errno.ts";
import type { Device, Domain, Group } from "./identity.ts";
import type { Frame, Lane } from "./lanes.ts";
import { enter, innermost, inside, leave } from "./lanes.ts";
import { groupDetached } from "./on-attach.ts";
import { released } from "./on-owner.ts";
import { noteFailure } from "./ops.ts";
import type { State } from "./state.ts";
import { pointerErrno } from "./state.ts";
import { K } from "./keys.ts";

/** Domain types of struct iommu_domain (facts/trace-formats.md §3) in the vocabulary's words. */
const DOMAIN_KINDS = new Map<number, string>([
	[0x0, "blocked"],
	[0x1, "unmanaged"],
	[0x3, "dma"],
	[0xb, "dma-fq"],
	[0x4, "identity"],
]);

/** iommu:add_device_to_group. */
export function onAddDevice(state: State, lane: Lane): void {
	const group = state.ids.group(state.line.num(K.groupID));
	const device = state.deviceAt(K.device);
	if (device === undefined) return state.unexplained("device is missing");
	if (device.group !== undefined) state.rejoined = true;
	state.learnMember(lane, group, device, true);
}

/** iommu:remove_device_from_group. Its pointers may be used again from here on. */
export function onRemoveDevice(state: State, lane: Lane): void {
	const group = state.ids.group(state.line.num(K.groupID));
	const device = state.deviceAt(K.device);
	if (device === undefined) return state.unexplained("device is missing");
	group.members.delete(device);
	device.group = undefined;
	device.domain = undefined;
	device.live = undefined;
	for (const [pointer, owner] of state.ids.owners)
		if (owner === device) state.ids.owners.delete(pointer);
	if (group.members.size === 0) {
		group.domain = undefined;
		group.defaultDomain = undefined;
		group.blockingDomain = undefined;
		group.ownerCount = 0;
	}
	state.emit(lane, "grp.member.removed", group.id, {
		group: group.id,
		dev: device.id,
	});
}

/** __iommu_group_set_domain_internal entry: learns what the group had. */
export function onSetDomainIn(state: State, lane: Lane): void {
	const { line } = state;
	const group = state.groupAt(K.grp, K.gid);
	const fresh = state.domainAt(K.new);
	if (group === undefined || fresh === undefined)
		return state.unexplained("no group number or no new domain");
	const old = state.domainAt(K.old);
	const fallback = state.domainAt(K.default);
	const blocking = state.domainAt(K.blocking);
	if (fallback !== undefined) state.setDefault(lane, group, fallback);
	else if (inside(lane, "setup_default_domain")?.domain === fresh)
		state.setDefault(lane, group, fresh);
	if (blocking !== undefined) state.setBlocking(lane, group, blocking);
	const owners = line.num(K.ownerCnt);
	// Sets without the release probe: the switch back shows the count that the release left.
	if (owners === 0 && group.ownerCount > 0 && fresh === fallback)
		released(state, lane, group, 0);
	if (owners >= 0) group.ownerCount = owners;
	if (old !== undefined) group.domain = old;
	enter(lane, {
		kind: "group_set_domain",
		group,
		domain: fresh,
		flag: old === fresh,
		n: line.num(K.flags) & 1,
	});
}

/** … and return. The group's domain changes on success, and on failure too when the switch had to succeed (facts §4.3). */
export function onSetDomainRet(state: State, lane: Lane): void {
	const frame = leave(lane, "group_set_domain");
	const ret = state.line.num(K.ret);
	const group = frame?.group ?? state.groupAt(K.grp, K.gid);
	const fresh = frame?.domain ?? state.domainAt(K.new);
	if (ret !== 0) noteFailure(lane, "group_set_domain", ret);
	if (group === undefined || fresh === undefined)
		return state.undecided("group switch that began before the trace");
	if ((ret === 0 || frame?.n === 1) && frame?.flag !== true) {
		group.domain = fresh;
		state.emit(lane, "grp.domain.set", group.id, {
			group: group.id,
			dom: fresh.id,
		});
	}
	const parent = innermost(lane);
	if (parent?.kind === "detach_group_handle") {
		leave(lane, "detach_group_handle");
		state.emit(lane, "grp.handle.cleared", group.id, {
			group: group.id,
			pasid: "none",
		});
		groupDetached(state, lane);
	}
}

/** __iommu_device_set_domain entry: one member of the switch. */
export function onDevSetIn(state: State, lane: Lane): void {
	const group = state.groupAt(K.grp, K.gid);
	const device = state.deviceAt(K.dev);
	const domain = state.domainAt(K.new);
	if (device === undefined || domain === undefined)
		return state.unexplained("dev or new is missing");
	if (group !== undefined) state.learnMember(lane, group, device);
	enter(lane, { kind: "dev_set_domain", group, device, domain });
}

/** … and return; a failure that the driver's own probe has not told yet is told here. */
export function onDevSetRet(state: State, lane: Lane): void {
	const frame = leave(lane, "dev_set_domain");
	const ret = state.line.num(K.ret);
	if (ret === 0 || frame === undefined || frame.flag === true) return;
	refused(state, lane, frame, ret);
}

/** Records a refused attach. VT-d has torn the old translation down by then (facts §3.8). */
export function refused(
	state: State,
	lane: Lane,
	frame: Frame,
	ret: number,
): void {
	const errno = errnoName(ret);
	noteFailure(lane, frame.kind, ret);
	if (frame.device === undefined || frame.domain === undefined) return;
	if (errno === undefined)
		return state.unexplained(`errno ${ret} is not known`);
	const parent = inside(lane, "dev_set_domain");
	if (parent !== undefined) parent.flag = true;
	const undo = isUndo(lane, frame.domain);
	state.emit(lane, "hw.attach.failed", frame.device.id, {
		dev: frame.device.id,
		dom: frame.domain.id,
		errno,
		blocked: true,
		...(undo ? { undo } : {}),
	});
}

/** Inside a group switch, an attach to anything but the new domain takes the switch back. */
function isUndo(lane: Lane, domain: Domain): boolean {
	const group = inside(lane, "group_set_domain");
	return group?.domain !== undefined && group.domain !== domain;
}

/** iommu:attach_device_to_domain: which domain, say the calls around it. */
export function onAttachDevice(state: State, lane: Lane): void {
	const device = state.deviceAt(K.device);
	if (device === undefined) return state.unexplained("device is missing");
	let frame: Frame | undefined;
	for (let at = lane.frames.length - 1; at >= 0; at--) {
		const candidate = lane.frames[at] as Frame;
		const { kind } = candidate;
		if (
			(kind === "vtd_attach" && candidate.device === device) ||
			(kind === "dev_set_domain" && candidate.device === device) ||
			kind === "group_set_domain"
		) {
			frame = candidate;
			break;
		}
	}
	const switching = inside(lane, "group_set_domain") ?? frame;
	if (switching?.group !== undefined && device.group !== switching.group)
		state.learnMember(lane, switching.group, device);
	const domain = frame?.domain ?? bareDomain(state, lane, device);
	if (domain === undefined) return;
	attached(state, lane, device, domain);
}

/**
 * L0: a tag assigned since the task's last attach names the domain by its id. None means blocking or identity: not told which,
 * but one switch of one group takes all members to the same one.
 */
function bareDomain(
	state: State,
	lane: Lane,
	device: Device,
): Domain | undefined {
	const { tagged } = lane;
	lane.tagged = undefined;
	if (tagged?.domain !== undefined) {
		lane.untagged = undefined;
		state.attributed("attach: cache tag assigned just before by the same task");
		return tagged.domain;
	}
	if (tagged === undefined && lane.untagged === undefined) {
		state.undecided("attach without a domain");
		return undefined;
	}
	state.attributed("attach: no tag assigned: blocking or identity");
	const burst = lane.untagged;
	const [one] = burst?.devices ?? [];
	if (
		burst === undefined ||
		burst.devices.has(device) ||
		one?.group !== device.group
	) {
		const domain = state.ids.newDomain(Number.NaN);
		lane.untagged = { domain, devices: new Set([device]) };
		return domain;
	}
	burst.devices.add(device);
	return burst.domain;
}

function attached(
	state: State,
	lane: Lane,
	device: Device,
	domain: Domain,
): void {
	device.domain = domain;
	const undo = isUndo(lane, domain);
	state.emit(lane, "hw.attach", device.id, {
		dev: device.id,
		dom: domain.id,
		...(undo ? { undo } : {}),
	});
}

/** iommu_setup_default_domain. */
export function onSetupDefaultIn(state: State, lane: Lane): void {
	const group = state.groupAt(K.grp, K.gid);
	const old = state.domainAt(K.default);
	if (group !== undefined && old !== undefined)
		state.setDefault(lane, group, old);
	// Boots probe the entry only: the next group's entry ends it.
	leave(lane, "setup_default_domain");
	enter(lane, { kind: "setup_default_domain", group });
}

/** Return of iommu_setup_default_domain. */
export function onSetupDefaultRet(state: State, lane: Lane): void {
	leave(lane, "setup_default_domain");
	const ret = state.line.num(K.ret);
	if (ret !== 0) noteFailure(lane, "iommu_setup_default_domain", ret);
}

/** __iommu_domain_alloc and the driver's domain_alloc_user: a lifetime begins. */
export function onDomainAlloc(state: State, lane: Lane): void {
	const { line } = state;
	const pointer = line.pointer(K.ret);
	if (pointer === 0 || pointerErrno(pointer) !== 0) {
		noteFailure(lane, "domain_alloc", -pointerErrno(pointer));
		return;
	}
	const type = line.num(K.type);
	const kind = Number.isNaN(type) ? "unmanaged" : DOMAIN_KINDS.get(type);
	if (kind === undefined)
		return state.unexplained(`domain type ${type} is not known`);
	const known = state.ids.domains.get(pointer);
	const domain =
		known?.isStatic === true ? known : state.ids.newDomain(pointer);
	const setup = inside(lane, "setup_default_domain");
	if (setup !== undefined) setup.domain = domain;
	if (domain.created) return;
	domain.created = true;
	state.emit(lane, "dom.created", domain.id, { dom: domain.id, kind });
}

/** iommu_domain_free: the pointer may come back at once. */
export function onDomainFree(state: State, lane: Lane): void {
	const domain = state.domainAt(K.dom);
	if (domain === undefined) return state.unexplained("dom is missing");
	if (domain.isStatic) return;
	finishDestroy(state, lane, domain, false);
	state.ids.domains.delete(domain.pointer);
	for (const iommu of state.ids.iommus.values())
		for (const [did, holder] of iommu.domains)
			if (holder === domain) iommu.domains.delete(did);
	for (const [cookie, holder] of state.ids.cookies)
		if (holder === domain) state.ids.cookies.delete(cookie);
	const container = inside(lane, "t1_detach_group");
	if (container?.ctx !== undefined)
		state.emit(lane, "type1.domain.removed", container.ctx.id, {
			ctx: container.ctx.id,
			dom: domain.id,
		});
	state.emit(lane, "dom.freed", domain.id, { dom: domain.id });
	finishDestroy(state, lane, domain, true);
}

/** The hwpt under destruction leaves its IOAS before its domain is freed, and is gone after (facts §2.17 DESTROY). */
function finishDestroy(
	state: State,
	lane: Lane,
	domain: Domain,
	freed: boolean,
): void {
	const { destroying } = lane;
	if (destroying === undefined || destroying.hwpt.domain !== domain) return;
	const { hwpt, iopt, undo } = destroying;
	const mark = undo ? { undo } : {};
	if (!freed) {
		if (iopt !== undefined)
			state.emit(lane, "iopt.dom.removed", iopt.id, {
				ioas: iopt.id,
				dom: domain.id,
				...mark,
			});
		return;
	}
	lane.destroying = undefined;
	const { ioas } = hwpt;
	if (hwpt.live && ioas !== undefined && ioas.users > 0) {
		ioas.users--;
		state.emit(lane, "obj.ref", ioas.id, {
			obj: ioas.id,
			delta: -1,
			u: ioas.users,
			...mark,
		});
	}
	state.ids.hwpts.delete(hwpt.pointer);
	if (hwpt.ctx.hwpts.get(hwpt.number) === hwpt)
		hwpt.ctx.hwpts.delete(hwpt.number);
	state.emit(lane, "obj.gone", hwpt.id, { obj: hwpt.id, ...mark });
}

/** iommu_attach_group_handle, iommu_replace_group_handle entry. */
export function onHandleIn(kind: string) {
	return (state: State, lane: Lane): void => {
		const group = state.groupAt(K.grp, K.gid);
		const domain = state.domainAt(K.dom) ?? state.domainAt(K.new);
		enter(lane, { kind, group, domain });
	};
}

/** … and return: the handle names the device that performed the switch. */
export function onHandleRet(kind: string) {
	return (state: State, lane: Lane): void => {
		const frame = leave(lane, kind);
		const ret = state.line.num(K.ret);
		if (ret !== 0) return noteFailure(lane, kind, ret);
		const replace = inside(lane, "hwpt_replace");
		if (replace !== undefined) replace.flag = true;
		const group = frame?.group ?? state.groupAt(K.grp, K.gid);
		const domain = frame?.domain;
		const device = performer(lane);
		if (group === undefined || domain === undefined || device === undefined)
			return state.undecided("attach handle without group, domain or device");
		state.emit(lane, "grp.handle.set", group.id, {
			group: group.id,
			pasid: "none",
			dev: device.id,
			dom: domain.id,
		});
	};
}

/** The device whose call the lane is in. */
export function performer(lane: Lane): Device | undefined {
	for (let at = lane.frames.length - 1; at >= 0; at--) {
		const frame = lane.frames[at] as Frame;
		if (frame.kind.startsWith("hwpt_") || frame.kind.startsWith("ifd_"))
			if (frame.device !== undefined) return frame.device;
	}
	return lane.op?.device;
}

/** iommu_attach_group / iommu_detach_group of legacy containers. */
export function onPlainGroup(kind: string) {
	return (state: State, lane: Lane): void => {
		const group: Group | undefined = state.groupAt(K.grp, K.gid);
		enter(lane, { kind, group, domain: state.domainAt(K.dom) });
	};
}
