/* Accesses, and what shows the state: MD_CHECK_MAP, MD_CHECK_REFS. */
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

static int some_access(void)
{
	struct context *other = &contexts[below(contexts_n)];

	if (other->access_n && chance(5))
		return other->access[below(other->access_n)];
	if (!c->access_n || chance(3))
		return chance(50) ? c->fd : (int)ONE_OF(0, 1, 900, -1ull, 3, 4);
	return c->access[below(c->access_n)];
}
void create_access(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_CREATE_ACCESS, .id = id_of(IOAS) };

	t.create_access.flags = chance(97) ? !chance(30) : ONE_OF(2, 0xffffffff);
	if (c->access_n >= FDS || call(IOMMU_TEST_CMD, &t))
		return;
	c->access[c->access_n++] = t.create_access.out_access_fd;
}
void access_close(void)
{
	unsigned i = below(c->access_n);

	if (!c->access_n)
		return;
	close(c->access[i]);
	for (unsigned p = 0; p < c->pins_n;)
		if (c->pins[p].fd == c->access[i])
			c->pins[p] = c->pins[--c->pins_n];
		else
			p++;
	c->access[i] = c->access[--c->access_n];
}
void access_pages(void)
{
	const struct area *a = some_area();
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_ACCESS_PAGES, .id = some_access() };

	t.access_pages.flags = chance(97) ? below(2) : ONE_OF(2, 0x80000000);
	t.access_pages.iova = iova();
	t.access_pages.length = length();
	t.access_pages.uptr = address();
	if (a && chance(80)) {
		uint64_t skip = chance(60) ? 0 : below(a->length);

		t.access_pages.iova = a->iova + skip;
		t.access_pages.uptr = a->va + skip;
		t.access_pages.length = chance(60) ? a->length - skip : 1 + below(a->length < 0x8000 ? a->length : 0x8000);
	}
	if (chance(6))
		t.access_pages.flags |= MOCK_FLAGS_ACCESS_SYZ, t.access_pages.iova = nth_area();
	if (call(IOMMU_TEST_CMD, &t) || c->pins_n >= PINS)
		return;
	c->pins[c->pins_n].fd = (int)t.id;
	c->pins[c->pins_n++].id = t.access_pages.out_access_pages_id;
}
void unpin(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_DESTROY_ACCESS_PAGES };
	unsigned i = below(c->pins_n);

	if (c->pins_n && chance(92)) {
		t.id = c->pins[i].fd;
		t.destroy_access_pages.access_pages_id = c->pins[i].id;
		c->pins[i] = c->pins[--c->pins_n];
	} else {
		t.id = some_access();
		t.destroy_access_pages.access_pages_id = below(8);
	}
	call(IOMMU_TEST_CMD, &t);
}
void access_rw(void)
{
	const struct area *a = some_area();
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_ACCESS_RW, .id = some_access() };

	t.access_rw.flags = chance(97) ? ONE_OF(0, 1, 4, 5) : ONE_OF(2, 0x80000000, 8);
	t.access_rw.iova = iova();
	t.access_rw.length = length();
	t.access_rw.uptr = buffer_address();
	if (a && chance(85)) {
		t.access_rw.iova = a->iova + below(a->length);
		t.access_rw.length = below(a->length - (t.access_rw.iova - a->iova) + (chance(20) ? 0x2000 : 1));
	}
	if (t.access_rw.length > (1 << 21) && t.access_rw.length <= (1 << 24))
		t.access_rw.length = 0x3000;
	if (chance(6))
		t.access_rw.flags |= MOCK_FLAGS_ACCESS_SYZ, t.access_rw.iova = nth_area();
	call(IOMMU_TEST_CMD, &t);
}
void access_replace(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_ACCESS_REPLACE_IOAS, .id = some_access() };

	t.access_replace_ioas.ioas_id = chance(90) ? id_of(IOAS) : 0;
	call(IOMMU_TEST_CMD, &t);
}

void check_map(void)
{
	const struct area *a = some_area();
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MD_CHECK_MAP, .id = id_of(HWPT) };

	t.check_map.iova = a ? a->iova : iova();
	t.check_map.length = a && a->length < 0x1000000 ? a->length : 0x1000;
	t.check_map.uptr = a ? a->va : address();
	if (chance(10))
		t.check_map.iova = near(t.check_map.iova);
	if (chance(10))
		t.check_map.uptr = near(t.check_map.uptr);
	if (chance(6))
		t.check_map.length = ONE_OF(0, 1, 0x800, 0x400, 0x1800, 0x801);
	call(IOMMU_TEST_CMD, &t);
}
/* Asks until the number of pins of some pages is known. */
void check_refs(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MD_CHECK_REFS };
	unsigned m = below(4);
	unsigned pages = memory[m].length / 0x1000;
	unsigned first = below(pages);

	t.check_refs.uptr = memory[m].addr + first * 0x1000;
	t.check_refs.length = (1 + below(pages - first < 3 ? pages - first : 3)) * 0x1000;
	for (unsigned refs = 0; refs < 7; refs++) {
		t.check_refs.refs = refs;
		if (!call(IOMMU_TEST_CMD, &t))
			return;
	}
}
void temp_limit(void)
{
	struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT };

	t.memory_limit.limit = ONE_OF(65536, 16, 11, 12, 64, 4096, 0, 65536);
	call(IOMMU_TEST_CMD, &t);
}
