/** hwpt and IOAS objects: allocation, destruction, membership of domains in an IOAS (iommufd/hw_pagetable.c, io_pagetable.c, main.c). */
import { errnoName } from "../vocabulary/errno.ts";
import type { ObjectId } from "../vocabulary/ids.ts";
import type { Ctx, Hwpt, Ioas } from "./identity.ts";
import { settleDraining } from "./call-objects.ts";
import type { Lane } from "./lanes.ts";
import { innermost, inside } from "./lanes.ts";
import { areasGone, areasInside, loseIoas } from "./on-areas.ts";
import { ctxAt, ioasAt, ioptAt, unbound } from "./on-context.ts";
import { noteFailure, SAW } from "./ops.ts";
import type { Op } from "./ops.ts";
import { lastOf } from "./pending.ts";
import type { State } from "./state.ts";
import { pointerErrno } from "./state.ts";
import { K } from "./keys.ts";

/**
 * The hwpt behind a pointer. `fresh`: the line shows an object just made (nobody but its maker holds it); otherwise an
 * unknown one was made before the trace.
 */
export function hwptAt(
	state: State,
	lane: Lane,
	pointer: number,
	number: number,
	domainSlot: number,
	ctx: Ctx,
	fresh: boolean,
): Hwpt | undefined {
	const known = state.ids.hwpts.get(pointer);
	const told = known === undefined ? ctx.hwpts.get(number) : undefined;
	if (told !== undefined && Number.isNaN(told.pointer))
		return adopt(state, told, pointer, state.line.pointer(domainSlot));
	const domain = state.domainAt(domainSlot) ?? known?.domain;
	if (domain === undefined || Number.isNaN(pointer)) return known;
	if (known !== undefined && known.domain === domain) return known;
	const hwpt = state.ids.newHwpt(ctx, number, pointer, domain);
	hwpt.live = !fresh;
	hwpt.op = lane.op;
	if (!fresh) state.older(lane, "an hwpt");
	if (fresh) state.emit(lane, "hwpt.reserved", hwpt.id, { hwpt: hwpt.id });
	return hwpt;
}

/** An hwpt that only a call had told shows its pointers. */
function adopt(
	state: State,
	hwpt: Hwpt,
	pointer: number,
	domainPointer: number,
): Hwpt {
	hwpt.pointer = pointer;
	state.ids.hwpts.set(pointer, hwpt);
	if (Number.isNaN(hwpt.domain.pointer)) {
		hwpt.domain.pointer = domainPointer;
		state.ids.domains.set(domainPointer, hwpt.domain);
	}
	return hwpt;
}

/** iommufd_hwpt_paging_alloc returned: the table hwpt id ↔ domain. Called from the attach path it makes an automatic hwpt. */
export function onHwptAllocRet(state: State, lane: Lane): void {
	const { line } = state;
	const pointer = line.pointer(K.hwpt);
	if (pointerErrno(pointer) !== 0)
		return noteFailure(lane, "hwpt_paging_alloc", pointerErrno(pointer));
	const ctx = ctxAt(state, lane, line.pointer(K.ictx));
	// One that was published under this pointer before is gone, whether its end was recorded or not.
	if (state.ids.hwpts.get(pointer)?.live === true)
		state.ids.hwpts.delete(pointer);
	const hwpt = hwptAt(
		state,
		lane,
		pointer,
		line.num(K.hwptId),
		K.dom,
		ctx,
		true,
	);
	if (hwpt === undefined) return state.unexplained("dom is missing");
	const ioas = ioasAt(state, lane, line.pointer(K.ioas), ctx);
	hwpt.ioas = ioas;
	hwpt.live = true;
	hwpt.op = lane.op;
	hwpt.auto =
		inside(lane, "ifd_attach") !== undefined ||
		inside(lane, "ifd_replace") !== undefined ||
		(lane.op?.name ?? "hwpt-alloc") !== "hwpt-alloc";
	if (Number.isNaN(hwpt.users)) hwpt.users = 1;
	if (lane.op !== undefined) lane.op.saw |= SAW.hwpt;
	hwptLive(state, lane, hwpt, ioas);
}

/** Records a published hwpt and its count on the IOAS. */
export function hwptLive(
	state: State,
	lane: Lane,
	hwpt: Hwpt,
	ioas: Ioas | undefined,
): void {
	if (ioas !== undefined && ioas.users > 0) {
		ioas.users++;
		state.emit(lane, "obj.ref", ioas.id, {
			obj: ioas.id,
			delta: 1,
			u: ioas.users,
		});
	}
	state.emit(lane, "hwpt.live", hwpt.id, {
		hwpt: hwpt.id,
		kind: "paging",
		dom: hwpt.domain.id,
		...(ioas === undefined ? {} : { ioas: ioas.id }),
		auto: hwpt.auto,
	});
}

/** iommufd_hwpt_paging_abort: the destruction that follows takes an allocation back. */
export function onHwptAbort(_state: State, lane: Lane): void {
	const top = innermost(lane);
	if (top?.kind !== "hwpt_abort") lane.frames.push({ kind: "hwpt_abort" });
}

