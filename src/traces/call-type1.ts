/** Effects of calls on legacy containers (facts/iommufd-semantics.md §5). */
import type { U64 } from "../vocabulary/fields.ts";
import { countOf, wideOf } from "./call.ts";
import type { CallScope } from "./call-ops.ts";
import { SAW } from "./ops.ts";

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
	ctx.entries.clear();
	ctx.entriesUntold = false;
	state.emit(lane, "type1.created", ctx.id, { ctx: ctx.id, version });
}

/** A map that will succeed: its entry is in the tree before anything is mapped (vfio_dma_do_map). */
export function type1MapBegun({ state, lane, call, ctx }: CallScope): void {
	const iova = wideOf(call.args, "iova");
	const len = wideOf(call.args, "size");
	if (ctx === undefined || iova === undefined || len === undefined) return;
	if (ctx.entriesUntold) return;
	ctx.entries.set(iova, len);
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
	if (!ctx.entries.has(iova)) return;
	state.emit(lane, "type1.entry.mapped", ctx.id, { ctx: ctx.id, iova });
}

/** VFIO_DMA_UNMAP_FLAG_ALL. */
const UNMAP_ALL = 2;

/** End of VFIO_IOMMU_UNMAP_DMA. */
export function type1UnmapDone(scope: CallScope): void {
	const { state, lane, call, ctx } = scope;
	const iova = wideOf(call.args, "iova");
	const len = wideOf(call.args, "size");
	if (call.errno !== 0 || ctx === undefined) return;
	if (iova === undefined || len === undefined) return;
	const bytes = wideOf(call.out, "unmapped");
	removeUntold(scope, iova, len, bytes);
	if (bytes === undefined || ctx.entriesUntold) return;
	state.emit(lane, "type1.unmapped", ctx.id, { ctx: ctx.id, iova, len, bytes });
}

/**
 * No probe told which entries went: those that start in the request, if they are as long together as the kernel says was unmapped
 * (vfio_iommu_type1.c:vfio_dma_do_unmap). Otherwise the container's entries are not known from here on.
 */
function removeUntold(
	{ state, lane, call, op, ctx }: CallScope,
	iova: U64,
	len: U64,
	bytes: U64 | undefined,
): void {
	if (ctx === undefined || ctx.entriesUntold || bytes === 0) return;
	if (op === undefined || (op.saw & SAW.type1) !== 0) return;
	const all = (countOf(call.args, "flags") & UNMAP_ALL) !== 0;
	const end = BigInt(iova) + BigInt(len);
	const gone = [...ctx.entries].filter(
		([start]) => all || (start >= iova && BigInt(start) < end),
	);
	const sum = gone.reduce((n, [, length]) => n + BigInt(length), 0n);
	if (bytes === undefined ? sum > 0n : sum !== BigInt(bytes)) {
		ctx.entriesUntold = true;
		state.coverage.missing("t1_unmap_unpin_ret");
		return;
	}
	for (const [start] of gone) {
		state.attributed("type1 entry: from the call's result");
		ctx.entries.delete(start);
		state.emit(lane, "type1.entry.removed", ctx.id, {
			ctx: ctx.id,
			iova: start,
		});
	}
}
