/* Dirty tracking, nesting, page faults. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>
#include "random.h"
#include "record.h"

void set_dirty(void)
{
	struct iommu_hwpt_set_dirty_tracking s = { .size = sizeof(s), .flags = ONE_OF(0, 1, 1, 1), .hwpt_id = id_of(chance(75) ? TRACKED : chance(70) ? HWPT : NESTED) };

	if (chance(3))
		s.flags = ONE_OF(2, 3, 0x80000000);
	if (chance(3))
		s.__reserved = 1;
	call(IOMMU_HWPT_SET_DIRTY_TRACKING, &s);
}
/* A tracked domain with something mapped. */
void dirty_start(void)
{
	struct iommu_hwpt_alloc h = { .size = sizeof(h), .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING, .dev_id = id_of(IDEV), .pt_id = id_of(IOAS) };
	struct iommu_hwpt_set_dirty_tracking s = { .size = sizeof(s), .flags = 1 };
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, .id = id_of(IOAS) };

	t.mock_domain_flags.dev_flags = MOCK_FLAGS_DEVICE_HUGE_IOVA;
	if (chance(50) && !call(IOMMU_TEST_CMD, &t)) {
		know(STDEV, t.mock_domain_flags.out_stdev_id);
		know(IDEV, t.mock_domain_flags.out_idev_id);
		h.dev_id = t.mock_domain_flags.out_idev_id;
	}
	if (call(IOMMU_HWPT_ALLOC, &h))
		return;
	know(HWPT, h.out_hwpt_id);
	know(TRACKED, h.out_hwpt_id);
	huge_map();
	s.hwpt_id = h.out_hwpt_id;
	call(IOMMU_HWPT_SET_DIRTY_TRACKING, &s);
	good_map();
}
/* A parent to nest on. */
void nest_start(void)
{
	struct iommu_hwpt_alloc h = { .size = sizeof(h), .flags = IOMMU_HWPT_ALLOC_NEST_PARENT, .dev_id = id_of(IDEV), .pt_id = id_of(IOAS) };

	if (!call(IOMMU_HWPT_ALLOC, &h))
		know(HWPT, h.out_hwpt_id);
	fault_alloc();
	nested_alloc();
}
/* A device whose faults go to user space. */
void fault_start(void)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, .id = id_of(STDEV) };
	struct iommu_hwpt_alloc h = { .size = sizeof(h), .dev_id = id_of(IDEV), .pt_id = id_of(HWPT), .data_type = IOMMU_HWPT_DATA_SELFTEST,
				      .flags = IOMMU_HWPT_FAULT_ID_VALID, .data_len = sizeof(data), .data_uptr = (uintptr_t)buffer };

	if (!c->n[HWPT])
		return;
	memcpy(buffer, &data, sizeof(data));
	h.pt_id = c->ids[HWPT][c->n[HWPT] - 1];
	h.fault_id = id_of(FAULTQ);
	if (call(IOMMU_HWPT_ALLOC, &h))
		return;
	know(NESTED, h.out_hwpt_id);
	t.mock_domain_replace.pt_id = h.out_hwpt_id;
	call(IOMMU_TEST_CMD, &t);
}
static uint64_t bitmap_address(void)
{
	if (chance(8))
		return ONE_OF(0, 0x120000000, 0x130003ff8, 0x150000000, 0x100000000, 0x110000004, 0x13000fff8);
	return (uintptr_t)bitmap + ONE_OF(0, 0, 0, 1, 8, 0xff8, 0xfff);
}
void mark_dirty(void)
{
	const struct area *a = some_area();
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_DIRTY, .id = id_of(chance(85) ? TRACKED : HWPT) };
	uint64_t page_size = chance(85) ? 0x800 : ONE_OF(0x1000, 0x400, 0, 0x2000, 0x100000, 0xc00, 1);

	t.dirty.page_size = page_size;
	t.dirty.iova = a ? a->iova & ~0x7ffull : iova();
	t.dirty.length = a ? a->length & ~0x7ffull : length();
	if (chance(30))
		t.dirty.length = (1 + below(64)) * 0x800;
	if (chance(5))
		t.dirty.iova = iova(), t.dirty.length = length();
	t.dirty.uptr = chance(92) ? (uintptr_t)bitmap : bitmap_address();
	if (chance(3))
		t.dirty.flags = 1;
	for (unsigned i = 0; i < 64; i++)
		bitmap[i] = chance(60) ? 0xff : next();
	memset(bitmap + 64, 0, 4096);
	call(IOMMU_TEST_CMD, &t);
}
void get_dirty(void)
{
	const struct area *a = some_area();
	struct iommu_hwpt_get_dirty_bitmap g = { .size = sizeof(g), .hwpt_id = id_of(chance(85) ? TRACKED : HWPT), .flags = chance(70) ? 0 : 1,
						 .page_size = ONE_OF(0x800, 0x800, 0x800, 0x1000, 0x2000, 0x4000, 0x10000), .data = bitmap_address() };

	if (chance(12))
		g.page_size = ONE_OF(0, 1, 0x400, 0xc00, 0x1800, 0x3000, 0x200000, 1ull << 32, 1ull << 63, 0x5000, U64_MAX);
	g.iova = a ? a->iova & ~(g.page_size - 1) : iova();
	g.length = (1 + below(16)) * g.page_size;
	if (a && chance(40))
		g.length = (a->length + g.page_size) & ~(g.page_size - 1);
	if (chance(25))
		g.iova = (APERTURE + below(12) * 0x100000) & ~(g.page_size - 1), g.length = ONE_OF(0x10000, 0x80000, 0x100000, 0x180000, 0x400000);
	if (chance(10))
		g.iova = iova();
	if (chance(8))
		g.length = length();
	if (g.page_size && g.length / g.page_size > 8 * (sizeof(bitmap) - 0x1000) && chance(95))
		return;
	if (chance(3))
		g.flags = ONE_OF(2, 3, 0x80000000);
	if (chance(3))
		g.__reserved = 1;
	memset(bitmap, 0, 4096);
	for (unsigned i = 0; i < 8; i++)
		bitmap[i] = chance(70) ? 0 : next();
	call(IOMMU_HWPT_GET_DIRTY_BITMAP, &g);
}

