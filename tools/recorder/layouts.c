/* See layouts.h. */
#include "layouts.h"

#define SIZEOF(type, member) sizeof(((struct type *)0)->member)
#define N(type, member) { #member, offsetof(struct type, member), SIZEOF(type, member), NUMBER }
#define P(type, member) { #member, offsetof(struct type, member), SIZEOF(type, member), POINTER }
#define H(type, member) { #member, offsetof(struct type, member), SIZEOF(type, member), HEX }
/* A member of one arm of the selftest's union, under a name of its own. */
#define U(arm, member, name, kind) \
	{ name, offsetof(struct iommu_test_cmd, arm.member), SIZEOF(iommu_test_cmd, arm.member), kind }
#define F(...) (const struct field[]){ __VA_ARGS__, { NULL, 0, 0, NUMBER } }
#define T N(iommu_test_cmd, size), N(iommu_test_cmd, op), N(iommu_test_cmd, id), N(iommu_test_cmd, __reserved)
#define CMD(cmd, type, ...) { #cmd, NULL, cmd, 0, sizeof(struct type), F(__VA_ARGS__) }
#define OP(name, ...) \
	{ "IOMMU_TEST_CMD", #name, IOMMU_TEST_CMD, IOMMU_TEST_OP_##name, sizeof(struct iommu_test_cmd), F(T, __VA_ARGS__) }
#define ARG(cmd) { #cmd, NULL, cmd, 0, 0, F({ "", 0, 0, NUMBER }) }

const struct layout layouts[] = {
	CMD(IOMMU_DESTROY, iommu_destroy, N(iommu_destroy, size), N(iommu_destroy, id)),
	CMD(IOMMU_IOAS_ALLOC, iommu_ioas_alloc, N(iommu_ioas_alloc, size), N(iommu_ioas_alloc, flags), N(iommu_ioas_alloc, out_ioas_id)),
	CMD(IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges, N(iommu_ioas_iova_ranges, size), N(iommu_ioas_iova_ranges, ioas_id),
	    N(iommu_ioas_iova_ranges, num_iovas), N(iommu_ioas_iova_ranges, __reserved), P(iommu_ioas_iova_ranges, allowed_iovas),
	    N(iommu_ioas_iova_ranges, out_iova_alignment)),
	CMD(IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas, N(iommu_ioas_allow_iovas, size), N(iommu_ioas_allow_iovas, ioas_id),
	    N(iommu_ioas_allow_iovas, num_iovas), N(iommu_ioas_allow_iovas, __reserved), P(iommu_ioas_allow_iovas, allowed_iovas)),
	CMD(IOMMU_IOAS_MAP, iommu_ioas_map, N(iommu_ioas_map, size), N(iommu_ioas_map, flags), N(iommu_ioas_map, ioas_id),
	    N(iommu_ioas_map, __reserved), P(iommu_ioas_map, user_va), N(iommu_ioas_map, length), N(iommu_ioas_map, iova)),
	CMD(IOMMU_IOAS_COPY, iommu_ioas_copy, N(iommu_ioas_copy, size), N(iommu_ioas_copy, flags), N(iommu_ioas_copy, dst_ioas_id),
	    N(iommu_ioas_copy, src_ioas_id), N(iommu_ioas_copy, length), N(iommu_ioas_copy, dst_iova), N(iommu_ioas_copy, src_iova)),
	CMD(IOMMU_IOAS_UNMAP, iommu_ioas_unmap, N(iommu_ioas_unmap, size), N(iommu_ioas_unmap, ioas_id), N(iommu_ioas_unmap, iova),
	    N(iommu_ioas_unmap, length)),
	CMD(IOMMU_OPTION, iommu_option, N(iommu_option, size), N(iommu_option, option_id), N(iommu_option, op), N(iommu_option, __reserved),
	    N(iommu_option, object_id), N(iommu_option, val64)),
	CMD(IOMMU_VFIO_IOAS, iommu_vfio_ioas, N(iommu_vfio_ioas, size), N(iommu_vfio_ioas, ioas_id), N(iommu_vfio_ioas, op),
	    N(iommu_vfio_ioas, __reserved)),
	CMD(IOMMU_HWPT_ALLOC, iommu_hwpt_alloc, N(iommu_hwpt_alloc, size), N(iommu_hwpt_alloc, flags), N(iommu_hwpt_alloc, dev_id),
	    N(iommu_hwpt_alloc, pt_id), N(iommu_hwpt_alloc, out_hwpt_id), N(iommu_hwpt_alloc, __reserved), N(iommu_hwpt_alloc, data_type),
	    N(iommu_hwpt_alloc, data_len), P(iommu_hwpt_alloc, data_uptr), N(iommu_hwpt_alloc, fault_id), N(iommu_hwpt_alloc, __reserved2)),
	CMD(IOMMU_GET_HW_INFO, iommu_hw_info, N(iommu_hw_info, size), N(iommu_hw_info, flags), N(iommu_hw_info, dev_id),
	    N(iommu_hw_info, data_len), P(iommu_hw_info, data_uptr), N(iommu_hw_info, out_data_type), N(iommu_hw_info, out_max_pasid_log2),
	    H(iommu_hw_info, __reserved), N(iommu_hw_info, out_capabilities)),
	CMD(IOMMU_HWPT_SET_DIRTY_TRACKING, iommu_hwpt_set_dirty_tracking, N(iommu_hwpt_set_dirty_tracking, size),
	    N(iommu_hwpt_set_dirty_tracking, flags), N(iommu_hwpt_set_dirty_tracking, hwpt_id), N(iommu_hwpt_set_dirty_tracking, __reserved)),
	CMD(IOMMU_HWPT_GET_DIRTY_BITMAP, iommu_hwpt_get_dirty_bitmap, N(iommu_hwpt_get_dirty_bitmap, size),
	    N(iommu_hwpt_get_dirty_bitmap, hwpt_id), N(iommu_hwpt_get_dirty_bitmap, flags), N(iommu_hwpt_get_dirty_bitmap, __reserved),
	    N(iommu_hwpt_get_dirty_bitmap, iova), N(iommu_hwpt_get_dirty_bitmap, length), N(iommu_hwpt_get_dirty_bitmap, page_size),
	    P(iommu_hwpt_get_dirty_bitmap, data)),
	CMD(IOMMU_HWPT_INVALIDATE, iommu_hwpt_invalidate, N(iommu_hwpt_invalidate, size), N(iommu_hwpt_invalidate, hwpt_id),
	    P(iommu_hwpt_invalidate, data_uptr), N(iommu_hwpt_invalidate, data_type), N(iommu_hwpt_invalidate, entry_len),
	    N(iommu_hwpt_invalidate, entry_num), N(iommu_hwpt_invalidate, __reserved)),
	CMD(IOMMU_FAULT_QUEUE_ALLOC, iommu_fault_alloc, N(iommu_fault_alloc, size), N(iommu_fault_alloc, flags),
	    N(iommu_fault_alloc, out_fault_id), N(iommu_fault_alloc, out_fault_fd)),

	OP(ADD_RESERVED, U(add_reserved, start, "start", NUMBER), U(add_reserved, length, "length", NUMBER)),
	OP(MOCK_DOMAIN, U(mock_domain, out_stdev_id, "out_stdev_id", NUMBER), U(mock_domain, out_hwpt_id, "out_hwpt_id", NUMBER),
	   U(mock_domain, out_idev_id, "out_idev_id", NUMBER)),
	OP(MOCK_DOMAIN_FLAGS, U(mock_domain_flags, out_stdev_id, "out_stdev_id", NUMBER),
	   U(mock_domain_flags, out_hwpt_id, "out_hwpt_id", NUMBER), U(mock_domain_flags, out_idev_id, "out_idev_id", NUMBER),
	   U(mock_domain_flags, dev_flags, "dev_flags", NUMBER)),
	OP(MOCK_DOMAIN_REPLACE, U(mock_domain_replace, pt_id, "pt_id", NUMBER)),
	OP(MD_CHECK_MAP, U(check_map, iova, "iova", NUMBER), U(check_map, length, "length", NUMBER), U(check_map, uptr, "uptr", POINTER)),
	OP(MD_CHECK_REFS, U(check_refs, length, "length", NUMBER), U(check_refs, uptr, "uptr", POINTER), U(check_refs, refs, "refs", NUMBER)),
	OP(CREATE_ACCESS, U(create_access, out_access_fd, "out_access_fd", NUMBER), U(create_access, flags, "flags", NUMBER)),
	OP(DESTROY_ACCESS_PAGES, U(destroy_access_pages, access_pages_id, "access_pages_id", NUMBER)),
	OP(ACCESS_PAGES, U(access_pages, flags, "flags", NUMBER), U(access_pages, out_access_pages_id, "out_access_pages_id", NUMBER),
	   U(access_pages, iova, "iova", NUMBER), U(access_pages, length, "length", NUMBER), U(access_pages, uptr, "uptr", POINTER)),
	OP(ACCESS_RW, U(access_rw, iova, "iova", NUMBER), U(access_rw, length, "length", NUMBER), U(access_rw, uptr, "uptr", POINTER),
	   U(access_rw, flags, "flags", NUMBER)),
	OP(SET_TEMP_MEMORY_LIMIT, U(memory_limit, limit, "limit", NUMBER)),
	OP(ACCESS_REPLACE_IOAS, U(access_replace_ioas, ioas_id, "ioas_id", NUMBER)),
	OP(DIRTY, U(dirty, flags, "flags", NUMBER), U(dirty, iova, "iova", NUMBER), U(dirty, length, "length", NUMBER),
	   U(dirty, page_size, "page_size", NUMBER), U(dirty, uptr, "uptr", POINTER), U(dirty, out_nr_dirty, "out_nr_dirty", NUMBER)),
	OP(MD_CHECK_IOTLB, U(check_iotlb, id, "iotlb_id", NUMBER), U(check_iotlb, iotlb, "iotlb", NUMBER)),
	OP(TRIGGER_IOPF, U(trigger_iopf, dev_id, "dev_id", NUMBER), U(trigger_iopf, pasid, "pasid", NUMBER),
	   U(trigger_iopf, grpid, "grpid", NUMBER), U(trigger_iopf, perm, "perm", NUMBER), U(trigger_iopf, addr, "addr", NUMBER)),
	/* An operation the selftest does not have; after the others, since its number matches every one. */
	{ "IOMMU_TEST_CMD", NULL, IOMMU_TEST_CMD, 0, sizeof(struct iommu_test_cmd), F(T) },

	ARG(VFIO_GET_API_VERSION), ARG(VFIO_CHECK_EXTENSION), ARG(VFIO_SET_IOMMU),
	CMD(VFIO_IOMMU_MAP_DMA, vfio_iommu_type1_dma_map, N(vfio_iommu_type1_dma_map, argsz), N(vfio_iommu_type1_dma_map, flags),
	    P(vfio_iommu_type1_dma_map, vaddr), N(vfio_iommu_type1_dma_map, iova), N(vfio_iommu_type1_dma_map, size)),
	CMD(VFIO_IOMMU_UNMAP_DMA, vfio_iommu_type1_dma_unmap, N(vfio_iommu_type1_dma_unmap, argsz), N(vfio_iommu_type1_dma_unmap, flags),
	    N(vfio_iommu_type1_dma_unmap, iova), N(vfio_iommu_type1_dma_unmap, size)),
	CMD(VFIO_IOMMU_GET_INFO, vfio_iommu_type1_info, N(vfio_iommu_type1_info, argsz), N(vfio_iommu_type1_info, flags),
	    N(vfio_iommu_type1_info, iova_pgsizes), N(vfio_iommu_type1_info, cap_offset)),
	{ NULL, NULL, 0, 0, 0, NULL },
};
