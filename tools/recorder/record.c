/*
 * The recorder: stands in front of the system calls of a test program (linker option --wrap) and writes every call to an iommufd file, its
 * structures before and after, and the answer. User memory is read with process_vm_readv, so that an unreadable pointer is seen and not
 * followed. Records of all processes of a sequence go to one shared buffer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "record.h"
#include "shown.h"

int __real_ioctl(int fd, unsigned long req, void *arg);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
void *__real_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t off);
int __real_munmap(void *addr, size_t length);
ssize_t __real_read(int fd, void *buf, size_t length);
ssize_t __real_write(int fd, const void *buf, size_t length);
pid_t __real_fork(void);
pid_t __real_waitpid(pid_t pid, int *status, int options);

enum kind { NOT_OURS, IOMMUFD, ACCESS, FAULT };
static const char *const kind_names[] = { "", "iommufd", "access", "fault" };
enum { FILES = 1024 };

static const size_t SHARED_BYTES = (size_t)1 << 30;
static bool recording;
static char directory[128] = "/host/out";
static struct { enum kind kind; unsigned ctx; } files[FILES];

/* ---- ioctl ---- */

static enum kind kind_of(int fd)
{
	return fd >= 0 && fd < FILES ? files[fd].kind : NOT_OURS;
}
static void adopt(int fd, enum kind kind, unsigned ctx)
{
	if (fd < 0 || fd >= FILES)
		return;
	files[fd].kind = kind;
	files[fd].ctx = ctx;
}
/* Files that a call made. */
static void adopt_new(int fd, const struct layout *l, const unsigned char *out)
{
	if (!strcmp(l->cmd, "IOMMU_FAULT_QUEUE_ALLOC"))
		adopt((int)member(l, out, "out_fault_fd"), FAULT, files[fd].ctx);
	if (l->op && !strcmp(l->op, "CREATE_ACCESS"))
		adopt((int)member(l, out, "out_access_fd"), ACCESS, files[fd].ctx);
}
static const struct layout *layout_of(unsigned long req, uint64_t arg)
{
	for (const struct layout *l = layouts; l->cmd; l++) {
		uint32_t op;

		if (l->request != req)
			continue;
		if (l->request != IOMMU_TEST_CMD || l->op_number == 0)
			return l;
		if (peek(arg + 4, &op, 4) == 4 && op == l->op_number)
			return l;
	}
	return NULL;
}
int __wrap_ioctl(int fd, unsigned long req, void *arg)
{
	unsigned char in[128] = { 0 };
	unsigned char out[128] = { 0 };
	uint64_t at = (uintptr_t)arg;
	const struct layout *l;
	bool whole;
	int ret;
	int e;

	if (!recording || kind_of(fd) != IOMMUFD)
		return __real_ioctl(fd, req, arg);
	l = layout_of(req, at);
	begin_record("ioctl");
	put(",\"fd\":%d,\"ctx\":%u,\"cmd\":\"%s\"", fd, files[fd].ctx, l ? l->cmd : "unknown");
	whole = l && l->bytes && peek(at, in, l->bytes) == l->bytes;
	if (!l) {
		put(",\"req\":\"0x%lx\"", req);
		put_sym("arg_sym", at);
	} else if (!l->bytes) {
		if (at <= 0xffffffff)
			put(",\"arg\":%llu", (unsigned long long)at);
		else
			put(",\"arg\":\"0x%llx\"", (unsigned long long)at);
	} else if (!whole) {
		put(",\"arg\":\"0x%llx\"", (unsigned long long)at);
	} else {
		if (req == IOMMU_TEST_CMD) {
			if (l->op)
				put(",\"op\":\"%s\"", l->op);
			else
				put(",\"op\":null");
		}
		put_struct("in", l, in);
		if (load(in, l->fields) > l->bytes)
			put_extra(at, l->bytes, load(in, l->fields));
		put_pointed(true, l, in, in);
	}
	errno = 0;
	ret = __real_ioctl(fd, req, arg);
	e = errno;
	if (whole && peek(at, out, l->bytes) == l->bytes) {
		put_struct("out", l, out);
		put_pointed(false, l, in, out);
		if (req == VFIO_IOMMU_GET_INFO && load(in, l->fields) > l->bytes)
			put_data("out_caps", at + l->bytes, load(in, l->fields) - l->bytes, SHOWN_INFO);
		if (ret == 0)
			adopt_new(fd, l, out);
	}
	end_record(ret, e);
	errno = e;
	return ret;
}