/** iommufd_hwpt_paging_destroy. */
export function onHwptDestroy(state: State, lane: Lane): void {
	const top = innermost(lane);
	const undo = top?.kind === "hwpt_abort";
	if (undo) lane.frames.pop();
	const pointer = state.line.pointer(K.obj);
	const hwpt = state.ids.hwpts.get(pointer);
	lane.destroying = undefined;
	if (hwpt === undefined) return;
	// An abort ends what the same call made: the pointer had another owner whose end was lost.
	if (undo && hwpt.op !== lane.op) {
		state.ids.hwpts.delete(pointer);
		return state.older(lane, "an hwpt");
	}
	lane.destroying = { hwpt, undo, iopt: undefined };
	if (lane.op !== undefined) lane.op.saw |= SAW.gone;
	const byItself =
		inside(lane, "ifd_detach") ??
		inside(lane, "ifd_replace") ??
		inside(lane, "ifd_attach");
	if (hwpt.auto && byItself !== undefined && !undo)
		state.emit(lane, "hwpt.autodestroyed", hwpt.id, { hwpt: hwpt.id });
	state.emit(lane, "hwpt.unlinked", hwpt.id, {
		hwpt: hwpt.id,
		...(undo ? { undo } : {}),
	});
}

/** iopt_table_remove_domain entry: the domain's areas are unmapped inside; it is out before it is freed. */
export function onRemoveDomain(state: State, lane: Lane): void {
	const ioas = ioptAt(state, lane);
	const domain = state.domainAt(K.dom);
	if (ioas === undefined || domain === undefined)
		return state.unexplained("iopt or dom is missing");
	if (lane.destroying?.hwpt.domain === domain) lane.destroying.iopt = ioas;
	else
		state.emit(lane, "iopt.dom.removed", ioas.id, {
			ioas: ioas.id,
			dom: domain.id,
		});
}

/** iopt_table_add_domain returned. */
export function onAddDomainRet(state: State, lane: Lane): void {
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "iopt_table_add_domain", ret);
	const ioas = ioptAt(state, lane);
	const domain = state.domainAt(K.dom);
	if (ioas === undefined || domain === undefined)
		return state.unexplained("iopt or dom is missing");
	state.emit(lane, "iopt.dom.added", ioas.id, {
		ioas: ioas.id,
		dom: domain.id,
	});
}

/** iommufd_ioas_destroy: nobody holds it any more. */
export function onIoasDestroy(state: State, lane: Lane): void {
	const pointer = state.line.pointer(K.obj);
	// Of one that nothing was done with, the pointer was never seen: the line tells its number as well.
	const named = lane.op?.ctx?.ioases.get(state.line.num(K.ioasId));
	if (named !== undefined && Number.isNaN(named.pointer)) {
		named.pointer = pointer;
		state.ids.ioases.set(pointer, named);
	}
	const ioas = ioasAt(state, lane, pointer) ?? lane.op?.ioas;
	if (ioas === undefined) return;
	if (lane.op !== undefined) lane.op.saw |= SAW.gone;
	loseIoas(state, lane, ioas);
}

/** iommufd_object_remove returned: the end of IOMMU_DESTROY, of an unbind, or of an automatic hwpt. */
export function onObjectRemoveRet(state: State, lane: Lane): void {
	const { line } = state;
	const ret = line.num(K.ret);
	if (inside(lane, "ifd_unbind") !== undefined) return unbound(state, lane);
	const own = ["ifd_attach", "ifd_replace", "ifd_detach"].some(
		(kind) => inside(lane, kind) !== undefined,
	);
	if (ret === 0 || own) return;
	const errno = errnoName(ret);
	noteFailure(lane, "iommufd_object_remove", ret);
	if (lane.op !== undefined) lane.op.saw |= SAW.gone;
	if (errno === undefined)
		return state.unexplained(`errno ${ret} is not known`);
	const id = line.num(K.id);
	if (Number.isSafeInteger(id) && id >= 0)
		destroyRefused(state, lane, lane.op, id, errno);
}

/** Records a refused IOMMU_DESTROY; the object when it is known. */
export function destroyRefused(
	state: State,
	lane: Lane,
	op: Op | undefined,
	id: number,
	errno: NonNullable<ReturnType<typeof errnoName>>,
): void {
	const ctx = op?.ctx;
	const obj: ObjectId | undefined =
		errno === "ENOENT"
			? undefined
			: (ctx?.hwpts.get(id) ?? ctx?.ioases.get(id) ?? ctx?.idevs.get(id))?.id;
	state.emit(lane, "obj.destroy.refused", ctx?.id ?? "host", {
		id,
		errno,
		...(obj === undefined ? {} : { obj }),
	});
}

/** iopt_map_user_pages returned: with the IOVA of the call around it, an area. */
export function onIoptMapRet(state: State, lane: Lane): void {
	const ret = state.line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "iopt_map_user_pages", ret);
	const ioas = ioptAt(state, lane);
	const { op } = lane;
	if (ioas === undefined || op === undefined)
		return state.undecided("area without a call that tells its IOVA");
	op.ioas ??= ioas;
	state.calls.areaMapped(state, lane, op, ioas);
}

/** iopt_unmap_iova returned: the areas inside are gone. */
export function onIoptUnmapRet(state: State, lane: Lane): void {
	const { line } = state;
	const ret = line.num(K.ret);
	if (ret !== 0) return noteFailure(lane, "iopt_unmap_iova", ret);
	const ioas = ioptAt(state, lane);
	const iova = line.u64(K.iova);
	const len = line.u64(K.length);
	if (ioas === undefined || iova === undefined || len === undefined)
		return state.unexplained("iopt, iova or length is missing");
	const last = lastOf(iova, len);
	if (last === undefined) return;
	if (lane.op !== undefined) lane.op.saw |= SAW.areaGone;
	const starts = areasInside(ioas, iova, last);
	if (lane.op !== undefined) settleDraining(state, lane.op, starts);
	areasGone(state, lane, ioas, starts);
}
