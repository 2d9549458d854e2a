/* What a record shows: text, user memory read without trusting it, structures and the arrays they point at. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shown.h"

enum { SHOWN_EXTRA = 64, SHOWN_RANGES = 64, BITMAP_BYTES_MAX = 1 << 24, BITMAP_HEAD = 64 };

struct shared *shared;
int proc;
char test[128];
struct mapped regions[REGIONS];
unsigned region_count = 1; /* regions[0] is m0 */

/* ---- text ---- */

void put(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	shared->used += vsnprintf(shared->text + shared->used, 4096, format, args);
	va_end(args);
}
static void put_hex(const unsigned char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		shared->text[shared->used++] = digits[bytes[i] >> 4];
		shared->text[shared->used++] = digits[bytes[i] & 15];
	}
}
void begin_record(const char *ev)
{
	put("{\"test\":\"%s\",\"seq\":%u", test, shared->seq++);
	if (proc)
		put(",\"proc\":%d", proc);
	put(",\"ev\":\"%s\"", ev);
}
static const char *errno_name(int e)
{
	const char *name = strerrorname_np(e);

	return name ? name : "UNKNOWN";
}
void end_record(long ret, int e)
{
	if (ret == -1)
		put(",\"ret\":-1,\"errno\":\"%s\"}\n", errno_name(e));
	else
		put(",\"ret\":%ld,\"errno\":null}\n", ret);
}

/* ---- user memory ---- */

/* How many of the n bytes at a user address can be read, and those bytes. */
size_t peek(uint64_t addr, void *to, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t page = 4096 - ((addr + done) & 4095);
		size_t part = n - done < page ? n - done : page;
		struct iovec local = { (char *)to + done, part };
		struct iovec remote = { (void *)(uintptr_t)(addr + done), part };

		if (addr + done < addr)
			break;
		if (syscall(SYS_process_vm_readv, (long)syscall(SYS_getpid), &local, 1L, &remote, 1L, 0L) != (long)part)
			break;
		done += part;
	}
	return done;
}
/* A pointer in the recording's words: region and offset, stack, other. */
void put_sym(const char *name, uint64_t p)
{
	char here;

	if (!p) {
		put(",\"%s\":null", name);
		return;
	}
	for (unsigned i = region_count; i-- > 0;)
		if (regions[i].length && p >= regions[i].addr && p - regions[i].addr < regions[i].length) {
			put(",\"%s\":\"m%u+0x%lx\"", name, i, (unsigned long)(p - regions[i].addr));
			return;
		}
	bool stack = p >= (uintptr_t)&here - (1 << 20) && p < 0x7ffffffff000;
	put(",\"%s\":\"%s\"", name, stack ? "stack" : "other");
}

/* ---- structures ---- */

