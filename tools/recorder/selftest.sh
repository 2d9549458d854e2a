#!/bin/sh
# selftest.sh KERNEL DIR: copies the kernel's own iommufd selftest to DIR and makes it record each of its tests.
set -e
tests=$2/tools/testing/selftests
rm -rf "$2"
mkdir -p "$tests/iommu" "$2/drivers/iommu/iommufd"
cp "$1"/tools/testing/selftests/*.h "$tests"
cp "$1"/tools/testing/selftests/iommu/*.[ch] "$tests/iommu"
cp "$1"/drivers/iommu/iommufd/iommufd_test.h "$2/drivers/iommu/iommufd"
# A sequence lasts from before the fixture's setup to after its teardown.
sed -i 's/^\(\t*\)fixture_name##_setup(_metadata, self, variant->data); \\$/\1record_test(#fixture_name, variant->name, #test_name); \\\n&/
s/^\t\t\t_exit(0); \\$/\t\t\trecord_end(), _exit(0); \\/
s/define TEST_TIMEOUT_DEFAULT 30/define TEST_TIMEOUT_DEFAULT 900/' "$tests/kselftest_harness.h"
# The selftest of a stable kernel may use names of later ones: selftest.h has them; a device flag that 6.12 refuses goes.
sed -i 's/in_data_type/out_data_type/; s/IOMMU_HW_INFO_TYPE_DEFAULT/0/; s/IOMMU_HW_INFO_FLAG_INPUT_TYPE/1/
/pasid_capable = true/d' "$tests/iommu/iommufd_utils.h" "$tests/iommu/iommufd.c"
# 6.12 knows no type that is asked for: this one call fails there.
sed -i -z 's/test_cmd_get_hw_info(self->device_id,\(\s*\)IOMMU_HW_INFO_TYPE_SELFTEST,/test_err_get_hw_info(EOPNOTSUPP, self->device_id,\1IOMMU_HW_INFO_TYPE_SELFTEST,/' "$tests/iommu/iommufd.c"
