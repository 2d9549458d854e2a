/* What a record shows. */
#ifndef SHOWN_H
#define SHOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "layouts.h"

/* What the processes of a sequence share. */
struct shared {
	size_t used;
	unsigned seq;
	unsigned contexts;
	char text[];
};
struct mapped { uintptr_t addr; size_t length; };
enum { REGIONS = 64, SHOWN_DATA = 1024, SHOWN_INFO = 256 };

extern struct shared *shared;
/* Number of forks below the sequence's first process. */
extern int proc;
extern char test[128];
extern struct mapped regions[REGIONS];
extern unsigned region_count;

void put(const char *format, ...) __attribute__((format(printf, 1, 2)));
void begin_record(const char *ev);
void end_record(long ret, int e);
size_t peek(uint64_t addr, void *to, size_t n);
void put_sym(const char *name, uint64_t p);
uint64_t load(const unsigned char *s, const struct field *f);
uint64_t member(const struct layout *l, const unsigned char *s, const char *name);
void put_struct(const char *name, const struct layout *l, const unsigned char *s);
void put_extra(uint64_t at, uint64_t from, uint64_t size);
void put_data(const char *name, uint64_t at, uint64_t length, size_t most);
void put_pointed(bool before, const struct layout *l, const unsigned char *in, const unsigned char *now);

#endif
