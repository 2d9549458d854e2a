/**
 * Every event the importer knows: its handler, what it leaves open on its lane (pending.ts), and the fields without which it
 * cannot be read. Names as in the probe lines of capture.ts and the kernel's tracepoints (corpus EVENTS page); kprobe and fprobe
 * spelling are the same text.
 */
import { hashName } from "./keys.ts";
import type { Lane } from "./lanes.ts";
import {
	onDeviceIn,
	onDeviceRet,
	onEnforceIn,
	onEnforceRet,
	onHwptAttachIn,
	onHwptAttachRet,
	onHwptDetachIn,
	onHwptDetachRet,
	onReplaceIn,
	onReplaceRet,
	onResvRemove,
} from "./on-attach.ts";
import { onBindRet, onUnbindIn } from "./on-context.ts";
import {
	onAllocIova,
	onDmaIn,
	onDmaMapRet,
	onDmaUnmapRet,
	onFqFlushIn,
	onFqFlushRet,
	onFqInit,
	onFreeIova,
	onRingFree,
} from "./on-dma.ts";
import {
	onAddDevice,
	onAttachDevice,
	onDevSetIn,
	onDevSetRet,
	onDomainAlloc,
	onDomainFree,
	onHandleIn,
	onHandleRet,
	onPlainGroup,
	onRemoveDevice,
	onSetDomainIn,
	onSetDomainRet,
	onSetupDefaultIn,
	onSetupDefaultRet,
} from "./on-group.ts";
import { onQiFlush, onQiSubmit } from "./on-invalidate.ts";
import {
	onFlushIn,
	onFlushRangeIn,
	onFlushRangeRet,
	onFreeLevel,
	onMap,
	onMapIn,
	onMapRet,
	onMapSgRet,
	onTlbSync,
	onTlbSyncRet,
	onUnmap,
	onUnmapFastRet,
	onUnmapIn,
	onUnmapRet,
} from "./on-map.ts";
import { onMark } from "./on-marks.ts";
import {
	onAddDomainRet,
	onHwptAbort,
	onHwptAllocRet,
	onHwptDestroy,
	onIoasDestroy,
	onIoptMapRet,
	onIoptUnmapRet,
	onObjectRemoveRet,
	onRemoveDomain,
} from "./on-objects.ts";
import {
	onClaimGroupIn,
	onClaimGroupRet,
	onClaimIn,
	onClaimRet,
	onRelease,
	onReleaseGroup,
	onUnuse,
	onUseIn,
	onUseRet,
} from "./on-owner.ts";
import {
	onAttachGroupRet,
	onType1AttachRet,
	onType1Group,
	onUnpinIn,
	onUnpinRet,
} from "./on-type1.ts";
import {
	onBlock,
	onContextClear,
	onContextMap,
	onContextMapRet,
	onDomAttachIommu,
	onFault,
	onStaticAttach,
	onTagAssign,
	onTagCall,
	onTagFlushAll,
	onTagFlushNew,
	onTagFlushRange,
	onTagUnassign,
	onVtdAttachIn,
	onVtdAttachRet,
} from "./on-vtd.ts";
import { TRAIT } from "./pending.ts";
import type { State } from "./state.ts";
import { K } from "./keys.ts";

/** Handles one line of an event. */
export type EventHandler = (state: State, lane: Lane) => void;

/** An event the importer knows. */
export interface EventKind {
	readonly name: string;
	readonly index: number;
	/** A dynamic probe (L1), not a tracepoint of the kernel itself (L0) or a marker. */
	readonly probe: boolean;
	/** undefined: understood, but it adds nothing to the records. */
	readonly handle: EventHandler | undefined;
	readonly traits: number;
	/** Its text is `key=value`. */
	readonly fields: boolean;
	/** Slots that must be there. */
	readonly needs: readonly number[];
	/** The slot behind which nothing is needed any more, or -1. */
	readonly until: number;
}

const table: EventKind[] = [];

function add(
	probe: boolean,
	name: string,
	handle: EventHandler | undefined,
	needs: readonly number[] = [],
	traits = 0,
	fields = handle !== undefined,
	until = -1,
): void {
	table.push({
		name,
		index: table.length,
		probe,
		handle,
		traits,
		fields,
		needs,
		until,
	});
}
const tracepoint = add.bind(undefined, false);
const probe = add.bind(undefined, true);

const { submit, flush, entry, afterMap, afterUnmap, teardown } = TRAIT;
const RET = [K.ret];
const RANGE = [K.start, K.end];

