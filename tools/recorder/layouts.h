/* The structures of the calls, by uAPI name and offset; the numbers come from the kernel's own headers at compile time. */
#ifndef LAYOUTS_H
#define LAYOUTS_H

#include <stddef.h>
#include <stdint.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include "iommufd_test.h"

enum field_kind { NUMBER, POINTER, HEX };
struct field {
	const char *name;
	unsigned offset;
	unsigned bytes;
	enum field_kind kind;
};
struct layout {
	const char *cmd;
	const char *op;
	unsigned long request;
	unsigned op_number;
	/* 0: the argument is a number. */
	unsigned bytes;
	const struct field *fields;
};
extern const struct layout layouts[];

#endif