/* ---- files ---- */

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	int mode;
	int fd;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	fd = __real_open(path, flags, mode);
	if (!recording || strcmp(path, "/dev/iommu"))
		return fd;
	int e = errno;
	unsigned ctx = shared->contexts++;
	adopt(fd, IOMMUFD, ctx);
	begin_record("open");
	put(",\"path\":\"/dev/iommu\",\"ctx\":%u", ctx);
	end_record(fd, e);
	errno = e;
	return fd;
}
int __wrap_close(int fd)
{
	enum kind kind = kind_of(fd);
	int ret = __real_close(fd);
	int e = errno;

	if (!recording || kind == NOT_OURS)
		return ret;
	begin_record("close");
	put(",\"fd\":%d,\"kind\":\"%s\",\"ctx\":%u", fd, kind_names[kind], files[fd].ctx);
	files[fd].kind = NOT_OURS;
	end_record(ret, e);
	errno = e;
	return ret;
}
ssize_t __wrap_read(int fd, void *buf, size_t length)
{
	ssize_t ret = __real_read(fd, buf, length);
	int e = errno;

	if (!recording || kind_of(fd) != FAULT)
		return ret;
	begin_record("read");
	put(",\"fd\":%d,\"kind\":\"fault\",\"ctx\":%u,\"length\":%zu", fd, files[fd].ctx, length);
	if (ret > 0) {
		put(",\"faults\":[");
		for (size_t i = 0; i < ret / sizeof(struct iommu_hwpt_pgfault); i++) {
			const struct iommu_hwpt_pgfault *f = (struct iommu_hwpt_pgfault *)buf + i;

			put("%s{\"flags\":%u,\"dev_id\":%u,\"pasid\":%u,\"grpid\":%u,\"perm\":%u,\"__reserved\":%u,\"addr\":\"0x%llx\",\"length\":%u,\"cookie\":%u}",
			    i ? "," : "", f->flags, f->dev_id, f->pasid, f->grpid, f->perm, f->__reserved, (unsigned long long)f->addr, f->length, f->cookie);
		}
		put("]");
	}
	end_record(ret, e);
	errno = e;
	return ret;
}
ssize_t __wrap_write(int fd, const void *buf, size_t length)
{
	struct iommu_hwpt_page_response r[16];
	size_t n = length / sizeof(r[0]);
	size_t got = peek((uintptr_t)buf, r, (n < 16 ? n : 16) * sizeof(r[0]));
	ssize_t ret = __real_write(fd, buf, length);
	int e = errno;

	if (!recording || kind_of(fd) != FAULT)
		return ret;
	begin_record("write");
	put(",\"fd\":%d,\"kind\":\"fault\",\"ctx\":%u,\"length\":%zu", fd, files[fd].ctx, length);
	if (got == n * sizeof(r[0])) {
		put(",\"responses\":[");
		for (size_t i = 0; i < n; i++)
			put("%s{\"cookie\":%u,\"code\":%u}", i ? "," : "", r[i].cookie, r[i].code);
		put("]");
	}
	end_record(ret, e);
	errno = e;
	return ret;
}

/* ---- memory and processes ---- */

void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t off)
{
	void *p = __real_mmap(addr, length, prot, flags, fd, off);
	int e = errno;
	unsigned n;

	if (!recording) {
		if (p != MAP_FAILED && (flags & MAP_FIXED) && (flags & MAP_SHARED)) {
			regions[0].addr = (uintptr_t)p;
			regions[0].length = length;
		}
		return p;
	}
	n = region_count < REGIONS ? region_count++ : REGIONS - 1;
	regions[n].addr = (uintptr_t)p;
	regions[n].length = p == MAP_FAILED ? 0 : length;
	begin_record("mmap");
	put(",\"region\":\"m%u\",\"addr\":\"0x%lx\",\"length\":\"0x%zx\",\"prot\":%d,\"shared\":%s,\"anon\":%s,\"hugetlb\":%s,\"populate\":%s", n,
	    (unsigned long)p, length, prot & 3, flags & MAP_SHARED ? "true" : "false", flags & MAP_ANONYMOUS ? "true" : "false",
	    flags & MAP_HUGETLB ? "true" : "false", flags & MAP_POPULATE ? "true" : "false");
	end_record(p == MAP_FAILED ? -1 : 0, e);
	errno = e;
	return p;
}
int __wrap_munmap(void *addr, size_t length)
{
	int ret = __real_munmap(addr, length);
	int e = errno;

	if (!recording)
		return ret;
	begin_record("munmap");
	put(",\"addr\":\"0x%lx\"", (unsigned long)addr);
	put_sym("sym", (uintptr_t)addr);
	put(",\"length\":\"0x%zx\"", length);
	end_record(ret, e);
	errno = e;
	return ret;
}
pid_t __wrap_fork(void)
{
	pid_t pid;

	if (recording) {
		begin_record("fork");
		put("}\n");
	}
	pid = __real_fork();
	if (pid == 0 && recording)
		proc++;
	return pid;
}
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	pid_t ret = __real_waitpid(pid, status, options);

	if (recording && ret > 0) {
		begin_record("child_exited");
		put("}\n");
	}
	return ret;
}

/* ---- sequences ---- */

void record_directory(const char *path)
{
	snprintf(directory, sizeof(directory), "%s", path);
}
void record_note(const char *members)
{
	begin_record("note");
	put(",%s}\n", members);
}
void record_start(const char *name)
{
	if (getenv("RECORD_DIRECTORY"))
		record_directory(getenv("RECORD_DIRECTORY"));
	shared = __real_mmap((void *)0x200000000000, SHARED_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	snprintf(test, sizeof(test), "%s", name);
	recording = true;
	begin_record("begin");
	if (regions[0].length)
		put(",\"m0_addr\":\"0x%lx\",\"m0_length\":\"0x%zx\"", (unsigned long)regions[0].addr, regions[0].length);
	put("}\n");
}
void record_end(void)
{
	char path[512];
	size_t done = 0;
	int fd;

	if (!recording)
		return;
	begin_record("end");
	put("}\n");
	recording = false;
	snprintf(path, sizeof(path), "%s/%s.ndjson", directory, test);
	fd = __real_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	while (fd >= 0 && done < shared->used) {
		ssize_t n = __real_write(fd, shared->text + done, shared->used - done);

		if (n <= 0)
			break;
		done += n;
	}
	if (fd < 0 || done < shared->used)
		dprintf(2, "%s: cannot be written: %s\n", path, strerror(errno));
	if (fd >= 0)
		__real_close(fd);
	__real_munmap(shared, SHARED_BYTES);
}
