/* VFIO type1 compatibility, the ioctl envelope, contexts, memory and processes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>
#include "random.h"
#include "record.h"

void vfio_set_iommu(void)
{
	call(VFIO_SET_IOMMU, (void *)ONE_OF(1, 1, 3, 3, 1, 3, 8, 0, 2, 7, 1ull << 32 | 1));
}
/* The slot filled, and a type of container chosen. */
void vfio_start(void)
{
	struct iommu_vfio_ioas v = { .size = sizeof(v), .ioas_id = id_of(IOAS), .op = IOMMU_VFIO_IOAS_SET };

	call(IOMMU_VFIO_IOAS, &v);
	call(VFIO_SET_IOMMU, (void *)ONE_OF(1, 1, 3));
}
void vfio_version(void)
{
	call(VFIO_GET_API_VERSION, NULL);
}
void vfio_extension(void)
{
	call(VFIO_CHECK_EXTENSION, (void *)(chance(90) ? below(14) : ONE_OF(0xffffffff, 1ull << 32 | 3, -1ull)));
}
void vfio_info(void)
{
	static const unsigned sizes[] = { 24, 24, 160, 4096, 16, 20, 15, 0, 28, 32, 72, 80, 40, 48, 35, 36, 38, 39, 55, 56, 71, 88, 104 };
	struct vfio_iommu_type1_info *i = (void *)buffer;

	memset(buffer, chance(70) ? 0 : 0x5a, 4096);
	i->argsz = sizes[below(ARRAY(sizes))];
	i->flags = chance(80) ? 0 : next();
	call(VFIO_IOMMU_GET_INFO, chance(97) ? (void *)i : (void *)0x150000000);
}
void vfio_map(void)
{
	struct vfio_iommu_type1_dma_map *m = (void *)buffer;

	memset(buffer, 0, 64);
	m->argsz = chance(92) ? sizeof(*m) : ONE_OF(0, 31, 36, 24, 0xffffffff);
	m->flags = chance(90) ? ONE_OF(3, 3, 1, 2) : ONE_OF(0, 4, 7, 8, 0x80000003);
	m->vaddr = address();
	m->iova = iova();
	m->size = length();
	if (chance(50)) {
		m->vaddr &= ~0xfffull;
		m->iova = APERTURE + below(64) * 0x1000;
		m->size = (1 + below(8)) * 0x1000;
	}
	if (!call(VFIO_IOMMU_MAP_DMA, chance(98) ? (void *)m : NULL))
		add_area(c->n[IOAS] ? c->ids[IOAS][0] : 1, m->iova, m->size, m->vaddr);
}
void vfio_unmap(void)
{
	const struct area *a = some_area();
	struct vfio_iommu_type1_dma_unmap *u = (void *)buffer;

	memset(buffer, 0, 128);
	u->argsz = chance(92) ? sizeof(*u) : ONE_OF(0, 23, 32, 20, 0xffffffff, 48);
	u->flags = chance(90) ? 0 : ONE_OF(2, 2, 1, 4, 3, 8, 6);
	u->iova = iova();
	u->size = length();
	if (a && chance(75)) {
		u->iova = a->iova;
		u->size = a->length;
		/* Cuts: type1 v1 may split an area. */
		if (chance(60)) {
			uint64_t skip = below(a->length / 0x800 + 1) * (chance(85) ? 0x800 : 0x400);

			u->iova += skip;
			u->size = (1 + below((a->length > skip ? a->length - skip : 0) / 0x800 + 2)) * 0x800;
		}
	}
	if (chance(4) || (u->flags & 2 && chance(60)))
		u->iova = 0, u->size = chance(50) ? 0 : U64_MAX;
	call(VFIO_IOMMU_UNMAP_DMA, chance(98) ? (void *)u : (void *)8);
}

