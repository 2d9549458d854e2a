/* IOAS, devices, hwpts, options. */
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

int call(unsigned long req, void *arg)
{
	return ioctl(c->fd, req, arg);
}
void ioas_alloc(void)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a), .flags = chance(3) ? next() : 0 };

	if (!call(IOMMU_IOAS_ALLOC, &a))
		know(IOAS, a.out_ioas_id);
}
void destroy(void)
{
	static const enum type likely[] = { IOAS, STDEV, STDEV, HWPT, HWPT, NESTED, FAULTQ, IDEV };
	struct iommu_destroy d = { .size = sizeof(d), .id = id_of(likely[below(ARRAY(likely))]) };

	if (!call(IOMMU_DESTROY, &d))
		forget(d.id);
}
static uint32_t dev_flags(void)
{
	return ONE_OF(0, 1, 2, 3, 2, 1, 0, 4, 0x80000000, 7);
}
void mock_domain(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MOCK_DOMAIN, .id = page_table() };
	bool flags = chance(35);

	if (c->n[STDEV] > 8 && chance(80))
		return;
	if (flags) {
		t.op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS;
		t.mock_domain_flags.dev_flags = dev_flags();
	}
	if (call(IOMMU_TEST_CMD, &t))
		return;
	know(STDEV, t.mock_domain.out_stdev_id);
	know(IDEV, t.mock_domain.out_idev_id);
	know(HWPT, t.mock_domain.out_hwpt_id);
}
void replace(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, .id = id_of(STDEV) };

	t.mock_domain_replace.pt_id = page_table();
	if (!call(IOMMU_TEST_CMD, &t))
		know(HWPT, t.mock_domain_replace.pt_id);
}
void replace_storm(void)
{
	uint32_t stdev = id_of(STDEV);
	uint32_t to[3] = { page_table(), page_table(), page_table() };
	unsigned n = 3 + below(9);

	for (unsigned i = 0; i < n; i++) {
		struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, .id = stdev };

		t.mock_domain_replace.pt_id = to[below(3)];
		call(IOMMU_TEST_CMD, &t);
	}
}
void hwpt_alloc(void)
{
	struct iommu_hwpt_alloc h = { .size = sizeof(h), .flags = ONE_OF(0, 0, 1, 1, 2, 3, 3), .dev_id = id_of(IDEV), .pt_id = id_of(IOAS) };

	if (chance(4))
		h.flags = next() & 15;
	if (chance(8))
		h.fault_id = id_of(FAULTQ);
	if (chance(3))
		h.__reserved = 1;
	if (chance(3))
		h.__reserved2 = 1;
	if (chance(4))
		h.pt_id = wrong_id();
	if (call(IOMMU_HWPT_ALLOC, &h))
		return;
	know(HWPT, h.out_hwpt_id);
	if (h.flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING)
		know(TRACKED, h.out_hwpt_id);
}
void nested_alloc(void)
{
	struct iommu_hwpt_selftest data = { .iotlb = chance(80) ? IOMMU_TEST_IOTLB_DEFAULT : next() };
	struct iommu_hwpt_alloc h = { .size = sizeof(h), .dev_id = id_of(IDEV), .pt_id = id_of(HWPT), .data_type = IOMMU_HWPT_DATA_SELFTEST,
				      .data_len = sizeof(data), .data_uptr = (uintptr_t)buffer };

	memcpy(buffer, &data, sizeof(data));
	if (c->n[FAULTQ] && chance(60)) {
		h.flags = IOMMU_HWPT_FAULT_ID_VALID;
		h.fault_id = id_of(FAULTQ);
	}
	if (chance(10)) {
		h.data_type = ONE_OF(0, 1, 2, IOMMU_HWPT_DATA_SELFTEST + 1, IOMMU_HWPT_DATA_SELFTEST);
		h.data_len = ONE_OF(0, 3, 4, 5, 8, 64, 4096);
		h.data_uptr = chance(30) ? address() : (uintptr_t)buffer;
	}
	if (chance(4))
		h.flags |= 1u << below(4);
	if (chance(10))
		h.pt_id = page_table();
	if (!call(IOMMU_HWPT_ALLOC, &h))
		know(NESTED, h.out_hwpt_id);
}
static uint32_t map_flags(void)
{
	uint32_t f = ONE_OF(7, 7, 7, 6, 6, 5, 3, 4, 2);

	if (chance(3))
		f = ONE_OF(0, 1, 8, 15, 0x80000000, 0xffffffff);
	return f;
}
void map(void)
{
	struct iommu_ioas_map m = { .size = sizeof(m), .flags = map_flags(), .ioas_id = id_of(IOAS), .user_va = address(), .length = length(),
				    .iova = iova() };

	if (chance(2))
		m.__reserved = 1;
	if (!call(IOMMU_IOAS_MAP, &m))
		add_area(m.ioas_id, m.iova, m.length, m.user_va);
}
/* A mapping that should work: in memory, aligned, in the aperture. */
void good_map(void)
{
	unsigned k = below(memory_n);
	struct iommu_ioas_map m = { .size = sizeof(m), .flags = ONE_OF(7, 7, 6, 5), .ioas_id = id_of(IOAS), .iova = APERTURE + below(256) * 0x1000 };

	m.length = (1 + below(8)) * (chance(20) ? 0x800 : 0x1000);
	if (k == 2)
		m.flags = 5;
	m.user_va = memory[k].addr + below((memory[k].length - (m.length < 0x4000 ? m.length : 0x4000)) / 0x1000 + 1) * 0x1000;
	if (!call(IOMMU_IOAS_MAP, &m))
		add_area(m.ioas_id, m.iova, m.length, m.user_va);
}
/* Whole mebibytes of huge pages, mostly where a device with large leaves can use them as such. */
void huge_map(void)
{
	struct iommu_ioas_map m = { .size = sizeof(m), .flags = ONE_OF(7, 7, 6, 5), .ioas_id = id_of(IOAS), .iova = APERTURE + below(12) * 0x100000 };

	if (memory_n < 5)
		return;
	m.user_va = memory[4].addr + below(4) * 0x100000;
	m.length = (1 + below(3)) * 0x100000;
	if (chance(15))
		m.iova += below(4) * 0x800;
	if (chance(15))
		m.user_va += below(3) * 0x1000;
	if (chance(25))
		m.length += (below(5) - 2) * 0x800;
	if (!call(IOMMU_IOAS_MAP, &m))
		add_area(m.ioas_id, m.iova, m.length, m.user_va);
}
void copy(void)
{
	const struct area *a = some_area();
	struct iommu_ioas_copy m = { .size = sizeof(m), .flags = map_flags(), .dst_ioas_id = id_of(IOAS), .src_ioas_id = id_of(IOAS), .length = length(),
				     .dst_iova = iova(), .src_iova = iova() };
	uint64_t va = 0;

	if (a && chance(75)) {
		uint64_t skip = chance(60) ? 0 : below(a->length / 0x800 + 1) * 0x800;

		m.src_ioas_id = a->ioas;
		m.src_iova = a->iova + skip;
		va = a->va + skip;
		if (chance(60))
			m.length = a->length - skip;
		else if (chance(60))
			m.length = (1 + below((a->length - skip) / 0x800 + 2)) * 0x800;
	}
	if (chance(8))
		m.flags |= MOCK_FLAGS_ACCESS_SYZ, m.src_iova = nth_area();
	if (!call(IOMMU_IOAS_COPY, &m))
		add_area(m.dst_ioas_id, m.dst_iova, m.length, va);
}
void unmap(void)
{
	const struct area *a = some_area();
	struct iommu_ioas_unmap u = { .size = sizeof(u), .ioas_id = id_of(IOAS), .iova = iova(), .length = length() };

	if (a && chance(70)) {
		u.ioas_id = a->ioas;
		u.iova = a->iova;
		u.length = a->length;
		if (chance(25)) {
			uint64_t before = below(5) * 0x800;

			u.iova -= before;
			u.length += before + below(5) * 0x800;
		} else if (chance(15)) {
			u.iova = near(u.iova);
			u.length = near(u.length);
		}
	}
	if (chance(5))
		u.iova = 0, u.length = U64_MAX;
	call(IOMMU_IOAS_UNMAP, &u);
}
void iova_ranges(void)
{
	struct iommu_ioas_iova_ranges r = { .size = sizeof(r), .ioas_id = id_of(IOAS), .num_iovas = ONE_OF(0, 1, 2, 3, 8, 32, 32, 64, 65, 0xffffffff),
					    .allowed_iovas = (uintptr_t)buffer };

	memset(buffer, 0xcc, 64 * 16);
	if (chance(6))
		r.allowed_iovas = chance(50) ? address() : 0x130003ff0;
	if (chance(3))
		r.__reserved = 1;
	if (chance(5))
		r.out_iova_alignment = next();
	call(IOMMU_IOAS_IOVA_RANGES, &r);
}
void allow_iovas(void)
{
	struct iommu_iova_range r[16];
	struct iommu_ioas_allow_iovas a = { .size = sizeof(a), .ioas_id = id_of(IOAS), .num_iovas = ONE_OF(0, 1, 1, 2, 3, 4, 8, 16),
					    .allowed_iovas = (uintptr_t)buffer };

	for (unsigned i = 0; i < ARRAY(r); i++) {
		r[i].start = chance(50) ? APERTURE + (i * 16 + below(12)) * 0x1000 : iova();
		r[i].last = r[i].start + (chance(80) ? (1 + below(8)) * 0x1000 - 1 : length() - 1);
		if (chance(2))
			r[i].last = r[i].start;
	}
	memcpy(buffer, r, sizeof(r));
	if (chance(5)) {
		a.allowed_iovas = chance(50) ? address() : 0x130003ff0;
		a.num_iovas = 1 + below(3);
	}
	if (chance(3))
		a.__reserved = 1;
	call(IOMMU_IOAS_ALLOW_IOVAS, &a);
}
void add_reserved(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_ADD_RESERVED, .id = id_of(IOAS) };

	t.add_reserved.start = iova();
	t.add_reserved.length = length();
	call(IOMMU_TEST_CMD, &t);
}
void option(void)
{
	struct iommu_option o = { .size = sizeof(o), .option_id = chance(75) ? 1 : 0, .op = below(2), .val64 = below(2) };

	if (o.option_id == 1 || chance(10))
		o.object_id = id_of(IOAS);
	if (chance(8))
		o.val64 = ONE_OF(2, U64_MAX, 1ull << 32, 3);
	if (chance(3))
		o.option_id = ONE_OF(2, 0xffffffff);
	if (chance(3))
		o.op = ONE_OF(2, 0xffff);
	if (chance(3))
		o.__reserved = 1;
	call(IOMMU_OPTION, &o);
}
void vfio_ioas(void)
{
	struct iommu_vfio_ioas v = { .size = sizeof(v), .ioas_id = id_of(IOAS), .op = ONE_OF(0, 1, 1, 1, 2) };

	if (chance(3))
		v.op = ONE_OF(3, 0xffff);
	if (chance(3))
		v.__reserved = 1;
	if (!call(IOMMU_VFIO_IOAS, &v) && v.op == IOMMU_VFIO_IOAS_GET)
		know(IOAS, v.ioas_id);
}
void hw_info(void)
{
	struct iommu_hw_info h = { .size = sizeof(h), .dev_id = id_of(IDEV), .data_len = ONE_OF(0, 4, 8, 8, 12, 16, 64, 256, 7, 1),
				   .data_uptr = (uintptr_t)buffer };

	memset(buffer, 0xcc, 256);
	if (chance(8))
		h.data_uptr = ONE_OF(0, 0x120000000, 0x130003ff8, 0x150000000);
	if (chance(3))
		h.flags = 1u << below(32);
	if (chance(3))
		h.__reserved[below(3)] = 1;
	call(IOMMU_GET_HW_INFO, &h);
}
