/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: an archive of a snapshot. The input is a tar, read as the jailed worker reads it;
 * the disk that comes out has the size that the manifest says.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/archive/snapshot.h"
#include "image/layer/outer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : io_write_full(fd, p, n);

	if (r < 0)
		abort();
	return fd;
}

/* As msb-layer does it; 0 or a negative errno. */
static int scan(int fd, int table_fd)
{
	cleanup_with(outer_free_p) struct outer *o = NULL;
	int r = outer_new(table_fd, -EBADF, &o);

	if (r == 0)
		r = outer_scan(o, fd, NULL);
	return r < 0 ? r : outer_finish(o, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_fd int fd = file(data, size);
	cleanup_fd int table_fd = file("", 0);
	cleanup_fd int disk_fd = file("", 0);
	cleanup_fd int text_fd = file("", 0);
	struct source s = {.dir_fd = -EBADF, .fd = fd};
	struct stat st;

	if (lseek(fd, 0, SEEK_SET) < 0 || scan(fd, table_fd) < 0 || fstat(table_fd, &st) < 0)
		return 0;
	s.table = malloc((size_t)st.st_size + 1);
	if (s.table && pread(table_fd, s.table, (size_t)st.st_size, 0) == st.st_size &&
		members_parse(s.table, (size_t)st.st_size, size, &s.members, NULL) == 0 &&
		snapshot_load_source(&s, disk_fd, text_fd, NULL) == 0 &&
		(fstat(disk_fd, &st) < 0 || st.st_size == 0))
		abort();
	source_close(&s);
	return 0;
}
