/** Legacy VFIO containers (drivers/vfio/vfio_iommu_type1.c; facts/iommufd-semantics.md §5). */
import { ctxAt } from "./on-context.ts";
import type { Lane } from "./lanes.ts";
import { enter, inside, leave } from "./lanes.ts";
import { noteFailure } from "./ops.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";

/** vfio_iommu_type1_attach_group / _detach_group entry. */
export function onType1Group(kind: "t1_attach_group" | "t1_detach_group") {
	return (state: State, lane: Lane): void => {
		enter(lane, {
			kind,
			group: state.groupAt(K.grp, K.gid),
			ctx: ctxAt(state, lane, state.line.pointer(K.iommu)),
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
		ctx: ctxAt(state, lane, state.line.pointer(K.iommu)),
	});
}

/** … and return: the entry is gone. */
export function onUnpinRet(state: State, lane: Lane): void {
	const frame = leave(lane, "t1_unmap_unpin");
	const { ctx, iova } = frame ?? {};
	if (ctx === undefined || iova === undefined) return;
	state.emit(lane, "type1.entry.removed", ctx.id, { ctx: ctx.id, iova });
}
