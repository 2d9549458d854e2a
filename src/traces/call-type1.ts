/** Effects of calls on legacy containers (facts/iommufd-semantics.md §5). */
import { countOf, wideOf } from "./call.ts";
import type { CallScope } from "./call-ops.ts";

/** VFIO_IOMMU type numbers (include/uapi/linux/vfio.h). */
const VERSIONS = new Map<number, string>([
	[1, "v1"],
	[3, "v2"],
]);
/** VFIO_DMA_MAP_FLAG_READ 1, _WRITE 2: the vocabulary's protection bits. */
const PROT_MASK = 3;

/** open("/dev/vfio/vfio"). */
export function containerOpened({ state, lane, call }: CallScope): void {
	if (call.errno !== 0 || call.ret < 0) return;
	const ctx = state.ids.newCtx(Number.NaN, call.ret);
	state.emit(lane, "ctx.opened", ctx.id, { ctx: ctx.id, kind: "type1" });
}

/** VFIO_SET_IOMMU. */
export function setIommuDone({ state, lane, call, ctx }: CallScope): void {
	const version = VERSIONS.get(countOf(call.args, "type"));
	if (call.errno !== 0 || ctx === undefined || version === undefined) return;
	state.emit(lane, "type1.created", ctx.id, { ctx: ctx.id, version });
}

/** A map that will succeed: its entry is in the tree before anything is mapped (vfio_dma_do_map). */
export function type1MapBegun({ state, lane, call, ctx }: CallScope): void {
	const iova = wideOf(call.args, "iova");
	const len = wideOf(call.args, "size");
	if (ctx === undefined || iova === undefined || len === undefined) return;
	const flags = countOf(call.args, "flags");
	const prot = (Number.isNaN(flags) ? PROT_MASK : flags) & PROT_MASK;
	state.emit(lane, "type1.entry.added", ctx.id, {
		ctx: ctx.id,
		iova,
		len,
		prot,
	});
}

/** End of VFIO_IOMMU_MAP_DMA. */
export function type1MapDone(scope: CallScope): void {
	const { state, lane, call, ctx } = scope;
	const iova = wideOf(call.args, "iova");
	if (call.errno !== 0 || ctx === undefined || iova === undefined) return;
	if (!call.known) type1MapBegun(scope);
	state.emit(lane, "type1.entry.mapped", ctx.id, { ctx: ctx.id, iova });
}

/** End of VFIO_IOMMU_UNMAP_DMA. */
export function type1UnmapDone({ state, lane, call, ctx }: CallScope): void {
	const iova = wideOf(call.args, "iova");
	const len = wideOf(call.args, "size");
	const bytes = wideOf(call.out, "unmapped");
	if (
		call.errno !== 0 ||
		ctx === undefined ||
		iova === undefined ||
		len === undefined ||
		bytes === undefined
	)
		return;
	state.emit(lane, "type1.unmapped", ctx.id, { ctx: ctx.id, iova, len, bytes });
}