void invalidate(void)
{
	struct iommu_hwpt_invalidate_selftest e[16] = { { 0 } };
	struct iommu_hwpt_invalidate v = { .size = sizeof(v), .hwpt_id = id_of(chance(92) ? NESTED : HWPT), .data_uptr = (uintptr_t)buffer,
					   .data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST, .entry_len = sizeof(e[0]), .entry_num = below(6) };

	for (unsigned i = 0; i < ARRAY(e); i++) {
		e[i].iotlb_id = below(chance(90) ? 4 : 6);
		e[i].flags = chance(80) ? 0 : ONE_OF(1, 1, 2, 3, 0xffffffff);
	}
	memset(buffer, 0, 1024);
	memcpy(buffer, e, sizeof(e));
	if (chance(8))
		v.entry_len = ONE_OF(0, 1, 4, 7, 9, 12, 16, 64, 4096, 4097);
	if (v.entry_len == 12 && chance(60)) {
		memset(buffer, 0, 1024);
		if (chance(50))
			buffer[8 + 12 * below(2)] = 1;
	}
	if (chance(5))
		v.entry_num = ONE_OF(16, 15, 0, 1 << 20, (1 << 19) + 1);
	if (chance(5))
		v.data_uptr = ONE_OF(0, 0x150000000, 0x130003ff0, 0x130003ffc);
	if (chance(5))
		v.data_type = ONE_OF(0, 1, IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID);
	if (chance(3))
		v.__reserved = 1;
	call(IOMMU_HWPT_INVALIDATE, &v);
}
void check_iotlb(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MD_CHECK_IOTLB, .id = id_of(chance(92) ? NESTED : HWPT) };

	t.check_iotlb.id = below(chance(90) ? 4 : 6);
	t.check_iotlb.iotlb = chance(50) ? IOMMU_TEST_IOTLB_DEFAULT : 0;
	call(IOMMU_TEST_CMD, &t);
}
void fault_alloc(void)
{
	struct iommu_fault_alloc f = { .size = sizeof(f), .flags = chance(4) ? next() : 0 };

	if (c->faults_n >= FDS || call(IOMMU_FAULT_QUEUE_ALLOC, &f))
		return;
	know(FAULTQ, f.out_fault_id);
	c->faults[c->faults_n++] = f.out_fault_fd;
}
void trigger(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_TRIGGER_IOPF };
	unsigned n = 1 + below(3);

	t.trigger_iopf.dev_id = id_of(IDEV);
	t.trigger_iopf.pasid = chance(70) ? 0 : ONE_OF(1, 5, 0xfffff, 0x100000, 0xffffffff);
	t.trigger_iopf.grpid = chance(80) ? below(16) : next();
	t.trigger_iopf.perm = chance(90) ? below(16) : next();
	t.trigger_iopf.addr = iova();
	for (unsigned i = 0; i < n; i++) {
		call(IOMMU_TEST_CMD, &t);
		t.trigger_iopf.grpid++;
	}
}
void fault_read(void)
{
	if (c->faults_n)
		if (read(c->faults[below(c->faults_n)], buffer, ONE_OF(40, 40, 80, 120, 0, 39, 41, 400, 8, 4000)) < 0)
			return;
}
void fault_write(void)
{
	struct iommu_hwpt_page_response r[4];
	size_t n = 8 * (1 + below(4));

	for (unsigned i = 0; i < ARRAY(r); i++) {
		r[i].cookie = chance(85) ? below(6) : ONE_OF(0, 0xffffffff, 100);
		r[i].code = chance(92) ? below(2) : ONE_OF(2, 0xffffffff);
	}
	if (chance(5))
		n = ONE_OF(0, 4, 7, 12, 9);
	if (c->faults_n)
		if (write(c->faults[below(c->faults_n)], chance(97) ? (void *)r : (void *)0x150000000, n) < 0)
			return;
}
void fault_close(void)
{
	unsigned i = below(c->faults_n);

	if (!c->faults_n)
		return;
	close(c->faults[i]);
	c->faults[i] = c->faults[--c->faults_n];
}
