/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of a disk image that may come from anywhere. */
#include <sys/mman.h>

#include "lib/convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum disk_format format = disk_format_of(data, size);
	cleanup_fd int fd = memfd_create("image", MFD_CLOEXEC);
	struct msb_err err = {};

	if (format == DISK_RAW)
		return 0;
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (disk_format_check(fd, format, &err) < 0 && !err.msg[0])
		abort();
	return 0;
}