tracepoint("add_device_to_group", onAddDevice, [K.groupID, K.device]);
tracepoint("remove_device_from_group", onRemoveDevice, [K.groupID, K.device]);
tracepoint("attach_device_to_domain", onAttachDevice, [K.device]);
tracepoint("map", onMap, [K.iova, K.paddr, K.size]);
tracepoint("unmap", onUnmap, [K.iova, K.size, K.unmappedSize]);
tracepoint(
	"qi_submit",
	onQiSubmit,
	[],
	submit | flush | entry | afterMap | afterUnmap | teardown,
	false,
);
tracepoint("cache_tag_assign", onTagAssign, [], 0, false);
tracepoint("cache_tag_unassign", onTagUnassign, [], 0, false);
tracepoint("cache_tag_flush_all", onTagFlushAll, [], flush, false);
tracepoint(
	"cache_tag_flush_range",
	onTagFlushRange,
	[],
	flush | afterUnmap,
	false,
);
tracepoint("cache_tag_flush_range_np", onTagFlushNew, [], afterMap, false);
for (const name of ["tracing_mark_write", "print", "bprint"])
	tracepoint(name, onMark, [], 0, false);

probe("claim_dev_owner_in", onClaimIn, [K.dev]);
probe("claim_dev_owner_ret", onClaimRet, RET);
probe("claim_group_owner_in", onClaimGroupIn, [K.grp]);
probe("claim_group_owner_ret", onClaimGroupRet, RET);
probe("release_dev_owner_in", onRelease, [K.dev]);
probe("release_group_owner_in", onReleaseGroup, [K.grp]);
probe("use_default_domain_in", onUseIn, [K.dev]);
probe("use_default_domain_ret", onUseRet, RET);
probe("unuse_default_domain_in", onUnuse, [K.dev]);
probe("group_set_domain_in", onSetDomainIn, [K.grp, K.new]);
probe("group_set_domain_ret", onSetDomainRet, RET);
probe("dev_set_domain_in", onDevSetIn, [K.dev, K.new]);
probe("dev_set_domain_ret", onDevSetRet, RET);
probe("setup_default_domain_in", onSetupDefaultIn, [K.grp]);
probe("setup_default_domain_ret", onSetupDefaultRet, RET);
probe("domain_alloc_ret", onDomainAlloc, [K.ret, K.type]);
probe("domain_alloc_user_ret", onDomainAlloc, RET);
probe("domain_free", onDomainFree, [K.dom]);
probe("vtd_domain_free", undefined);
for (const kind of ["attach_group_handle", "replace_group_handle"]) {
	probe(`${kind}_in`, onHandleIn(kind), [K.grp]);
	probe(`${kind}_ret`, onHandleRet(kind), RET);
}
probe("detach_group_handle_in", onHandleIn("detach_group_handle"), [K.grp]);
// The switch inside has told it.
probe("detach_group_handle_ret", undefined);
probe("attach_group_in", onPlainGroup("attach_group"), [K.grp]);
probe("attach_group_ret", onAttachGroupRet, RET);
probe("detach_group_in", undefined);

probe("ifd_bind_ret", onBindRet, RET);
probe("ifd_unbind_in", onUnbindIn, [K.idev]);
// The count of binds tells when the group object goes; this probe may be inlined.
probe("igroup_release", undefined);
for (const kind of ["attach", "replace", "detach"] as const) {
	probe(`ifd_${kind}_in`, onDeviceIn(kind), [K.idev]);
	probe(`ifd_${kind}_ret`, onDeviceRet(kind), kind === "detach" ? [] : RET);
}
probe("hwpt_attach_in", onHwptAttachIn, [K.hwpt, K.dom, K.idev, K.igroupHwpt]);
probe("hwpt_attach_ret", onHwptAttachRet, RET);
probe("hwpt_replace_in", onReplaceIn, [K.newHwpt, K.newDom, K.idev]);
probe("hwpt_replace_ret", onReplaceRet, [K.oldHwpt]);
probe("hwpt_detach_in", onHwptDetachIn, [K.idev]);
probe("hwpt_detach_ret", onHwptDetachRet);
probe("resv_enforce_in", onEnforceIn, [K.iopt, K.dev]);
probe("resv_enforce_ret", onEnforceRet, RET);
probe("resv_remove", onResvRemove, [K.iopt, K.owner]);
probe("hwpt_alloc_ret", onHwptAllocRet, [K.hwpt, K.ioas]);
probe("hwpt_abort_in", onHwptAbort);
probe("hwpt_destroy_in", onHwptDestroy, [K.obj]);
probe("iopt_add_domain_ret", onAddDomainRet, [K.iopt, K.dom, K.ret]);
probe("iopt_remove_domain", onRemoveDomain, [K.iopt, K.dom]);
probe("ioas_destroy_in", onIoasDestroy, [K.obj]);
probe("obj_remove_ret", onObjectRemoveRet, [K.id, K.ret]);
probe("iopt_map_ret", onIoptMapRet, [K.iopt, K.ret]);
probe("iopt_unmap_ret", onIoptUnmapRet, [K.iopt, K.ret]);
for (const name of [
	"area_fill_domain",
	"area_unfill_domain",
	"area_unmap_domain",
	"vfio_attach_ioas",
	"vfio_detach_ioas",
])
	probe(name, undefined);

