/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that one of the C libraries lacks, with results as negative errno. */
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/base.h"

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

static inline int sys_statx(int fd, struct statx *sx)
{
	const unsigned int mask = STATX_BASIC_STATS | STATX_BTIME;

	return syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, mask, sx) < 0
		       ? -errno
		       : 0;
}

/*
 * Opens the single component @name of @dir_fd; a symbolic link is opened, not followed. The flags
 * say again what the name already ensures. Kernels before 5.6 have to do without.
 */
static inline int sys_open_child(int dir_fd, const char *name)
{
	const struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;
	unsigned int tries = 0;

	/* EAGAIN: something was renamed at the same moment. */
	do {
		fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR) && ++tries < 32);
	if (fd < 0 && errno == ENOSYS)
		fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* renameat2() */
enum { SYS_RENAME_NOREPLACE = 1, SYS_RENAME_EXCHANGE = 2 };

static inline int sys_rename(
	int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, from_fd, from, to_fd, to, flags) < 0 ? -errno : 0;
}

static inline ssize_t sys_getdents(int fd, void *buf, size_t len)
{
	long n = syscall(SYS_getdents64, fd, buf, len);

	return n < 0 ? -errno : n;
}
