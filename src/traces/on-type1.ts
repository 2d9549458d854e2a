/** Legacy VFIO containers (drivers/vfio/vfio_iommu_type1.c; facts/iommufd-semantics.md §5). */
import type { Ctx } from "./identity.ts";
import type { Lane } from "./lanes.ts";
import { enter, inside, leave } from "./lanes.ts";
import { noteFailure, SAW } from "./ops.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";

/**
 * The container behind a struct vfio_iommu: the call that names its file tells which, then the pointer does. (The owner of a claimed group
 * is another pointer, that of the group's own struct.)
 */
function containerAt(state: State, lane: Lane): Ctx {
	const pointer = state.line.pointer(K.iommu);
	const { containers } = state.ids;
	const { op } = lane;
	const named = op?.call?.args["container"] === undefined ? undefined : op.ctx;
	const ctx =
		named ??
		containers.get(pointer) ??
		op?.ctx ??
		state.ids.newCtx(Number.NaN, -1);
	if (!Number.isNaN(pointer)) containers.set(pointer, ctx);
	if (op !== undefined && op.ctx === undefined) op.ctx = ctx;
	return ctx;
}

/** vfio_iommu_type1_attach_group / _detach_group entry. */
export function onType1Group(kind: "t1_attach_group" | "t1_detach_group") {
	return (state: State, lane: Lane): void => {
		enter(lane, {
			kind,
			group: state.groupAt(K.grp, K.gid),
			ctx: containerAt(state, lane),
		});
	};
}

/** iommu_attach_group returned. */
export function onAttachGroupRet(state: State, lane: Lane): void {
	const frame = leave(lane, "attach_group");
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "iommu_attach_group", ret);
	const container = inside(lane, "t1_attach_group");
	if (container !== undefined) container.domain = frame?.domain;
}

/** vfio_iommu_type1_attach_group returned: the container has the domain, unless it was there already. */
export function onType1AttachRet(state: State, lane: Lane): void {
	const frame = leave(lane, "t1_attach_group");
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "type1_attach_group", ret);
	const { ctx, domain } = frame ?? {};
	if (ctx === undefined || domain === undefined || ctx.domains.has(domain))
		return;
	ctx.domains.add(domain);
	state.emit(lane, "type1.domain.added", ctx.id, {
		ctx: ctx.id,
		dom: domain.id,
	});
}

/** vfio_unmap_unpin entry: one entry is being taken apart. */
export function onUnpinIn(state: State, lane: Lane): void {
	enter(lane, {
		kind: "t1_unmap_unpin",
		iova: state.line.u64(K.iova),
		ctx: containerAt(state, lane),
	});
}

/** … and return: the entry is gone. */
export function onUnpinRet(state: State, lane: Lane): void {
	const frame = leave(lane, "t1_unmap_unpin");
	const { ctx, iova } = frame ?? {};
	if (ctx === undefined || iova === undefined) return;
	if (lane.op !== undefined) lane.op.saw |= SAW.type1;
	ctx.entries.delete(iova);
	state.emit(lane, "type1.entry.removed", ctx.id, { ctx: ctx.id, iova });
}
