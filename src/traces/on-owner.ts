/** Ownership of groups (drivers/iommu/iommu.c, facts/iommufd-semantics.md §4.2): claims by user space, use by kernel drivers. */
import type { Ctx, Group } from "./identity.ts";
import { ctxAt } from "./on-context.ts";
import type { Lane } from "./lanes.ts";
import { enter, leave } from "./lanes.ts";
import { beginOp, endBracket, noteFailure, SAW } from "./ops.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";

/** iommu_device_claim_dma_owner: the owner is the iommufd context. */
export function onClaimIn(state: State, lane: Lane): void {
	const device = state.deviceAt(K.dev);
	const ctx = state.line.pointer(K.owner);
	enter(lane, { kind: "claim_dev_owner", device, n: ctx });
	// Without a call around it the claim is the beginning of a bind; ifd_bind_ret ends it.
	if (lane.op !== undefined || device === undefined) return;
	const args = { dev: device.id };
	beginOp(state, lane, state.line.t, "bind", device.id, args, undefined);
}

/** … and return; the claim counts only when it succeeded. */
export function onClaimRet(state: State, lane: Lane): void {
	const frame = leave(lane, "claim_dev_owner");
	const ret = state.line.num(K.ret);
	if (ret !== 0) {
		noteFailure(lane, "claim_dma_owner", ret);
		endBracket(state, lane, "bind", ret);
		return;
	}
	const group = frame?.device?.group;
	if (group === undefined) return state.undecided("claim of an unknown group");
	claimed(state, lane, group, ctxAt(state, lane, state.line.pointer(K.owner)));
}

/** Records a claim. */
export function claimed(
	state: State,
	lane: Lane,
	group: Group,
	ctx: Ctx,
): void {
	group.ownerCount++;
	if (lane.op !== undefined) lane.op.saw |= SAW.claimed;
	state.emit(lane, "grp.owner.claimed", group.id, {
		group: group.id,
		owner: ctx.id,
		ocnt: group.ownerCount,
	});
}

/** iommu_group_claim_dma_owner: a legacy container takes the group. */
export function onClaimGroupIn(state: State, lane: Lane): void {
	enter(lane, {
		kind: "claim_group_owner",
		group: state.groupAt(K.grp, K.gid),
		n: state.line.pointer(K.owner),
	});
}

/** … and return. */
export function onClaimGroupRet(state: State, lane: Lane): void {
	const frame = leave(lane, "claim_group_owner");
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "claim_dma_owner", ret);
	const group = frame?.group;
	if (group === undefined) return state.undecided("claim of an unknown group");
	group.ownerCount = 0;
	claimed(state, lane, group, ctxAt(state, lane, frame?.n ?? Number.NaN));
}

/** iommu_device_release_dma_owner: one claim less; the switch to the default domain follows inside the call. */
export function onRelease(state: State, lane: Lane): void {
	const group = state.deviceAt(K.dev)?.group;
	if (group === undefined)
		return state.undecided("release of an unknown group");
	released(state, lane, group, Math.max(0, group.ownerCount - 1));
}

/** iommu_group_release_dma_owner: the count goes to 0 whatever it was. */
export function onReleaseGroup(state: State, lane: Lane): void {
	const group = state.groupAt(K.grp, K.gid);
	if (group === undefined)
		return state.undecided("release of an unknown group");
	released(state, lane, group, 0);
}

/** Records that a claim was given back. */
export function released(
	state: State,
	lane: Lane,
	group: Group,
	ocnt: number,
): void {
	group.ownerCount = ocnt;
	if (lane.op !== undefined) lane.op.saw |= SAW.released;
	state.emit(lane, "grp.owner.released", group.id, { group: group.id, ocnt });
}

/** iommu_device_use_default_domain: a kernel driver is about to use the DMA API. */
export function onUseIn(state: State, lane: Lane): void {
	enter(lane, { kind: "use_default_domain", device: state.deviceAt(K.dev) });
}

/** … and return. */
export function onUseRet(state: State, lane: Lane): void {
	const frame = leave(lane, "use_default_domain");
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "use_default_domain", ret);
	const { device } = frame ?? {};
	const group = device?.group;
	if (device === undefined || group === undefined)
		return state.undecided("driver of an unknown group");
	group.ownerCount++;
	state.emit(lane, "grp.driver.bound", group.id, {
		group: group.id,
		dev: device.id,
		ocnt: group.ownerCount,
	});
}

/** iommu_device_unuse_default_domain. */
export function onUnuse(state: State, lane: Lane): void {
	const device = state.deviceAt(K.dev);
	const group = device?.group;
	if (device === undefined || group === undefined)
		return state.undecided("driver of an unknown group");
	group.ownerCount = Math.max(0, group.ownerCount - 1);
	state.emit(lane, "grp.driver.unbound", group.id, {
		group: group.id,
		dev: device.id,
		ocnt: group.ownerCount,
	});
}
