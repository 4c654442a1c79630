/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a sandbox, one blocking call per operation.
 *
 * A sandbox that does not run is started by guest_fs_open() and stopped again by guest_fs_close().
 *
 * Trust: whatever comes back was said by a hostile guest: names, sizes, types, amounts. Names and
 * targets are bounded strings without NUL and nothing else; it is the caller's to look at them.
 *
 * With `checked` both ends say what bytes they moved, by a checksum. A transfer that arrives as
 * something else ends with -EBADMSG, one with an agent that knows no checksums with -EPROTO.
 */
#pragma once

#include "base/base.h"
#include "base/checksum.h"
#include "base/err.h"
#include "base/loop.h"

#include "lib/reach.h"
#include "proto/msg.h"
#include "sandbox/client.h"

struct guest_fs {
	struct loop loop; /* unless @shared */
	struct loop *shared;
	struct sandbox *sb;
	struct sandbox_stream stream;
	bool started; /* by us */
	bool over;
	bool checked; /* set by the caller after guest_fs_open() */
	struct msb_err lost; /* why the connection ended */
	/* of the operation that runs */
	bool done;
	struct sandbox_result result;
	struct buf entries; /* FS_LIST */
	int error; /* of our side */
	int (*sink)(void *arg, const void *p, size_t n);
	ssize_t (*source)(void *arg, void *p, size_t n);
	void *arg;
	struct buf chunk; /* of the source, not yet taken */
	bool source_eof;
	struct checksum sum; /* of what we gave or got */
};

/* What goes along with a file or directory. */
struct guest_attr {
	uint32_t mode;
	bool exact; /* @mode even if it exists, and @mtime_ns */
	uint64_t mtime_ns; /* since 1970 */
	bool append; /* guest_fs_write(): to what is there */
	bool owner; /* @uid and @gid */
	uint32_t uid;
	uint32_t gid;
	bool whole; /* of a write: a file that does not get all its bytes is removed */
};

/** guest_fs_open - connect; one that does not run is started, or not, as @how says */
int guest_fs_open(struct guest_fs *g, const struct reach *how, struct msb_err *err) MSB_MUST_CHECK;
/** guest_fs_borrow - use the connection @sb on its loop, both of which stay the caller's; end with
 * guest_fs_return() */
void guest_fs_borrow(struct guest_fs *g, struct loop *loop, struct sandbox *sb);
void guest_fs_return(struct guest_fs *g);
/** guest_fs_close - 0, or a negative errno when stopping what was started has failed */
int guest_fs_close(struct guest_fs *g, struct msb_err *err);

/* Each returns 0 or a negative errno; the guest's own errors come without a message. */
int guest_fs_stat(struct guest_fs *g, const char *path, bool follow, struct msg_stat *ret)
	MSB_MUST_CHECK;
int guest_fs_mkdir(struct guest_fs *g, const char *path, uint32_t mode) MSB_MUST_CHECK;
/** guest_fs_setattr - mode, time and, if asked for, owner of an existing path */
int guest_fs_setattr(struct guest_fs *g, const char *path, const struct guest_attr *attr)
	MSB_MUST_CHECK;
int guest_fs_symlink(struct guest_fs *g, const char *path, const char *target) MSB_MUST_CHECK;
/** guest_fs_remove - a file, or a directory with all that is in it */
int guest_fs_remove(struct guest_fs *g, const char *path) MSB_MUST_CHECK;
/** guest_fs_prepared - sandbox_prepared() */
int guest_fs_prepared(struct guest_fs *g) MSB_MUST_CHECK;
int guest_fs_rename(struct guest_fs *g, const char *from, const char *to) MSB_MUST_CHECK;
/** guest_fs_unlink - what is no directory */
int guest_fs_unlink(struct guest_fs *g, const char *path) MSB_MUST_CHECK;
/** guest_fs_sum - checksum of the first @n bytes of a file; @ret_n of them are there */
int guest_fs_sum(struct guest_fs *g, const char *path, bool follow, uint64_t n, uint64_t *ret_n,
	uint64_t *ret) MSB_MUST_CHECK;

/** guest_fs_read - all bytes of a file to @sink, which may end it with a negative errno */
int guest_fs_read(struct guest_fs *g, const char *path,
	int (*sink)(void *arg, const void *p, size_t n), void *arg) MSB_MUST_CHECK;

/** guest_fs_read_range - at most @n bytes from @offset, as guest_fs_read() */
int guest_fs_read_range(struct guest_fs *g, const char *path, uint64_t offset, uint64_t n,
	int (*sink)(void *arg, const void *p, size_t n), void *arg) MSB_MUST_CHECK;

/** guest_fs_write - a new or emptied file from @source: bytes, 0 at the end, a negative errno */
int guest_fs_write(struct guest_fs *g, const char *path, const struct guest_attr *attr,
	ssize_t (*source)(void *arg, void *p, size_t n), void *arg) MSB_MUST_CHECK;

/** guest_fs_write_from - as guest_fs_write(), but the first @offset bytes of the file stay; @path
 * is no link */
int guest_fs_write_from(struct guest_fs *g, const char *path, const struct guest_attr *attr,
	uint64_t offset, ssize_t (*source)(void *arg, void *p, size_t n), void *arg) MSB_MUST_CHECK;

/** guest_fs_list - entries of a directory one after the other in @ret, for msg_get_dirent(); at
 * most GUEST_LIST_MAX bytes (-E2BIG) */
enum { GUEST_LIST_MAX = 64 * 1024 * 1024 };
int guest_fs_list(struct guest_fs *g, const char *path, struct buf *ret) MSB_MUST_CHECK;
