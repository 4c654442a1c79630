/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault injection by --wrap: the n-th call of any wrapped function fails.
 *
 * The list of wrapped functions stands twice: here, and as linker arguments in the meson.build
 * beside this file. Calls are counted only while armed, so the harness itself is never hit.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "test.h"

static unsigned int fault_nth;
static unsigned int fault_calls;
static bool fault_done;

void fault_arm(unsigned int nth)
{
	fault_nth = nth;
	fault_calls = 0;
	fault_done = false;
}

bool fault_hit(void)
{
	bool hit = fault_done;

	fault_arm(0);
	return hit;
}

bool fault_now(int error)
{
	if (!fault_nth || ++fault_calls != fault_nth)
		return false;
	fault_done = true;
	errno = error;
	return true;
}

#define FAULT_WRAP(ret, name, params, args, failure, error)               \
	ret __real_##name params;                                         \
	ret __wrap_##name params;                                         \
	ret __wrap_##name params                                          \
	{                                                                 \
		return fault_now(error) ? (failure) : __real_##name args; \
	}

FAULT_WRAP(void *, malloc, (size_t n), (n), NULL, ENOMEM)
FAULT_WRAP(void *, calloc, (size_t n, size_t m), (n, m), NULL, ENOMEM)
FAULT_WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL, ENOMEM)
FAULT_WRAP(char *, strdup, (const char *s), (s), NULL, ENOMEM)
FAULT_WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), -1, ENOSPC)
FAULT_WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), -1, EIO)
FAULT_WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAULT_WRAP(int, epoll_ctl, (int e, int op, int fd, struct epoll_event *ev), (e, op, fd, ev),
	op == EPOLL_CTL_DEL ? 0 : -1, ENOSPC)
FAULT_WRAP(int, socketpair, (int d, int t, int p, int sv[2]), (d, t, p, sv), -1, EMFILE)
FAULT_WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
FAULT_WRAP(int, fsync, (int fd), (fd), -1, EIO)
FAULT_WRAP(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d), -1, EIO)

/* The C library has two names for each of these: programs with 64-bit offsets call the second. */
#define FAULT_MMAP(name)                                                             \
	FAULT_WRAP(void *, name, (void *a, size_t n, int p, int f, int fd, off_t o), \
		(a, n, p, f, fd, o), MAP_FAILED, ENOMEM)
#define FAULT_OPENAT(name)                                                               \
	int __real_##name(int dirfd, const char *path, int flags, ...);                  \
	int __wrap_##name(int dirfd, const char *path, int flags, ...);                  \
	int __wrap_##name(int dirfd, const char *path, int flags, ...)                   \
	{                                                                                \
		va_list ap;                                                              \
		int mode;                                                                \
                                                                                         \
		va_start(ap, flags);                                                     \
		mode = va_arg(ap, int);                                                  \
		va_end(ap);                                                              \
		return fault_now(EMFILE) ? -1 : __real_##name(dirfd, path, flags, mode); \
	}

FAULT_MMAP(mmap)
FAULT_MMAP(mmap64)
FAULT_OPENAT(openat)
FAULT_OPENAT(openat64)