probe("map_in", onMapIn("map"), [K.dom]);
probe("map_ret", onMapRet, [K.dom, K.ret], afterMap);
probe("map_sg_in", onMapIn("map_sg"), [K.dom]);
probe("map_sg_ret", onMapSgRet, RET, afterMap);
probe("unmap_in", onUnmapIn("unmap"), [K.dom], 0, true, K.dom);
probe("unmap_ret", onUnmapRet, [K.dom], afterUnmap, true, K.dom);
probe("unmap_fast_in", onUnmapIn("unmap_fast"), [K.dom], 0, true, K.dom);
probe("unmap_fast_ret", onUnmapFastRet, [K.dom], afterUnmap, true, K.dom);
probe("vtd_map_pages_in", undefined);
probe("vtd_map_pages_ret", undefined);
probe("vtd_unmap_pages_in", undefined);
probe("vtd_unmap_pages_ret", undefined);
probe("vtd_pfn_to_pte", undefined);
probe("vtd_pt_clear_level", undefined);
probe("vtd_pt_free_level", onFreeLevel, [K.dmar, K.startPfn, K.lastPfn]);
probe("vtd_sync_map", undefined, [], afterMap);
probe("vtd_tlb_sync", onTlbSync, [K.dom, ...RANGE], afterUnmap);
probe("vtd_tlb_sync_ret", onTlbSyncRet, [], flush);
probe(
	"ct_flush_range_in",
	onFlushRangeIn,
	[K.dmar, ...RANGE],
	flush | afterUnmap,
	true,
	K.end,
);
probe("ct_flush_range_ret", onFlushRangeRet, [], flush);
probe("ct_flush_np_in", onFlushIn, [K.dmar], afterMap, true, K.dmar);
probe("ct_flush_np_ret", undefined, [], afterMap);
probe("ct_flush_all_in", onFlushIn, [K.dmar], flush);
probe("ct_flush_all_ret", undefined, [], flush);
probe("vtd_flush_iotlb_all", undefined, [], flush);

probe("vtd_attach_in", onVtdAttachIn, [K.dom, K.dev]);
probe("vtd_attach_ret", onVtdAttachRet, RET);
probe("vtd_blocking_attach", onStaticAttach, [K.dom], teardown);
probe("vtd_identity_attach", onStaticAttach, [K.dom], teardown);
probe("vtd_block_translation", onBlock, [K.dev]);
probe("vtd_dom_attach_iommu", onDomAttachIommu, [K.dmar, K.ret]);
probe("vtd_dom_detach_iommu", undefined);
probe("vtd_ctx_map", onContextMap, [K.dmar, K.bus, K.devfn]);
probe("vtd_ctx_map_ret", onContextMapRet, RET, entry);
probe("vtd_ctx_clear", onContextClear, [K.bus, K.devfn], teardown);
probe("qi_ctx_flush", onQiFlush, [], flush | entry | teardown);
probe("qi_iotlb_flush", onQiFlush, [], flush | entry | teardown);
probe("ct_assign_domain", undefined);
probe("ct_unassign_domain", undefined, [], teardown);
probe("ct_assign", onTagCall(true), [K.dmar, K.did]);
probe("ct_unassign", onTagCall(false), [K.dmar, K.did], teardown);
probe("dmar_fault", onFault);

probe("alloc_iova_ret", onAllocIova, RET);
probe("dma_map_in", onDmaIn("dma_map"), [K.dev]);
probe("dma_map_ret", onDmaMapRet);
probe("dma_unmap_in", onDmaIn("dma_unmap"), [K.dev]);
probe("dma_unmap_ret", onDmaUnmapRet, [], 0);
probe("free_iova", onFreeIova, [K.pfn, K.pages]);
probe("fq_ring_free", onRingFree);
probe("fq_timeout", undefined);
probe("fq_flush_in", onFqFlushIn, [K.dom]);
probe("fq_flush_ret", onFqFlushRet);
probe("fq_init", onFqInit, [K.dom, K.ret]);

for (const kind of ["t1_attach_group", "t1_detach_group"] as const)
	probe(`${kind}_in`, onType1Group(kind), [K.grp]);
probe("t1_attach_group_ret", onType1AttachRet, RET);
probe("t1_remove_dma", undefined);
probe("t1_unmap_unpin_in", onUnpinIn, [K.iommu]);
probe("t1_unmap_unpin_ret", onUnpinRet);

/** All events the importer knows. */
export const EVENTS: readonly EventKind[] = table;

/** Events by the hash of their names. */
export const EVENTS_BY_HASH: ReadonlyMap<number, EventKind> = new Map(
	table.map((kind) => [hashName(kind.name), kind]),
);
