/* Included before the kernel's selftest: its tests by the names of recordings, and names of later kernels. */
#include <stdio.h>
#include "record.h"

#define MOCK_FLAGS_DEVICE_PASID 4
#define MOCK_PASID_WIDTH 20

static inline void record_test(const char *fixture, const char *variant, const char *test)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s%s.%s", fixture, variant[0] ? "." : "", variant, test);
	record_start(name);
}