uint64_t load(const unsigned char *s, const struct field *f)
{
	uint64_t v = 0;

	memcpy(&v, s + f->offset, f->bytes);
	return v;
}
uint64_t member(const struct layout *l, const unsigned char *s, const char *name)
{
	for (const struct field *f = l->fields; f->name; f++)
		if (!strcmp(f->name, name))
			return load(s, f);
	return 0;
}
void put_struct(const char *name, const struct layout *l, const unsigned char *s)
{
	put(",\"%s\":{", name);
	for (const struct field *f = l->fields; f->name; f++) {
		char sym[64];

		put("%s\"%s\":", f == l->fields ? "" : ",", f->name);
		if (f->kind == HEX) {
			put("\"");
			put_hex(s + f->offset, f->bytes);
			put("\"");
			continue;
		}
		if (f->bytes == 8)
			put("\"0x%llx\"", (unsigned long long)load(s, f));
		else
			put("%llu", (unsigned long long)load(s, f));
		if (f->kind != POINTER)
			continue;
		snprintf(sym, sizeof(sym), "%s_sym", f->name);
		put_sym(sym, load(s, f));
	}
	put("}");
}
/* What stands behind a structure that the caller says is larger. */
void put_extra(uint64_t at, uint64_t from, uint64_t size)
{
	unsigned char bytes[4096];
	uint64_t left = size - from;
	uint64_t seen = 0;
	int64_t nonzero = -1;
	int64_t unreadable = -1;
	size_t n = peek(at + from, bytes, left < SHOWN_EXTRA ? left : SHOWN_EXTRA);

	put(",\"in_extra\":\"");
	put_hex(bytes, n);
	put("\"");
	while (seen < left && nonzero < 0 && unreadable < 0) {
		size_t want = left - seen < sizeof(bytes) ? left - seen : sizeof(bytes);
		size_t got = peek(at + from + seen, bytes, want);

		for (size_t i = 0; i < got && nonzero < 0; i++)
			if (bytes[i])
				nonzero = seen + i;
		if (got < want)
			unreadable = seen + got;
		seen += got;
	}
	put(",\"in_extra_length\":%llu", (unsigned long long)left);
	if (nonzero < 0)
		put(",\"in_extra_first_nonzero\":null");
	else
		put(",\"in_extra_first_nonzero\":%lld", (long long)nonzero);
	if (nonzero < 0 && unreadable >= 0)
		put(",\"in_extra_unreadable_at\":%lld", (long long)unreadable);
}
/* The readable beginning of an array. */
void put_data(const char *name, uint64_t at, uint64_t length, size_t most)
{
	unsigned char bytes[SHOWN_DATA];
	size_t n = length < most ? length : most;

	n = n ? peek(at, bytes, n) : 0;
	if (!n)
		return;
	put(",\"%s\":\"", name);
	put_hex(bytes, n);
	put("\"");
}
static void put_ranges(const char *name, uint64_t at, uint64_t count)
{
	struct { uint64_t start, last; } r[SHOWN_RANGES];
	size_t n = count < SHOWN_RANGES ? count : SHOWN_RANGES;
	size_t whole = n ? peek(at, r, n * sizeof(r[0])) / sizeof(r[0]) : 0;

	if (n && !whole)
		return;
	put(",\"%s\":[", name);
	for (size_t i = 0; i < whole; i++)
		put("%s[\"0x%llx\",\"0x%llx\"]", i ? "," : "", (unsigned long long)r[i].start, (unsigned long long)r[i].last);
	put("]");
}
/* Memory that is in no recording. */
static unsigned char *unseen(size_t n)
{
	long p = syscall(SYS_mmap, 0L, n, (long)(PROT_READ | PROT_WRITE), (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L);

	return p == -1 ? NULL : (unsigned char *)p;
}
static void put_bitmap(const char *name, uint64_t at, uint64_t length, uint64_t page_size)
{
	uint64_t nbits = page_size ? length / page_size : 0;
	uint64_t n = nbits / 8 + (nbits % 8 != 0);
	uint64_t hash = 0xcbf29ce484222325;
	uint64_t set = 0;

	if (!at || !page_size || n > BITMAP_BYTES_MAX)
		return;
	unsigned char *bytes = unseen(n + 1);
	if (!bytes)
		return;
	if (peek(at, bytes, n) == n) {
		for (uint64_t i = 0; i < n; i++) {
			set += __builtin_popcount(bytes[i]);
			hash = (hash ^ bytes[i]) * 0x100000001b3;
		}
		put(",\"%s\":{\"nbits\":%llu,\"set\":%llu,\"fnv1a64\":\"0x%016llx\",\"head\":\"", name, (unsigned long long)nbits,
		    (unsigned long long)set, (unsigned long long)hash);
		put_hex(bytes, n < BITMAP_HEAD ? n : BITMAP_HEAD);
		put("\"}");
	}
	syscall(SYS_munmap, bytes, n + 1);
}
/* The arrays a structure points at. */
void put_pointed(bool before, const struct layout *l, const unsigned char *in, const unsigned char *now)
{
	const char *cmd = l->cmd;
	const char *op = l->op ? l->op : "";

	if (!strcmp(cmd, "IOMMU_IOAS_ALLOW_IOVAS") && before && member(l, in, "num_iovas"))
		put_ranges("in_ranges", member(l, in, "allowed_iovas"), member(l, in, "num_iovas"));
	if (!strcmp(cmd, "IOMMU_IOAS_IOVA_RANGES") && !before) {
		uint64_t had = member(l, in, "num_iovas");
		uint64_t got = member(l, now, "num_iovas");

		put_ranges("out_ranges", member(l, now, "allowed_iovas"), got < had ? got : had);
	}
	if (!strcmp(cmd, "IOMMU_HWPT_ALLOC") && before)
		put_data("in_data", member(l, in, "data_uptr"), member(l, in, "data_len"), SHOWN_DATA);
	if (!strcmp(cmd, "IOMMU_HWPT_INVALIDATE") && before)
		put_data("in_data", member(l, in, "data_uptr"), member(l, in, "entry_len") * member(l, in, "entry_num"), SHOWN_DATA);
	if (!strcmp(cmd, "IOMMU_GET_HW_INFO") && !before)
		put_data("out_data", member(l, in, "data_uptr"), member(l, in, "data_len"), SHOWN_INFO);
	if (!strcmp(cmd, "IOMMU_HWPT_GET_DIRTY_BITMAP"))
		put_bitmap(before ? "in_bitmap" : "out_bitmap", member(l, in, "data"), member(l, in, "length"), member(l, in, "page_size"));
	if (!strcmp(op, "DIRTY") && before)
		put_bitmap("in_bitmap", member(l, in, "uptr"), member(l, in, "length"), member(l, in, "page_size"));
}
