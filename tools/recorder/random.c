/*
 * Seeded random sequences of iommufd calls, recorded. Usage: random PROFILE FIRST COUNT CALLS: sequences FIRST … FIRST+COUNT-1, each in a
 * process of its own. What a call asks is drawn from what earlier calls returned, with a share of wrong ids and hostile numbers.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random.h"
#include "record.h"

#define LIFE 0x01
#define MAP 0x02
#define VFIO 0x04
#define NEST 0x08
#define ACC 0x10
#define DIRT 0x20
#define FLT 0x40
#define ABI 0x80
#define MEM 0x100
#define LIMIT 0x200
static const struct action { void (*run)(void); unsigned weight; unsigned groups; } actions[] = {
	{ ioas_alloc, 4, 0xff }, { destroy, 6, LIFE | MAP | NEST | ACC | DIRT | FLT | VFIO }, { mock_domain, 7, 0x7f }, { replace, 9, LIFE | NEST | MAP | FLT | DIRT | ACC },
	{ replace_storm, 2, LIFE | NEST | MAP | FLT | DIRT }, { hwpt_alloc, 7, LIFE | NEST | DIRT | MAP }, { map, 14, MAP | ACC }, { good_map, 10, MAP | ACC | DIRT | LIFE | VFIO },
	{ huge_map, 3, MAP | ACC | DIRT }, { copy, 10, MAP | ACC }, { unmap, 10, MAP | ACC | VFIO }, { iova_ranges, 6, MAP | LIFE | ACC }, { allow_iovas, 4, MAP | LIFE }, { add_reserved, 3, MAP | LIFE },
	{ option, 4, MAP | LIFE | ACC }, { vfio_ioas, 2, LIFE | MAP }, { vfio_ioas, 8, VFIO }, { hw_info, 2, LIFE }, { set_dirty, 8, DIRT }, { mark_dirty, 12, DIRT },
	{ get_dirty, 12, DIRT }, { nested_alloc, 9, NEST | FLT }, { invalidate, 10, NEST }, { check_iotlb, 8, NEST }, { fault_alloc, 5, FLT | NEST }, { trigger, 14, FLT },
	{ fault_read, 10, FLT }, { fault_write, 12, FLT }, { fault_close, 2, FLT }, { create_access, 7, ACC }, { access_close, 2, ACC }, { access_pages, 16, ACC },
	{ unpin, 7, ACC }, { access_rw, 10, ACC }, { access_replace, 5, ACC }, { check_map, 10, MAP | LIFE | ACC | VFIO }, { check_refs, 4, MAP | ACC | LIFE },
	{ temp_limit, 1, MAP | ACC }, { vfio_set_iommu, 5, VFIO }, { vfio_extension, 3, VFIO }, { vfio_version, 1, VFIO }, { fault_start, 3, FLT }, { vfio_info, 8, VFIO }, { vfio_map, 22, VFIO }, { vfio_unmap, 20, VFIO },
	{ odd_size, 40, ABI }, { bad_pointer, 6, ABI }, { unknown, 6, ABI }, { dressed_request, 2, ABI }, { switch_context, 3, LIFE | MAP | ACC | VFIO }, { remap, 3, MEM },
	{ child_maps, 2, MEM }, { child_acts, 2, MEM }, { close_context, 1, LIFE | MAP | ACC | VFIO }, { lower_limit, 2, LIMIT },
};
static const struct profile { const char *name; unsigned groups; } profiles[] = {
	{ "lifecycle", LIFE }, { "map", MAP }, { "mix", LIFE | MAP }, { "limits", LIFE | MAP | LIMIT }, { "vfio", VFIO }, { "nested", NEST | LIFE }, { "access", ACC },
	{ "dirty", DIRT }, { "fault", FLT }, { "abi", ABI }, { "everything", 0xff }, { "memory", MAP | ACC | MEM }, { "vfiomix", VFIO | MAP | ACC },
	{ "dirtymap", DIRT | MAP | ACC }, { "limitsmix", MAP | ACC | VFIO | MEM | LIMIT },
};

static void set_up_memory(void)
{
	mmap((void *)0x100000000, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)0x110000000, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)0x120000000, 0x10000, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)0x130000000, 0x8000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap((void *)0x130004000, 0x4000);
	if (chance(40)) {
		memory_n = 5;
		mmap((void *)0x140000000, 0x400000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB, -1, 0);
	}
	/* Private pages exist before anything pins them. */
	memset((void *)0x110000000, 1, 0x10000);
	memset(buffer, 0, sizeof(buffer));
	memset(bitmap, 0, sizeof(bitmap));
}
static void become_limited(void)
{
	static const unsigned pages[] = { 4, 8, 12, 17, 17, 24, 33, 64 };
	unsigned n = pages[below(ARRAY(pages))];
	struct rlimit r = { n * 4096, n * 4096 };
	char note[128];

	setrlimit(RLIMIT_MEMLOCK, &r);
	if (setresuid(1000, 1000, 1000))
		abort();
	prctl(PR_SET_DUMPABLE, 1);
	snprintf(note, sizeof(note), "\"uid\":1000,\"rlimit_memlock_bytes\":%u,\"capabilities\":\"none\"", n * 4096);
	record_note(note);
}
/* What a group of calls needs before most of them can succeed. */
static void set_out(unsigned groups)
{
	if (groups & VFIO && chance(90))
		vfio_start();
	if (groups & ACC)
		for (unsigned i = 0; i < 3; i++)
			create_access();
	if (groups & DIRT)
		dirty_start();
	if (groups & (NEST | FLT)) {
		nest_start();
		fault_start();
	}
}
static void sequence(const struct profile *p, unsigned number, unsigned calls)
{
	char name[128];
	unsigned total = 0;

	seed = 0x5eed0000ull * (p - profiles + 1) + number * 0x10001ull;
	snprintf(name, sizeof(name), "random.%s.%04u", p->name, number);
	record_start(name);
	set_up_memory();
	snprintf(name, sizeof(name), "\"seed\":\"0x%llx\",\"profile\":\"%s\",\"calls\":%u", (unsigned long long)seed, p->name, calls);
	record_note(name);
	if (p->groups & LIMIT)
		become_limited();
	if (chance(10))
		wrong_share = 25;
	open_context();
	ioas_alloc();
	mock_domain();
	set_out(p->groups);
	for (const struct action *a = actions; a < actions + ARRAY(actions); a++)
		if (a->groups & p->groups)
			total += a->weight;
	for (unsigned i = 0; i < calls; i++) {
		unsigned k = below(total);

		for (const struct action *a = actions; a < actions + ARRAY(actions); a++) {
			if (!(a->groups & p->groups))
				continue;
			if (k < a->weight) {
				a->run();
				break;
			}
			k -= a->weight;
		}
	}
	/* Nothing may stay pinned: close in any order, then ask from a new context. */
	for (unsigned i = 0; i < contexts_n; i++) {
		c = &contexts[i];
		if (chance(50))
			close(c->fd), c->fd = -1;
		while (c->access_n)
			access_close();
		while (c->faults_n)
			fault_close();
		if (c->fd >= 0)
			close(c->fd);
	}
	contexts_n = 0;
	open_context();
	for (unsigned m = 0; m < 2; m++) {
		struct iommu_test_cmd t = { .size = sizeof(t), .op = IOMMU_TEST_OP_MD_CHECK_REFS };

		t.check_refs.uptr = memory[m].addr;
		t.check_refs.length = 0x10000;
		call(IOMMU_TEST_CMD, &t);
	}
	close(c->fd);
	record_end();
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	for (const struct profile *p = profiles; p < profiles + ARRAY(profiles); p++) {
		if (strcmp(p->name, argv[1]))
			continue;
		unsigned first = atoi(argv[2]);

		for (unsigned i = first; i < first + atoi(argv[3]); i++) {
			int status;
			pid_t pid = fork();

			if (pid == 0) {
				sequence(p, i, atoi(argv[4]));
				_exit(0);
			}
			waitpid(pid, &status, 0);
			if (status)
				printf("%s %u: status 0x%x\n", p->name, i, status);
		}
		return 0;
	}
	return 2;
}
