/* Chance, what earlier calls returned, and numbers drawn from it. */
#include "random.h"

uint64_t seed;
uint64_t next(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}
uint64_t below(uint64_t n)
{
	return n ? next() % n : 0;
}
bool chance(unsigned percent)
{
	return below(100) < percent;
}

struct context contexts[CONTEXTS];
unsigned contexts_n;
struct context *c;

void know(enum type t, uint32_t id)
{
	if (c->n[t] < IDS)
		c->ids[t][c->n[t]++] = id;
	else
		c->ids[t][below(IDS)] = id;
}
void forget(uint32_t id)
{
	for (int t = 0; t < TYPES; t++)
		for (unsigned i = 0; i < c->n[t];)
			if (c->ids[t][i] == id)
				c->ids[t][i] = c->ids[t][--c->n[t]];
			else
				i++;
}
uint32_t wrong_id(void)
{
	switch (below(4)) {
	case 0:
		return ONE_OF(0, 0xffffffff, 0x7fffffff, 1000);
	case 1:
		return below(40);
	default: {
		enum type t = below(TYPES);

		return c->n[t] ? c->ids[t][below(c->n[t])] : below(20);
	}
	}
}
unsigned wrong_share = 6;
uint32_t id_of(enum type t)
{
	return c->n[t] && !chance(wrong_share) ? c->ids[t][below(c->n[t])] : wrong_id();
}
/* Something to attach to. */
uint32_t page_table(void)
{
	unsigned k = below(10);

	return id_of(k < 5 ? IOAS : k < 8 ? HWPT : NESTED);
}
const struct area *some_area(void)
{
	return c->areas_n ? &c->areas[below(c->areas_n)] : NULL;
}
void add_area(uint32_t ioas, uint64_t iova, uint64_t length, uint64_t va)
{
	unsigned i = c->areas_n < AREAS ? c->areas_n++ : below(AREAS);

	c->areas[i] = (struct area){ ioas, iova, length, va };
}

uint64_t near(uint64_t v)
{
	return v + ONE_OF(0, 0, 0, 1, -1ull, 0x800, -0x800ull, 0x1000, -0x1000ull, 0x400);
}
uint64_t iova(void)
{
	const struct area *a = some_area();

	switch (below(12)) {
	case 0: case 1: case 2: case 3:
		return APERTURE + below(64) * 0x1000;
	case 4:
		return APERTURE + below(128) * 0x800;
	case 5: case 6:
		return a ? near(a->iova + (chance(50) ? a->length : 0)) : APERTURE;
	case 7:
		return a ? a->iova + below(a->length / 0x800 + 1) * 0x800 : 0x2000;
	case 8:
		return ONE_OF(0, 0x1000, 0x800, 0x2000, 0x10000, APERTURE - 0x1000, APERTURE_LAST - 0xfff, APERTURE_LAST - 0x7ff, APERTURE_LAST + 1);
	case 9:
		return near(ONE_OF(U64_MAX, U64_MAX - 0xfff, 1ull << 63, 1ull << 32, APERTURE, APERTURE_LAST, 0));
	case 10:
		return chance(40) ? next() >> below(64) : APERTURE + below(16) * 0x100000;
	default:
		return chance(50) ? below(64) * 0x1000 : APERTURE + below(64 * 0x1000);
	}
}
uint64_t length(void)
{
	const struct area *a = some_area();

	switch (below(12)) {
	case 0: case 1: case 2: case 3: case 4:
		return (1 + below(6)) * 0x1000;
	case 5:
		return (1 + below(12)) * 0x800;
	case 6: case 7:
		return a ? a->length : 0x3000;
	case 8:
		return near(a ? a->length : 0x1000);
	case 9:
		return ONE_OF(0x10000, 0x8000, 0x20000, 0x100000, 0x200000, 0x400000, 0x1000);
	case 10:
		return ONE_OF(0, 1, U64_MAX, U64_MAX - 1, U64_MAX - 0xfff, U64_MAX - 0x1000, 1ull << 63, (1ull << 63) - 1, 0x7ffff000, 1ull << 32);
	default:
		return chance(30) ? below(0x3000) : 0x1000;
	}
}
const struct region memory[] = {
	{ 0x100000000, 0x10000 }, { 0x110000000, 0x10000 }, { 0x120000000, 0x10000 }, { 0x130000000, 0x4000 }, { 0x140000000, 0x400000 },
};
unsigned memory_n = 4;
uint64_t address(void)
{
	const struct area *a = some_area();
	unsigned k = below(14);
	unsigned m = below(memory_n + 2);

	if (m >= memory_n)
		m = 0;
	switch (k) {
	case 0: case 1: case 2: case 3: case 4: case 5: case 6:
		return memory[m].addr + below(memory[m].length / 0x1000) * 0x1000;
	case 7: case 8:
		return memory[m].addr + below(memory[m].length / 0x800) * 0x800;
	case 9:
		return a ? a->va : 0x100000000;
	case 10:
		return memory[m].addr + memory[m].length - ONE_OF(0x1000, 0x2000, 0x800, 0);
	case 11:
		return memory[m].addr + below(memory[m].length);
	case 12:
		return chance(70) ? memory[0].addr : ONE_OF(0, 0x1000, 0x150000000, 0x100010000, 0x130004000, 1ull << 63, U64_MAX - 0xfff, 0x7ffffffff000, 0xffff888000000000);
	default:
		return memory[0].addr;
	}
}

/* How a fuzzer names an address it cannot guess: the number of an area, and an offset in it. */
uint64_t nth_area(void)
{
	return below(5) | (chance(50) ? 0 : below(8) * 0x800 + (chance(20) ? below(0x800) : 0)) << 32;
}

unsigned char buffer[1 << 22];
unsigned char bitmap[1 << 20];
uint64_t buffer_address(void)
{
	return chance(85) ? (uintptr_t)buffer + below(0x1000) : address();
}
