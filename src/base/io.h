/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptor helpers. Every descriptor made here is close-on-exec. */
#pragma once

#include <sys/socket.h>

#include "base/base.h"

/** io_write_full - write all of @n bytes to a blocking fd; 0 or a negative errno */
int io_write_full(int fd, const void *p, size_t n) MSB_MUST_CHECK;

/** io_read_full - read exactly @n bytes; 0, -ENODATA when the peer ended before, or a negative
 * errno */
int io_read_full(int fd, void *p, size_t n) MSB_MUST_CHECK;

/**
 * io_read_file - whole content of @path (relative to @dirfd), NUL-terminated
 * @max: larger content is -EFBIG
 * @ret: malloc'ed, owned by the caller
 */
int io_read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
	MSB_MUST_CHECK;

/** io_write_file_atomic - replace @path by @n bytes: temporary file, fsync if @sync, rename */
int io_write_file_atomic(int dirfd, const char *path, const void *p, size_t n, unsigned int mode,
	bool sync) MSB_MUST_CHECK;

/**
 * io_write_file_alone - the same where nobody else writes @path, because of a lock: the temporary
 * file always has the same name, so the next one replaces what a killed one has left
 */
int io_write_file_alone(int dirfd, const char *path, const void *p, size_t n, unsigned int mode,
	bool sync) MSB_MUST_CHECK;

/** io_nonblock - set or clear O_NONBLOCK */
int io_nonblock(int fd, bool on) MSB_MUST_CHECK;

/** io_socketpair - unix socket pair of @type (SOCK_STREAM, SOCK_SEQPACKET; may carry SOCK_NONBLOCK)
 */
int io_socketpair(int type, int ret_fd[2]) MSB_MUST_CHECK;

/** io_pipe - pipe2 with @flags plus O_CLOEXEC */
int io_pipe(int flags, int ret_fd[2]) MSB_MUST_CHECK;

/** io_pidfd_open - -ESRCH when the process is gone */
int io_pidfd_open(pid_t pid) MSB_MUST_CHECK;

/** io_pidfd_kill - signal the process behind @pidfd; 0 or a negative errno */
int io_pidfd_kill(int pidfd, int signo);

/** io_close_range_from - close every fd >= @first (best effort fallback on old kernels) */
void io_close_range_from(int first);

/** io_mkdir_p - make @path and its parents with @mode; existing directories are fine */
int io_mkdir_p(const char *path, unsigned int mode) MSB_MUST_CHECK;

/** io_send_fd - send() with a descriptor; never waits. Return: bytes sent or a negative errno */
ssize_t io_send_fd(int sock, const void *p, size_t n, int fd) MSB_MUST_CHECK;

/**
 * io_recv_fd - recv() of a stream or packet, and of at most one descriptor that comes with it
 * @ret_fd: owned by the caller, or -EBADF. Return: bytes, 0 at the end, or a negative errno
 */
ssize_t io_recv_fd(int sock, void *p, size_t n, int flags, int *ret_fd) MSB_MUST_CHECK;
