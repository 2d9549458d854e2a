/* What the parts of the generator share. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/iommufd.h>
#include "iommufd_test.h"

#define U64_MAX UINT64_MAX
#define APERTURE 0x1000000ull
#define APERTURE_LAST 0x7fffffffull
#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))
#define ONE_OF(...) ((const uint64_t[]){ __VA_ARGS__ }[below(sizeof((uint64_t[]){ __VA_ARGS__ }) / 8)])

/* TRACKED: those of the hwpts that were made for dirty tracking. */
enum type { IOAS, STDEV, IDEV, HWPT, NESTED, FAULTQ, TRACKED, TYPES };
enum { IDS = 64, CONTEXTS = 3, AREAS = 64, PINS = 32, FDS = 16 };
struct area { uint32_t ioas; uint64_t iova, length, va; };
struct context {
	int fd;
	uint32_t ids[TYPES][IDS];
	unsigned n[TYPES];
	struct area areas[AREAS];
	unsigned areas_n;
	int access[FDS];
	unsigned access_n;
	struct { int fd; uint32_t id; } pins[PINS];
	unsigned pins_n;
	int faults[FDS];
	unsigned faults_n;
};
struct region { uint64_t addr, length; };

extern uint64_t seed;
/* In percent: how often an id is of the wrong kind or of nothing. */
extern unsigned wrong_share;
extern struct context contexts[CONTEXTS];
extern unsigned contexts_n;
/* The context that is called now. */
extern struct context *c;
extern const struct region memory[5];
extern unsigned memory_n;
/* In the image and therefore readable. */
extern unsigned char buffer[1 << 22];
extern unsigned char bitmap[1 << 20];

uint64_t next(void);
uint64_t below(uint64_t n);
bool chance(unsigned percent);
void know(enum type t, uint32_t id);
void forget(uint32_t id);
uint32_t wrong_id(void);
uint32_t id_of(enum type t);
uint32_t page_table(void);
const struct area *some_area(void);
void add_area(uint32_t ioas, uint64_t iova, uint64_t length, uint64_t va);
uint64_t near(uint64_t v);
uint64_t iova(void);
uint64_t length(void);
uint64_t address(void);
uint64_t nth_area(void);
uint64_t buffer_address(void);
int call(unsigned long req, void *arg);

/* What a sequence begins with. */
void vfio_start(void);
void fault_start(void);
void dirty_start(void);
void nest_start(void);

/* The actions of a sequence. */
void ioas_alloc(void);
void destroy(void);
void mock_domain(void);
void replace(void);
void replace_storm(void);
void hwpt_alloc(void);
void nested_alloc(void);
void map(void);
void good_map(void);
void huge_map(void);
void copy(void);
void unmap(void);
void iova_ranges(void);
void allow_iovas(void);
void add_reserved(void);
void option(void);
void vfio_ioas(void);
void hw_info(void);
void set_dirty(void);
void mark_dirty(void);
void get_dirty(void);
void invalidate(void);
void check_iotlb(void);
void fault_alloc(void);
void trigger(void);
void fault_read(void);
void fault_write(void);
void fault_close(void);
void create_access(void);
void access_close(void);
void access_pages(void);
void unpin(void);
void access_rw(void);
void access_replace(void);
void check_map(void);
void check_refs(void);
void temp_limit(void);
void vfio_set_iommu(void);
void vfio_extension(void);
void vfio_version(void);
void vfio_info(void);
void vfio_map(void);
void vfio_unmap(void);
void odd_size(void);
void bad_pointer(void);
void unknown(void);
void dressed_request(void);
void open_context(void);
void child_acts(void);
void lower_limit(void);
void close_context(void);
void switch_context(void);
void remap(void);
void child_maps(void);

#endif