static const unsigned long requests[] = {
	IOMMU_DESTROY, IOMMU_IOAS_ALLOC, IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_ALLOW_IOVAS, IOMMU_IOAS_MAP, IOMMU_IOAS_COPY, IOMMU_IOAS_UNMAP,
	IOMMU_OPTION, IOMMU_VFIO_IOAS, IOMMU_HWPT_ALLOC, IOMMU_GET_HW_INFO, IOMMU_HWPT_SET_DIRTY_TRACKING, IOMMU_HWPT_GET_DIRTY_BITMAP,
	IOMMU_HWPT_INVALIDATE, IOMMU_FAULT_QUEUE_ALLOC, IOMMU_TEST_CMD,
};
static const unsigned sizes_of[] = { 8, 12, 32, 24, 40, 40, 24, 24, 12, 48, 40, 16, 48, 32, 16, 72 };
void odd_size(void)
{
	unsigned k = below(ARRAY(requests));
	uint32_t whole = sizes_of[k];
	uint32_t *s = (uint32_t *)(buffer + 0x10000 + below(8) * 8);

	/* Readable to its end, whatever the size says; what it is filled with does not matter, only that it is the same every time. */
	memset(s, 0, 4096 + 128);
	for (unsigned i = 1; i < 6; i++)
		s[i] = chance(50) ? below(8) : 0;
	s[0] = chance(30) ? whole : chance(50) ? whole + below(40) - 16 : ONE_OF(0, 4, 8, 4096, 4097, 0x80000000, 0xffffffff, whole + 1);
	if (s[0] > whole && s[0] < 8192 && chance(40))
		((unsigned char *)s)[whole + below(s[0] - whole)] = 1 + below(255);
	/* The end of a mapping behind the structure. */
	if (chance(12)) {
		uint32_t *edge = (uint32_t *)(0x130004000 - whole - below(3) * 8);

		memcpy(edge, s, whole);
		memset((char *)edge + whole, 0, 0x130004000 - (uintptr_t)edge - whole);
		s = edge;
	}
	if (requests[k] == IOMMU_FAULT_QUEUE_ALLOC && s[0] < 16)
		s[0] = below(16);
	if (requests[k] == IOMMU_TEST_CMD && s[1] == IOMMU_TEST_OP_CREATE_ACCESS)
		s[1] = chance(50) ? 0 : 16 + below(1000);
	if (requests[k] == IOMMU_TEST_CMD && s[1] == IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT)
		s[4] = 65536;
	if (!call(requests[k], s)) {
		if (requests[k] == IOMMU_DESTROY)
			forget(s[1]);
		if (requests[k] == IOMMU_IOAS_ALLOC)
			know(IOAS, s[2]);
		if (requests[k] == IOMMU_FAULT_QUEUE_ALLOC && c->faults_n < FDS) {
			know(FAULTQ, s[2]);
			c->faults[c->faults_n++] = s[3];
		}
	}
}
void bad_pointer(void)
{
	call(requests[below(ARRAY(requests))], (void *)ONE_OF(0, 8, 0x150000000, U64_MAX - 7, 0xffff888000000000, 0x130004000, 0x7ffffffff000));
}
void unknown(void)
{
	memset(buffer, 0, 256);
	*(uint32_t *)buffer = ONE_OF(0, 8, 64);
	unsigned nr = chance(70) ? below(256) : 0x80 + below(40);
	bool known = nr >= 0x80 && nr <= 0x8f;

	if (known || nr == 0xa0 || (nr >= 100 && nr <= 120))
		nr = 0xb0;
	call(chance(80) ? _IO(';', nr) : chance(50) ? _IO('x', nr) : _IOWR(';', nr, uint64_t), chance(80) ? (void *)buffer : NULL);
}
/* A known number with another size or direction in its code. */
void dressed_request(void)
{
	struct iommu_destroy d = { .size = sizeof(d), .id = wrong_id() };

	if (!call(_IOC(below(4), IOMMUFD_TYPE, 0x80, below(2) * 8), &d))
		forget(d.id);
}

void open_context(void)
{
	if (contexts_n >= CONTEXTS)
		return;
	int fd = open("/dev/iommu", O_RDWR);
	if (fd < 0)
		return;
	c = &contexts[contexts_n++];
	memset(c, 0, sizeof(*c));
	c->fd = fd;
}
void switch_context(void)
{
	if (contexts_n < CONTEXTS && chance(30))
		open_context();
	c = &contexts[below(contexts_n)];
}
void remap(void)
{
	unsigned k = below(2);
	uint64_t at = memory[k].addr + below(12) * 0x1000;
	uint64_t n = (1 + below(4)) * 0x1000;

	if (chance(40)) {
		munmap((void *)at, n);
		return;
	}
	/* Untouched private pages would all be the one page of zeros. */
	int prot = k == 1 || chance(75) ? PROT_READ | PROT_WRITE : PROT_READ;
	void *p = mmap((void *)at, n, prot, (k == 0 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (p != MAP_FAILED && (prot & PROT_WRITE))
		memset(p, 1, n);
}
void child_maps(void)
{
	uint64_t at = APERTURE + (64 + below(64)) * 0x1000;
	uint32_t ioas = id_of(IOAS);
	unsigned n = 1 + below(3);
	uint64_t va[3];
	pid_t pid;

	for (unsigned i = 0; i < 3; i++)
		va[i] = memory[0].addr + below(12) * 0x1000;
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < n; i++) {
			struct iommu_ioas_map m = { .size = sizeof(m), .flags = 7, .ioas_id = ioas, .user_va = va[i], .length = 0x2000,
						    .iova = at + i * 0x2000 };
			call(IOMMU_IOAS_MAP, &m);
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	for (unsigned i = 0; i < n; i++)
		add_area(ioas, at + i * 0x2000, 0x2000, va[i]);
}
/* Calls from another process: what it maps nobody holds once it is gone, what it reads and writes is another process' memory. */
void child_acts(void)
{
	static void (*const acts[])(void) = { unmap, access_rw, access_rw, access_pages, unpin, replace, destroy, copy, iova_ranges, mock_domain };
	unsigned n = 1 + below(4);
	pid_t pid = fork();

	if (pid == 0) {
		for (unsigned i = 0; i < n; i++)
			acts[below(ARRAY(acts))]();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	/* The child's choices are not ours. */
	next();
}
/* A context goes while accesses and fault queues of it stay open; accesses can be used through any other context. */
void close_context(void)
{
	struct context *gone = c;

	if (contexts_n < 2)
		return;
	while (gone->faults_n)
		fault_close();
	while (gone->access_n && chance(50))
		access_close();
	close(gone->fd);
	struct context last = contexts[--contexts_n];
	struct context left = *gone;

	if (gone != &contexts[contexts_n])
		*gone = last;
	c = &contexts[0];
	while (left.access_n && c->access_n < FDS)
		c->access[c->access_n++] = left.access[--left.access_n];
}
/* The limit of an unprivileged process can only shrink. */
void lower_limit(void)
{
	struct rlimit r;
	char note[64];

	if (getrlimit(RLIMIT_MEMLOCK, &r) || r.rlim_cur <= 4096 || r.rlim_cur == RLIM_INFINITY || !chance(30))
		return;
	r.rlim_cur -= 4096;
	if (setrlimit(RLIMIT_MEMLOCK, &r))
		return;
	snprintf(note, sizeof(note), "\"uid\":1000,\"rlimit_memlock_bytes\":%lu", (unsigned long)r.rlim_cur);
	record_note(note);
}
