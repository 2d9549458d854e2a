/**
 * The dynamic events that an import at fidelity L1 needs, as they were used for the recordings on Linux 6.12 (arguments by number
 * and by BTF type). Only events whose lines become records; the names are those that events.ts knows.
 */

/** Which part of the kernel a probe is in; a part can be left out. */
export type ProbePart = "core" | "iommufd" | "vtd" | "dma" | "type1";

/** A probe on a function's entry or return. */
export interface Probe {
	readonly part: ProbePart;
	readonly at: "entry" | "return";
	readonly event: string;
	readonly fn: string;
	readonly args: string;
}

/** Parts that are modules: the probe needs the module to be loaded. */
export const PART_MODULES: {
	readonly [part in ProbePart]: string | undefined;
} = {
	core: undefined,
	iommufd: "iommufd",
	vtd: undefined,
	dma: undefined,
	type1: "vfio_iommu_type1",
};

/** Tracepoints of the kernel itself (fidelity L0). */
export const TRACEPOINTS = ["iommu", "intel_iommu"] as const;

/** One probe a line: place, event, function, arguments. */
const TABLE: { readonly [part in ProbePart]: string } = {
	core: `
entry map_in iommu_map dom=$arg1:x64 iova=$arg2:x64 pa=$arg3:x64 size=$arg4:x64 prot=$arg5:x32 gfp=$arg6:x32
return map_ret iommu_map dom=$arg1:x64 iova=$arg2:x64 pa=$arg3:x64 size=$arg4:x64 prot=$arg5:x32 ret=$retval:s32
entry unmap_in iommu_unmap dom=$arg1:x64 iova=$arg2:x64 size=$arg3:x64
return unmap_ret iommu_unmap dom=$arg1:x64 iova=$arg2:x64 size=$arg3:x64 ret=$retval:x64
entry unmap_fast_in iommu_unmap_fast dom=$arg1:x64 iova=$arg2:x64 size=$arg3:x64 gather=$arg4:x64
return unmap_fast_ret iommu_unmap_fast dom=$arg1:x64 iova=$arg2:x64 size=$arg3:x64 gather=$arg4:x64 ret=$retval:x64
entry map_sg_in iommu_map_sg dom=$arg1:x64 iova=$arg2:x64 nents=$arg4:u32 prot=$arg5:x32
return map_sg_ret iommu_map_sg dom=$arg1:x64 iova=$arg2:x64 nents=$arg4:u32 prot=$arg5:x32 ret=$retval:s64
entry group_set_domain_in __iommu_group_set_domain_internal grp=$arg1:x64 gid=group->id:s32 old=group->domain:x64 new=$arg2:x64 default=group->default_domain:x64 blocking=group->blocking_domain:x64 owner=group->owner:x64 owner_cnt=group->owner_cnt:u32 flags=$arg3:x32
return group_set_domain_ret __iommu_group_set_domain_internal grp=$arg1:x64 new=$arg2:x64 ret=$retval:s32
entry dev_set_domain_in __iommu_device_set_domain grp=$arg1:x64 dev=dev->kobj.name:string new=$arg3:x64 newtype=new_domain->type:x32
return dev_set_domain_ret __iommu_device_set_domain grp=$arg1:x64 new=$arg3:x64 ret=$retval:s32
entry attach_group_handle_in iommu_attach_group_handle dom=$arg1:x64 grp=$arg2:x64 gid=group->id:s32 handle=$arg3:x64
return attach_group_handle_ret iommu_attach_group_handle dom=$arg1:x64 grp=$arg2:x64 ret=$retval:s32
entry detach_group_handle_in iommu_detach_group_handle dom=$arg1:x64 grp=$arg2:x64 gid=group->id:s32
entry replace_group_handle_in iommu_replace_group_handle grp=$arg1:x64 gid=group->id:s32 old=group->domain:x64 new=$arg2:x64 handle=$arg3:x64
return replace_group_handle_ret iommu_replace_group_handle grp=$arg1:x64 new=$arg2:x64 ret=$retval:s32
entry attach_group_in iommu_attach_group dom=$arg1:x64 grp=$arg2:x64 gid=group->id:s32
return attach_group_ret iommu_attach_group dom=$arg1:x64 grp=$arg2:x64 ret=$retval:s32
entry claim_dev_owner_in iommu_device_claim_dma_owner dev=dev->kobj.name:string owner=$arg2:x64
return claim_dev_owner_ret iommu_device_claim_dma_owner owner=$arg2:x64 ret=$retval:s32
entry release_dev_owner_in iommu_device_release_dma_owner dev=dev->kobj.name:string
entry claim_group_owner_in iommu_group_claim_dma_owner grp=$arg1:x64 gid=group->id:s32 owner=$arg2:x64
return claim_group_owner_ret iommu_group_claim_dma_owner grp=$arg1:x64 ret=$retval:s32
entry release_group_owner_in iommu_group_release_dma_owner grp=$arg1:x64 gid=group->id:s32
entry use_default_domain_in iommu_device_use_default_domain dev=dev->kobj.name:string
return use_default_domain_ret iommu_device_use_default_domain ret=$retval:s32
entry unuse_default_domain_in iommu_device_unuse_default_domain dev=dev->kobj.name:string
return domain_alloc_ret __iommu_domain_alloc type=$arg3:x32 ret=$retval:x64
entry domain_free iommu_domain_free dom=$arg1:x64 type=domain->type:x32
entry setup_default_domain_in iommu_setup_default_domain grp=$arg1:x64 gid=group->id:s32 target_type=$arg2:x32 default=group->default_domain:x64
return setup_default_domain_ret iommu_setup_default_domain grp=$arg1:x64 ret=$retval:s32
`,
	iommufd: `
return ifd_bind_ret iommufd_device_bind ictx=$arg1:x64 dev=dev->kobj.name:string ret=$retval:x64 dev_id=$retval->obj.id:u32
entry ifd_unbind_in iommufd_device_unbind idev=$arg1:x64 dev_id=idev->obj.id:u32 dev=idev->dev->kobj.name:string
entry ifd_attach_in iommufd_device_attach idev=$arg1:x64 dev_id=idev->obj.id:u32 dev=idev->dev->kobj.name:string gid=idev->igroup->group->id:s32 pt_id=+0($arg2):u32
return ifd_attach_ret iommufd_device_attach idev=$arg1:x64 ret=$retval:s32
entry ifd_replace_in iommufd_device_replace idev=$arg1:x64 dev_id=idev->obj.id:u32 dev=idev->dev->kobj.name:string gid=idev->igroup->group->id:s32 pt_id=+0($arg2):u32
return ifd_replace_ret iommufd_device_replace idev=$arg1:x64 ret=$retval:s32
entry ifd_detach_in iommufd_device_detach idev=$arg1:x64 dev_id=idev->obj.id:u32 dev=idev->dev->kobj.name:string gid=idev->igroup->group->id:s32
return ifd_detach_ret iommufd_device_detach idev=$arg1:x64
entry hwpt_attach_in iommufd_hw_pagetable_attach hwpt=$arg1:x64 hwpt_id=hwpt->obj.id:u32 dom=hwpt->domain:x64 idev=$arg2:x64 dev_id=idev->obj.id:u32 igroup=idev->igroup:x64 igroup_hwpt=idev->igroup->hwpt:x64 users=hwpt->obj.users.refs.counter:s32
return hwpt_attach_ret iommufd_hw_pagetable_attach hwpt=$arg1:x64 idev=$arg2:x64 ret=$retval:s32
entry hwpt_detach_in iommufd_hw_pagetable_detach idev=$arg1:x64 dev_id=idev->obj.id:u32 igroup=idev->igroup:x64 hwpt=idev->igroup->hwpt:x64 hwpt_id=idev->igroup->hwpt->obj.id:u32
return hwpt_detach_ret iommufd_hw_pagetable_detach idev=$arg1:x64 hwpt=$retval:x64
entry hwpt_replace_in iommufd_device_do_replace idev=$arg1:x64 dev_id=idev->obj.id:u32 new_hwpt=$arg3:x64 new_id=hwpt->obj.id:u32 new_dom=hwpt->domain:x64 igroup=idev->igroup:x64 old_hwpt=idev->igroup->hwpt:x64
return hwpt_replace_ret iommufd_device_do_replace idev=$arg1:x64 new_hwpt=$arg3:x64 old_hwpt=$retval:x64
return hwpt_alloc_ret iommufd_hwpt_paging_alloc ictx=$arg1:x64 ioas=$arg2:x64 idev=$arg3:x64 flags=$arg4:x32 immediate=$arg5:u8 hwpt=$retval:x64 hwpt_id=$retval->common.obj.id:u32 dom=$retval->common.domain:x64
entry hwpt_destroy_in iommufd_hwpt_paging_destroy obj=$arg1:x64 hwpt_id=obj->id:u32
entry hwpt_abort_in iommufd_hwpt_paging_abort obj=$arg1:x64 hwpt_id=obj->id:u32
entry ioas_destroy_in iommufd_ioas_destroy obj=$arg1:x64 ioas_id=obj->id:u32
return obj_remove_ret iommufd_object_remove id=$arg3:u32 ret=$retval:s32
entry resv_enforce_in iopt_table_enforce_dev_resv_regions iopt=$arg1:x64 dev=dev->kobj.name:string
return resv_enforce_ret iopt_table_enforce_dev_resv_regions iopt=$arg1:x64 ret=$retval:s32
entry resv_remove iopt_remove_reserved_iova iopt=$arg1:x64 owner=$arg2:x64
return iopt_map_ret iopt_map_user_pages iopt=$arg2:x64 length=$arg5:x64 prot=$arg6:x32 ret=$retval:s32
return iopt_unmap_ret iopt_unmap_iova iopt=$arg1:x64 iova=$arg2:x64 length=$arg3:x64 ret=$retval:s32
return iopt_add_domain_ret iopt_table_add_domain iopt=$arg1:x64 dom=$arg2:x64 ret=$retval:s32
entry iopt_remove_domain iopt_table_remove_domain iopt=$arg1:x64 dom=$arg2:x64
`,
	vtd: `
return domain_alloc_user_ret intel_iommu_domain_alloc_user flags=$arg2:x32 ret=$retval:x64
entry vtd_attach_in intel_iommu_attach_device dom=$arg1:x64 dev=dev->kobj.name:string
return vtd_attach_ret intel_iommu_attach_device dom=$arg1:x64 ret=$retval:s32
entry vtd_blocking_attach blocking_domain_attach_dev dom=$arg1:x64 dev=dev->kobj.name:string
entry vtd_identity_attach identity_domain_attach_dev dom=$arg1:x64 dev=dev->kobj.name:string
entry vtd_block_translation device_block_translation dev=dev->kobj.name:string
entry vtd_ctx_map domain_context_mapping_one dmar=$arg1:x64 iommu=$arg2:x64 bus=$arg3:u8 devfn=$arg4:u8
return vtd_ctx_map_ret domain_context_mapping_one dmar=$arg1:x64 bus=$arg3:u8 devfn=$arg4:u8 ret=$retval:s32
entry vtd_ctx_clear domain_context_clear_one info=$arg1:x64 bus=$arg2:u8 devfn=$arg3:u8
return vtd_dom_attach_iommu domain_attach_iommu dmar=$arg1:x64 iommu=$arg2:x64 ret=$retval:s32
entry vtd_pt_free_level dma_pte_free_level dmar=$arg1:x64 level=$arg2:s32 retain_level=$arg3:s32 pfn=$arg5:x64 start_pfn=$arg6:x64 last_pfn=$arg7:x64
entry vtd_tlb_sync intel_iommu_tlb_sync dom=$arg1:x64 gather=$arg2:x64 start=gather->start:x64 end=gather->end:x64 pgsize=gather->pgsize:x64 queued=gather->queued:u8
return vtd_tlb_sync_ret intel_iommu_tlb_sync dom=$arg1:x64 gather=$arg2:x64
entry ct_flush_range_in cache_tag_flush_range dmar=$arg1:x64 start=$arg2:x64 end=$arg3:x64 ih=$arg4:s32
return ct_flush_range_ret cache_tag_flush_range dmar=$arg1:x64 start=$arg2:x64 end=$arg3:x64
entry ct_flush_all_in cache_tag_flush_all dmar=$arg1:x64
return ct_flush_all_ret cache_tag_flush_all dmar=$arg1:x64
entry ct_flush_np_in cache_tag_flush_range_np dmar=$arg1:x64 start=$arg2:x64 end=$arg3:x64
entry ct_assign cache_tag_assign dmar=$arg1:x64 did=$arg2:u16 dev=dev->kobj.name:string pasid=$arg4:u32 type=$arg5:u32
entry ct_unassign cache_tag_unassign dmar=$arg1:x64 did=$arg2:u16 dev=dev->kobj.name:string pasid=$arg4:u32 type=$arg5:u32
entry qi_ctx_flush qi_flush_context iommu=$arg1:x64 did=$arg2:u16 sid=$arg3:u16 fm=$arg4:u8 type=$arg5:x64
entry qi_iotlb_flush qi_flush_iotlb iommu=$arg1:x64 did=$arg2:u16 addr=$arg3:x64 size_order=$arg4:u32 type=$arg5:x64
entry dmar_fault dmar_fault irq=$arg1:s32 iommu=$arg2:x64
`,
	dma: `
entry dma_map_in __iommu_dma_map dev=dev->kobj.name:string phys=$arg2:x64 size=$arg3:x64 prot=$arg4:x32
return dma_map_ret __iommu_dma_map phys=$arg2:x64 size=$arg3:x64 prot=$arg4:x32 ret=$retval:x64
entry dma_unmap_in __iommu_dma_unmap dev=dev->kobj.name:string addr=$arg2:x64 size=$arg3:x64
return dma_unmap_ret __iommu_dma_unmap addr=$arg2:x64 size=$arg3:x64
return alloc_iova_ret iommu_dma_alloc_iova dom=$arg1:x64 size=$arg2:x64 ret=$retval:x64
entry free_iova free_iova_fast iovad=$arg1:x64 pfn=$arg2:x64 pages=$arg3:x64
entry fq_flush_in fq_flush_iotlb cookie=$arg1:x64 dom=cookie->fq_domain:x64 start_cnt=cookie->fq_flush_start_cnt.counter:u64 finish_cnt=cookie->fq_flush_finish_cnt.counter:u64
return fq_flush_ret fq_flush_iotlb cookie=$arg1:x64
entry fq_ring_free fq_ring_free_locked cookie=$arg1:x64 fq=$arg2:x64 head=fq->head:u32 tail=fq->tail:u32 finish_cnt=cookie->fq_flush_finish_cnt.counter:u64
return fq_init iommu_dma_init_fq dom=$arg1:x64 ret=$retval:s32
`,
	type1: `
entry t1_attach_group_in vfio_iommu_type1_attach_group iommu=$arg1:x64 grp=$arg2:x64
return t1_attach_group_ret vfio_iommu_type1_attach_group iommu=$arg1:x64 grp=$arg2:x64 ret=$retval:s32
entry t1_detach_group_in vfio_iommu_type1_detach_group iommu=$arg1:x64 grp=$arg2:x64
entry t1_unmap_unpin_in vfio_unmap_unpin iommu=$arg1:x64 dma=$arg2:x64 iova=dma->iova:x64 size=dma->size:x64
return t1_unmap_unpin_ret vfio_unmap_unpin iommu=$arg1:x64 dma=$arg2:x64 ret=$retval:s64
`,
};

function rowsOf(part: ProbePart): Probe[] {
	return TABLE[part]
		.trim()
		.split("\n")
		.map((row) => {
			const [at = "", event = "", fn = "", ...args] = row.split(" ");
			return {
				part,
				at: at === "return" ? "return" : "entry",
				event,
				fn,
				args: args.join(" "),
			};
		});
}

/** All probes. */
export const PROBES: readonly Probe[] = (
	Object.keys(TABLE) as ProbePart[]
).flatMap(rowsOf);
